"""Which image is trained on, which chooses the best epoch, which is tested on; written with a checksum.

Default: 5 folds in which every image is tested once, and neither a patient nor a picture that the data set
holds twice (`preprocessing.duplicates`) is on two sides. Paper 000 instead describes 80/10/10 of the images
at random under the name of 5-fold cross-validation; repeated five times, that tests fewer than half of them
and puts most tested patients into the training part as well. 002 has no test images at all, and 003 holds
out a fifth of the patients before it makes its folds. The protocols of `SEPARATES` divide as the papers
say, and may put patients and near-duplicates on two sides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from mammoseg_lib.checks import check_name
from mammoseg_lib.datasets import DataError
from mammoseg_lib.preprocessing.duplicates import connected
from mammoseg_lib.storage import digest, write_json

N_FOLDS = 5
PARTS = ("train", "validation", "test")


@runtime_checkable
class Images(Protocol):
    """What is divided: a `PreparedSet`, or anything with its table and its groups of near-duplicates."""

    table: pd.DataFrame
    duplicates: tuple[tuple[str, ...], ...]


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


def patient_folds(table: pd.DataFrame, groups: Sequence[str], seed: int) -> Iterator[Fold]:
    """Five folds in which no group is divided; the validation part is drawn from the training part.

    Images without a patient id (ultrasound) count as patients of their own.
    """
    ids, groups = table["sample_id"].to_numpy(str), np.asarray(groups)
    for rest, test in _by_group(ids, groups, seed):
        # One eighth of the remaining 80 % is the 10 % of the whole that 000 validates on.
        inner = _draws(rest, groups[rest], 1, 1 / 8, seed)
        train, validation = (rest[part] for part in next(inner))
        yield _fold(ids, train, validation, test)


def repeated_holdout(table: pd.DataFrame, groups: Sequence[str], seed: int) -> Iterator[Fold]:
    """000's own words: images divided at random into 80/10/10, five times; no group is kept together."""
    ids = table["sample_id"].to_numpy(str)
    random = np.random.default_rng(seed)
    ends = np.rint(np.array([0.8, 0.9]) * len(ids)).astype(int)
    for _ in range(N_FOLDS):
        yield _fold(ids, *np.split(random.permutation(len(ids)), ends))


def random_validation(table: pd.DataFrame, groups: Sequence[str], seed: int) -> Iterator[Fold]:
    """002: images at random, 80 % to train on and 20 % that both choose the epoch and are reported.

    What is reported for the epoch that looked best on the same images is better than on new ones; and no
    group is kept together, so that some have a twin in the training part. Fold i is the i-th such division.
    """
    yield from _validations(table, table["sample_id"].tolist(), seed)


def grouped_validation(table: pd.DataFrame, groups: Sequence[str], seed: int) -> Iterator[Fold]:
    """The divisions of `random_validation`, but for groups: each is where its first image falls."""
    yield from _validations(table, groups, seed)


def holdout_folds(table: pd.DataFrame, groups: Sequence[str], seed: int) -> Iterator[Fold]:
    """003: a fifth of the patients is tested by all folds; the others are divided into five validation parts.

    The five networks of the folds are averaged before they are tested, see `runs.evaluate`.
    """
    ids, groups = table["sample_id"].to_numpy(str), np.asarray(groups)
    rest, test = next(_draws(ids, groups, 1, 0.2, seed))
    for train, validation in _by_group(rest, groups[rest], seed):
        yield _fold(ids, rest[train], rest[validation], test)


def official(table: pd.DataFrame, groups: Sequence[str], seed: int) -> Iterator[Fold]:
    """The source's own training and test part (CBIS-DDSM); fold i validates on its own tenth, by group.

    Raises:
        DataError: The source has no such division.
    """
    ids, groups = table["sample_id"].to_numpy(str), np.asarray(groups)
    part = table["split"].fillna("").to_numpy(str)
    rest, test = (np.flatnonzero(part == name) for name in ("train", "test"))
    if not (len(rest) and len(test)):
        raise DataError("column split", "holds no training or no test images: there is no official division")
    for train, validation in _draws(rest, groups[rest], N_FOLDS, 0.1, seed):
        yield _fold(ids, rest[train], rest[validation], test)


PROTOCOLS: dict[str, Callable[[pd.DataFrame, Sequence[str], int], Iterator[Fold]]] = {
    "patient_folds": patient_folds,
    "repeated_holdout": repeated_holdout,
    "random_validation": random_validation,
    "grouped_validation": grouped_validation,
    "holdout_folds": holdout_folds,
    "official": official,
}
SEPARATES = {
    "repeated_holdout": "000's own division, at random by image: patients are on both sides",
    "random_validation": "002's own division, at random by image: near-duplicates are on both sides",
    "official": "the data set's own training and test part: near-duplicates may be on both sides",
}
"""What to say of a protocol that may divide a group; the others never do."""


def make_split(images: Images, protocol: str = "patient_folds", seed: int = 0) -> Split:
    """The split of prepared images by the protocol of that name.

    Images of one patient, and images that are near-duplicates of each other, form a group, and so do those
    that are joined over others. Protocols keep groups on one side, but for those of `SEPARATES`.

    Raises:
        ValueError: If there is no such protocol, or there are fewer groups than it makes folds.
        DataError: If the protocol is "official" and the source has no division of its own.
    """
    check_name("protocol", protocol, PROTOCOLS)
    return Split(protocol, seed, tuple(PROTOCOLS[protocol](images.table, kept_together(images), seed)))


def kept_together(images: Images) -> list[str]:
    """The group of each image, by the patient of its first one in the table."""
    ids, names = images.table["sample_id"].tolist(), patients(images.table).tolist()
    position = {name: place for place, name in enumerate(ids)}
    of_patient: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        of_patient.setdefault(name, []).append(place)
    twins = [[position[name] for name in group] for group in images.duplicates]
    pairs = [pair for group in (*of_patient.values(), *twins) for pair in pairwise(group)]
    first: dict[int, str] = {}
    return [
        first.setdefault(label, name) for label, name in zip(connected(len(ids), pairs), names, strict=True)
    ]


def patients(table: pd.DataFrame) -> pd.Series:
    """The patient of each image; an image without one stands for itself."""
    return table["patient_id"].astype("object").fillna("image " + table["sample_id"].astype(str))


def shared_patients(table: pd.DataFrame, fold: Fold) -> set[str]:
    """The patients of the test part who are in the training or validation part as well."""
    of = dict(zip(table["sample_id"], patients(table), strict=True))
    return {of[i] for i in fold.test} & {of[i] for i in fold.train + fold.validation}


def shared_duplicates(images: Images, fold: Fold) -> list[tuple[str, ...]]:
    """The near-duplicates of which the test part has some and the training or validation part others."""
    tested, seen = set(fold.test), {*fold.train, *fold.validation} - set(fold.test)
    return [group for group in images.duplicates if tested & set(group) and seen & set(group)]


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


def check_checksum(split: Split, recorded: str, path: Path) -> None:
    """Raise DataError unless a split is the one that a record speaks of: nothing else may be resumed or read.

    Args:
        split: As it is now.
        recorded: The checksum that was written with what was made from it.
        path: What it was written in, for the message.
    """
    if split.checksum != recorded:
        raise DataError(
            path,
            f"was made with another split (checksum {recorded}) than protocol {split.protocol!r} with seed "
            f"{split.seed} gives now ({split.checksum}): its training and test images are not these",
        )


def _by_group(ids: np.ndarray, groups: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of the larger and of the smaller part of every fold; no group is in both."""
    if len(set(groups)) < N_FOLDS:
        what = "patients, images without one and groups of near-duplicates"
        raise ValueError(f"{len(set(groups))} {what} are too few to be divided into {N_FOLDS} folds")
    from sklearn.model_selection import GroupKFold  # takes a second, and few who import this divide anything

    return GroupKFold(N_FOLDS, shuffle=True, random_state=seed).split(ids, groups=groups)


def _draws(
    ids: np.ndarray, groups: np.ndarray, times: int, share: float, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of what is left and of a share of the groups, drawn several times from all of them."""
    from sklearn.model_selection import GroupShuffleSplit

    return GroupShuffleSplit(times, test_size=share, random_state=seed).split(ids, groups=groups)


def _validations(table: pd.DataFrame, groups: Sequence[str], seed: int) -> Iterator[Fold]:
    """Five times 80 % and 20 % of a random order, in which the images of a group follow its first one."""
    ids, groups = table["sample_id"].to_numpy(str), np.asarray(groups)
    random = np.random.default_rng(seed)
    n_train = round(0.8 * len(ids))
    for _ in range(N_FOLDS):
        order = random.permutation(len(ids))
        first = {group: place for place, group in reversed(list(enumerate(groups[order])))}
        order = order[np.argsort([first[group] for group in groups[order]], kind="stable")]
        end = n_train
        while 0 < end < len(ids) and groups[order[end - 1]] == groups[order[end]]:
            end += 1
        yield _fold(ids, order[:end], order[end:], order[end:])


def _fold(ids: np.ndarray, *parts: np.ndarray) -> Fold:
    return Fold(*(tuple(sorted(ids[part].tolist())) for part in parts))
