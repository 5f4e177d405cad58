"""From one image to a table of images, and from there to pooled and averaged values with intervals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from mammoseg_lib.checks import Mask, as_masks, check_choice
from mammoseg_lib.metrics.distance import DISTANCES, distances, empty_distance
from mammoseg_lib.metrics.lesions import detect
from mammoseg_lib.metrics.overlap import COUNTS, OVERLAP, confusion, overlap
from mammoseg_lib.metrics.policy import COUNT_MISSED, EmptyPolicy

DISTANCES_MM = tuple(f"{name}_mm" for name in DISTANCES)
METRICS = (*OVERLAP, *DISTANCES, *DISTANCES_MM, "lesion_sensitivity", "false_blobs")
"""Every metric that `summarize` reports."""

AGGREGATES = ("micro", "macro", "sd")


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def per_image(
    pred: Shaped[Mask, "h w"],
    target: Shaped[Mask, "h w"],
    spacing_mm: tuple[float, float] | None = None,
    policy: EmptyPolicy = COUNT_MISSED,
    *,
    min_coverage: float = 0.0,
) -> dict[str, float | int]:
    """All metrics of one image: a row of the table that `summarize` takes.

    Args:
        pred: Predicted mask.
        target: True mask.
        spacing_mm: Height and width of a pixel in mm, which a resize that does not keep the aspect ratio
            makes different; None where unknown, and distances in mm are then NaN.
        policy: What empty masks give. It can be changed later, on the table.
        min_coverage: See `detect`.

    Returns:
        The counts `tp, fp, fn, tn`; fractions in 0..1 `dsc, iou, sensitivity, precision, accuracy, da`;
        `hd, hd95, assd` in pixels and with `_mm` in mm; `lesions, lesions_hit, lesions_missed, false_blobs,
        components`;
        and `diagonal, diagonal_mm` of the image, which some policies need.

    Raises:
        ValueError: The spacing is not positive.
    """
    if spacing_mm is not None and not all(0 < side < np.inf for side in spacing_mm):
        raise ValueError(f"spacing_mm={spacing_mm} must be positive and finite, or None where it is unknown")
    pred, target = as_masks(pred, target)
    counts = confusion(pred, target)
    pixels = distances(pred, target, policy=policy)
    if spacing_mm is None:
        millimeters, diagonal_mm = dict.fromkeys(DISTANCES, np.nan), np.nan
    else:
        height_mm, width_mm = spacing_mm
        diagonal_mm = float(np.hypot(pred.shape[0] * height_mm, pred.shape[1] * width_mm))
        if height_mm == width_mm:
            millimeters = {name: value * height_mm for name, value in pixels.items()}
        else:
            millimeters = distances(pred, target, spacing_mm, policy)
    return {
        **counts,
        **{name: float(value) for name, value in overlap(**counts, policy=policy).items()},
        **pixels,
        **{f"{name}_mm": value for name, value in millimeters.items()},
        **detect(pred, target, min_coverage),
        "diagonal": float(np.hypot(*pred.shape)),
        "diagonal_mm": diagonal_mm,
    }


def apply_policy(table: pd.DataFrame, policy: EmptyPolicy) -> pd.DataFrame:
    """The same table of images under another policy: whatever depends on it is put in again."""
    counts = {name: table[name].to_numpy(np.float64) for name in COUNTS}
    predicted, true = counts["tp"] + counts["fp"], counts["tp"] + counts["fn"]
    both, any_empty = predicted + true == 0, (predicted == 0) | (true == 0)
    columns = overlap(**counts, policy=policy)
    for name in (*DISTANCES, *DISTANCES_MM):
        diagonal = table["diagonal_mm" if name in DISTANCES_MM else "diagonal"].to_numpy(np.float64)
        value = np.where(any_empty, empty_distance(both, diagonal, policy), table[name].to_numpy(np.float64))
        # Without a spacing there is no distance in mm, not even of two empty masks.
        columns[name] = np.where(np.isnan(diagonal), np.nan, value)
    lesions, hit = (table[name].to_numpy(np.float64) for name in ("lesions", "lesions_hit"))
    without = np.where(both, policy.agreement, policy.fraction)
    columns["lesion_sensitivity"] = np.divide(hit, lesions, out=without, where=lesions > 0)
    return table.assign(**columns)


def summarize(table: pd.DataFrame, policy: EmptyPolicy = COUNT_MISSED) -> pd.DataFrame:
    """Every metric over all images of a table.

    `micro` pools: one DSC of all pixels of all images, one lesion sensitivity of all lesions. It has no
    meaning for distances. `macro` is the mean over images, of those in which the metric is defined, and `sd`
    the standard deviation over them (with n - 1; NaN for fewer than two).

    Args:
        table: One row per image, from `per_image`.
        policy: What empty masks give.

    Returns:
        One row per name in `METRICS` with the columns `micro`, `macro`, `sd`, `images` (those in the macro
        mean), `undefined` (those left out of it), `missed` (images with a mass in which nothing was
        predicted), `false_alarms` (images without a mass in which something was predicted) and `policy` (its
        name).

    Raises:
        ValueError: The table has no rows, or lacks a column.
    """
    table = _checked(table)
    values = apply_policy(table, policy)[list(METRICS)].to_numpy(np.float64)
    once = np.ones((1, len(table)))
    predicted, true = table["tp"] + table["fp"], table["tp"] + table["fn"]
    defined = (~np.isnan(values)).sum(axis=0)
    return pd.DataFrame(
        {
            "micro": [_resampled(table, once, name, "micro", policy).item() for name in METRICS],
            "macro": _mean(once, values)[0],
            "sd": _deviation(once, values)[0],
            "images": defined,
            "undefined": len(table) - defined,
            "missed": int(((predicted == 0) & (true > 0)).sum()),
            "false_alarms": int(((predicted > 0) & (true == 0)).sum()),
            "policy": policy.name,
        },
        index=pd.Index(METRICS, name="metric"),
    )


def bootstrap_interval(
    table: pd.DataFrame,
    metric: str,
    aggregate: str = "macro",
    *,
    n: int = 2000,
    seed: int = 0,
    group: str = "patient_id",
    level: float = 0.95,
    policy: EmptyPolicy = COUNT_MISSED,
) -> Interval:
    """Percentile interval from resampling patients: images of one patient are not independent.

    Args:
        table: One row per image, from `per_image`, with the column `group`.
        metric: One of `METRICS`.
        aggregate: "micro", "macro" or "sd".
        n: Resamples.
        seed: Of the resampling; the same table and seed give the same interval.
        group: What is drawn with replacement.
        level: Coverage in 0..1.
        policy: What empty masks give.

    Returns:
        NaN, NaN where there is only one group, or where the metric has no such aggregate.

    Raises:
        ValueError: An option is out of range, the table lacks a column, or a row has no group.
    """
    check_choice("metric", metric, METRICS)
    check_choice("aggregate", aggregate, AGGREGATES)
    table = _checked(table, group)
    if missing := int(table[group].isna().sum()):
        raise ValueError(
            f"{group} is missing in {missing} of {len(table)} rows; group='sample_id' draws images"
        )
    codes, groups = pd.factorize(table[group])
    if len(groups) < 2:
        return Interval(np.nan, np.nan)
    draws = np.random.default_rng(seed).multinomial(
        len(groups), np.full(len(groups), 1 / len(groups)), size=n
    )
    values = _resampled(table, draws[:, codes].astype(np.float64), metric, aggregate, policy)
    if np.isnan(values).all():
        return Interval(np.nan, np.nan)
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _resampled(
    table: pd.DataFrame,
    weights: Float[np.ndarray, "n images"],
    metric: str,
    aggregate: str,
    policy: EmptyPolicy,
) -> Float[np.ndarray, " n"]:
    """One value for each row of weights, which say how often an image is in the sample."""
    if aggregate != "micro":
        over_images = _mean if aggregate == "macro" else _deviation
        return over_images(weights, apply_policy(table, policy)[[metric]].to_numpy(np.float64))[:, 0]
    if metric in OVERLAP:
        pooled = weights @ table[list(COUNTS)].to_numpy(np.float64)
        return overlap(*pooled.T, policy=policy)[metric]
    if metric == "lesion_sensitivity":
        hit, lesions = (weights @ table[["lesions_hit", "lesions"]].to_numpy(np.float64)).T
        return np.divide(hit, lesions, out=np.full(len(weights), np.nan), where=lesions > 0)
    return np.full(len(weights), np.nan)


def _mean(
    weights: Float[np.ndarray, "n images"], values: Float[np.ndarray, "images metrics"]
) -> Float[np.ndarray, "n metrics"]:
    """Weighted mean of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    total, count = weights @ np.where(defined, values, 0), weights @ defined.astype(np.float64)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _deviation(
    weights: Float[np.ndarray, "n images"], values: Float[np.ndarray, "images metrics"]
) -> Float[np.ndarray, "n metrics"]:
    """Standard deviation of what is defined, each image counted as often as its weight says."""
    defined = ~np.isnan(values)
    # Moments about a point near the mean lose no digits to cancellation.
    center = np.divide(
        np.where(defined, values, 0).sum(0),
        defined.sum(0),
        out=np.zeros(values.shape[1]),
        where=defined.any(0),
    )
    shifted = np.where(defined, values - center, 0)
    count = weights @ defined.astype(np.float64)
    total, squares = weights @ shifted, weights @ shifted**2
    spread = np.maximum(squares - total**2 / np.maximum(count, 1), 0)
    return np.sqrt(np.divide(spread, count - 1, out=np.full_like(spread, np.nan), where=count > 1))


def _checked(table: pd.DataFrame, *more: str) -> pd.DataFrame:
    needed = (*COUNTS, *DISTANCES, *DISTANCES_MM, "lesions", "lesions_hit", "false_blobs")
    if absent := [name for name in (*needed, "diagonal", "diagonal_mm", *more) if name not in table]:
        raise ValueError(f"the table of images lacks {', '.join(absent)}; make its rows with per_image")
    if not len(table):
        raise ValueError("the table of images has no rows")
    return table
