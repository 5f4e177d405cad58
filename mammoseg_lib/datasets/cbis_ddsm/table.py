"""The mass tables of CBIS-DDSM, `mass_case_description_<train|test>_set.csv`.

A row is one abnormality in one image; what the rows say of an image is put together here. The tables also
print a path for every file, of which only the names of folders can be trusted: see `cbis_ddsm`.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from mammoseg_lib.datasets.sample import DataError, Problem, check_file

TABLES = {part: f"mass_case_description_{part}_set.csv" for part in ("train", "test")}
FOLDERS = {"train": "Training", "test": "Test"}  # the official part as the names of folders have it
IMAGE, CROP, MASK = "image file path", "cropped image file path", "ROI mask file path"
SIDE, VIEW, ABNORMALITY = "left or right breast", "image view", "abnormality id"
COLUMNS = (
    *("patient_id", "breast_density", SIDE, VIEW, ABNORMALITY, "assessment", "pathology"),
    *(IMAGE, CROP, MASK),
)
PATHOLOGY = {"MALIGNANT": "malignant", "BENIGN": "benign", "BENIGN_WITHOUT_CALLBACK": "benign"}
CASE = re.compile(r"Mass-(?:Training|Test)_(?P<patient>P_\d{5})_(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)")
UID = re.compile(r"\d+(\.\d+)+")


@dataclass(frozen=True)
class Abnormality:
    """One row of a table.

    Attributes:
        folder: The folder that holds its mask and its crop, `<case>_<abnormality id>`.
        series: The series UIDs printed for the mask and the crop.
        line: The row's first line in the table.
        birads: The assessment, 0 to 5.
        pathology: As in the sample table.
    """

    folder: str
    series: frozenset[str]
    line: int
    birads: str
    pathology: str


@dataclass(frozen=True)
class Case:
    """One image as its rows describe it.

    Attributes:
        name: The image's folder, for example `Mass-Training_P_00001_LEFT_CC`.
        split: The official part, "train" or "test".
        patient_id: For example `P_00001`.
        laterality: "L" or "R".
        view: "CC" or "MLO".
        acr_density: 1 to 4; NA where the rows do not say or disagree.
        series: The image's series UID as printed.
        table: The file of its rows.
        abnormalities: What was outlined in it.
    """

    name: str
    split: str
    patient_id: str
    laterality: str
    view: str
    acr_density: object
    series: str
    table: Path
    abnormalities: tuple[Abnormality, ...]

    @property
    def where(self) -> str:
        """The rows, for messages."""
        lines = sorted(abnormality.line for abnormality in self.abnormalities)
        return f"{self.table.name} line{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}"

    @property
    def pathology(self) -> str:
        """Malignant if any abnormality is (8 images of the release show benign and malignant ones)."""
        return max(abnormality.pathology for abnormality in self.abnormalities)

    @property
    def birads(self) -> str:
        """The highest assessment of its abnormalities; 0 means that more images were asked for."""
        return max(abnormality.birads for abnormality in self.abnormalities)


def table_paths(root: Path) -> dict[str, Path]:
    """The two tables by official part, in the folder itself or, as in the JPEG edition, in its folder `csv`.

    Raises:
        DataError: If one is missing.
    """
    paths = {}
    for part, name in TABLES.items():
        found = [path for path in (root / name, root / "csv" / name) if os.path.lexists(path)]
        if not found:
            raise DataError(root, f"no {name} here or in csv/; this is not a CBIS-DDSM folder")
        paths[part] = found[0]
    return paths


def read_cases(root: Path) -> tuple[dict[str, Case], tuple[Problem, ...]]:
    """Every image of both tables by its name, and the rows that cannot be used.

    Raises:
        DataError: If a table is missing, is no text in UTF-8, or lacks a column.
    """
    # Whoever loads an image asks for the tables, so they are kept until one of them changes.
    tables = table_paths(root).values()
    for path in tables:
        check_file(path)
    stamps = ((path, path.stat().st_mtime_ns, path.stat().st_size) for path in tables)
    return _read_cases(tuple(stamps))


@lru_cache(maxsize=4)
def _read_cases(tables: tuple[tuple[Path, int, int], ...]) -> tuple[dict[str, Case], tuple[Problem, ...]]:
    cases: dict[str, Case] = {}
    problems: list[Problem] = []
    for split, (path, _, _) in zip(TABLES, tables, strict=True):
        rows: dict[str, list[tuple[int, dict[str, str]]]] = {}
        lines: dict[tuple[str, str], int] = {}  # of each abnormality
        spoiled: set[str] = set()  # images with a row that cannot be used: a mass of theirs would be missing
        for line, row in _rows(path):
            name = "_".join([f"Mass-{FOLDERS[split]}", row["patient_id"], row[SIDE], row[VIEW]])
            first = lines.setdefault((name, row[ABNORMALITY]), line)
            if first != line:
                reason = (
                    f"line {line}: abnormality {row[ABNORMALITY]} of {name} stands in line {first} already"
                )
                problems.append(Problem(str(path), "excluded", reason))
                continue
            try:
                _check(row, name)
            except ValueError as error:
                problems.append(Problem(str(path), "broken", f"line {line}: {error}; its image is left out"))
                spoiled |= {name, row[IMAGE].split("/")[0]}
                continue
            rows.setdefault(name, []).append((line, row))
        for name in sorted(rows.keys() - spoiled):
            cases[name] = _case(name, split, path, rows[name], problems)
    return cases, tuple(problems)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """First line and values of every row; most end on the next line, with a line break in the last path."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(path, f"columns are missing: {', '.join(missing)}")
            rows, line = [], reader.line_num + 1
            for row in reader:
                if any(row.get(None, ())):
                    raise DataError(path, f"line {line}: more cells than columns")
                rows.append((line, {name: row[name].strip() for name in COLUMNS}))
                line = reader.line_num + 1
            return rows
    except UnicodeDecodeError as error:
        raise DataError(path, f"is not text in UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(path, f"cannot be opened ({error.strerror})") from error
    except csv.Error as error:
        raise DataError(path, f"cannot be read as a table ({error})") from error


def _check(row: dict[str, str], name: str) -> None:
    """Check everything in a row that leads to a file or is a label.

    Raises:
        ValueError: If a value is not what the release documents. No other path is ever looked at.
    """
    if not CASE.fullmatch(name):
        raise ValueError(f"patient, breast and view make {name!r}, not such as Mass-Test_P_00001_LEFT_CC")
    if not re.fullmatch(r"\d{1,3}", row[ABNORMALITY]):
        raise ValueError(f"abnormality id is {row[ABNORMALITY]!r}, not a number")
    for column in (IMAGE, CROP, MASK):
        folder, *series, file = row[column].split("/") if row[column].count("/") == 3 else ("", "")
        expected = name if column == IMAGE else f"{name}_{row[ABNORMALITY]}"
        if folder != expected or not all(map(UID.fullmatch, series)) or not file.endswith(".dcm"):
            raise ValueError(f"{column} is {row[column]!r}, not {expected}/<study>/<series>/<file>.dcm")
    if row["pathology"] not in PATHOLOGY:
        raise ValueError(f"pathology is {row['pathology']!r}, not one of {', '.join(PATHOLOGY)}")
    if not re.fullmatch("[0-6]", row["assessment"]):
        raise ValueError(f"assessment is {row['assessment']!r}, not 0 to 6")


def _case(
    name: str, split: str, table: Path, rows: list[tuple[int, dict[str, str]]], problems: list[Problem]
) -> Case:
    match = CASE.fullmatch(name)
    densities = {row["breast_density"] for _, row in rows}
    known = len(densities) == 1 and densities <= set("1234")
    case = Case(
        name=name,
        split=split,
        patient_id=match["patient"],
        laterality=match["side"][0],
        view=match["view"],
        acr_density=int(*densities) if known else pd.NA,
        series=rows[0][1][IMAGE].split("/")[2],
        table=table,
        abnormalities=tuple(
            Abnormality(
                folder=f"{name}_{row[ABNORMALITY]}",
                series=frozenset(row[column].split("/")[2] for column in (CROP, MASK)),
                line=line,
                birads=row["assessment"],
                pathology=PATHOLOGY[row["pathology"]],
            )
            for line, row in rows
        ),
    )
    if not known:
        said = " and ".join(map(repr, sorted(densities)))
        problems.append(
            Problem(str(table), "excluded", f"{case.where}: density {said} is not 1 to 4: unknown")
        )
    return case
