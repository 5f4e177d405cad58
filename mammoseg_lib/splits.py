"""Which image is trained on, which chooses the best epoch, which is tested on; written with a checksum.

Default: 5 folds in which every image is tested once and no patient is on two sides. Paper 000 instead
describes a random 80/10/10 division of images under the name of 5-fold cross-validation; repeated five
times, that tests fewer than half of the images and puts most tested patients into the training part as well.
002 has no test images at all, and 003 holds out a fifth of the patients before it makes its folds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from mammoseg_lib.datasets import DataError
from mammoseg_lib.storage import digest, write_json

N_FOLDS = 5
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Fold:
    """The sample ids of the three parts of one fold."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """All folds of one protocol."""

    protocol: str
    seed: int
    folds: tuple[Fold, ...]

    @property
    def checksum(self) -> str:
        """Digest of every part of every fold."""
        return digest(asdict(self))


def patient_folds(table: pd.DataFrame, seed: int = 0) -> Split:
    """Five folds grouped by patient; the validation part is drawn, by patient, from the training part.

    Images without a patient id (ultrasound) count as patients of their own.
    """
    ids, groups = table["sample_id"].to_numpy(str), patients(table).to_numpy(str)
    folds = []
    for rest, test in _by_patient(ids, groups, seed):
        # One eighth of the remaining 80 % is the 10 % of the whole that 000 validates on.
        inner = GroupShuffleSplit(1, test_size=1 / 8, random_state=seed)
        train, validation = (rest[part] for part in next(inner.split(rest, groups=groups[rest])))
        folds.append(_fold(ids, train, validation, test))
    return Split("patient_folds", seed, tuple(folds))


def repeated_holdout(table: pd.DataFrame, seed: int = 0) -> Split:
    """000's own words: images divided at random into 80/10/10, five times; patients are not kept together."""
    ids = table["sample_id"].to_numpy(str)
    random = np.random.default_rng(seed)
    ends = np.rint(np.array([0.8, 0.9]) * len(ids)).astype(int)
    folds = [_fold(ids, *np.split(random.permutation(len(ids)), ends)) for _ in range(N_FOLDS)]
    return Split("repeated_holdout", seed, tuple(folds))


def random_validation(table: pd.DataFrame, seed: int = 0) -> Split:
    """002: images at random, 80 % to train on and 20 % that both choose the epoch and are reported.

    What is reported for the epoch that looked best on the same images is better than on new ones. Fold i is
    the i-th such division.
    """
    ids = table["sample_id"].to_numpy(str)
    random = np.random.default_rng(seed)
    folds = []
    for _ in range(N_FOLDS):
        train, rest = np.split(random.permutation(len(ids)), [round(0.8 * len(ids))])
        folds.append(_fold(ids, train, rest, rest))
    return Split("random_validation", seed, tuple(folds))


def holdout_folds(table: pd.DataFrame, seed: int = 0) -> Split:
    """003: a fifth of the patients is tested by all folds; the others are divided into five validation parts.

    The five networks of the folds are averaged before they are tested, see `runs.evaluate`.
    """
    ids, groups = table["sample_id"].to_numpy(str), patients(table).to_numpy(str)
    rest, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(ids, groups=groups))
    inner = _by_patient(rest, groups[rest], seed)
    folds = [_fold(ids, rest[train], rest[validation], test) for train, validation in inner]
    return Split("holdout_folds", seed, tuple(folds))


def official(table: pd.DataFrame, seed: int = 0) -> Split:
    """The source's own training and test part (CBIS-DDSM); fold i validates on its own tenth, by patient.

    Raises:
        DataError: The source has no such division.
    """
    ids, groups = table["sample_id"].to_numpy(str), patients(table).to_numpy(str)
    part = table["split"].fillna("").to_numpy(str)
    rest, test = (np.flatnonzero(part == name) for name in ("train", "test"))
    if not (len(rest) and len(test)):
        raise DataError("column split", "holds no training or no test images: there is no official division")
    inner = GroupShuffleSplit(N_FOLDS, test_size=0.1, random_state=seed).split(rest, groups=groups[rest])
    folds = [_fold(ids, rest[train], rest[validation], test) for train, validation in inner]
    return Split("official", seed, tuple(folds))


PROTOCOLS: dict[str, Callable[[pd.DataFrame, int], Split]] = {
    "patient_folds": patient_folds,
    "repeated_holdout": repeated_holdout,
    "random_validation": random_validation,
    "holdout_folds": holdout_folds,
    "official": official,
}


def make_split(table: pd.DataFrame, protocol: str = "patient_folds", seed: int = 0) -> Split:
    """The split of a sample table by the protocol of that name."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol](table, seed)


def patients(table: pd.DataFrame) -> pd.Series:
    """The patient of each image; an image without one stands for itself."""
    return table["patient_id"].astype("object").fillna("image " + table["sample_id"].astype(str))


def shared_patients(table: pd.DataFrame, fold: Fold) -> set[str]:
    """The patients of the test part who are in the training or validation part as well."""
    of = dict(zip(table["sample_id"], patients(table), strict=True))
    return {of[i] for i in fold.test} & {of[i] for i in fold.train + fold.validation}


def write_split(split: Split, path: Path) -> None:
    """Write a split as JSON together with its checksum."""
    write_json(path, {"checksum": split.checksum, **asdict(split)})


def read_split(path: Path) -> Split:
    """Read a split.

    Raises:
        DataError: If the file is no split, or was changed after it was written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        checksum = content.pop("checksum")
        folds = tuple(Fold(**{part: tuple(fold[part]) for part in PARTS}) for fold in content.pop("folds"))
        split = Split(**content, folds=folds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"cannot be read as a split ({error!r})") from error
    if split.checksum != checksum:
        raise DataError(path, f"checksum is {split.checksum}, but the file says {checksum}: it was changed")
    return split


def _by_patient(ids: np.ndarray, groups: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of the larger and of the smaller part of every fold; no patient is in both."""
    if len(set(groups)) < N_FOLDS:
        raise ValueError(f"{len(set(groups))} patients are too few to be divided into {N_FOLDS} folds")
    return GroupKFold(N_FOLDS, shuffle=True, random_state=seed).split(ids, groups=groups)


def _fold(ids: np.ndarray, *parts: np.ndarray) -> Fold:
    return Fold(*(tuple(sorted(ids[part].tolist())) for part in parts))
