"""One thing varied, everything else held: what each run gave, and how sure a difference is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from mammoseg_lib.metrics import COUNT_MISSED, EmptyPolicy, summarize


def by_run(
    results: pd.DataFrame,
    by: str,
    *,
    metric: str = "dsc",
    aggregate: str = "micro",
    policy: EmptyPolicy = COUNT_MISSED,
) -> pd.DataFrame:
    """One metric of every run.

    Args:
        results: One row per run and test image, from `runs.results`.
        by: The column that tells what was varied, such as "variant" or "method".
        metric: Name in `metrics.METRICS`.
        aggregate: "micro" or "macro".
        policy: What empty masks give.

    Returns:
        Columns `by`, fold, seed and `value` (in the library's own unit: a DSC lies in 0..1).

    Raises:
        ValueError: An image is there twice for one value of `by`, fold and seed: more than that was varied.
    """
    keys = [by, "fold", "seed"]
    if results.duplicated([*keys, "sample_id"]).any():
        raise ValueError(f"the runs differ in more than {by}, fold and seed")
    return pd.DataFrame(
        {**dict(zip(keys, group, strict=True)), "value": summarize(table, policy).loc[metric, aggregate]}
        for group, table in results.groupby(keys, sort=False)
    )


def ablation(runs: pd.DataFrame, by: str, *, level: float = 0.95) -> pd.DataFrame:
    """Mean over runs, and the difference to the first setting from runs of the same fold and seed.

    Runs of one fold and seed share images, split and start of the weights, so that their difference is less
    noisy than either value. The intervals are Student's t over runs. They take runs for independent, which
    folds of one data set, trained on overlapping images, are not quite: too narrow rather than too wide.

    Args:
        runs: From `by_run`.
        by: As there.
        level: Of the intervals.

    Returns:
        One row per setting, in order: `by`, runs, mean, low, high; difference, difference_low and
        difference_high, NaN for the first setting. Limits are NaN where there are fewer than three runs: of
        two, the interval would be thirteen times as wide as its standard error.
    """
    wide = runs.pivot_table("value", ["fold", "seed"], by, aggfunc="first")[list(dict.fromkeys(runs[by]))]
    first = wide.columns[0]
    rows = []
    for name in wide:
        paired = (wide[name] - wide[first]).dropna().to_numpy()
        nothing = (math.nan, math.nan, math.nan)
        difference = nothing if name == first else _mean_interval(paired, level)
        values = wide[name].dropna().to_numpy()
        rows.append((name, len(values), *_mean_interval(values, level), *difference))
    columns = [by, "runs", "mean", "low", "high", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=columns)


def _mean_interval(values: Sequence[float] | np.ndarray, level: float) -> tuple[float, float, float]:
    if len(values) == 0:
        return math.nan, math.nan, math.nan
    mean = float(np.mean(values))
    if len(values) < 3:
        return mean, math.nan, math.nan
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return mean, mean - float(half), mean + float(half)
