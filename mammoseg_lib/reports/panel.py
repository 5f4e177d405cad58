"""Arms of studies as arrays of counts, on the folds and seeds that they share, and their resamples.

A resample draws patients with replacement and, for every fold, the networks (seeds) whose predictions stand
for it. All arms of a panel are resampled alike, so that differences between them are paired.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from mammoseg_lib.metrics import COUNTS, OVERLAP, overlap
from mammoseg_lib.reports.arms import Arm, NotRunError, Results, common, find_arm, networks_of, rows_of
from mammoseg_lib.splits import patients

At = Literal["last", "best"]
SD = "_sd"
"""A metric of this ending is the standard deviation over images."""


class Panel:
    """The runs of some arms on the folds and seeds that all of them have.

    Args:
        results: Measured numbers.
        arms: Names of arms, where the results are of one study; or pairs of study and arm. An arm that a
            study lacks is looked for in the study of that name that ends in ".rest".
        n: Resamples.
        seed: Of the resampling.

    Attributes:
        arms: Pairs of study and arm, in the order given.
        folds: The folds that all arms have, with the same seeds.
        seeds: The seeds that all arms have on all these folds.

    Raises:
        NotRunError: An arm has no run, or none on a fold and seed that the others have.
        ValueError: An image is there twice in one epoch of one run, or is of two patients.
    """

    def __init__(self, results: Results, arms: Iterable[str | Arm], *, n: int = 2000, seed: int = 0):
        self._results, self.n, self._seed = results, n, seed
        asked = list(dict.fromkeys(arms))
        self.arms = tuple(find_arm(results, arm) for arm in asked)
        self._place = {key: i for i, arm in enumerate(self.arms) for key in (asked[i], arm)}
        runs = [networks_of(results.runs, arm) for arm in self.arms]
        self.folds, self.seeds = common(runs)
        if not self.folds:
            raise NotRunError([": ".join(arm) for arm in self.arms], "no fold and seed in common")

    @property
    def n_networks(self) -> int:
        """Networks of one arm: folds times seeds."""
        return len(self.folds) * len(self.seeds)

    @cached_property
    def patients(self) -> list[str]:
        """Patients who are tested in some arm; an image without a patient counts as one."""
        return sorted(set(self._rows("last")["_patient"]))

    def images(self, arm: str | Arm) -> set[str]:
        """The images that an arm is tested on."""
        table = self._rows("last")
        return set(table.loc[table["_arm"] == self.index(arm), "sample_id"])

    def index(self, arm: str | Arm) -> int:
        """The place of an arm; a NotRunError if the panel does not hold it."""
        if arm not in self._place:
            raise NotRunError([": ".join(arm) if isinstance(arm, tuple) else arm], "not in this panel")
        return self._place[arm]

    def left_out(self, arms: Iterable[str | Arm], metric: str, at: At) -> float:
        """The share of tested images, over the networks of some arms, that have no value of a metric."""
        places = [self.index(arm) for arm in arms]
        table = self._rows(at)
        tested = table[table["_arm"].isin(places)].groupby(["_arm", "_network", "sample_id"]).ngroups
        return 1 - float(self._sums(metric, "macro", at)[places, ..., 1].sum()) / tested

    def values(
        self, arm: str | Arm, metric: str, average: str, at: At, weights: str | int
    ) -> Float[np.ndarray, " n"]:
        """One value of an arm for each set of weights.

        Micro: for each slot of networks and each epoch the pixels of all folds are pooled; macro: the mean
        over images of the mean over epochs. Then the mean over epochs and slots.

        Args:
            arm: Which.
            metric: Name in `metrics.OVERLAP`, or for `at="best"` another column of the metrics per image;
                with "_sd" its standard deviation over images.
            average: "micro" or "macro".
            at: "last": the last epochs; "best": the epoch that validation liked best.
            weights: "whole", "resamples" or "without_a_fold"; or a number: resamples of so many patients,
                with one network a fold, as of somebody who tested so many and trained once.
        """
        if average == "micro" and metric not in OVERLAP:
            raise ValueError(f"{metric} has no micro average: it is no ratio of pixels")
        kind = average if average == "micro" else metric
        store, key = self.__dict__.setdefault("_slots", {}), (self.index(arm), kind, at, weights)
        if key not in store:
            sums = self._sums(metric, average, at)[self.index(arm)]
            drawn = self._draw(weights, 1) if isinstance(weights, int) else getattr(self, weights)
            store[key] = weighted_sums(sums, *drawn)
        slots = store[key]
        if average == "micro":
            value = overlap(*np.moveaxis(slots, -1, 0))[metric]
        else:
            value = (_deviation if metric.endswith(SD) else _ratio)(slots)
        return _mean(value.reshape(len(slots), -1))

    @cached_property
    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights of the panel as it is: every patient once, a slot for every seed."""
        v = np.zeros((1, len(self.seeds), len(self.folds), len(self.seeds)))
        for slot in range(len(self.seeds)):
            v[0, slot, :, slot] = 1
        return np.ones((1, len(self.patients))), v.reshape(1, len(self.seeds), self.n_networks)

    @cached_property
    def without_a_fold(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights that leave out one fold each."""
        w, v = self.whole
        n_folds = len(self.folds)
        v = np.repeat(v.reshape(1, len(self.seeds), n_folds, len(self.seeds)), n_folds, axis=0)
        v[np.arange(n_folds), :, np.arange(n_folds), :] = 0
        return np.repeat(w, n_folds, axis=0), v.reshape(n_folds, len(self.seeds), self.n_networks)

    @cached_property
    def resamples(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights of `n` resamples of the patients and of each fold's networks together.

        Of S > 1 seeds S - 1 are drawn with replacement, independently for each fold: the variance of a mean
        of S - 1 draws is what an unbiased estimate from S values gives. Of a single seed nothing can be
        drawn.
        """
        return self._draw(len(self.patients), max(1, len(self.seeds) - 1))

    def _draw(self, n_patients: int, slots: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(self._seed)
        n_known, n_seeds = len(self.patients), len(self.seeds)
        w = rng.multinomial(n_patients, np.full(n_known, 1 / n_known), size=self.n)
        drawn = rng.integers(n_seeds, size=(self.n, slots, len(self.folds)))
        v = drawn[..., None] == np.arange(n_seeds)
        return w.astype(np.float64), v.astype(np.float64).reshape(self.n, slots, self.n_networks)

    def _rows(self, at: At) -> pd.DataFrame:
        """The rows of all arms, with the place of their arm, network and epoch (0 is the last)."""
        store = self.__dict__.setdefault("_tables", {})
        if at not in store:
            store[at] = self._select(at)
        return store[at]

    def _select(self, at: At) -> pd.DataFrame:
        table = self._results.last if at == "last" else self._results.best.assign(epoch=0)
        labels = ["study", "arm", "method", "variant", "label"]  # texts, which cost more than all else
        parts = [
            rows_of(table, arm).drop(columns=labels, errors="ignore").assign(_arm=number)
            for number, arm in enumerate(self.arms)
        ]
        table = pd.concat(parts, ignore_index=True)
        grid = pd.MultiIndex.from_product([self.folds, self.seeds])
        table["_network"] = grid.get_indexer(pd.MultiIndex.from_frame(table[["fold", "seed"]]))
        table = table[table["_network"] >= 0].copy()
        run = table.groupby(["_arm", "_network"], sort=False)["epoch"]
        table["_epoch"] = run.rank(method="dense", ascending=False).astype(int) - 1
        n_epochs = int(table.groupby(["_arm", "_network"])["_epoch"].max().min()) + 1
        table = table[table["_epoch"] < n_epochs]
        twice = table.duplicated(["_arm", "_network", "_epoch", "sample_id"])
        if twice.any():
            row = table[twice].iloc[0]
            raise ValueError(
                f"arm {self.arms[row['_arm']][1]!r}: image {row['sample_id']!r} is there twice in fold "
                f"{row['fold']} of seed {row['seed']}"
            )
        table = table.assign(_patient=patients(table))
        pairs = table[["sample_id", "_patient"]].drop_duplicates()
        if (several := pairs["sample_id"].duplicated()).any():
            image = pairs.loc[several, "sample_id"].iloc[0]
            raise ValueError(f"image {image!r} is of two patients: their names differ between the runs")
        return table

    def _sums(
        self, metric: str, average: str, at: At
    ) -> Float[np.ndarray, "arms networks epochs patients c"]:
        """What is added up over patients: the four counts, or the values of images and their number."""
        key = (at, "micro" if average == "micro" else metric)
        store = self.__dict__.setdefault("_arrays", {})
        if key not in store:
            store[key] = self._counts(at) if average == "micro" else self._image_values(metric, at)
        return store[key]

    def _counts(self, at: At) -> np.ndarray:
        table = self._rows(at)
        n_epochs = int(table["_epoch"].max()) + 1
        sums = np.zeros((len(self.arms), self.n_networks, n_epochs, len(self.patients), len(COUNTS)))
        place = tuple(table[name].to_numpy() for name in ("_arm", "_network", "_epoch"))
        np.add.at(sums, (*place, self._patient_codes(table)), table[list(COUNTS)].to_numpy(np.float64))
        return sums

    def _image_values(self, metric: str, at: At) -> np.ndarray:
        table = self._rows(at)
        value = image_values(table, metric.removesuffix(SD))
        image = table.assign(_value=value, _code=self._patient_codes(table))
        # An image's value is the mean over epochs; one without a value in any epoch is left out.
        mean = image.groupby(["_arm", "_network", "_code", "sample_id"], sort=False)["_value"].mean()
        mean = mean.dropna().reset_index()
        sums = np.zeros((len(self.arms), self.n_networks, 1, len(self.patients), 3))
        place = (mean["_arm"].to_numpy(), mean["_network"].to_numpy(), 0, mean["_code"].to_numpy())
        value = mean["_value"].to_numpy()
        np.add.at(sums, place, np.column_stack([value, np.ones(len(mean)), value**2]))
        return sums

    def _patient_codes(self, table: pd.DataFrame) -> Int[np.ndarray, " rows"]:
        codes = pd.Index(self.patients).get_indexer(table["_patient"])
        if (codes < 0).any():
            raise ValueError("the best epochs are of other patients than the last ones")
        return codes


def image_values(table: pd.DataFrame, metric: str) -> Float[np.ndarray, " rows"]:
    """A metric of every row of a table of images; NaN where it is undefined.

    A prediction without a component has no number of components: finding nothing is fewer, but not better.
    """
    if metric in OVERLAP:
        return overlap(**{name: table[name].to_numpy(np.float64) for name in COUNTS})[metric]
    if metric not in table:
        raise ValueError(
            f"metric={metric!r} is not measured; there are {', '.join(OVERLAP)} and what `best` holds"
        )
    values = table[metric].to_numpy(np.float64)
    return np.where(values == 0, np.nan, values) if metric == "components" else values


def weighted_sums(
    sums: Float[np.ndarray, "networks epochs patients c"],
    w: Float[np.ndarray, "n patients"],
    v: Float[np.ndarray, "n slots networks"],
) -> Float[np.ndarray, "n slots epochs c"]:
    """Sums over patients and networks, each as often as its weight says, for each set of weights."""
    n_networks, n_epochs, _, n_columns = sums.shape
    by_network = np.zeros((len(w), n_networks, n_epochs * n_columns))
    for network, own in enumerate(sums):
        # A network is tested on the patients of its fold only.
        tested = np.flatnonzero(own.any(axis=(0, 2)))
        if len(tested):
            by_network[:, network] = w[:, tested] @ own[:, tested].swapaxes(0, 1).reshape(len(tested), -1)
    return (v @ by_network).reshape(len(w), -1, n_epochs, n_columns)


def _ratio(sums: np.ndarray) -> np.ndarray:
    total, number = sums[..., 0], sums[..., 1]
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def _deviation(sums: np.ndarray) -> np.ndarray:
    """The standard deviation over images, with n - 1."""
    total, number, squares = np.moveaxis(sums, -1, 0)
    enough = number > 1
    rest = squares - np.divide(total**2, number, out=np.zeros_like(total), where=enough)
    variance = np.divide(rest, number - 1, out=np.full_like(total, np.nan), where=enough)
    return np.sqrt(np.maximum(variance, 0))


def _mean(values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """The mean of what is defined."""
    defined = ~np.isnan(values)
    total, count = np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
