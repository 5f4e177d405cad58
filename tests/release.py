"""Tiny hand-made data sets in the release layouts, for tests that must know every pixel."""

from __future__ import annotations

import plistlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
SQUARE = [(10, 20), (20, 20), (20, 40), (10, 40)]  # (x, y)


def write_dicom(path: Path, pixels: np.ndarray, **tags: object) -> None:
    """A minimal uncompressed mammogram."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    dataset.Modality = "MG"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.ImagerPixelSpacing = [0.5, 0.5]
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.astype(np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def write_outlines(path: Path, rois: list[tuple[str, list[tuple[float, float]]]]) -> None:
    """An INbreast outline file."""
    content = [
        {"Name": name, "NumberOfPoints": len(points), "Point_px": [f"({x:f}, {y:f})" for x, y in points]}
        for name, points in rois
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(plistlib.dumps({"Images": [{"ImageIndex": 0, "ROIs": content}]}))


def write_inbreast(
    root: Path, images: dict[str, list[tuple[str, list[tuple[float, float]]]]], shape=(64, 48)
) -> Path:
    """A release with the ROIs given for each `<id>_<patient>`; without any: no XML file, BI-RADS 1."""
    rows = [HEADER]
    for name, rois in images.items():
        number = name.split("_")[0]
        pixels = np.full(shape, 2048)
        write_dicom(root / "AllDICOMs" / f"{name}_MG_L_ML_ANON.dcm", pixels)
        if rois:
            write_outlines(root / "AllXML" / f"{number}.xml", rois)
        rows.append(f"removed;removed;L;MLO;201001;{number};2;{'4a' if rois else '1'}")
    (root / "INbreast.csv").write_text("\r\n".join(rows) + "\r\n")
    return root
