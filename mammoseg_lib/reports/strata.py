"""Differences within parts of the test images, such as the classes of breast density."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pandas as pd

from mammoseg_lib.reports.arms import Arm, Results
from mammoseg_lib.reports.estimate import difference, value
from mammoseg_lib.reports.panel import Panel


def within_classes(
    results: Results,
    classes: pd.Series,
    arm: str | Arm,
    against: Sequence[str | Arm],
    *,
    metric: str = "dsc",
    average: str = "macro",
    n: int = 2000,
) -> pd.DataFrame:
    """What an arm gives in each class of images, and its differences to others there.

    The mean over images by default: pooled pixels of a class with a few images are those of its largest mass.

    Args:
        results: Measured numbers.
        classes: Of every image, by its id.
        arm: Which.
        against: The arms that it is compared with, on the same patients, folds and seeds.
        metric: Name in `metrics.OVERLAP`.
        average: "micro" or "macro".
        n: Resamples.

    Returns:
        One row per class and arm compared with: `class, images, patients, against, value` (of the arm),
        `difference, low, high`.

    Raises:
        ValueError: An image has no class.
    """
    if unknown := set(results.last["sample_id"]) - set(classes.index):
        raise ValueError(f"image {sorted(unknown)[0]!r} has no class")
    rows = []
    for name in sorted(classes.unique()):
        ids = set(classes.index[classes == name])
        tables = {each: getattr(results, each) for each in ("best", "last")}
        part = SimpleNamespace(
            runs=results.runs, **{k: table[table["sample_id"].isin(ids)] for k, table in tables.items()}
        )
        if part.last.empty:
            continue
        panel = Panel(part, [arm, *against], n=n)
        own = value(panel, arm, metric, average)
        for other in against:
            found = difference(panel, [arm], [other], metric, average)
            row = {"class": name, "images": found.images, "patients": found.patients}
            row |= {"against": other if isinstance(other, str) else other[1], "value": own.value}
            rows.append({**row, "difference": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)
