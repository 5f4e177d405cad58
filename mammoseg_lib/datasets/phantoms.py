"""Phantom data sets on disk, in the release layout of INbreast or BUSI; `phantom_cbis` writes CBIS-DDSM.

They stand in where the real sets, which their authors give out on request, are not at hand. Nothing in them
stems from a patient: breasts, tissue and masses are drawn from random numbers, with counts and sizes that
follow the published sets. The same seed gives the same bytes in every file.
"""

from __future__ import annotations

import hashlib
import plistlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8, UInt16
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import PYDICOM_ROOT_UID, ExplicitVRLittleEndian, generate_uid
from tqdm import tqdm

from mammoseg_lib.datasets.phantom_cases import BusiCase, InbreastCase, busi_cases, inbreast_cases
from mammoseg_lib.datasets.phantom_mammogram import DrawnMammogram, draw_mammogram
from mammoseg_lib.datasets.phantom_textures import polygon_area
from mammoseg_lib.datasets.phantom_ultrasound import draw_ultrasound
from mammoseg_lib.storage import atomic_folder

MARK = "PHANTOM"
VERSION = 1  # part of the folder's name; raise it when what is drawn changes
MAMMOGRAPHY_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
WITHOUT_MASS = 0.2  # images without a mass, as a part of those with one
CSV_HEADER = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"
FILE_VIEWS = {"CC": "CC", "MLO": "ML"}  # as the release writes them in file names
OUTLINE, POINTS = 15, 19  # kinds of ROI in the release's XML files


def write_inbreast(
    root: Path | str,
    n_images: int = 107,
    size: int = 768,
    seed: int = 0,
    *,
    jobs: int = 2,
    progress: bool = False,
) -> Path:
    """Write phantom mammograms as an INbreast release folder.

    Args:
        root: The folder to write; it appears when it is complete and must not exist before.
        n_images: Images with a mass; a fifth as many without one are added.
        size: Longest side of an image in pixels.
        seed: The same seed gives the same files.
        jobs: Threads that draw; the files do not depend on it.
        progress: Show a progress bar.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder exists.
        ValueError: If there is nothing to write.
    """
    plan, *children = plan_seeds(
        root, n_images, size, seed, n_images + (n_without := round(WITHOUT_MASS * n_images))
    )
    cases = inbreast_cases(n_images, n_without, np.random.default_rng(plan))
    with atomic_folder(Path(root)) as folder:
        for name in ("AllDICOMs", "AllXML"):
            (folder / name).mkdir()
        rows = [
            f"removed;removed;{c.mammogram.laterality};{c.mammogram.view};removed;{c.image_id};"
            f"{c.mammogram.acr_density};{c.birads}"
            for c in cases
        ]
        (folder / "INbreast.csv").write_text("\n".join([CSV_HEADER, *rows]) + "\n", encoding="utf-8")
        work = partial(_write_mammogram, folder, size, seed)
        run_jobs(work, zip(cases, children, strict=True), len(cases), jobs, "INbreast phantoms", progress)
    return Path(root)


def write_busi(
    root: Path | str,
    n_images: int = 120,
    size: int = 512,
    seed: int = 0,
    *,
    jobs: int = 2,
    progress: bool = False,
) -> Path:
    """Write phantom ultrasound pictures as a BUSI release folder.

    Args:
        root: The folder to write; it appears when it is complete and must not exist before.
        n_images: Pictures in all: benign, malignant and normal as 437, 210 and 133.
        size: Longest side of a picture in pixels.
        seed: The same seed gives the same files.
        jobs: Threads that draw; the files do not depend on it.
        progress: Show a progress bar.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder exists.
        ValueError: If there is nothing to write.
    """
    plan, *children = plan_seeds(root, n_images, size, seed, n_images)
    cases = busi_cases(n_images, np.random.default_rng(plan))
    with atomic_folder(Path(root)) as folder:
        for name in ("benign", "malignant", "normal"):
            (folder / name).mkdir()
        work = partial(_write_ultrasound, folder, size)
        run_jobs(work, zip(cases, children, strict=True), len(cases), jobs, "BUSI phantoms", progress)
    return Path(root)


def plan_seeds(root: Path | str, n_images: int, size: int, seed: int, n: int) -> list[np.random.SeedSequence]:
    """One seed for the plan and one for each image, after checking what was asked for."""
    if Path(root).exists():
        raise FileExistsError(f"{root}: exists already; phantoms are written to a new folder")
    if n_images < 1 or size < 32:
        raise ValueError(f"at least 1 image of at least 32 pixels; got n_images={n_images}, size={size}")
    return np.random.SeedSequence(seed).spawn(1 + n)


def run_jobs(
    work: Callable, tasks: Iterable[tuple], total: int, jobs: int, label: str, progress: bool
) -> None:
    """Do the work for every task, in threads; the first failure ends it."""
    # Threads, since drawing is spent inside FFTs, filters and random numbers that release the lock: they
    # start at once, where processes would first import everything again.
    with (
        ThreadPoolExecutor(jobs) as pool,
        tqdm(total=total, desc=label, unit="image", disable=not progress) as bar,
    ):
        futures = [pool.submit(work, *task) for task in tasks]
        try:
            for future in futures:
                future.result()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


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


def gray_dicom(
    pixels: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"], bits: int, uid: str, sop_class: str
) -> FileDataset:
    """An uncompressed gray image as DICOM, marked as a phantom; the caller adds whose it is."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, preamble=b"\0" * 128, file_meta=meta)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    dataset.Modality = "MG"
    dataset.Manufacturer = dataset.SeriesDescription = dataset.PatientName = MARK
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = 0
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    # A value of a DICOM file has an even number of bytes.
    dataset.add_new("PixelData", "OW", data + b"\0" * (len(data) % 2))
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


def _write_ultrasound(folder: Path, size: int, case: BusiCase, child: np.random.SeedSequence) -> None:
    pixels, masks = draw_ultrasound(case.picture, size, np.random.default_rng(child))
    stem = folder / case.pathology / f"{case.pathology} ({case.number})"
    picture = Image.fromarray(pixels)
    (picture.convert("RGB") if case.color else picture).save(f"{stem}.png")
    for number, mask in enumerate(masks or [np.zeros(pixels.shape, dtype=bool)]):
        suffix = f"_{number}" if number else ""
        lit = Image.fromarray(mask.astype(np.uint8) * 255)
        lit.convert(case.mask_mode, dither=Image.Dither.NONE).save(f"{stem}_mask{suffix}.png")
