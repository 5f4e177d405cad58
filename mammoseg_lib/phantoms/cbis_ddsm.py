"""Phantom films on disk in the layout of CBIS-DDSM, with the faults that the release has.

Counts follow the two mass tables of the release: images per patient, the official parts, density,
abnormalities per image, and what radiologists and pathology said of them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from pydicom.uid import PYDICOM_ROOT_UID, generate_uid

from mammoseg_lib.phantoms.cases import (
    breast_extent,
    in_view,
    plan_densities,
    plan_lesion,
    plan_studies,
    stratified_normal,
    with_second,
)
from mammoseg_lib.phantoms.film import Film, develop
from mammoseg_lib.phantoms.mammogram import Mammogram, draw_mammogram
from mammoseg_lib.phantoms.population import Population, named_population
from mammoseg_lib.phantoms.writing import MARK, draw_all, gray_dicom, plan_seeds
from mammoseg_lib.storage import atomic_folder

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
HEADER = (
    *("patient_id", "breast_density", "left or right breast", "image view", "abnormality id"),
    *("abnormality type", "mass shape", "mass margins", "assessment", "pathology", "subtlety"),
    *("image file path", "cropped image file path", "ROI mask file path"),
)
# The release: images, patients, patients of the test part, images of more than one abnormality.
IMAGES, PATIENTS, TEST_PATIENTS, SEVERAL = 1592, 892, 201, 71
ACR_IMAGES = {1: 290, 2: 716, 3: 435, 4: 151}
MALIGNANT = {"round": 0.29, "lobulated": 0.29, "spiculated": 0.69}  # irregular shapes, and all others
WITHOUT_CALLBACK = 141 / 912  # of the benign ones
ASSESSMENT = {  # rows by pathology
    "MALIGNANT": {0: 22, 1: 3, 2: 1, 3: 49, 4: 346, 5: 363},
    "BENIGN": {0: 140, 2: 31, 3: 247, 4: 344, 5: 9},
    "BENIGN_WITHOUT_CALLBACK": {2: 59, 3: 68, 4: 12, 5: 2},
}
SUBTLETY = {1: 55, 2: 141, 3: 358, 4: 453, 5: 687}
WORDS = {  # shape and margin
    "round": ("ROUND", "CIRCUMSCRIBED"),
    "lobulated": ("LOBULATED", "OBSCURED"),
    "spiculated": ("IRREGULAR", "SPICULATED"),
}
# All masses of an image together, log of mm^2; set so that they cover 0.58 % of a frame on average.
LOG_AREA_MM2, LOG_AREA_RANGE = (4.54, 0.85), (2.5, 7.3)
# Faults of the release, as parts of the images; only that of two series can be counted in its tables.
SWAPPED, RENAMED, SEPARATE, RESIZED = 0.3, 0.3, 103 / 1696, 0.03


@dataclass(frozen=True)
class FilmCase:
    """One image: where it is filed, what it shows, and what is wrong with its files.

    Attributes:
        name: Its folder.
        patient: For example P_90001; numbers of the release are below 2100.
        part: "train" or "test".
        mammogram: What is drawn.
        rows: The values of its table rows up to the paths.
        swapped: Mask and crop have changed places.
        renamed: The files are named by the newer downloader, not as printed.
        separate: Mask and crop are in two series.
        resized: The masks have twice the image's size.
    """

    name: str
    patient: str
    part: str
    mammogram: Mammogram
    rows: tuple[tuple[object, ...], ...]
    swapped: bool
    renamed: bool
    separate: bool
    resized: bool


def write(
    root: Path,
    *,
    n_images: int,
    size: int,
    seed: int,
    population: str = "realistic",
    progress: bool = False,
) -> Path:
    """A `Writer` of `n_images` films with masses: two tables, DICOM files below the cases' folders."""
    plan, *children = plan_seeds(root, n_images, size, seed, n_images)
    cases = film_cases(n_images, named_population(population), np.random.default_rng(plan))
    with atomic_folder(root) as folder:
        for part in ("train", "test"):
            table = io.StringIO()
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(HEADER)
            for case in cases:
                if case.part == part:
                    writer.writerows((*row, *_printed(case, row[4], seed)) for row in case.rows)
            path = folder / f"mass_case_description_{part}_set.csv"
            path.write_text(table.getvalue(), encoding="utf-8", newline="\n")
        work = partial(_write_case, folder, size, seed)
        draw_all(work, zip(cases, children, strict=True), len(cases), "CBIS-DDSM", progress)
    return root


def film_cases(n_images: int, population: Population, rng: np.random.Generator) -> list[FilmCase]:
    """Plan the images of a CBIS-DDSM-like set."""
    n_patients = max(1, round(n_images * PATIENTS / IMAGES))
    studies, _ = plan_studies(n_images, n_patients, rng)
    acr = plan_densities([patient for patient, _, _ in studies], ACR_IMAGES, rng)
    n_test = max(round(n_patients * TEST_PATIENTS / PATIENTS), int(n_patients > 1))
    tested = set(rng.permutation(n_patients)[:n_test].tolist())
    numbers = 90001 + 7 * rng.permutation(n_patients)
    sides = sorted({study[:2] for study in studies})
    mean, deviation = population.log_area_mm2 or LOG_AREA_MM2
    log_area = stratified_normal(len(sides), rng) * deviation + mean
    areas = np.exp(log_area.clip(*LOG_AREA_RANGE))
    traits = {side: plan_lesion(area, population, rng) for side, area in zip(sides, areas, strict=True)}
    said = {side: _findings(traits[side].kind, rng) for side in sides}
    breasts = {patient: rng.standard_normal(2) for patient in acr}
    several = max(round(n_images * SEVERAL / IMAGES), int(n_images >= 4))
    counts = np.ones(n_images, dtype=int)
    counts[:several] = 2
    counts[: several // 3] = 3
    rng.shuffle(counts)
    faults = np.stack([_some(n_images, part, rng) for part in (SWAPPED, RENAMED, SEPARATE, RESIZED)], 1)
    cases = []
    for (patient, side, view), count, wrong in zip(studies, counts.tolist(), faults.tolist(), strict=True):
        lesions = (in_view(traits[patient, side], view, rng),)
        while len(lesions) < count:
            lesions = (*with_second(lesions[0], rng), *lesions[1:])
        extent = breast_extent(view, breasts[patient], rng)
        shown = Mammogram(side, view, acr[patient], 0, extent, lesions)
        part, number = "test" if patient in tested else "train", f"P_{numbers[patient]}"
        breast = {"L": "LEFT", "R": "RIGHT"}[side]
        name = f"Mass-{'Test' if part == 'test' else 'Training'}_{number}_{breast}_{view}"
        # Of several abnormalities in a breast the first one keeps its findings in both views.
        found = [said[patient, side], *(_findings(lesion.kind, rng) for lesion in lesions[1:])]
        rows = tuple(
            (number, acr[patient], breast, view, k, "mass", *finding) for k, finding in enumerate(found, 1)
        )
        cases.append(FilmCase(name, number, part, shown, rows, *wrong))
    return sorted(cases, key=lambda case: case.name)


def _findings(kind: str, rng: np.random.Generator) -> tuple[object, ...]:
    """Shape, margin, assessment, pathology and subtlety."""
    if rng.random() < MALIGNANT[kind]:
        pathology = "MALIGNANT"
    else:
        pathology = "BENIGN_WITHOUT_CALLBACK" if rng.random() < WITHOUT_CALLBACK else "BENIGN"
    return (*WORDS[kind], _drawn(ASSESSMENT[pathology], rng), pathology, _drawn(SUBTLETY, rng))


def _drawn(counts: Mapping[int, int], rng: np.random.Generator) -> int:
    weights = np.array(list(counts.values()))
    return int(rng.choice(list(counts), p=weights / weights.sum()))


def _some(n: int, part: float, rng: np.random.Generator) -> np.ndarray:
    """A part of n cases, at least one of eight or more."""
    return rng.permutation(n) < max(round(part * n), int(n >= 8))


def _uid(seed: int, *what: object) -> str:
    return generate_uid(PYDICOM_ROOT_UID, [MARK, "CBIS-DDSM", str(seed), *map(str, what)])


def _printed(case: FilmCase, number: int, seed: int) -> tuple[str, str, str]:
    """The paths of image, crop and mask as the tables print them: the mask's with a line break."""
    image = "/".join([case.name, _uid(seed, case.name, "study"), _uid(seed, case.name, "series")])
    crop, mask = (_series(case, number, what, seed).as_posix() for what in ("crop", "mask"))
    names = ("000000.dcm", "000000.dcm" if case.separate else "000001.dcm")
    return f"{image}/000000.dcm", f"{crop}/{names[0]}", f"{mask}/{names[1]}\n"


def _series(case: FilmCase, number: int, what: str, seed: int) -> Path:
    """The folder of an abnormality's crop or mask below the root."""
    folder = f"{case.name}_{number}"
    own = what if case.separate else "both"
    return Path(folder) / _uid(seed, folder, own, "study") / _uid(seed, folder, own, "series")


def _write_case(folder: Path, size: int, seed: int, case: FilmCase, child: np.random.SeedSequence) -> None:
    rng = np.random.default_rng(child)
    film = develop(draw_mammogram(case.mammogram, size, rng), case.mammogram, rng)
    first, second = ("1-1.dcm", "1-2.dcm") if case.renamed else ("000000.dcm", "000001.dcm")
    place = folder / Path(_printed(case, 1, seed)[0]).parent
    _save(place / first, film.pixels, case.name, case, seed)
    for number, mask in enumerate(film.masks, 1):
        lit = mask.astype(np.uint8) * 255
        if case.resized:
            lit = lit.repeat(2, axis=0).repeat(2, axis=1)
        names = {"crop": first, "mask": first if case.separate else second}
        if case.swapped:
            names = {"crop": names["mask"], "mask": names["crop"]}
        for what, pixels in (("crop", _crop(film, mask)), ("mask", lit)):
            place = folder / _series(case, number, what, seed)
            _save(place / names[what], pixels, f"{case.name}_{number}", case, seed)


def _crop(film: Film, mask: np.ndarray) -> np.ndarray:
    """The film around a mass."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    margin = 4 + max(width, height) // 4
    top, left = max(0, y - margin), max(0, x - margin)
    return np.ascontiguousarray(film.pixels[top : y + height + margin, left : x + width + margin])


def _save(path: Path, pixels: np.ndarray, patient: str, case: FilmCase, seed: int) -> None:
    uid = _uid(seed, patient, path.parent.name, path.name, pixels.shape)
    dataset = gray_dicom(pixels, 8 * pixels.itemsize, uid, SECONDARY_CAPTURE)
    # The release has no pixel spacing, and files an image's or abnormality's folder as the patient.
    dataset.PatientID = patient
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = path.parent.parent.name, path.parent.name
    dataset.BodyPartExamined = "BREAST"
    dataset.PatientOrientation = case.mammogram.view
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
