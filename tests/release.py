"""Tiny hand-made data sets in the release layouts, for tests that must know every pixel."""

from __future__ import annotations

import csv
import plistlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

from mammoseg_lib.phantoms.cbis_ddsm import HEADER as CBIS_HEADER
from mammoseg_lib.sources import SOURCES

HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
SQUARE = [(10, 20), (20, 20), (20, 40), (10, 40)]  # (x, y)


def write_phantoms(
    name: str, root: Path, n_images: int, size: int, seed: int = 0, population: str = "realistic"
) -> Path:
    """Phantoms in the release layout of a data set."""
    writer = SOURCES[name].write_phantoms
    return writer(root, n_images=n_images, size=size, seed=seed, population=population)


def write_dicom(path: Path, pixels: np.ndarray, **tags: object) -> None:
    """A minimal uncompressed mammogram."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
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


def write_any_dicom(
    path, values, *, stored=12, signed=False, syntax=uid.ExplicitVRLittleEndian, lut=None, **tags
):
    """A gray image of any depth, sign and native transfer syntax; `lut` is (keyword, descriptor, data)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = uid.DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = "1.2.3", syntax
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = meta.MediaStorageSOPClassUID, "1.2.3", "MG"
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = 8 if stored <= 8 else 16
    data.BitsStored, data.HighBit, data.PixelRepresentation = stored, stored - 1, int(signed)
    if lut is not None:
        keyword, descriptor, entries = lut
        item = Dataset()
        item.add_new("LUTDescriptor", "SS" if signed and keyword[0] == "M" else "US", descriptor)
        item.add_new("LUTData", "OW" if isinstance(entries, bytes) else "US", entries)
        setattr(data, keyword, [item])
    for name, value in tags.items():
        setattr(data, name, value)
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    dtype = np.dtype(f"{order}{'i' if signed else 'u'}{data.BitsAllocated // 8}")
    data.add_new("PixelData", "OB" if stored <= 8 else "OW", values.astype(dtype).tobytes())
    encoding = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    pydicom.dcmwrite(path, data, force_encoding=True, **encoding)
    return path


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


def cbis_row(case: str, number: int = 1, **values: str) -> dict[str, str]:
    """One row of a table of CBIS-DDSM as it is printed."""
    patient, side, view = case.removeprefix("Mass-Training_").removeprefix("Mass-Test_").rsplit("_", 2)
    folder = f"{case}_{number}/1.2.{number}/1.3.{number}"
    row = dict.fromkeys(CBIS_HEADER, "x") | {
        "patient_id": patient, "left or right breast": side, "image view": view,
        "breast_density": "3", "abnormality id": str(number), "assessment": "4", "pathology": "BENIGN",
        "image file path": f"{case}/1.1/1.9/000000.dcm",
        "cropped image file path": f"{folder}/000000.dcm",
        "ROI mask file path": f"{folder}/000001.dcm\n",
    }  # fmt: skip
    assert values.keys() <= row.keys()
    return row | values


def write_cbis_table(path: Path, rows: list[dict[str, str]], encoding: str = "utf-8") -> None:
    """A table of CBIS-DDSM."""
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, CBIS_HEADER)
        writer.writeheader()
        writer.writerows(rows)
