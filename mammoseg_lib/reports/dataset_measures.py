"""What is measured on one image and its masses: size, position in the breast, contrast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import ndimage, stats

from mammoseg_lib.datasets import Sample, busi, inbreast
from mammoseg_lib.metrics.lesions import EIGHT_NEIGHBORS
from mammoseg_lib.preprocessing import Preprocessing, breast_mask, prepare_sample, without_frame
from mammoseg_lib.sources import Source

GRID = 16  # cells along each side of the breast's box, for where masses lie
BLUR = 2  # pixels: the sigma that parts fine detail from the rest


@dataclass(frozen=True)
class Measured:
    """The numbers of one image.

    Attributes:
        image: mass_fraction and box_fraction (mammograms) or working_area (BUSI) in percent, separability,
            fine_detail, acr_density.
        masses: For each mass diameter_mm (that of a disc of the same area, NaN where the spacing is unknown)
            and its centroid x, y in 0..1 of the breast's box, x from the chest wall, y from the top.
        cells: How much of each cell of the box masses cover, in 0..1.
    """

    image: dict[str, object]
    masses: list[dict[str, float]]
    cells: Float[np.ndarray, "g g"]


def measure(source: Source, size: int, row: pd.Series) -> Measured:
    """Measure one image: the released pixels, but gray values at `size`, since noise depends on it.

    Args:
        source: Where the image is from. Of ultrasound, the box is the whole picture.
        size: Longest side in pixels at which separability and fine detail are measured.
        row: Of the source's sample table.
    """
    sample, ultrasound = source.load(row), source.modality == "ultrasound"
    image = {"acr_density": row["acr_density"], "mass_fraction": 100 * float(sample.mask.mean())}
    if ultrasound:
        breast = np.ones(sample.mask.shape, dtype=bool)
        image["working_area"] = 100 * busi.working_area(Path(row["image_path"]))
    else:
        breast = breast_mask(without_frame(sample.image))
        image["box_fraction"] = 100 * float(in_box(sample.mask, breast).mean())
    whole = Preprocessing(size=size, crop="none", resize="pad", window=None)
    small, tissue = (prepare_sample(replace(sample, mask=mask), whole) for mask in (sample.mask, breast))
    image["separability"] = separability(small.image, small.mask, tissue.mask)
    image["fine_detail"] = fine_detail(small.image, tissue.mask)
    masks = mass_masks(source, row, sample)
    cells = in_box(sample.mask, breast, mirror=not ultrasound).astype(np.float32)
    return Measured(
        image,
        [_mass(mask, breast, sample.spacing_mm, mirror=not ultrasound) for mask in masks],
        cv2.resize(cells, (GRID, GRID), interpolation=cv2.INTER_AREA),
    )


def mass_masks(source: Source, row: pd.Series, sample: Sample) -> list[Bool[np.ndarray, "h w"]]:
    """A mask for each mass: its outline, or, where there is only their union, a connected part of that."""
    if source.name == "inbreast":
        return inbreast.mass_masks(Path(row["image_path"]), sample.mask.shape)
    labels, n = ndimage.label(sample.mask, EIGHT_NEIGHBORS)
    return [labels == k + 1 for k in range(n)]


def in_box(
    mask: Bool[np.ndarray, "h w"], breast: Bool[np.ndarray, "h w"], *, mirror: bool = False
) -> Bool[np.ndarray, "_ _"]:
    """The part of a mask in the bounding box of the breast, with the chest wall on the left if `mirror`.

    The chest wall is where the breast is cut: the side of the box along which more of it lies.
    """
    x, y, width, height = cv2.boundingRect(breast.astype(np.uint8))
    box = np.s_[y : y + height, x : x + width]
    turned = mirror and breast[box][:, -1].sum() > breast[box][:, 0].sum()
    return mask[box][:, ::-1] if turned else mask[box]


def separability(
    image: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], tissue: Bool[np.ndarray, "h w"]
) -> float:
    """The probability that a pixel of the mass is brighter than one of its surroundings, ties counting half.

    That is the area under the ROC curve of the gray value. 0.5 means that gray values do not tell them apart,
    1 that every pixel of the mass is brighter, 0 that each is darker. No rising change of gray values alters
    it. The surroundings are the tissue within one equivalent radius of the mass; NaN where there are none.
    """
    if not mask.any():
        return float("nan")
    radius = max(2.0, float(np.sqrt(mask.sum() / np.pi)))
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside, around = image[mask], image[(distance > 0) & (distance <= radius) & tissue]
    if not around.size:
        return float("nan")
    ranks = stats.rankdata(np.concatenate([inside, around]))[: inside.size]
    return float((ranks.mean() - (inside.size + 1) / 2) / around.size)


def fine_detail(image: Float[np.ndarray, "h w"], tissue: Bool[np.ndarray, "h w"]) -> float:
    """The share of the variance of gray values that is finer than a Gaussian of `BLUR` pixels.

    That of the difference between image and blurred image, over that of the image, in the tissue away from
    its edge. It is 0 for a smooth image and above 0.9 for white noise; brightness and contrast do not alter
    it. NaN where there is no tissue, or only one gray value.
    """
    # The kernel reaches four sigmas to each side.
    within = cv2.erode(tissue.astype(np.uint8), np.ones((8 * BLUR + 1, 8 * BLUR + 1), np.uint8)) > 0
    variance = float(image[within].var()) if within.any() else 0.0
    if variance <= 1e-12:
        return float("nan")
    return float((image - cv2.GaussianBlur(image, (0, 0), BLUR))[within].var()) / variance


def _mass(
    mask: Bool[np.ndarray, "h w"], breast: Bool[np.ndarray, "h w"], spacing_mm: float | None, mirror: bool
) -> dict[str, float]:
    inside = in_box(mask, breast, mirror=mirror)
    rows, columns = inside.nonzero()
    diameter = np.nan if spacing_mm is None else 2 * spacing_mm * np.sqrt(mask.sum() / np.pi)
    if not rows.size:  # outlined where no breast was found
        return {"diameter_mm": float(diameter), "x": np.nan, "y": np.nan}
    x, y = ((places.mean() + 0.5) / n for places, n in zip((columns, rows), inside.shape[::-1], strict=True))
    return {"diameter_mm": float(diameter), "x": float(x), "y": float(y)}
