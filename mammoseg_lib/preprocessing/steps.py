"""The steps from a released image to the array a network sees: crop to the breast, window, resize.

The papers say only that intensities were normalized and images resized to 256x256. The mass fractions that
their tables imply are those of images cropped to the breast first (2.4-2.6 %), so that is the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Num

from mammoseg_lib.datasets import Sample
from mammoseg_lib.datasets.files.windowing import sigmoid
from mammoseg_lib.preprocessing.breast import breast_mask, without_frame


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
    coverage = resample(mask.astype(np.float32), new)
    small_mask = coverage > 0.5
    if mask.any() and not small_mask.any():
        small_mask = coverage == coverage.max()
    step = np.array([height / new[0], width / new[1]], dtype=np.float32)
    spacing = step * np.float32(np.nan if sample.spacing_mm is None else sample.spacing_mm)
    frame = ((0, settings.size - new[0]), (0, settings.size - new[1]))
    return Prepared(np.pad(resample(image, new), frame), np.pad(small_mask, frame), spacing)


def resample(image: Num[np.ndarray, "h w"], new: tuple[int, int]) -> Float[np.ndarray, "a b"]:
    """An image in 0..1 at another height and width."""
    # The mean over each output pixel where the image shrinks (no aliasing), linear where it grows.
    shrinks = image.shape[0] >= new[0] and image.shape[1] >= new[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = cv2.resize(image.astype(np.float32, copy=False), new[::-1], interpolation=method)
    return small.clip(0, 1)  # sums of weights exceed 1 by rounding
