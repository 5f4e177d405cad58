"""What every data source yields: one table of samples, and one `Sample` per row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


class DataError(Exception):
    """A file or record that cannot be used. The message names the file and the reason."""

    def __init__(self, path: Path | str, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self):
        return DataError, (self.path, self.reason)


@dataclass(frozen=True)
class Problem:
    """One file of a source that cannot be used (`broken`) or is left out on purpose (`excluded`)."""

    path: str
    kind: str
    reason: str


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


def sample_table(records: list[dict]) -> pd.DataFrame:
    """The records as a sample table: all columns of `COLUMNS`, in their order and types, sorted by id."""
    table = pd.DataFrame.from_records(records).reindex(columns=list(COLUMNS)).astype(COLUMNS)
    duplicated = table["sample_id"][table["sample_id"].duplicated()]
    if len(duplicated):
        raise DataError(duplicated.iloc[0], "this sample id occurs twice in the source")
    return table.sort_values("sample_id", ignore_index=True)
