"""Where the breast is in a mammogram."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

FRAME = 0.02  # of the height or width: how deep a burned-in frame may be
BLOCKS = 16  # along each side, in which the background is looked for
SMALL = 256  # px of the longest side at which labels are looked for
LABEL = 0.1  # of the shorter side: how thick a label may be
WIDENED = 0.85  # of the bounding box: what it must not exceed without the label
ONE_GRAY = 0.02  # of the largest gray value: how little the pixels of a burned-in line differ


def breast_mask(image: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The largest connected region that is brighter than the background, without a label that touches it.

    The background of a digital mammogram is 0 up to a little noise, so a threshold at 2 % of the bright
    tissue's value keeps the thin skin line, which Otsu's threshold would cut away. Where the background is
    raised or noisy, the threshold is that much above it.
    """
    smooth = cv2.blur(image, (3, 3))
    above = (smooth > 0.02 * np.percentile(smooth, 99) + _raised(smooth)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
    if count < 2:
        return np.ones(image.shape, dtype=bool)
    return _without_label(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def _raised(smooth: Float[np.ndarray, "h w"]) -> float:
    """How far a background lies above 0, with its noise: by the darkest tenth of some blocks of the image."""
    height, width = (side // BLOCKS for side in smooth.shape)
    if min(height, width) < 2:
        return 0.0
    tiles = smooth[: height * BLOCKS, : width * BLOCKS].reshape(BLOCKS, height, BLOCKS, width)
    mean, deviation = (each.ravel() for each in (tiles.mean((1, 3)), tiles.std((1, 3))))
    darkest = np.argsort(mean, kind="stable")[: BLOCKS**2 // 10]
    return float(0.98 * np.median(mean[darkest]) + 4 * np.median(deviation[darkest]))


def _without_label(breast: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """A region without what hangs on to it and is thinner than `LABEL` of the image, if that makes it wide.

    Compared by the areas of their bounding boxes: of 131 breasts of INbreast none loses as much.
    """
    scale = min(1.0, SMALL / max(breast.shape))
    small = cv2.resize(breast.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    side = round(LABEL * min(small.shape)) | 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    padded = np.pad(small, side, mode="edge")  # a breast goes on beyond the image
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(padded, cv2.MORPH_OPEN, disk))
    if len(stats) < 2:
        return breast
    core = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    if _box_area(core[side:-side, side:-side]) > WIDENED * _box_area(small):
        return breast
    core = cv2.dilate(core, disk)[side:-side, side:-side]
    return breast & (cv2.resize(core, breast.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def _box_area(region: UInt8[np.ndarray, "h w"]) -> int:
    _, _, width, height = cv2.boundingRect(region)
    return width * height


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
