"""Phantom mammograms in the release layout of INbreast: DICOM files, outlines in XML, a table."""

from __future__ import annotations

import hashlib
import plistlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from pydicom.dataset import FileDataset
from pydicom.uid import PYDICOM_ROOT_UID, generate_uid

from mammoseg_lib.phantoms.cases import InbreastCase, inbreast_cases
from mammoseg_lib.phantoms.mammogram import DrawnMammogram, draw_mammogram
from mammoseg_lib.phantoms.population import named_population
from mammoseg_lib.phantoms.textures import polygon_area
from mammoseg_lib.phantoms.writing import MARK, WITHOUT_MASS, draw_all, gray_dicom, plan_seeds
from mammoseg_lib.storage import atomic_folder

MAMMOGRAPHY_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
CSV_HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
FILE_VIEWS = {"CC": "CC", "MLO": "ML"}  # as the release writes them in file names
OUTLINE, POINTS = 15, 19  # kinds of ROI in the release's XML files


def write(
    root: Path,
    *,
    n_images: int,
    size: int,
    seed: int,
    population: str = "realistic",
    progress: bool = False,
) -> Path:
    """A `Writer` of `n_images` mammograms with masses, and a fifth as many without."""
    n_without = round(WITHOUT_MASS * n_images)
    plan, *children = plan_seeds(root, n_images, size, seed, n_images + n_without)
    rng = np.random.default_rng(plan)
    cases = inbreast_cases(n_images, n_without, named_population(population), rng)
    with atomic_folder(root) as folder:
        for name in ("AllDICOMs", "AllXML"):
            (folder / name).mkdir()
        rows = [
            f"removed;removed;{c.mammogram.laterality};{c.mammogram.view};removed;{c.image_id};"
            f"{c.mammogram.acr_density};{c.birads}"
            for c in cases
        ]
        (folder / "INbreast.csv").write_text("\n".join([CSV_HEADER, *rows]) + "\n", encoding="utf-8")
        work = partial(_write_mammogram, folder, size, seed)
        draw_all(work, zip(cases, children, strict=True), len(cases), "INbreast", progress)
    return root


def _write_mammogram(
    folder: Path, size: int, seed: int, case: InbreastCase, child: np.random.SeedSequence
) -> None:
    drawn = draw_mammogram(case.mammogram, size, np.random.default_rng(child))
    patient = hashlib.sha256(f"{MARK} {seed} {case.patient}".encode()).hexdigest()[:16]
    shown = case.mammogram
    name = f"{case.image_id}_{patient}_MG_{shown.laterality}_{FILE_VIEWS[shown.view]}_ANON.dcm"
    _dicom(case, drawn, patient, seed).save_as(folder / "AllDICOMs" / name, enforce_file_format=True)
    rois = _rois(drawn)
    if rois:  # the release has no file for an image in which nothing was outlined
        content = {"Images": [{"ImageIndex": 0, "NumberOfROIs": len(rois), "ROIs": rois}]}
        (folder / "AllXML" / f"{case.image_id}.xml").write_bytes(plistlib.dumps(content))


def _dicom(case: InbreastCase, drawn: DrawnMammogram, patient: str, seed: int) -> FileDataset:
    # Derived from what the image is, so that it is the same in every run.
    uid = partial(generate_uid, PYDICOM_ROOT_UID)
    image = uid([MARK, "image", str(seed), case.image_id, str(drawn.pixels.shape)])
    dataset = gray_dicom(drawn.pixels, 14, image, MAMMOGRAPHY_FOR_PRESENTATION)
    dataset.StudyInstanceUID = uid([MARK, "study", str(seed), patient])
    dataset.SeriesInstanceUID = uid([MARK, "series", str(seed), patient])
    dataset.PatientID = patient
    dataset.ViewPosition = case.mammogram.view
    dataset.ImageLaterality = case.mammogram.laterality
    dataset.ImagerPixelSpacing = [f"{drawn.spacing_mm:.8g}"] * 2
    return dataset


def _rois(drawn: DrawnMammogram) -> list[dict]:
    """What a reader outlined, in the words of the release's XML files."""
    rois = [("Mass", OUTLINE, outline) for outline in drawn.outlines]
    if len(drawn.calcifications):
        rois.append(("Calcification", POINTS, drawn.calcifications))
    rois += [("Point 1", POINTS, point[None]) for point in drawn.markers]
    return [_roi(drawn, number, *roi) for number, roi in enumerate(rois)]


def _roi(drawn: DrawnMammogram, number: int, name: str, kind: int, points: Float[np.ndarray, "n 2"]) -> dict:
    columns, rows = points.round().astype(int).T
    height, width = drawn.pixels.shape
    if kind == OUTLINE:
        mask = np.zeros(drawn.pixels.shape, dtype=np.uint8)
        cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
        values = drawn.pixels[mask.astype(bool)].astype(float)
    else:
        values = drawn.pixels[rows.clip(0, height - 1), columns.clip(0, width - 1)].astype(float)
    x, y = points.mean(0)
    area_cm2 = polygon_area(points) * (drawn.spacing_mm / 10) ** 2 if kind == OUTLINE else 0.0
    millimeters = points * drawn.spacing_mm
    return {
        "Area": area_cm2,
        "Center": f"({x:.6f}, {y:.6f}, 0.000000)",
        "Dev": float(values.std()),
        "IndexInImage": number,
        "Max": float(values.max()),
        "Mean": float(values.mean()),
        "Min": float(values.min()),
        "Name": name,
        "NumberOfPoints": len(points),
        "Point_mm": [f"({x:.6f}, {y:.6f}, 0.000000)" for x, y in millimeters],
        "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
        "Total": float(values.sum()),
        "Type": kind,
    }
