"""The value of an arm, or of a difference of arms, with the interval that patients and networks leave.

The value of a run is the mean over its last ten epochs: a single one is noise. Micro: the pixels of all test
images of a seed, all folds, are pooled in each epoch, as in a paper's table; macro: the mean over images.
Then the mean over seeds. Distances and components are of the epoch that validation liked best, as means over
images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from mammoseg_lib.checks import check_choice
from mammoseg_lib.metrics import OVERLAP
from mammoseg_lib.reports.arms import Arm, NotRunError, Results
from mammoseg_lib.reports.panel import SD, At, Panel, image_values

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, in the library's own unit (a DSC lies in 0..1).

    Attributes:
        value: Of the panel as it is.
        low: Lower limit of the interval, NaN where there is only one patient.
        high: Upper limit.
        widened: By how much the resamples were spread to cover what the folds show; 1: not at all.
        images: Images tested.
        patients: Patients who are tested.
        folds: Folds.
        seeds: Networks a fold.
        left_out: Share of tested images without a value (distances where nothing was found).
        replicates: The value in every resample.
    """

    value: float
    low: float
    high: float
    widened: float
    images: int
    patients: int
    folds: int
    seeds: int
    left_out: float = 0.0
    replicates: Float[np.ndarray, " n"] = field(
        repr=False, compare=False, default_factory=lambda: np.empty(0)
    )

    def at_level(self, level: float) -> tuple[float, float]:
        """The limits at another level."""
        if self.patients < 2 or np.isnan(self.replicates).all():
            return np.nan, np.nan
        low, high = np.nanquantile(self.replicates, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def value(
    panel: Panel, arm: str | Arm, metric: str = "dsc", average: str = "micro", at: At | None = None
) -> Estimate:
    """What an arm gives.

    Args:
        panel: That holds the arm.
        arm: Its name, or study and name.
        metric: Name in `metrics.OVERLAP`, or another column of the metrics per image.
        average: "micro" or "macro"; what is no ratio of pixels has only a mean over images.
        at: "last" epochs or "best" epoch; None takes the last ones for all that can be counted there.
    """
    return difference(panel, [arm], [], metric, average, at)


def difference(
    panel: Panel,
    left: Sequence[str | Arm],
    right: Sequence[str | Arm],
    metric: str = "dsc",
    average: str = "micro",
    at: At | None = None,
) -> Estimate:
    """The mean of some arms minus the mean of others, every arm with the same resamples.

    The interval is that of the resamples (percentiles; see `Panel.resamples`), spread about the value until
    their standard deviation is that of a jackknife over folds, where that is larger: folds of networks
    trained on other patients differ by more than their seeds. With one seed a fold nothing else shows how
    networks differ, so that the jackknife counts with Student's t of its few degrees of freedom.

    Args:
        panel: That holds the arms.
        left: Arms whose mean is meant.
        right: Arms whose mean is subtracted; none: the mean of `left` itself.
        metric: As in `value`.
        average: As there.
        at: As there.
    """
    value = point(panel, left, right, metric, average, at)
    deviation = _difference(panel, left, right, metric, average, at, "resamples") - value
    folds = _difference(panel, left, right, metric, average, at, "without_a_fold")
    factor = _widening(deviation, folds, len(panel.seeds))
    at, average = _where(metric, average, at)
    arms = [*left, *right]
    tested = set().union(*(panel.images(arm) for arm in arms))
    result = Estimate(
        value=value,
        low=np.nan,
        high=np.nan,
        widened=factor,
        images=len(tested),
        patients=len(panel.patients),
        folds=len(panel.folds),
        seeds=len(panel.seeds),
        left_out=panel.left_out(arms, metric, at) if average == "macro" else 0.0,
        replicates=value + factor * deviation,
    )
    low, high = result.at_level(LEVEL)
    # What was spread about a value may lie where no value, or no difference of two, can.
    least, most = _range_of(metric)
    low, high = np.clip([low, high], -most if len(right) else least, most).tolist()
    return replace(result, low=low, high=high)


def _range_of(metric: str) -> tuple[float, float]:
    bounded = metric in OVERLAP and metric != "da"
    return 0.0, 1.0 if bounded else np.inf


def point(
    panel: Panel,
    left: Sequence[str | Arm],
    right: Sequence[str | Arm],
    metric: str = "dsc",
    average: str = "micro",
    at: At | None = None,
) -> float:
    """The value of `difference` without its interval."""
    return float(_difference(panel, left, right, metric, average, at, "whole")[0])


def _difference(
    panel: Panel,
    left: Sequence[str | Arm],
    right: Sequence[str | Arm],
    metric: str,
    average: str,
    at: At | None,
    weights: str,
) -> Float[np.ndarray, " n"]:
    at, average = _where(metric, average, at)
    means = [
        np.mean([panel.values(arm, metric, average, at, weights) for arm in group], axis=0)
        for group in (left, right)
        if len(group)
    ]
    return means[0] - means[1] if len(means) == 2 else means[0]


def spread_of_one(panel: Panel, arm: str | Arm, metric: str, average: str, images: int) -> float:
    """Standard deviation of the value that somebody gets who trains once a fold and tests so many images.

    Of the epoch that the validation images liked best, which is what papers print, in resamples of as many
    patients as have so many images.

    Args:
        panel: That holds the arm.
        arm: Which.
        metric: As in `value`.
        average: As there.
        images: How many are tested.
    """
    _, average = _where(metric, average, "best")
    n_patients = max(1, round(images * len(panel.patients) / len(panel.images(arm))))
    return float(np.nanstd(panel.values(arm, metric, average, "best", n_patients)))


def _where(metric: str, average: str, at: At | None) -> tuple[At, str]:
    check_choice("average", average, ("micro", "macro"))
    if metric.removesuffix(SD) in OVERLAP:
        return at or "last", "macro" if metric.endswith(SD) else average
    return "best", "macro"


def _widening(
    deviation: Float[np.ndarray, " n"], without_a_fold: Float[np.ndarray, " folds"], n_seeds: int
) -> float:
    n_folds, spread = len(without_a_fold), np.nanstd(deviation) if len(deviation) else 0.0
    if n_folds < 2 or not spread > 0:
        return 1.0
    center = np.nanmean(without_a_fold)
    folds = np.sqrt((n_folds - 1) / n_folds * np.nansum((without_a_fold - center) ** 2))
    if n_seeds == 1:
        tail = (1 + LEVEL) / 2
        folds *= stdtrit(n_folds - 1, tail) / ndtri(tail)
    return float(max(1.0, folds / spread))


def arms_table(
    results: Results,
    *,
    arms: Iterable[str | Arm] | None = None,
    metric: str = "dsc",
    average: str = "micro",
    n: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every arm by itself, on all folds and seeds that it has.

    Returns:
        One row per arm: `study, arm, method, variant, label, value, low, high` (the last ten epochs), `best,
        best_low, best_high` (the epoch that validation liked best), `left_out, images, patients, folds,
        seeds, origin`.
    """
    if arms is None:
        arms = results.runs[["study", "arm"]].drop_duplicates().itertuples(index=False, name=None)
    rows = []
    for arm in arms:
        panel = Panel(results, [arm], n=n, seed=seed)
        (key,) = panel.arms
        own = results.runs[(results.runs["study"] == key[0]) & (results.runs["arm"] == key[1])]
        last, best = (value(panel, key, metric, average, at) for at in (None, "best"))
        rows.append(
            {
                **dict(zip(("study", "arm"), key, strict=True)),
                **own.iloc[0][["method", "variant", "label"]].to_dict(),
                **{name: getattr(last, name) for name in ("value", "low", "high")},
                **dict(
                    zip(("best", "best_low", "best_high"), (best.value, best.low, best.high), strict=True)
                ),
                **{
                    name: getattr(last, name) for name in ("left_out", "images", "patients", "folds", "seeds")
                },
                "origin": origin(own),
            }
        )
    return pd.DataFrame(rows)


def origin(runs: pd.DataFrame) -> str:
    """Where some runs come from: "this machine", "shipped", or both."""
    return " and ".join(sorted(set(runs["origin"])))


def gather(results: Iterable[Results]) -> Results:
    """The results of several studies as one."""
    parts = list(results)
    return SimpleNamespace(**{name: _stacked(parts, name) for name in ("runs", "best", "last")})


def _stacked(parts: list[Results], name: str) -> pd.DataFrame:
    tables = [getattr(part, name) for part in parts]
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


__all__ = [
    "LEVEL",
    "Estimate",
    "NotRunError",
    "Panel",
    "arms_table",
    "difference",
    "gather",
    "image_values",
    "origin",
    "point",
    "spread_of_one",
    "value",
]
