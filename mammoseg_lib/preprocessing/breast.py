"""Where the breast is in a mammogram."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

FRAME = 0.02  # of the height or width: how deep a burned-in frame may be
ONE_GRAY = 0.02  # of the largest gray value: how little the pixels of a burned-in line differ


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
