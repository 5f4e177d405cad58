"""BUSI ultrasound in its release layout: `benign|malignant|normal/NAME (n).png` with `NAME (n)_mask*.png`.

A picture may have several mask files, whose union is its mask, and the masks come in mixed PNG modes
(1-bit, gray, RGB, RGBA). The release has no patient ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain, count, takewhile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool

from mammoseg_lib.datasets.files.pictures import read_picture
from mammoseg_lib.datasets.files.png import png_size, read_png
from mammoseg_lib.datasets.sample import DataError, Problem, Sample, having_masses, sample_table

FOLDER = "Dataset_BUSI_with_GT"
CLASSES = ("benign", "malignant", "normal")
WORKING_SIZE = (256, 256)
# The whole release, and a digest of which of its pictures show how many tumors.
WHOLE = {"images": 780, "images_with_mass": 647, "benign": 437, "malignant": 210, "normal": 133}
MASSES_DIGEST = "103aa625c3f9797c"
IMAGE_NAME = re.compile(r"(?P<class>benign|malignant|normal) \((?P<number>\d+)\)\.png")


def files(root: Path) -> list[Path]:
    """Every file that the samples are made from, for the fingerprint of the data."""
    found = (path for name in CLASSES for path in (root / name).glob("*"))
    # Suffixes of any case, but not the files that macOS adds beside each file.
    return sorted(p for p in found if p.suffix.lower() == ".png" and not p.name.startswith("._"))


def scan(
    root: Path, run_map: Callable[[Callable, Iterable], Iterable] = map
) -> tuple[pd.DataFrame, list[Problem]]:
    """The table of all pictures that can be used, and every file that cannot, with the reason.

    Args:
        root: The release folder.
        run_map: What examines the pictures: `map`, or one that shares the work among processes.
    """
    everything = files(root)
    images = [path for path in everything if "_mask" not in path.name]
    if not images:
        raise DataError(
            root, "no benign/*.png, malignant/*.png or normal/*.png here; this is not a BUSI folder"
        )
    found = list(run_map(_examine, images))
    problems = [item for item in found if isinstance(item, Problem)]
    absent = [root / name for name in CLASSES if not (root / name).is_dir()]
    problems += [Problem(str(path), "excluded", "no such folder: its class is missing") for path in absent]
    used = {mask for path in images for mask in _mask_paths(path)}
    orphans = {path: path.stem.split("_mask")[0] for path in everything if path not in used.union(images)}
    # A picture one of whose masks has a wrong number would come out with a part of its mask.
    reason = "mask of no picture, or of another number than 1, 2, ...; its picture is left out"
    problems += [Problem(str(path), "broken", reason) for path in orphans]
    records = [item for item in found if isinstance(item, dict)]
    return sample_table([r for r in records if r["sample_id"] not in orphans.values()]), problems


def index(root: Path, **filters: object) -> pd.DataFrame:
    """The sample table of a release folder; the filters are those of `select`."""
    return select(scan(root)[0], **filters)


def select(
    table: pd.DataFrame, *, with_masses: bool | None = None, max_area: float | None = None
) -> pd.DataFrame:
    """The rows to use.

    Args:
        table: What `scan` found.
        with_masses: True keeps the pictures with a tumor (647 in the release), False the normal ones.
        max_area: Keep pictures whose tumor covers less than this fraction of the picture. Paper 002 says 5 %,
            but its count of 425 is that of 0.10; 0.05 leaves 291. Measured on the mask as 002 trains on it
            (see `working_area`), not on the released pixels.
    """
    table = having_masses(table, with_masses)
    if max_area is None:
        return table
    small = table["image_path"].map(lambda path: working_area(Path(path)) < max_area).astype(bool)
    return table[small].reset_index(drop=True)


def load(row: pd.Series) -> Sample:
    """One picture in gray with the union of its masks. BUSI gives no pixel spacing.

    Raises:
        DataError: If a file cannot be read or a mask has another size than the picture.
    """
    path = Path(row["image_path"])
    image = read_picture(path)
    return Sample(image, _mask(path, image.shape), None)


def disagreements(root: Path, table: pd.DataFrame) -> dict[str, list[str]]:
    """Nothing: the release has no table."""
    return {}


def working_area(path: Path) -> float:
    """The fraction of a picture that its tumor covers at 002's working size (256x256, bilinear, > 0.5)."""
    mask = cv2.resize(_mask(path, None).astype(np.float32), WORKING_SIZE, interpolation=cv2.INTER_LINEAR)
    return float((mask > 0.5).mean())


def _examine(path: Path) -> dict | Problem:
    """The record of one picture, or why there is none."""
    try:
        return _record(path)
    except DataError as error:
        return Problem.broken(error)


def _record(path: Path) -> dict:
    name = IMAGE_NAME.fullmatch(path.name)
    if name is None or name["class"] != path.parent.name:
        raise DataError(path, "file name is not '<class> (<number>).png' in the folder of its class")
    mask = _mask(path, png_size(path))
    if mask.any() == (name["class"] == "normal"):
        raise DataError(path, f"{name['class']}, but its mask is {'not ' if mask.any() else ''}empty")
    return {
        "sample_id": path.stem,
        "patient_id": pd.NA,
        "image_path": str(path),
        "pathology": name["class"],
        "n_masses": len(_mask_paths(path)) if mask.any() else 0,
        "mass_fraction": float(mask.mean()),
    }


def _mask_paths(path: Path) -> list[Path]:
    """The mask files of a picture: `_mask.png`, `_mask_1.png`, `_mask_2.png`, ... up to the first gap."""
    paths = (
        path.with_name(f"{path.stem}_mask{suffix}.png") for suffix in chain([""], (f"_{n}" for n in count(1)))
    )
    return list(takewhile(Path.exists, paths))


def _mask(path: Path, shape: tuple[int, int] | None) -> Bool[np.ndarray, "h w"]:
    paths = _mask_paths(path)
    if not paths:
        raise DataError(path, "has no mask file")
    masks = []
    for mask_path in paths:
        pixels = read_png(mask_path)
        # The modes agree on what is lit: any color channel above half. Alpha is not part of the mask.
        light = pixels if pixels.ndim == 2 else pixels[..., :3].max(-1)
        masks.append(light > np.iinfo(pixels.dtype).max // 2)
        if masks[-1].shape != (shape or masks[0].shape):
            raise DataError(
                mask_path, f"mask has shape {masks[-1].shape}, expected {shape or masks[0].shape}"
            )
    return np.any(masks, axis=0)
