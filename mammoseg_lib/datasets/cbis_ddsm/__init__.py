"""CBIS-DDSM in the layout of its release (DICOM), of its JPEG edition, or as pairs of PNG files.

The tables (see `cbis_ddsm_table`) say which images there are; their files are found by the names of folders:

* DICOM: `<case>/**/*.dcm` is the image, `<case>_<n>/**/*.dcm` the mask and the crop of abnormality n. How the
  folders between and the files are named depends on the downloader, and a printed path often does not exist.
* JPEG: `jpeg/<series UID>/*.jpg`, with the tables in `csv/`.
* PNG: `<case>_FULL.png` beside `<case>_MASK.png`, in the folder itself or one below it.

Mask and crop have swapped places in many cases, so they are told apart by what they are: the mask has the
image's size; where that does not decide, it is the one with two values. Two masks of equal standing, or
none, are an error. An image with several abnormalities has one mask file for each; its mask is their union.

Images are scans of film. They know no pixel spacing, and labels, tape and bright borders are on them:
`load` removes those as paper 001 did ("artifacts were removed"), `read` leaves them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mammoseg_lib.checks import check_choice
from mammoseg_lib.datasets.cbis_ddsm.artifacts import remove_artifacts
from mammoseg_lib.datasets.cbis_ddsm.table import CASE, FOLDERS, TABLES, Case, read_cases, table_paths
from mammoseg_lib.datasets.files.dicom import read_header, read_image
from mammoseg_lib.datasets.files.pictures import picture_size, read_picture
from mammoseg_lib.datasets.sample import DataError, Problem, Sample, having_masses, sample_table

FOLDER = "CBIS-DDSM"
# The whole release by its tables, and a digest of which image shows how many masses.
WHOLE = {"images": 1592, "masses": 1696, "patients": 892, "benign": 845, "malignant": 747}
MASSES_DIGEST = "9f1b65692614538f"
FOLDER_NAME = re.compile(rf"{CASE.pattern}(_\d{{1,3}})?")
ASPECT_TOLERANCE = 0.02  # by how much the aspect of a mask of another size may differ from its image's
GRAY = (0.1, 0.9)  # between these, as parts of the brightest value, lies nothing of a mask ...
MAX_GRAY = 0.01  # ... but this part of its pixels, which JPEG may blur


def files(root: Path) -> list[Path]:
    """Every file that the samples are made from, for the fingerprint of the data."""
    found = set(table_paths(root).values())
    for case, _, images in _images(root):
        for image in images:
            found |= {image, *(path for paths in _candidates(image, case).values() for path in paths)}
    return sorted(found)


def scan(
    root: Path, run_map: Callable[[Callable, Iterable], Iterable] = map
) -> tuple[pd.DataFrame, list[Problem]]:
    """The table of all images that can be used, and everything that cannot, with the reason.

    Only the tables and the headers of the files are read, so `mass_fraction` is NA: it is in the pixels of
    the masks, which are some 30 GB in the release.

    Args:
        root: The folder with the tables and the cases.
        run_map: What examines the images: `map`, or one that shares the work among processes.
    """
    cases, faults = read_cases(root)
    problems, incomplete = list(faults), set()
    for part, folders in _unlisted(root, cases).items():
        short = [folder for folder in folders if folder.rpartition("_")[0] in cases]
        reason = "no row of the tables for this abnormality; its image is left out"
        problems += [Problem(str(root / folder), "broken", reason) for folder in short]
        incomplete.update(folder.rpartition("_")[0] for folder in short)
        if others := sorted(set(folders) - set(short)):
            reason = f"{len(others)} folders of masses are in no row that can be used, such as {others[0]}"
            problems.append(Problem(str(table_paths(root)[part]), "broken", reason))
    if not any(root.glob("Mass-*/")):  # where folders are called by their cases, they tell what rows are lost
        empty = sorted(TABLES.keys() - {case.split for case in cases.values()})
        reason = "lists no mass that can be used"
        problems += [Problem(str(table_paths(root)[part]), "broken", reason) for part in empty]
    records = []
    for found in run_map(_examine, (item for item in _images(root) if item[0].name not in incomplete)):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            records.append(found)
    return sample_table(records), problems


def index(root: Path, **filters: object) -> pd.DataFrame:
    """The sample table of a release folder; the filters are those of `select`."""
    return select(scan(root)[0], **filters)


def select(table: pd.DataFrame, *, with_masses: bool | None = None, split: str | None = None) -> pd.DataFrame:
    """The rows to use.

    Args:
        table: What `scan` found.
        with_masses: The mass tables list images with masses only, so False leaves nothing.
        split: "train" or "test" keeps that part of the official split, None keeps both.
    """
    check_choice("split", split, (None, *TABLES))
    table = having_masses(table, with_masses)
    return table if split is None else table[table["split"] == split].reset_index(drop=True)


def load(row: pd.Series) -> Sample:
    """One image without the artifacts of film (see `artifacts`), and the union of its masks.

    Raises:
        DataError: If the image or a mask cannot be read, does not fit, or a mask shows nothing.
    """
    sample = read(row)
    return replace(sample, image=remove_artifacts(sample.image))


def disagreements(root: Path, table: pd.DataFrame) -> dict[str, list[str]]:
    """Nothing: images are only those that the tables list."""
    return {}


def read(row: pd.Series) -> Sample:
    """One image as released, and the union of its masks; raises like `load`."""
    path = Path(row["image_path"])
    root = next((parent for parent in path.parents if _holds_tables(parent)), None)
    case = None if root is None else read_cases(root)[0].get(row["sample_id"])
    if case is None:
        raise DataError(path, "is not in a CBIS-DDSM folder whose tables list it")
    image, spacing_mm = _pixels(path)
    mask = np.zeros(image.shape, dtype=bool)
    for folder, candidates in _candidates(path, case).items():
        mask_path, pixels = _choose(folder, candidates, image.shape)
        mask |= _mask(mask_path, _pixels(mask_path)[0] if pixels is None else pixels, image.shape)
    return Sample(image, mask, spacing_mm)


def _holds_tables(folder: Path) -> bool:
    return any((folder / place / TABLES["train"]).exists() for place in ("", "csv"))


def _images(root: Path) -> Iterator[tuple[Case, Path, list[Path]]]:
    """Every image of the tables: where it should be, and the files that are there; one, if all is well."""
    found = (path for pattern in ("*_FULL.*", "*/*_FULL.*") for path in root.glob(pattern))
    pairs = {path.stem: path for path in found if path.suffix.lower() == ".png"}
    has_jpeg = (root / "jpeg").is_dir()
    for case in read_cases(root)[0].values():
        if pair := pairs.get(f"{case.name}_FULL"):
            yield case, pair, [pair]
        elif has_jpeg:
            yield case, root / "jpeg" / case.series, _listed(root / "jpeg" / case.series, ".jpg")
        else:
            yield case, root / case.name, _listed(root / case.name, ".dcm")


def _unlisted(root: Path, cases: dict[str, Case]) -> dict[str, list[str]]:
    """The folders of images and abnormalities, by official part, that no case names: rows may be lost."""
    listed = {a.folder for case in cases.values() for a in case.abnormalities} | cases.keys()
    found = {
        part: sorted(path.name for path in root.glob(f"Mass-{name}_*")) for part, name in FOLDERS.items()
    }
    return {
        part: [name for name in names if FOLDER_NAME.fullmatch(name) and name not in listed]
        for part, names in found.items()
    }


def _candidates(image: Path, case: Case) -> dict[Path, list[Path]]:
    """For each mask of an image, where it should be, and the files there that may be it."""
    if image.suffix.lower() == ".png":
        path = image.with_name(f"{case.name}_MASK{image.suffix}")
        return {path: [path]}
    if image.suffix.lower() == ".jpg":
        found = {}
        for abnormality in case.abnormalities:
            folders = [image.parents[1] / uid for uid in sorted(abnormality.series)]
            found[folders[0]] = [path for folder in folders for path in _listed(folder, ".jpg")]
        return found
    root = next(parent.parent for parent in image.parents if parent.name == case.name)
    folders = [root / abnormality.folder for abnormality in case.abnormalities]
    return {folder: _listed(folder, ".dcm") for folder in folders}


def _listed(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.rglob("[!.]*") if path.suffix.lower() == suffix)


def _examine(item: tuple[Case, Path, list[Path]]) -> dict | Problem:
    """The record of one image, or why there is none."""
    case, place, found = item
    try:
        if len(found) != 1:
            raise DataError(place, f"{len(found)} images here, expected one" if found else "no image here")
        shape = _shape(found[0])
        for folder, candidates in _candidates(found[0], case).items():
            mask_path, _ = _choose(folder, candidates, shape)
            if not _fits(_shape(mask_path), shape):
                _pixels(found[0])  # raises where it is the image whose header says a wrong size
                return Problem(
                    str(mask_path), "excluded", f"{_misfit(_shape(mask_path), shape)} ({case.where})"
                )
    except DataError as error:
        return Problem(error.path, "broken", f"{error.reason} ({case.where})")
    return {
        "sample_id": case.name,
        "patient_id": case.patient_id,
        "image_path": str(found[0]),
        "laterality": case.laterality,
        "view": case.view,
        "acr_density": case.acr_density,
        "birads": case.birads,
        "pathology": case.pathology,
        "n_masses": len(case.abnormalities),
        "mass_fraction": pd.NA,
        "split": case.split,
    }


def _choose(
    folder: Path, candidates: list[Path], shape: tuple[int, int]
) -> tuple[Path, Float[np.ndarray, "_ _"] | None]:
    """The mask among the files of an abnormality, and its pixels if they had to be looked at.

    Raises:
        DataError: If none is the mask, or several may be.
    """
    if not candidates:
        raise DataError(folder, "no mask here")
    sized = [path for path in candidates if _shape(path) == shape]
    if len(sized) == 1:
        return sized[0], None
    decoded = {path: _pixels(path)[0] for path in sized or candidates}
    masks = [path for path, pixels in decoded.items() if _may_be_mask(path, pixels)]
    if len(candidates) == 1 and not masks:
        raise DataError(folder, "no mask here, only a crop: another size than the image, and many grays")
    if len(masks) != 1:
        raise DataError(
            folder,
            f"cannot tell mask from crop: of {len(candidates)} files {len(sized)} have the image's size, "
            f"and {len(masks)} of those that may be it have two values",
        )
    return masks[0], decoded[masks[0]]


def _may_be_mask(path: Path, pixels: Float[np.ndarray, "_ _"]) -> bool:
    """Whether a file has two values; one of PNG is a mask by its name, and may number several classes."""
    low, high = (part * pixels.max() for part in GRAY)
    return path.suffix.lower() == ".png" or bool(((pixels > low) & (pixels < high)).mean() <= MAX_GRAY)


def _mask(path: Path, pixels: Float[np.ndarray, "_ _"], shape: tuple[int, int]) -> Bool[np.ndarray, "_ _"]:
    """The lit pixels of a mask file, by nearest neighbor where its size is another than the image's."""
    if not _may_be_mask(path, pixels):
        raise DataError(path, "is no mask: it has more than two gray values")
    lit = pixels > (0 if path.suffix.lower() == ".png" else 0.5 * pixels.max())
    if not _fits(lit.shape, shape):
        raise DataError(path, _misfit(lit.shape, shape))
    if lit.shape != shape:
        lit = cv2.resize(lit.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    if not lit.any():
        raise DataError(path, "mask without a pixel of a mass")
    return lit


def _fits(mask: tuple[int, int], image: tuple[int, int]) -> bool:
    return abs(mask[0] * image[1] / (mask[1] * image[0]) - 1) <= ASPECT_TOLERANCE


def _misfit(mask: tuple[int, int], image: tuple[int, int]) -> str:
    return f"mask has shape {mask} and its image {image}: another aspect"


def _shape(path: Path) -> tuple[int, int]:
    """Height and width, from the header alone."""
    if path.suffix.lower() != ".dcm":
        return picture_size(path)
    header = read_header(path)
    return header.height, header.width


def _pixels(path: Path) -> tuple[Float[np.ndarray, "_ _"], float | None]:
    """The gray values in 0..1 and the spacing, which only a DICOM file may have."""
    if path.suffix.lower() != ".dcm":
        return read_picture(path), None
    image, header = read_image(path)
    return image, header.spacing_mm
