"""One thing varied, everything else held: what each arm gave, and how sure its difference to one is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from mammoseg_lib.reports.arms import Arm, Results, plural
from mammoseg_lib.reports.estimate import arms_table, difference
from mammoseg_lib.reports.panel import Panel


def ablation(
    results: Results,
    against: str | Arm | None = None,
    *,
    within: bool = False,
    arms: Iterable[str | Arm] | None = None,
    metric: str = "dsc",
    average: str = "micro",
    n: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every arm, and its difference to one of them on the same patients, folds and seeds.

    Args:
        results: Measured numbers of a study.
        against: The arm that the others are compared with; None takes the first.
        within: Compare every variant with its own method instead, and methods with nothing.
        arms: Which, in this order; None takes all that there are.
        metric: Name in `metrics.OVERLAP`, or another column of the metrics per image.
        average: "micro" or "macro".
        n: Resamples.
        seed: Of the resampling.

    Returns:
        The rows of `estimate.arms_table`, each with `difference, difference_low, difference_high` and
        `common`: the folds and seeds of both, such as "5 folds, 2 seeds"; NaN and empty for the arm itself,
        and where two arms have no fold and seed in common.
    """
    table = arms_table(results, arms=arms, metric=metric, average=average, n=n, seed=seed)
    first = against or tuple(table.loc[0, ["study", "arm"]])
    first = Panel(results, [first], n=1).arms[0]
    rows = []
    for study, name, method in table[["study", "arm", "method"]].itertuples(index=False, name=None):
        arm, other = (study, name), (study, method) if within else first
        row = dict.fromkeys(("difference", "difference_low", "difference_high"), np.nan) | {"common": ""}
        if arm != other and _share(results, arm, other):
            panel = Panel(results, [arm, other], n=n, seed=seed)
            found = difference(panel, [arm], [other], metric, average)
            row |= {"difference": found.value, "difference_low": found.low, "difference_high": found.high}
            row["common"] = f"{plural(found.folds, 'fold')}, {plural(found.seeds, 'seed')}"
        rows.append(row)
    return table.join(pd.DataFrame(rows))


def _share(results: Results, *arms: Arm) -> bool:
    keys = [
        set(runs[["fold", "seed"]].itertuples(index=False, name=None))
        for study, arm in arms
        if len(runs := results.runs[(results.runs["study"] == study) & (results.runs["arm"] == arm)])
    ]
    return len(keys) == len(arms) and bool(set.intersection(*keys))
