"""Metrics of binary masks: per image, then pooled (`micro`) and averaged over images (`macro`).

row = per_image(prediction, target, spacing_mm=(0.9, 1.1))
summary = summarize(pandas.DataFrame(rows))
low, high = bootstrap_interval(pandas.DataFrame(rows), "dsc", "micro")

Masks may be of any kind that `checks.as_mask` takes: boolean, 0 and 1, or 0 and 255, arrays or tensors.
Fractions are in 0..1, distances in pixels (`hd`) and in millimeters (`hd_mm`) where the spacing is known.
"""

from mammoseg_lib.metrics.distance import (
    DISTANCES,
    boundary,
    distances,
    hausdorff,
    surface_distances,
)
from mammoseg_lib.metrics.lesions import LESION_RULE, detect
from mammoseg_lib.metrics.overlap import COUNTS, OVERLAP, confusion, overlap
from mammoseg_lib.metrics.policy import COUNT_MISSED, POLICIES, UNDEFINED, WORST_CASE, EmptyPolicy
from mammoseg_lib.metrics.summary import (
    METRICS,
    Interval,
    apply_policy,
    bootstrap_interval,
    per_image,
    summarize,
)

__all__ = [
    "COUNTS",
    "COUNT_MISSED",
    "DISTANCES",
    "LESION_RULE",
    "METRICS",
    "OVERLAP",
    "POLICIES",
    "UNDEFINED",
    "WORST_CASE",
    "EmptyPolicy",
    "Interval",
    "apply_policy",
    "bootstrap_interval",
    "boundary",
    "confusion",
    "detect",
    "distances",
    "hausdorff",
    "overlap",
    "per_image",
    "summarize",
    "surface_distances",
]
