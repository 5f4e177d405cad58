"""Results that travel with the project: data/results/<study>.<profile>.csv, and where they came from.

One row per run and test image in the first file: the metrics of the epoch that validation liked best, and
the counts of each of the last ten epochs. One row per run in the second, `.runs.csv`: identity, settings,
commit, versions, processor, minutes. No image, no mask, and of patients only a number that tells them apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from mammoseg_lib import paths
from mammoseg_lib.results.reference import reference_state
from mammoseg_lib.runs import Run, find
from mammoseg_lib.runs.identity import settings_digest
from mammoseg_lib.settings import RunConfig
from mammoseg_lib.storage import atomic_file
from mammoseg_lib.studies import Study

KEYS = ["arm", "fold", "seed"]
DIGITS = 6
ORIGIN = [*KEYS, "settings", "identity", "reference", "device", "minutes"]  # what is asked for here
COUNTS = ("tp", "fp", "fn")
LASTS = tuple(f"last_{name}" for name in COUNTS)
TEXT = {"arm": str, "sample_id": str, "patient_id": str, **dict.fromkeys(LASTS, str)}
HERE, SHIPPED = "this machine", "shipped"


@dataclass(frozen=True)
class Shipped:
    """The shipped results of a study in a profile; both tables are empty where there are none."""

    study: str
    profile: str
    runs: pd.DataFrame
    images: pd.DataFrame

    def has(self, config: RunConfig) -> bool:
        """Whether a run is there."""
        return self._held(config) is not None

    def of(self, config: RunConfig) -> dict[str, pd.DataFrame] | None:
        """The tables of one run, without its labels, as of a run on this machine; None if it is not there."""
        if (found := self._held(config)) is None:
            return None
        held, key = found
        row = {name: value for name, value in held._rows[key].items() if name not in KEYS}
        current = row.pop("reference") == reference_state()
        images = held.images.iloc[held._places[key]]
        return {
            "runs": pd.DataFrame([{"origin": SHIPPED, "current": current, **row}]),
            "best": images[[name for name in images if name not in (*KEYS, "first_epoch", *LASTS)]],
            "last": _last(images),
        }

    def _held(self, config: RunConfig) -> tuple[Shipped, tuple] | None:
        """Which results hold a run, and its key in them.

        What another study shipped for the same settings is the same run under another name.
        """
        key, settings = _key(config), settings_digest(config)
        if key in self._rows and self._rows[key]["settings"] == settings:
            return self, key
        return _by_settings(self.profile, _state(self.profile)).get(settings)

    @cached_property
    def _rows(self) -> dict[tuple, dict]:
        return {tuple(row[name] for name in KEYS): row for row in self.runs.to_dict("records")}

    @cached_property
    def _places(self) -> dict[tuple, np.ndarray]:
        return self.images.groupby(list(KEYS), sort=False).indices


def _state(profile: str) -> tuple[tuple[Path, int], ...]:
    """The files of origin of all studies in a profile, and when each was written."""
    found = sorted(paths.results().glob(f"*.{profile}.runs.csv"))
    return tuple((path, path.stat().st_mtime_ns) for path in found)


@lru_cache(maxsize=4)
def _by_settings(profile: str, state: tuple[tuple[Path, int], ...]) -> dict[str, tuple[Shipped, tuple]]:
    """Every shipped run of a profile by the digest of its settings: the results that have it, and its key."""
    studies = [read(path.name.removesuffix(f".{profile}.runs.csv"), profile) for path, _ in state]
    return {row["settings"]: (each, key) for each in studies for key, row in each._rows.items()}


def files(study: str, profile: str) -> tuple[Path, Path]:
    """The file of the numbers and that of their origin."""
    stem = f"{study}.{profile}"
    return paths.results() / f"{stem}.csv", paths.results() / f"{stem}.runs.csv"


def read(study: str, profile: str) -> Shipped:
    """What is shipped for a study in a profile."""
    numbers, origin = files(study, profile)
    if not origin.exists():
        return Shipped(study, profile, pd.DataFrame(columns=ORIGIN), pd.DataFrame(columns=KEYS))
    return Shipped(
        study,
        profile,
        pd.read_csv(origin, dtype={"arm": str}, keep_default_na=False, na_values={"base_width": [""]}),
        pd.read_csv(numbers, dtype=TEXT),
    )


def add(study: Study, profile: str) -> int:
    """Add the complete runs of this machine to the shipped results; those there already are replaced.

    What was shipped with settings that the study no longer asks for is removed.

    Returns:
        How many runs were added or replaced.

    Raises:
        ValueError: The profile is one of phantoms.
    """
    old = read(study.name, profile)
    origins, numbers, added = [], [], 0
    for config in study.plan(profile):
        if config.data.phantoms:
            raise ValueError(
                f"{study.name}, {profile}: what phantoms give is made where it is read, not shipped"
            )
        key, run = _key(config), find(config)
        known = old._rows.get(key)
        if known is not None and known["settings"] != settings_digest(config):
            known = None
        if run is not None and (known is None or known["identity"] != run.config["identity"]):
            origins.append(_origin(config, run))
            numbers.append(_numbers(config, run))
            added += 1
        elif known is not None:
            origins.append(pd.DataFrame([known]))
            numbers.append(old.images.iloc[old._places[key]])
    if origins:
        for path, tables in zip(files(study.name, profile), (numbers, origins), strict=True):
            with atomic_file(path) as partial:
                pd.concat(tables, ignore_index=True).to_csv(partial, index=False)
    return added


def missing(study: Study, profile: str) -> list[RunConfig]:
    """The runs of a study that neither this machine nor the shipped results have, the most telling first."""
    known = read(study.name, profile)
    return [config for config in study.plan(profile) if find(config) is None and not known.has(config)]


def overview(studies: Sequence[Study], profile: str) -> pd.DataFrame:
    """What is there of some studies and what is missing.

    Returns:
        One row per study that has the profile: `study`, `shipped`, `here` (complete on this machine and not
        shipped), `missing`, and `minutes`: what the missing ones would take on one core, by the median of the
        shipped runs that were made on one, or as the study guesses.
    """
    rows = []
    for study in studies:
        if profile not in study.file.profiles:
            continue
        known, absent = read(study.name, profile), missing(study, profile)
        configs = study.plan(profile)
        shipped = sum(map(known.has, configs))
        measured = known.runs[known.runs["device"] == "cpu"]["minutes"] if len(known.runs) else []
        each = float(measured.median()) if len(measured) else study.profile(profile).minutes
        here = len(configs) - shipped - len(absent)
        rows.append((study.name, shipped, here, len(absent), round(each * len(absent))))
    return pd.DataFrame(rows, columns=["study", "shipped", "here", "missing", "minutes"])


def check(study: Study, profile: str) -> list[str]:
    """What is wrong with the shipped results of a study; an empty list if nothing is.

    Every row must be of a run that the study asks for, with its settings of today, once, with the counts of
    as many epochs for every image; and the code must give the reference numbers that they were stored with.
    """
    shipped, wrong = read(study.name, profile), []
    planned = {_key(config): settings_digest(config) for config in study.plan(profile)}
    keys = list(shipped.runs[KEYS].itertuples(index=False, name=None))
    for key, settings, reference in zip(
        keys, shipped.runs["settings"], shipped.runs["reference"], strict=True
    ):
        name = "{}, fold {}, seed {}".format(*key)
        if planned.get(key) != settings:
            wrong.append(f"{name}: not of the settings that the study asks for today")
        if reference != reference_state():
            wrong.append(f"{name}: measured with code that gave other numbers")
        images = shipped.images[(shipped.images[KEYS] == list(key)).all(axis=1)]
        if images.empty or images["sample_id"].duplicated().any():
            wrong.append(f"{name}: an image is absent or there twice")
        if len({len(text.split()) for name in LASTS for text in images[name]}) > 1:
            wrong.append(f"{name}: the last epochs differ in number")
    if len(set(keys)) != len(keys):
        wrong.append("a run is there twice")
    if extra := set(shipped.images[KEYS].itertuples(index=False, name=None)) - set(keys):
        wrong.append(f"{len(extra)} runs have numbers but no origin")
    return wrong


def describe(run: Run) -> dict:
    """What a run was and where it came from, as one row."""
    config, machine = run.config, run.environment
    data, loss = config["data"], config["loss"]["name"]
    return {
        "identity": config["identity"],
        "settings": config["settings"],
        "code": config["code"],
        "data": config["data_key"],
        "loss": loss if isinstance(loss, str) else "several",
        "model": config["model"]["name"],
        "source": data["source"] + (" phantoms" if data["phantoms"] else " (real)"),
        "image_size": data["preprocessing"]["size"],
        "base_width": config["model"].get("base_width"),
        "epochs": config["training"]["epochs"],
        "protocol": data["protocol"],
        "start": config["start"]["weights"],
        "precision": config["precision"],
        "device": machine["device"],
        "minutes": machine["minutes"],
        "best_epoch": int(run.history["val_dsc"].to_numpy().argmax()) + 1,
        "commit": machine["commit"],
        "torch": machine["packages"]["torch"],
    }


def _key(config: RunConfig) -> tuple[str, int, int]:
    return config.arm, config.fold, config.seed


def _origin(config: RunConfig, run: Run) -> pd.DataFrame:
    row = {**dict(zip(KEYS, _key(config), strict=True)), **describe(run), "reference": reference_state()}
    return pd.DataFrame([row])


def _numbers(config: RunConfig, run: Run) -> pd.DataFrame:
    """One row per test image: all metrics of the best epoch, and the counts of the last epochs."""
    best = run.per_image
    last = run.last.pivot_table(list(COUNTS), "sample_id", "epoch").astype(int)
    texts = {f"last_{name}": last[name].apply(lambda row: " ".join(map(str, row)), axis=1) for name in COUNTS}
    table = best.assign(
        patient_id=best["patient_id"].map(pseudonym, na_action="ignore"),
        first_epoch=int(run.last["epoch"].min()),
        **{name: best["sample_id"].map(text) for name, text in texts.items()},
    )
    numbers = table.select_dtypes("floating").columns
    table[numbers] = table[numbers].round(DIGITS)
    key = dict(zip(KEYS, _key(config), strict=True))
    return table.assign(**key)[[*KEYS, *table.columns]]


def pseudonym(patient: str) -> str:
    """Tells patients apart without the id of the release; shipped and here alike, so that both pair."""
    return "p" + hashlib.sha256(patient.encode()).hexdigest()[:8]


def _last(images: pd.DataFrame) -> pd.DataFrame:
    """One row per epoch and image, from the counts that are stored as texts."""
    n = len(images)
    texts = {name: " ".join(images[f"last_{name}"]).split() for name in COUNTS}
    counts = {name: np.array(numbers, int).reshape(n, -1) for name, numbers in texts.items()}
    epochs = counts["tp"].shape[1]
    pixels = images[["tp", "fp", "fn", "tn"]].sum(axis=1).to_numpy()[:, None]
    counts["tn"] = pixels - sum(counts.values())
    return pd.DataFrame(
        {
            "epoch": (images["first_epoch"].to_numpy() + np.arange(epochs)[:, None]).ravel(),
            "sample_id": np.tile(images["sample_id"], epochs),
            "patient_id": np.tile(images["patient_id"], epochs),
            **{name: values.T.ravel() for name, values in counts.items()},
        }
    )
