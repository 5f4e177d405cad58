"""Which arms there are in measured numbers, and on which folds and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import pandas as pd

Arm = tuple[str, str]
REST = ".rest"
"""A study of this ending holds further arms of the study before it, run in the same way."""


@runtime_checkable
class Results(Protocol):
    """Measured numbers: a row for each run, and for each of its test images."""

    runs: pd.DataFrame
    best: pd.DataFrame
    last: pd.DataFrame


class NotRunError(ValueError):
    """An arm is not there, or not on any fold and seed that the others have.

    Attributes:
        missing: Which, as "study: arm".
    """

    def __init__(self, missing: Sequence[str], reason: str):
        super().__init__(f"{reason}: {', '.join(missing)}")
        self.missing = tuple(missing)


def find_arm(results: Results, arm: str | Arm) -> Arm:
    """The pair of study and arm that is meant; a NotRunError if there is none."""
    known = results.runs[["study", "arm"]].drop_duplicates()
    if isinstance(arm, str):
        studies = known.loc[known["arm"] == arm, "study"].tolist()
        if len(studies) > 1:
            raise ValueError(f"arm {arm!r} is in {' and '.join(studies)}; give a pair of study and arm")
        if not studies:
            raise NotRunError([arm], "not run")
        return studies[0], arm
    pairs = set(known.itertuples(index=False, name=None))
    study, name = arm
    for pair in ((study, name), (study + REST, name)):
        if pair in pairs:
            return pair
    raise NotRunError([f"{study}: {name}"], "not run")


def rows_of(table: pd.DataFrame, arm: Arm) -> pd.DataFrame:
    """The rows of an arm."""
    return table[(table["study"] == arm[0]) & (table["arm"] == arm[1])]


def networks_of(table: pd.DataFrame, arm: Arm) -> set[tuple[int, int]]:
    """The folds and seeds that an arm has."""
    return set(rows_of(table, arm)[["fold", "seed"]].drop_duplicates().itertuples(index=False, name=None))


def common(runs: list[set[tuple[int, int]]]) -> tuple[list[int], list[int]]:
    """The most folds that all arms have with one seed, and all seeds with which they have these folds."""
    shared = set.intersection(*runs)
    by_seed = {seed: {f for f, s in shared if s == seed} for _, seed in shared}
    if not by_seed:
        return [], []
    folds = max((by_seed[seed] for seed in sorted(by_seed)), key=len)
    return sorted(folds), sorted(seed for seed, own in by_seed.items() if own >= folds)


def plural(number: int, noun: str) -> str:
    """Such as "1 fold" and "5 folds"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
