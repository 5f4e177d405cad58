"""Lesion-wise detection: how many masses were found, and how many blobs are no mass."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped
from scipy import ndimage

from mammoseg_lib.checks import Mask
from mammoseg_lib.metrics.distance import joint_crop

LESION_RULE = (
    "A lesion is an 8-connected component of the target. It is hit if more than `min_coverage` of its pixels "
    "(by default: any) are predicted, else missed. A false blob is an 8-connected component of the "
    "prediction that shares no pixel with the target."
)
EIGHT_NEIGHBORS = np.ones((3, 3), dtype=bool)


def detect(
    pred: Shaped[Mask, "h w"], target: Shaped[Mask, "h w"], min_coverage: float = 0.0
) -> dict[str, int]:
    """Counts lesions by `LESION_RULE`.

    Args:
        pred: Predicted mask.
        target: True mask. Masses that touch or overlap count as one.
        min_coverage: Share of a lesion's pixels, in 0..1, that must be exceeded for a hit.

    Returns:
        `lesions`, `lesions_hit`, `lesions_missed`, `false_blobs`, and `components`: the connected regions of
        the prediction, false or not.

    Raises:
        ValueError: `min_coverage` is not in 0..1.
    """
    if not 0 <= min_coverage < 1:
        raise ValueError(f"min_coverage={min_coverage} is not in 0..1 (1 excluded, as it must be exceeded)")
    pred, target = joint_crop(pred, target)
    labels, n_lesions = ndimage.label(target, EIGHT_NEIGHBORS)
    blobs, n_blobs = ndimage.label(pred, EIGHT_NEIGHBORS)
    size = np.bincount(labels.ravel(), minlength=n_lesions + 1)[1:]
    covered = np.bincount(labels[pred], minlength=n_lesions + 1)[1:]
    touching = np.bincount(blobs[target], minlength=n_blobs + 1)[1:]
    n_hit = int(np.count_nonzero(covered > min_coverage * size))
    return {
        "lesions": n_lesions,
        "lesions_hit": n_hit,
        "lesions_missed": n_lesions - n_hit,
        "false_blobs": int(np.count_nonzero(touching == 0)),
        "components": n_blobs,
    }
