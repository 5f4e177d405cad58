"""What every data source yields: one table of samples, and one `Sample` per row."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

# The sample table. Missing is NA, never a made-up value.
COLUMNS: dict[str, str] = {
    "sample_id": "string",
    "patient_id": "string",
    "image_path": "string",  # relative to the root of the source
    "laterality": "string",  # L, R
    "view": "string",  # CC, MLO, ...; NA for ultrasound
    "acr_density": "Int64",  # 1..4
    "birads": "string",  # "1" .. "6", with letters, as the source writes it
    "pathology": "string",  # benign, malignant, normal
    "n_masses": "Int64",  # outlines (INbreast) or mask files (BUSI); overlapping ones count separately
    "mass_fraction": "Float64",  # mass pixels / all pixels of the whole frame, in 0..1
    "split": "string",  # the source's own split, where it has one
}
# Of one image; the largest scans of film have 2**26. A damaged header must not take all memory.
MAX_PIXELS = 2**27


def printable(path: Path | str) -> str:
    """A path for messages and records, on one line: what is not UTF-8 or not to be seen is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


class DataError(Exception):
    """A file or record that cannot be used. The message names the file and the reason."""

    def __init__(self, path: Path | str, reason: str):
        self.path = printable(path)
        super().__init__(f"{self.path}: {reason}")
        self.reason = reason

    def __reduce__(self):
        return DataError, (self.path, self.reason)


@dataclass(frozen=True)
class Problem:
    """One file of a source that cannot be used (`broken`) or is left out on purpose (`excluded`)."""

    path: str
    kind: str
    reason: str

    def __post_init__(self):
        object.__setattr__(self, "path", printable(self.path))

    @classmethod
    def broken(cls, error: DataError) -> Problem:
        """The file that an error names, as a problem of its source."""
        return cls(error.path, "broken", error.reason)


@dataclass(frozen=True)
class Sample:
    """One image with its mask, as released: nothing cropped, resized or windowed.

    Attributes:
        image: Gray values in 0..1, higher is brighter (denser).
        mask: True on the union of all masses.
        spacing_mm: Side of a pixel in mm; None where the source does not know it.
    """

    image: Float[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"]
    spacing_mm: float | None = None


@runtime_checkable
class Reader(Protocol):
    """What a module that reads a data set offers. One line in `sources.SOURCES` makes it known everywhere.

    Attributes:
        FOLDER: Name of the release's folder, looked for in `MAMMOSEG_DATA`.
        WHOLE: What the whole release holds, by the names of `check.Report.counts` and classes of pathology;
            empty where there is no release.
        MASSES_DIGEST: `check.Report.masses_digest` of the whole release; empty as above.
    """

    FOLDER: str
    WHOLE: Mapping[str, int]
    MASSES_DIGEST: str

    @staticmethod
    def files(root: Path) -> list[Path]:
        """Every file that the samples are made from, for the fingerprint of the data."""

    @staticmethod
    def scan(
        root: Path, run_map: Callable[[Callable, Iterable], Iterable] = map
    ) -> tuple[pd.DataFrame, list[Problem]]:
        """The table of all images that can be used, and every file that cannot, with the reason.

        Args:
            root: The release folder.
            run_map: What examines the images: `map`, or one that shares the work among processes.

        Raises:
            DataError: If this is no such release, or what is needed to read any of it cannot be read.
        """

    @staticmethod
    def index(root: Path, **filters: object) -> pd.DataFrame:
        """What `select` leaves of the table of a release."""

    @staticmethod
    def select(table: pd.DataFrame, **filters: object) -> pd.DataFrame:
        """The rows to use; every reader knows `with_masses` (True, False, or None for all)."""

    @staticmethod
    def load(row: pd.Series) -> Sample:
        """The image and the mask of one row of the table.

        Raises:
            DataError: If a file of it cannot be read or does not fit.
        """

    @staticmethod
    def disagreements(root: Path, table: pd.DataFrame) -> dict[str, list[str]]:
        """Sample ids of which the release's table says something else than its images, by what it says."""


def check_file(path: Path) -> None:
    """Raise DataError unless there is a regular file: opening a named pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise DataError(path, "file is missing") from None
    except ValueError:  # a null byte, from a damaged table
        raise DataError(path, "no file can have this name") from None
    except OSError as error:
        raise DataError(path, f"cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(mode):
        raise DataError(path, "is a folder, not a file" if stat.S_ISDIR(mode) else "is not a regular file")


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: If it is missing, no regular file, or cannot be opened.
    """
    check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(path, f"cannot be opened ({error.strerror})") from error


def check_size(path: Path, height: int, width: int) -> None:
    """Raise DataError for a frame that no image has; called before anything of that size is allocated."""
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise DataError(path, f"its header claims {width}x{height} pixels")


def union(masks: list[np.ndarray], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The union of some masks, empty where there are none."""
    return np.any(masks, axis=0) if masks else np.zeros(shape, dtype=bool)


def distinct(records: list[dict]) -> tuple[list[dict], list[Problem]]:
    """The records whose sample id occurs once; every other one is a problem, since neither can be trusted."""
    times = Counter(record["sample_id"] for record in records)
    kept, problems = [], []
    for record in records:
        name = record["sample_id"]
        if times[name] == 1:
            kept.append(record)
        else:
            problems.append(
                Problem(record["image_path"], "broken", f"{times[name]} files have the id {name}")
            )
    return kept, problems


def sample_table(records: list[dict]) -> pd.DataFrame:
    """The records as a sample table: all columns of `COLUMNS`, in their order and types, sorted by id."""
    table = pd.DataFrame.from_records(records).reindex(columns=list(COLUMNS)).astype(COLUMNS)
    duplicated = table["sample_id"][table["sample_id"].duplicated()]
    if len(duplicated):
        raise DataError(duplicated.iloc[0], "this sample id occurs twice in the source")
    return table.sort_values("sample_id", ignore_index=True)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a sample table as CSV, for `read_table`."""
    table.to_csv(path, index=False, lineterminator="\n")


def read_table(path: Path) -> pd.DataFrame:
    """A sample table from CSV as it was written: text stays text, be it "NA", "nan" or "007"."""
    return pd.read_csv(path, dtype=COLUMNS, keep_default_na=False, na_values=[""], lineterminator="\n")


def having_masses(table: pd.DataFrame, with_masses: bool | None) -> pd.DataFrame:
    """The rows with a mass, those without one, or, for None, all; numbered anew."""
    keep = slice(None) if with_masses is None else (table["n_masses"] > 0) == with_masses
    return table[keep].reset_index(drop=True)
