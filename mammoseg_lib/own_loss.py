"""A loss of one's own, tried and trained beside the plain ones.

asked = properties(build_loss("my_loss.py:Mine"))       # what it does; see losses.properties
study = study_of("my_loss.py:Mine")                     # a study file of one's own, written and read
train_all(study.plan("demo"))                           # on phantoms
differences(load_results(study, "demo"))                # paired, with intervals
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from mammoseg_lib import reports
from mammoseg_lib.losses.own import is_own
from mammoseg_lib.reports.arms import Results
from mammoseg_lib.storage import atomic_file
from mammoseg_lib.studies import Study, load_study

LIKE = "own_loss"
"""The study that says what a loss of one's own is compared with."""

ARM = "mine"
"""What it is called in the study."""

SHOWN = ("difference", "difference_low", "difference_high")


def study_of(name: str, options: Mapping[str, object] | None = None, folder: Path | None = None) -> Study:
    """The study that trains a loss beside the plain ones, from a file that is written where there is none.

    The file has the name of the loss and its options, `my_loss.Mine-weight-2.yaml`, and is its reader's to
    change.

    Args:
        name: Of the loss, as `build_loss` takes it.
        options: Of the loss.
        folder: Where the file stands. None: beside the file of the loss, or else where one is.

    Raises:
        ValueError: There is such a file, and its loss is another, or has other options.
    """
    file, _, what = name.rpartition(":")
    here = file.endswith(".py")
    folder = folder or (Path(file).expanduser().parent if here else Path())
    stem = Path(file).stem if here else file
    told = "".join(f"-{key}-{value}" for key, value in (options or {}).items())
    path = folder / f"{'.'.join(filter(None, (stem, what)))}{told}.yaml"
    loss = {"name": _seen_from(folder, name), **(options or {})}
    if not path.exists():
        label = what + "".join(f", {key} {value}" for key, value in (options or {}).items())
        content = {
            "like": LIKE,
            "title": f"{label} against the plain losses",
            "own": {ARM: {"label": label, "loss": loss}},
            "methods": [*load_study(LIKE).file.methods, ARM],
        }
        with atomic_file(path) as partial:
            partial.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    study = load_study(path)
    found = study.method(ARM).loss
    if found != loss:
        raise ValueError(f"{path} has another loss, {found}, not {loss}: change it, or move it away")
    return study


def differences(results: Results) -> pd.DataFrame:
    """By how much the loss of one's own is better than each plain one, on the same patients, folds and seeds.

    Returns:
        One row per plain loss that has results: its `label`; `difference, difference_low, difference_high` of
        the pooled DSC in points, with a 95 % interval; and `common`, the folds and seeds that both have.
    """
    labels = dict(results.runs[["arm", "label"]].itertuples(index=False, name=None))
    rows = []
    for plain, label in labels.items():
        if plain == ARM or ARM not in labels:
            continue
        found = reports.ablation(results, plain, arms=[plain, ARM]).iloc[1]
        rows.append(
            {"label": label, **{name: 100 * found[name] for name in SHOWN}, "common": found["common"]}
        )
    return pd.DataFrame(rows, columns=["label", *SHOWN, "common"])


def _seen_from(folder: Path, name: str) -> str:
    """A loss in a file by the file's place as seen from the folder of its study."""
    file, _, what = name.rpartition(":")
    if not (is_own(name) and file.endswith(".py")):
        return name
    path = Path(file).expanduser().resolve()
    inside = path.is_relative_to(folder.resolve())
    return f"{path.relative_to(folder.resolve()) if inside else path}:{what}"
