"""Images of one's own: a folder with DICOM, PNG or TIFF images, mask files, and the table `samples.csv`.

The table says what belongs together; data/folder/README.md describes its columns. Its paths are relative to
the folder. A fault of the table as a whole is an error; a fault of one line is a problem, and leaves it out.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mammoseg_lib.datasets.files.dicom import read_header, read_image
from mammoseg_lib.datasets.files.pictures import picture_size, read_picture
from mammoseg_lib.datasets.folder.layout import EXTRA, SEPARATOR, TABLE, is_picture
from mammoseg_lib.datasets.sample import (
    COLUMNS,
    DataError,
    Problem,
    Sample,
    having_masses,
    read_bytes,
    sample_table,
    union,
)

FOLDER = "own-images"
WHOLE: dict[str, int] = {}
MASSES_DIGEST = ""
REQUIRED = ("sample_id", "image_path", "mask_path")
SOFT = "soft"  # of a record: its masks with gray edges
LABELS = 12  # so many masses nobody numbers in one mask
THICK = 5  # px: the gray edge of a mask is thinner than this
# What a field holds, unless it is empty, as a pattern and in words.
FIELDS = {
    "laterality": (r"[LR]", "L or R"),
    "acr_density": (r"[1-4](\.0)?", "1, 2, 3 or 4 (for a, b, c or d)"),
    "birads": (r"[0-6][a-c]?", "0 to 6, 4a, 4b or 4c"),
    "pathology": (r"benign|malignant|normal", "benign, malignant or normal"),
    "n_masses": (r"\d+(\.0)?", "a whole number"),
    "spacing_mm": (r"(?=.*[1-9])\d*\.?\d+", "a positive number, with a decimal point"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table: where it ends in the file, and its fields."""

    line: int
    fields: dict[str, str]

    def known(self, column: str) -> str | None:
        """The field, or None where it is empty or the table has no such column."""
        return self.fields.get(column) or None

    @property
    def masks(self) -> list[str]:
        """The paths of the masks."""
        return [name.strip() for name in self.fields["mask_path"].split(SEPARATOR) if name.strip()]


def files(root: Path) -> list[Path]:
    """Every file that the samples are made from, for the fingerprint of the data."""
    return sorted({root / TABLE, *filter(Path.is_file, _named(root))})


def scan(
    root: Path, run_map: Callable[[Callable, Iterable], Iterable] = map
) -> tuple[pd.DataFrame, list[Problem]]:
    """The table of all images that can be used, and every line that cannot, with the reason.

    The table has two columns more than others: `mask_path`, relative to the image's own folder, and
    `spacing_mm`, where the line gives it. Images without a patient id are used; a problem of the kind
    "excluded" says how many there are, since each of them stands for itself when data is split. Another one
    counts the files that no line names: lines may have been lost.

    Args:
        root: The folder with `samples.csv`.
        run_map: What examines the lines: `map`, or one that shares the work among processes.

    Raises:
        DataError: If the table is missing, cannot be read, lacks a column, has an unknown one, or lists an
            image twice.
    """
    found = list(run_map(partial(_examine, root), _rows(root)))
    problems = [item for item in found if isinstance(item, Problem)]
    records = [item for item in found if isinstance(item, dict)]
    table = sample_table(records)
    extra = pd.DataFrame(records, columns=["sample_id", *EXTRA]).astype({"sample_id": "string", **EXTRA})
    table = table.merge(extra, on="sample_id", validate="1:1")
    if unknown := int(table["patient_id"].isna().sum()):
        reason = f"{unknown} of {len(table)} images without a patient id: in splits each stands for itself"
        problems.append(Problem(str(root / TABLE), "excluded", reason))
    if soft := [name for record in records for name in record[SOFT]]:
        reason = (
            f"{len(soft)} masks with gray edges, such as {soft[0]}: from half the brightest on they count"
        )
        problems.append(Problem(str(root / TABLE), "excluded", reason))
    if unlisted := _unlisted(root):
        reason = f"{len(unlisted)} image or mask files here are in no line of it, such as {unlisted[0]}"
        problems.append(Problem(str(root / TABLE), "excluded", reason))
    return table, problems


def index(root: Path, **filters: object) -> pd.DataFrame:
    """The sample table of a folder; the filters are those of `select`."""
    return select(scan(root)[0], **filters)


def select(table: pd.DataFrame, *, with_masses: bool | None = None) -> pd.DataFrame:
    """The rows to use: with a mass, without one, or, for None, all."""
    return having_masses(table, with_masses)


def load(row: pd.Series) -> Sample:
    """One image with the union of its masks.

    A DICOM image is shown as a workstation shows it, through its own VOI LUT or window where it has one (see
    `dicom.read_image`). Of a PNG or TIFF image 0 to the largest value of its 8 or 16 bits become 0 to 1, and
    color becomes gray. The spacing is that of the table, else that of the DICOM header.

    Raises:
        DataError: If a file cannot be read or a mask has another size than the image.
    """
    path = Path(row["image_path"])
    if is_picture(path):
        image, spacing = read_picture(path), None
    else:
        image, header = read_image(path, voi=True, spacing=pd.isna(row["spacing_mm"]))
        spacing = header.spacing_mm
    names = [] if pd.isna(row["mask_path"]) else row["mask_path"].split(SEPARATOR)
    masks = [_mask(path.parent / name, image.shape)[0] for name in names]
    spacing = spacing if pd.isna(row["spacing_mm"]) else float(row["spacing_mm"])
    return Sample(image, union(masks, image.shape), spacing)


def disagreements(root: Path, table: pd.DataFrame) -> dict[str, list[str]]:
    """Nothing: what a line says and the masks do not is a problem of the line."""
    return {}


def _rows(root: Path) -> list[Row]:
    """The lines of the table; columns, field counts and doubles are checked, values are not."""
    path = root / TABLE
    if root.is_dir() and not os.path.lexists(path):
        raise DataError(root, f"no {TABLE} here; 'mammoseg data init' writes one to fill in")
    try:
        reader = csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"), newline=""), strict=True)
        columns = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = columns
        _check_columns(path, columns)
        lines = [(reader.line_num, fields) for fields in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"is no CSV file in UTF-8 ({error})") from error
    rows = []
    for line, fields in lines:
        if None in fields or None in fields.values():
            raise DataError(path, f"line {line}: another number of fields than the {len(columns)} columns")
        rows.append(Row(line, {name: value.strip() for name, value in fields.items()}))
    if not rows:
        raise DataError(path, "lists no image")
    for column in ("sample_id", "image_path"):
        first: dict[str, int] = {}
        for row in rows:
            value, line = row.fields[column], first.setdefault(row.fields[column], row.line)
            if line != row.line:
                raise DataError(path, f"line {row.line}: {column} {value!r} is that of line {line}")
    return rows


def _check_columns(path: Path, columns: list[str]) -> None:
    for what, names in {
        "is missing": [name for name in REQUIRED if name not in columns],
        "is not known": [name for name in columns if name not in COLUMNS | EXTRA],
        "occurs twice": [name for name in set(columns) if columns.count(name) > 1],
    }.items():
        if names:
            known = ", ".join(COLUMNS | EXTRA)
            raise DataError(
                path, f"line 1: column {names[0]!r} {what}; there are, separated by commas: {known}"
            )


def _named(root: Path) -> set[Path]:
    """Every file that the table names, whether it is there or not."""
    names = {name for row in _rows(root) for name in (row.fields["image_path"], *row.masks)}
    return {root / name for name in names if _inside(name)}


def _unlisted(root: Path) -> list[str]:
    """The files below the folder that look like images or masks by their suffix, and that no line names."""
    found = (path for path in root.rglob("[!.]*") if is_picture(path) or path.suffix.lower() == ".dcm")
    return sorted(path.relative_to(root).as_posix() for path in {*found} - _named(root))


def _examine(root: Path, row: Row) -> dict | Problem:
    """The record of one line, or why there is none."""
    try:
        return _record(root, row)
    except DataError as error:
        return Problem(error.path, "broken", f"{error.reason} (line {row.line} of {TABLE})")


def _record(root: Path, row: Row) -> dict:
    for column, (pattern, words) in FIELDS.items():
        value = row.known(column)
        if value is not None and not re.fullmatch(pattern, value):
            raise DataError(root / TABLE, f"{column} is {value!r}, not {words}")
    if not row.known("sample_id"):
        raise DataError(root / TABLE, "sample_id is empty")
    for name in (row.fields["image_path"], *row.masks):
        if not _inside(name):
            raise DataError(root / TABLE, f"{name!r} is not a path within the folder, with / and without ..")
    image = root / row.fields["image_path"]
    shape = _shape(image, spacing=row.known("spacing_mm") is None)
    read = [_mask(root / name, shape) for name in row.masks]
    masks = [mask for mask, _ in read]
    given = row.known("n_masses")
    n_masses = sum(bool(mask.any()) for mask in masks) if given is None else int(float(given))
    mask = union(masks, shape)
    if (n_masses > 0) != mask.any():
        raise DataError(root / TABLE, f"n_masses is {n_masses}, but the masks show {int(mask.sum())} pixels")
    return {
        **{name: row.known(name) for name in COLUMNS},
        "image_path": str(image),
        "acr_density": row.known("acr_density") and int(float(row.known("acr_density"))),
        "n_masses": n_masses,
        "mass_fraction": float(mask.mean()),
        # Not absolute, so that a table in the cache stays right when the folder is moved.
        "mask_path": SEPARATOR.join(
            Path(os.path.relpath(root / name, image.parent)).as_posix() for name in row.masks
        )
        or None,
        "spacing_mm": row.known("spacing_mm") and float(row.known("spacing_mm")),
        SOFT: [name for name, (_, soft) in zip(row.masks, read, strict=True) if soft],
    }


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    foreign = "\\" in name or PureWindowsPath(name).drive or SEPARATOR in name
    return bool(name) and not path.is_absolute() and ".." not in path.parts and not foreign


def _shape(path: Path, *, spacing: bool) -> tuple[int, int]:
    """Height and width, by the header alone; whose spacing is not looked at where the table has one."""
    if is_picture(path):
        return picture_size(path)
    header = read_header(path, spacing=spacing)
    return header.height, header.width


def _mask(path: Path, shape: tuple[int, int]) -> tuple[Bool[np.ndarray, "h w"], bool]:
    """The pixels of a mask file that are not 0, which all have the same value; and whether its edge is soft.

    Of a soft edge, what is at least half as bright as the brightest counts. A few values in whole areas may
    mean several masses, or that the file is no mask: that is not guessed.
    """
    if not is_picture(path):
        raise DataError(path, "a mask is a PNG or TIFF file")
    pixels = read_picture(path)
    if pixels.shape != shape:
        raise DataError(path, f"mask has shape {pixels.shape}, its image {shape}")
    lit = pixels > 0
    if (pixels[lit] == pixels.max()).all():
        return lit, False
    if not _soft(pixels):
        reason = "holds 0 and one other value, or gray at its edges; this file holds several in whole areas"
        raise DataError(path, f"a mask {reason}: write each mass to a file of its own")
    return pixels >= 0.5 * pixels.max(), True


def _soft(pixels: Float[np.ndarray, "h w"]) -> bool:
    """Whether gray lies between black and white only, as where a mask was resized or saved as JPEG."""
    gray = (pixels > 0) & (pixels < pixels.max())
    between = (pixels > 0.1 * pixels.max()) & (pixels < 0.9 * pixels.max())
    levels = len(np.unique(pixels[gray]))
    thick = cv2.erode(np.pad(between, 2).astype(np.uint8), np.ones((THICK, THICK), np.uint8)).any()
    return levels > LABELS or (levels > 1 and not thick)
