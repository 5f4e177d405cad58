"""The table of an INbreast release: density, BI-RADS and the marks for masses, by image.

`INbreast.csv` has density and BI-RADS; `INbreast.xls` has them too, and the column "Mass".
"""

from __future__ import annotations

import csv
import io
import os
import re
from pathlib import Path

import pandas as pd

from mammoseg_lib.datasets.files.excel import read_sheet
from mammoseg_lib.datasets.sample import DataError, Problem, read_bytes

CSV, XLS = "INbreast.csv", "INbreast.xls"
ID, MARK = "File Name", "Mass"
NEEDED = ("Laterality", "View", "ACR", "Bi-Rads")
DENSITY = re.compile(r"([1-4])(\.0*)?")  # Excel may have made numbers of them
BIRADS = re.compile(r"([1-6][abc]?)(\.0*)?")

Rows = dict[str, dict[str, str | None]]


def read_table(root: Path, problems: list[Problem]) -> Rows:
    """What the table says of each image, by image id; None where it says nothing or no valid value.

    The key "Mass" is "X" or "" where there is an `INbreast.xls` to tell, and None where there is none.

    Args:
        root: The release folder.
        problems: Receives what is left out: values that are none, and images with two rows that differ.

    Raises:
        DataError: If the table that is needed cannot be read.
    """
    path, xls = table_path(root), root / XLS
    if path is None:
        reason = f"no {CSV} or {XLS}: density and BI-RADS are unknown"
        problems.append(Problem(str(root), "excluded", reason))
        return {}
    rows = _read(path, problems)
    if path != xls and os.path.lexists(xls):
        try:
            marks = _read(xls, [])
            rows = {image: {**row, MARK: marks.get(image, {}).get(MARK)} for image, row in rows.items()}
        except DataError as error:  # density is known all the same
            problems.append(Problem.broken(error))
    return rows


def table_path(root: Path) -> Path | None:
    """The file that density and BI-RADS are read from; None where there is none."""
    return next((root / name for name in (CSV, XLS) if os.path.lexists(root / name)), None)


def disagreements(table: pd.DataFrame, rows: Rows) -> dict[str, list[str]]:
    """Images of which the release's table says something else than their outlines and file names.

    Args:
        table: The sample table.
        rows: What `read_table` read.
    """
    found: dict[str, list[str]] = {
        "marked as a mass in the table, not outlined": [],
        "outlined as a mass, not marked in the table": [],
        "of another side or view in the table": [],
    }
    not_outlined, not_marked, turned = found.values()
    for image, side, view, n_masses in zip(
        *(table[name] for name in ("sample_id", "laterality", "view", "n_masses")), strict=True
    ):
        row = rows.get(image, dict.fromkeys((*NEEDED, MARK)))
        if row[MARK] and not n_masses:
            not_outlined.append(image)
        if row[MARK] == "" and n_masses:
            not_marked.append(image)
        if (row["Laterality"] or side, row["View"] or view) != (side, view):
            turned.append(image)
    return found


def _read(path: Path, problems: list[Problem]) -> Rows:
    header, *lines = _cells(path)
    missing = [column for column in (ID, *NEEDED) if header.count(column) != 1]
    if missing:
        raise DataError(path, f"has not exactly one column {', '.join(missing)} (separated by semicolons)")
    rows: Rows = {}
    for line in lines:
        if len(line) < len(header) or any(line[len(header) :]):
            raise DataError(path, f"a row has {len(line)} cells, the header {len(header)}: {';'.join(line)}")
        row = dict(zip(header, line, strict=False))
        image = row[ID].removesuffix(".0")
        if not image:
            continue  # the totals below the table
        kept = {column: row[column] or None for column in NEEDED} | {MARK: row.get(MARK)}
        if rows.setdefault(image, kept) != kept:
            reason = f"rows of image {image} differ: what they say is taken as unknown"
            problems.append(Problem(str(path), "excluded", reason))
            rows[image] = dict.fromkeys(kept)
    for image, row in rows.items():
        for column, valid in (("ACR", DENSITY), ("Bi-Rads", BIRADS)):
            value = row[column]
            match = valid.fullmatch(value or "")
            row[column] = match[1] if match else None
            if value and not match:
                reason = f"{column} of image {image} is {value!r}: taken as unknown"
                problems.append(Problem(str(path), "excluded", reason))
    return rows


def _cells(path: Path) -> list[list[str]]:
    """The header and the rows, as text without spaces around it."""
    try:
        if path.name == CSV:
            text = io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")
            rows = list(csv.reader(text, delimiter=";", strict=True))
        else:
            rows = read_sheet(path)
        rows = [[cell.strip() for cell in row] for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"cannot be read as the INbreast table ({error})") from error
    if not rows:
        raise DataError(path, "is empty")
    return rows
