"""How a folder of one's own is laid out: the table's columns, its images and masks; and writing them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from mammoseg_lib.datasets.sample import COLUMNS
from mammoseg_lib.storage import atomic_file

TABLE = "samples.csv"
IMAGES, MASKS = "images", "masks"
SEPARATOR = ";"  # between the masks of an image
EXTRA = {"mask_path": "string", "spacing_mm": "Float64"}  # what the table has beside COLUMNS
PICTURES = {".png", ".tif", ".tiff"}


def is_picture(path: Path) -> bool:
    """Whether a file is read as PNG or TIFF, by its name; every other file is read as DICOM."""
    return path.suffix.lower() in PICTURES


def write_table(folder: Path, rows: Iterable[dict[str, object]]) -> None:
    """Write `samples.csv` atomically; what a row lacks stays empty."""
    with atomic_file(folder / TABLE) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *EXTRA], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_png(path: Path, pixels: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]) -> None:
    """Write a gray PNG image of 8 or 16 bits."""
    # Level 1: the noise of mammograms does not get smaller by trying longer.
    path.write_bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
