"""Many losses under one protocol: who differs, how sure a rank is, and where the spread comes from."""

from __future__ import annotations

import math
import re
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import ndtri

from mammoseg_lib.checks import check_positive
from mammoseg_lib.papers import LOWER_IS_BETTER
from mammoseg_lib.reports.arms import Results
from mammoseg_lib.reports.estimate import LEVEL, Estimate, difference, point
from mammoseg_lib.reports.panel import Panel, image_values
from mammoseg_lib.splits import patients


def one_protocol(results: Results, model: str = "aunet") -> Results:
    """The settings of several studies that one network was trained with on the same images, as one study.

    Kept are arms that have every fold and seed that any has; of two arms with the same settings the first.
    Their labels take the place of their names, without the network, which all share.

    Args:
        results: Measured numbers, see `reports.gather`.
        model: Name of the network.

    Raises:
        ValueError: No arm has all folds and seeds.
    """
    runs = results.runs[results.runs["model"] == model]
    networks = runs[["fold", "seed"]].drop_duplicates()
    arms = runs.groupby(["study", "arm"], sort=False)
    settings = arms["settings"].agg(lambda column: tuple(sorted(column)))
    chosen = settings[arms.size() == len(networks)].drop_duplicates()
    if chosen.empty:
        raise ValueError(f"no setting with {model} has all {len(networks)} folds and seeds")
    tables = {}
    for name in ("runs", "best", "last"):
        table = getattr(results, name)
        kept = table[pd.MultiIndex.from_frame(table[["study", "arm"]]).isin(chosen.index)]
        label = kept["label"].map(lambda label: _without_network(label, model))
        tables[name] = kept.assign(study="together", arm=label, label=label).reset_index(drop=True)
    return SimpleNamespace(**tables)


def _without_network(label: str, model: str) -> str:
    """A label without the network in front of it: "AU-Net, BCE" of the network "aunet" is "BCE"."""
    network, _, rest = label.partition(", ")
    same = re.sub(r"[\W_]", "", network).lower() == model.replace("_", "")
    return rest if rest and same else label


def pairs(panel: Panel, metric: str = "dsc", average: str = "micro") -> pd.DataFrame:
    """The difference of every two arms on the same patients, folds and seeds.

    Returns:
        One row per pair: `left, right, value, low, high` (left minus right), `widened`, and `needed_2,
        needed_5, needed_10`: see `patients_needed`.
    """
    rows = []
    for left, right in combinations(panel.arms, 2):
        found = difference(panel, [left], [right], metric, average)
        needed = {f"needed_{points}": patients_needed(found, points / 100) for points in (2, 5, 10)}
        numbers = {name: getattr(found, name) for name in ("value", "low", "high", "widened")}
        rows.append({"left": left[1], "right": right[1], **numbers, **needed})
    return pd.DataFrame(rows)


def patients_needed(found: Estimate, size: float, *, power: float = 0.8) -> int:
    """How many patients show a difference of some size with the given power, at a two-sided level of 5 %.

    n = n0 ((z_.975 + z_power) s / size)^2, s the standard deviation of the difference over the resamples of
    the n0 patients at hand. It takes for granted that the spread of the networks shrinks as well, with more
    folds or seeds.

    Args:
        found: A difference that was measured.
        size: The difference that is to be shown, in the library's unit (.02 is two points of DSC).
        power: Probability to show it.

    Raises:
        ValueError: The size is not positive.
    """
    check_positive("size", size)
    z = ndtri((1 + LEVEL) / 2) + ndtri(power)
    return math.ceil(found.patients * (z * float(np.nanstd(found.replicates)) / size) ** 2)


def ranks(panel: Panel, metric: str = "dsc", average: str = "micro", *, top: int = 3) -> pd.DataFrame:
    """The arms from the best to the worst, and how they rank in the resamples.

    Returns:
        One row per arm: `arm, value, rank`, `low, high` (between which 95 % of its ranks lie), `first` and
        `among_first` (the share of resamples in which it is the best, and among the `top` best).
    """
    found = rank_shares(panel, metric, average)
    names = [name for _, name in panel.arms]
    value = pd.Series([point(panel, [arm], [], metric, average) for arm in panel.arms], index=names)
    rank = value.rank(method="first", ascending=metric in LOWER_IS_BETTER).astype(int)
    cumulated = found.cumsum(axis=1)
    table = pd.DataFrame(
        {
            "value": value,
            "rank": rank,
            "low": (cumulated < (1 - LEVEL) / 2).sum(axis=1) + 1,
            "high": (cumulated < (1 + LEVEL) / 2).sum(axis=1) + 1,
            "first": found[1],
            "among_first": found.iloc[:, :top].sum(axis=1),
        }
    )
    return table.sort_values("rank").rename_axis("arm").reset_index()


def rank_shares(panel: Panel, metric: str = "dsc", average: str = "micro") -> pd.DataFrame:
    """In which share of the resamples an arm has which rank: arms are rows, ranks are columns.

    The deviation of an arm from the mean of all is spread as the interval of a difference is (see
    `estimate.difference`), so that networks of a single seed do not look surer than they are.
    """
    spread = []
    for arm in panel.arms:
        others = [other for other in panel.arms if other != arm]
        spread.append(difference(panel, [arm], others, metric, average).replicates)
    values = np.array(spread)
    order = np.argsort(values if metric in LOWER_IS_BETTER else -values, axis=0, kind="stable")
    place = np.argsort(order, axis=0)
    n_arms = len(panel.arms)
    shares = [[float((row == rank).mean()) for rank in range(n_arms)] for row in place]
    return pd.DataFrame(shares, index=[name for _, name in panel.arms], columns=range(1, n_arms + 1))


COMPONENTS = {
    "loss": ["study", "arm"],
    "fold": ["fold"],
    "patient": ["_patient"],
    "loss and patient": ["study", "arm", "_patient"],
    "network (seed)": ["study", "arm", "fold", "seed"],
    "network and patient": ["study", "arm", "fold", "seed", "_patient"],
    "epoch": ["study", "arm", "fold", "seed", "epoch"],
}
"""What a value of one patient in one epoch of one run is made of, and what tells the levels of each apart."""


def variance_shares(results: Results, metric: str = "dsc") -> pd.DataFrame:
    """How much of the spread of a patient's value comes from what.

    Of the model y = mean + loss + fold + patient + loss x patient + network + network x patient + epoch +
    rest, with random and independent effects, the variances are those that give the sums of squares that were
    found (Henderson's first method), whatever the numbers of patients in the folds.

    Args:
        results: Measured numbers; each row of `last` is one image in one epoch of one run.
        metric: Name in `metrics.OVERLAP`.

    Returns:
        One row per component and `rest`: `component, levels, variance` (not below 0), `sd` (in the metric's
        unit) and `share`. A component with a single level, or with the levels of another, is left out.
    """
    table = results.last.assign(_value=image_values(results.last, metric), _patient=patients(results.last))
    keys = [*COMPONENTS["epoch"], "_patient"]
    y = table.dropna(subset="_value").groupby(keys, sort=False)["_value"].mean().reset_index()
    codes, seen = {}, set()
    for name, columns in COMPONENTS.items():
        code = y.groupby(columns, sort=False).ngroup().to_numpy()
        if 1 < code.max() + 1 < len(y) and code.tobytes() not in seen:
            codes[name] = code
            seen.add(code.tobytes())
    variances = henderson(y["_value"].to_numpy(), codes)
    found = pd.DataFrame({"component": variances.keys(), "variance": np.maximum(0, list(variances.values()))})
    levels = [*(int(code.max()) + 1 for code in codes.values()), len(y)]
    sd, share = np.sqrt(found["variance"]), found["variance"] / found["variance"].sum()
    return found.assign(sd=sd, share=share)[["component", "variance", "sd", "share"]].assign(levels=levels)


def henderson(y: Float[np.ndarray, " n"], codes: dict[str, np.ndarray]) -> dict[str, float]:
    """Variance components from the expected sums of squares of random effects, balanced or not.

    For the groups g of factor j, T_j = sum_g n_g mean_g^2 has the expectation N mu^2 + sum_k v_k c_jk + v_e J
    with c_jk = sum_g (sum_h n_gh^2) / n_g, n_gh the number of values in group g of j and h of k, and J the
    number of groups. These, T of all values in one group, and the sum of squares are as many equations as
    unknowns.

    Args:
        y: The values.
        codes: For each factor the number of the group of every value, from 0.

    Returns:
        A variance for each factor, and for "rest"; a variance that is estimated to be below zero stays so.
    """
    one, every = np.zeros(len(y), dtype=int), np.arange(len(y))
    y = y - y.mean()  # loses no digits to a large mean
    factors = [one, *codes.values(), every]
    left = np.array([[_expected(j, k) for k in factors] for j in factors])
    right = np.array([_squares(y, j) for j in factors])
    solution = np.linalg.solve(left, right)
    return dict(zip([*codes, "rest"], map(float, solution[1:]), strict=True))


def _squares(y: np.ndarray, groups: np.ndarray) -> float:
    return float((np.bincount(groups, weights=y) ** 2 / np.bincount(groups)).sum())


def _expected(j: np.ndarray, k: np.ndarray) -> float:
    """c_jk; with k = one group it is N, the factor of mu^2."""
    width = int(k.max()) + 1
    both, n_both = np.unique(j.astype(np.int64) * width + k, return_counts=True)
    return float((n_both.astype(np.float64) ** 2 / np.bincount(j)[both // width]).sum())
