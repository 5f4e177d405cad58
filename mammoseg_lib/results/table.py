"""The tables of results, from complete runs and from shipped files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mammoseg_lib.results import shipped
from mammoseg_lib.results.differences import differences
from mammoseg_lib.runs import Run, find
from mammoseg_lib.settings import LABELS, RunConfig
from mammoseg_lib.studies import Study, load_study

IMAGE_LABELS = ("study", "arm", "method", "variant", "label", "fold", "seed")


@dataclass(frozen=True)
class Results:
    """What some runs gave.

    Attributes:
        runs: One row per run: `study, profile, paper, arm, method, variant, label, fold, seed`; `origin`
            ("this machine" or "shipped"), `current` (whether shipped numbers are of the code of today),
            `differs` (what was done otherwise than in the paper), and what `shipped.describe` gives:
            `identity, settings, code, data, loss, model, source, image_size, base_width, epochs, protocol,
            start, precision, device, minutes, best_epoch, commit, torch`.
        best: One row per run and test image: the labels, `sample_id, patient_id` and every metric of
            `metrics.per_image`, for the epoch that the validation images liked best.
        last: One row per run, epoch (the last ten) and test image: the labels, `epoch, sample_id, patient_id,
            tp, fp, fn, tn`.
        absent: The runs that neither this machine nor the shipped results have.
    """

    runs: pd.DataFrame
    best: pd.DataFrame
    last: pd.DataFrame
    absent: tuple[RunConfig, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every run that was asked for is there."""
        return not self.absent

    def only(self, **wanted: object) -> Results:
        """The rows with some values of the labels: `only(arm=["bce", "dice"], seed=0)`."""
        return Results(
            *(_filtered(table, wanted) for table in (self.runs, self.best, self.last)), self.absent
        )


def load_results(
    study: str | Path | Study,
    profile: str = "reduced",
    *,
    arms: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    **overrides: Mapping[str, object],
) -> Results:
    """The results of a study in a profile, as far as they are there. Trains nothing, needs no images.

    A run on this machine goes before a shipped one. A shipped row counts only if its settings are those that
    the study asks for today.

    Args:
        study: Its name, its file, or the study itself.
        profile: Name of one of its profiles.
        arms: See `Study.plan`.
        folds: Likewise.
        seeds: Likewise.
        **overrides: Likewise.
    """
    study = study if isinstance(study, Study) else load_study(study)
    configs = study.plan(profile, arms=arms, folds=folds, seeds=seeds, **overrides)
    return results_of(configs, shipped.read(study.name, profile))


def results_of(
    configs: Iterable[RunConfig], known: shipped.Shipped | None = None, runs: Mapping[int, Run] | None = None
) -> Results:
    """The results of some runs.

    Args:
        configs: What was asked for.
        known: Shipped results to look in for what this machine does not have.
        runs: Runs that are at hand, by the place of their configuration; else they are looked for.
    """
    absent, labels, found, configs = [], [], [], list(configs)
    # Arm by arm, in the order of the study, though they are trained seed by seed.
    place = {arm: number for number, arm in enumerate(dict.fromkeys(config.arm for config in configs))}
    for number, config in sorted(enumerate(configs), key=lambda each: place[each[1].arm]):
        run = runs.get(number) if runs is not None else find(config)
        tables = _of_run(run) if run is not None else known.of(config) if known is not None else None
        if tables is None:
            absent.append(config)
            continue
        tables["runs"]["differs"] = differences(config)
        labels.append(config.labels)
        found.append(tables)
    joined = {
        name: _joined([tables[name] for tables in found], labels, columns)
        for name, columns in (("runs", LABELS), ("best", IMAGE_LABELS), ("last", IMAGE_LABELS))
    }
    return Results(**joined, absent=tuple(absent))


def _joined(parts: Sequence[pd.DataFrame], labels: Sequence[dict], columns: Sequence[str]) -> pd.DataFrame:
    """The tables of some runs below each other, with some labels of each in front."""
    if not parts:
        return pd.DataFrame(columns=list(LABELS))
    rows = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    front = pd.DataFrame(labels)[list(columns)].iloc[rows].reset_index(drop=True)
    return pd.concat([front, pd.concat(parts, ignore_index=True)], axis=1)


def _of_run(run: Run) -> dict[str, pd.DataFrame]:
    best, last = (
        table.assign(patient_id=table["patient_id"].map(shipped.pseudonym, na_action="ignore"))
        for table in (run.per_image, run.last)
    )
    described = {"origin": shipped.HERE, "current": True, **shipped.describe(run)}
    return {"runs": pd.DataFrame([described]), "best": best, "last": last}


def _filtered(table: pd.DataFrame, wanted: Mapping[str, object]) -> pd.DataFrame:
    for name, values in wanted.items():
        values = values if isinstance(values, list | tuple | set) else [values]
        table = table[table[name].isin(values)]
    return table.reset_index(drop=True)
