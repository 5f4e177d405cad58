"""Overlap of two masks, from the four counts of a confusion matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from mammoseg_lib.checks import Mask, as_masks
from mammoseg_lib.metrics.policy import COUNT_MISSED, EmptyPolicy

COUNTS = ("tp", "fp", "fn", "tn")
Count = np.ndarray | float | int
OVERLAP = ("dsc", "iou", "sensitivity", "precision", "accuracy", "da")


def confusion(pred: Shaped[Mask, "h w"], target: Shaped[Mask, "h w"]) -> dict[str, int]:
    """Pixels that are true positive (`tp`), `fp`, `fn` and `tn`."""
    pred, target = as_masks(pred, target)
    tp = int(np.count_nonzero(pred & target))
    fp = int(np.count_nonzero(pred)) - tp
    fn = int(np.count_nonzero(target)) - tp
    return {"tp": tp, "fp": fp, "fn": fn, "tn": pred.size - tp - fp - fn}


def overlap(
    tp: Count, fp: Count, fn: Count, tn: Count, policy: EmptyPolicy = COUNT_MISSED
) -> dict[str, np.ndarray]:
    """Every overlap metric, element by element, from counts of one image or of many images pooled.

    With P the predicted and Y the true mask: DSC = 2 |P∩Y| / (|P| + |Y|), IoU = |P∩Y| / |P∪Y|,
    sensitivity = |P∩Y| / |Y|, precision = |P∩Y| / |P|, accuracy = share of pixels that agree,
    dA = ||P| - |Y|| / |Y|. All are in 0..1 but dA, which has no upper bound.

    Args:
        tp: True positive pixels.
        fp: False positive pixels.
        fn: False negative pixels.
        tn: True negative pixels.
        policy: What 0/0 gives.

    Returns:
        An array of the shape of the counts for each name in `OVERLAP`.
    """
    tp, fp, fn, tn = (np.asarray(count, dtype=np.float64) for count in (tp, fp, fn, tn))
    predicted, true = tp + fp, tp + fn
    both_empty = predicted + true == 0

    def ratio(numerator: Count, denominator: Count, both: float, one: float) -> np.ndarray:
        value = np.where(both_empty, both, one)
        return np.divide(numerator, denominator, out=value, where=denominator > 0)

    agreement, fraction = policy.agreement, policy.fraction
    return {
        "dsc": ratio(2 * tp, predicted + true, agreement, np.nan),
        "iou": ratio(tp, tp + fp + fn, agreement, np.nan),
        "sensitivity": ratio(tp, true, agreement, fraction),
        "precision": ratio(tp, predicted, agreement, fraction),
        "accuracy": ratio(tp + tn, tp + fp + fn + tn, np.nan, np.nan),
        "da": ratio(np.abs(predicted - true), true, policy.discrepancy, np.nan),
    }
