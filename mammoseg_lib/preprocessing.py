"""From a released image to the array a network sees: crop to the breast, window, resize; and the cache of it.

The papers say only that intensities were normalized and images resized to 256x256. The mass fractions that
their tables imply are those of images cropped to the breast first (2.4-2.6 %), so that is the default.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd
from filelock import FileLock
from jaxtyping import Bool, Float
from tqdm import tqdm

from mammoseg_lib import paths
from mammoseg_lib.datasets import COLUMNS, DataError, Problem, Sample, Source
from mammoseg_lib.datasets.windowing import sigmoid
from mammoseg_lib.parallel import parallel_map
from mammoseg_lib.storage import atomic_folder, digest, write_json

ARRAYS = ("images", "masks", "spacing_mm")
CACHE_VERSION = 1  # raise it when what this module computes changes
FRAME = 0.02  # of the height or width: how deep a burned-in frame may be
ONE_GRAY = 0.02  # of the largest gray value: how little the pixels of a burned-in line differ


@dataclass(frozen=True)
class Preprocessing:
    """How an image is prepared.

    Attributes:
        size: Side of the square output in pixels.
        crop: "breast" cuts to the bounding box of the breast, "none" keeps the whole frame.
        resize: "stretch" makes the image square as the papers do, at the cost of its aspect; "pad" keeps the
            aspect and fills up with zeros on the right and below.
        window: Percentiles of gray values that become 0 and 1: of the breast with `crop="breast"`, of the
            whole frame, background and labels included, with "none". None keeps the detector's range;
            "sigmoid" applies a sigmoid VOI LUT (DICOM PS3.3 C.11.2.1.3.1) whose center is the middle of the
            0.5th and the 99.5th percentile of the breast's gray values (with either crop) and whose width is
            half their distance, so that they become 0.018 and 0.982. It stands in for a VOI LUT that is not
            published: the files of INbreast have none, and 003 gave them "a proper Siemens" one. 003's
            setting is then `Preprocessing(size=512, crop="none", resize="pad", window="sigmoid")`.
    """

    size: int = 256
    crop: Literal["breast", "none"] = "breast"
    resize: Literal["stretch", "pad"] = "stretch"
    window: tuple[float, float] | str | None = (0.5, 99.5)

    def __post_init__(self):
        if self.crop not in ("breast", "none") or self.resize not in ("stretch", "pad") or self.size < 1:
            raise ValueError(f"crop is breast|none, resize is stretch|pad, size is positive; got {self}")
        window = (0, 100) if self.window in ("sigmoid", None) else self.window
        if isinstance(window, str) or len(window) != 2 or not 0 <= window[0] < window[1] <= 100:
            raise ValueError(
                f"window is two percentiles in rising order, 'sigmoid' or None; got {self.window!r}"
            )


@dataclass(frozen=True)
class Prepared:
    """One prepared image with its mask, and the (row, column) spacing in mm, NaN where unknown."""

    image: Float[np.ndarray, "s s"]
    mask: Bool[np.ndarray, "s s"]
    spacing_mm: Float[np.ndarray, " 2"]


def breast_mask(image: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The largest connected region that is brighter than the background.

    The background of a digital mammogram is 0 up to a little noise, so a threshold at 2 % of the bright
    tissue's value keeps the thin skin line, which Otsu's threshold would cut away.
    """
    smooth = cv2.blur(image, (3, 3))
    above = (smooth > 0.02 * np.percentile(smooth, 99)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
    if count < 2:
        return np.ones(image.shape, dtype=bool)
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def without_frame(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The image with 0 on the lines of a frame that a workstation burned into its edges.

    Such lines begin at the very edge, run along all of it, are brighter than the background and have one gray
    value: their pixels differ by less than `ONE_GRAY` of the image's largest value, which those of tissue
    never do. They reach in by at most `FRAME` of the image.
    """
    result, top = image, float(image.max())
    for turns in range(4):
        side = np.rot90(image, turns)[: 2 + int(FRAME * image.shape[turns % 2])]
        low, high = side.min(1), side.max(1)
        burned = (low > ONE_GRAY * top) & (high - low < ONE_GRAY * top)
        if burned[0] and not burned.all():  # an evenly bright image has no frame
            result = image.copy() if result is image else result
            np.rot90(result, turns)[: burned.argmin()] = 0
    return result


def crop_and_window(sample: Sample, settings: Preprocessing) -> Sample:
    """The first two steps of `prepare_sample`, at the image's own size."""
    image, mask, breast = sample.image, sample.mask, np.ones(sample.image.shape, dtype=bool)
    if settings.crop == "breast" or settings.window == "sigmoid":
        image = without_frame(image)  # before the breast is looked for, or the two would be one region
        breast = breast_mask(image)
    if settings.crop == "breast":
        x, y, box_width, box_height = cv2.boundingRect(breast.astype(np.uint8))
        box = np.s_[y : y + box_height, x : x + box_width]
        image, mask, breast = image[box], mask[box], breast[box]
    if settings.window is not None:
        supplied = settings.window == "sigmoid"
        low, high = np.percentile(image[breast], (0.5, 99.5) if supplied else settings.window)
        span = max(high - low, 1e-6)
        if supplied:
            image = sigmoid(image, float(low + high) / 2, float(span) / 2)
        else:
            image = ((image - low) / span).clip(0, 1)
    return Sample(image, mask, sample.spacing_mm)


def prepare_sample(sample: Sample, settings: Preprocessing) -> Prepared:
    """Crop, window and resize one sample.

    A mask pixel is set where more than half of it is covered by the mass; a mass so small that no pixel
    is, keeps the pixel that it covers most, so that no image loses its mass by being resized.
    """
    cut = crop_and_window(sample, settings)
    image, mask = cut.image, cut.mask
    height, width = image.shape
    if settings.resize == "stretch":
        new = (settings.size, settings.size)
    else:
        scale = settings.size / max(height, width)
        new = (max(1, round(height * scale)), max(1, round(width * scale)))
    coverage = _resample(mask.astype(np.float32), new)
    small_mask = coverage > 0.5
    if mask.any() and not small_mask.any():
        small_mask = coverage == coverage.max()
    step = np.array([height / new[0], width / new[1]], dtype=np.float32)
    spacing = step * np.float32(np.nan if sample.spacing_mm is None else sample.spacing_mm)
    frame = ((0, settings.size - new[0]), (0, settings.size - new[1]))
    return Prepared(np.pad(_resample(image, new), frame), np.pad(small_mask, frame), spacing)


def _resample(image: np.ndarray, new: tuple[int, int]) -> np.ndarray:
    # The mean over each output pixel where the image shrinks (no aliasing), linear where it grows.
    shrinks = image.shape[0] >= new[0] and image.shape[1] >= new[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = cv2.resize(image.astype(np.float32, copy=False), new[::-1], interpolation=method)
    return small.clip(0, 1)  # sums of weights exceed 1 by rounding


@dataclass(frozen=True)
class PreparedSet:
    """A prepared data set, memory-mapped from the cache.

    Attributes:
        table: The sample table of the prepared images, row i belonging to image i.
        images: Gray values in 0..1.
        masks: Masses.
        spacing_mm: Size of a pixel along rows and columns; NaN where unknown.
        key: Digest of the data's content and the settings; the folder's name.
        real: Whether these are images of patients.
        problems: What the source holds that could not be prepared.
    """

    table: pd.DataFrame
    images: Float[np.ndarray, "n s s"]
    masks: Bool[np.ndarray, "n s s"]
    spacing_mm: Float[np.ndarray, "n 2"]
    key: str
    real: bool
    problems: tuple[Problem, ...]

    def __len__(self) -> int:
        return len(self.table)


def prepare(
    source: Source, settings: Preprocessing, *, jobs: int = 2, progress: bool = False, **filters: object
) -> PreparedSet:
    """The prepared data set from the cache, which is filled first if need be.

    A file that cannot be read is left out and listed in `problems`; the rest is prepared.

    Args:
        source: What `open_source` found.
        settings: How to prepare.
        jobs: Processes that fill the cache.
        progress: Show a progress bar.
        filters: Those of the source's `index`, for example `with_masses=True`.
    """
    recipe = {
        "version": CACHE_VERSION,
        "source": source.name,
        "settings": asdict(settings),
        "filters": filters,
    }
    key = digest({**recipe, "data": source.fingerprint()})
    folder = paths.cache() / f"{source.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Complete folders appear by renaming, so whoever waited at the lock finds the work done.
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            with atomic_folder(folder) as partial_folder:
                _fill(partial_folder, source, settings, filters, jobs, progress)
                write_json(partial_folder / "recipe.json", recipe)
    return _open(folder, key, source)


def _open(folder: Path, key: str, source: Source) -> PreparedSet:
    table = pd.read_csv(folder / "table.csv", dtype=COLUMNS)
    table["image_path"] = str(source.root) + "/" + table["image_path"]
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS]
    problems = [Problem(**p) for p in json.loads((folder / "problems.json").read_text())]
    return PreparedSet(table, *arrays, key=key, real=source.real, problems=tuple(problems))


def _fill(
    folder: Path, source: Source, settings: Preprocessing, filters: dict, jobs: int, progress: bool
) -> None:
    with parallel_map(jobs, preload=__name__) as run_map:
        table, problems = source.scan(run_map)
        table = source.reader.select(table, **filters)
        shape = (len(table), settings.size, settings.size)
        for name, dtype, array_shape in (
            ("images", np.float32, shape),
            ("masks", np.bool_, shape),
            ("spacing_mm", np.float32, (len(table), 2)),
        ):
            _new_array(folder / f"{name}.npy", dtype, array_shape)
        work = partial(_prepare_row, folder, source, settings)
        outcomes = run_map(work, table.iterrows())
        bar = tqdm(
            outcomes, total=len(table), desc=f"prepare {source.name}", unit="image", disable=not progress
        )
        failed = {row: problem for row, problem in enumerate(bar) if problem is not None}
    if failed:
        keep = [row for row in range(len(table)) if row not in failed]
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[keep])
        table, problems = table.iloc[keep], problems + list(failed.values())
    relative = table["image_path"].map(lambda path: Path(path).relative_to(source.root).as_posix())
    table.assign(image_path=relative).to_csv(folder / "table.csv", index=False)
    write_json(folder / "problems.json", [asdict(problem) for problem in problems])


def _new_array(path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    """An array on disk with its space set aside: where that ran out later, writing would kill the process."""
    np.lib.format.open_memmap(path, "w+", dtype, shape).flush()
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _prepare_row(
    folder: Path, source: Source, settings: Preprocessing, item: tuple[int, pd.Series]
) -> Problem | None:
    """Prepare one row straight into the arrays on disk; returns why, if it cannot be."""
    position, row = item
    try:
        prepared = prepare_sample(source.load(row), settings)
    except DataError as error:
        return Problem(error.path, "broken", error.reason)
    values = (prepared.image, prepared.mask, prepared.spacing_mm)
    for name, value in zip(ARRAYS, values, strict=True):
        np.load(folder / f"{name}.npy", mmap_mode="r+")[position] = value
    return None
