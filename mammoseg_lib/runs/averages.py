"""Several trained networks as one: their probabilities averaged, on their own test images or on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from jaxtyping import Float

from mammoseg_lib import paths
from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.losses import build_loss
from mammoseg_lib.models import build_model
from mammoseg_lib.provenance import environment
from mammoseg_lib.runs.run import Run
from mammoseg_lib.runs.work import write_predictions
from mammoseg_lib.settings import Data, Training
from mammoseg_lib.storage import atomic_folder, digest, locked, write_json
from mammoseg_lib.training import Trainer, choose_device


def evaluate(
    runs: Sequence[Run],
    data: Data | None = None,
    *,
    method: str | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Run:
    """The mean probability of the networks of some runs, thresholded at .5, as a run of its own.

    003 averages the networks of its five folds so, on held-out images of its own data set (`data=None`) and
    on every image of another one.

    Args:
        runs: Complete runs that differ in nothing but the fold; one is enough.
        data: Images of a data set that none of them has seen, prepared to their size. None: the test part
            of the runs, which must be the same in all (protocol "holdout_folds").
        method: Id of the paper's method to record, where the paper lists this test under one of its own.
        device: As in `execute`.
        progress: Show progress while images are prepared.

    Returns:
        A run without training history, whose `config` names its `members` and what they were `trained_on`.

    Raises:
        ValueError: The runs are not of one kind, their test parts differ, or `data` is what they were trained
            on.
    """
    configs = [run.config for run in runs]
    if not runs or len({_kind(config) for config in configs}) > 1:
        raise ValueError("the networks that are averaged must be of one method and differ in the fold only")
    config = configs[0]
    trained_on = config["data"]
    if data is None:
        data, tested = Data.read(trained_on), _test_part(runs)
        prepared = data.prepare(progress=progress)
    elif (data.source, data.phantoms) == (trained_on["source"], trained_on["phantoms"]):
        raise ValueError(f"the networks were trained on {data.source}; give data=None for their test part")
    else:
        prepared = data.prepare(progress=progress)
        tested = tuple(prepared.table["sample_id"])
    members = sorted(run.config["identity"] for run in runs)
    name = digest({"members": members, "data": prepared.key, "tested": tested, "method": method})
    folder = paths.runs() / f"mean_of_{len(runs)}-{data.source}-{config['model']['name']}-{name}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f".partial-{folder.name}.lock")):
        if not folder.is_dir():
            test = SegmentationDataset(prepared, tested)
            probability = np.mean([_predict(run, test, device) for run in runs], axis=0)
            with atomic_folder(folder) as partial:
                record = {
                    **{key: value for key, value in config.items() if key not in ("settings", "code")},
                    "identity": name,
                    "method": method or config["method"],
                    "fold": ", ".join(str(each["fold"]) for each in configs),
                    "data": asdict(data),
                    "data_key": prepared.key,
                    "trained_on": trained_on,
                    "members": members,
                }
                write_json(partial / "config.json", record)
                write_json(partial / "environment.json", environment(device, torch.get_num_threads()))
                write_predictions(partial, test.table, test.masks, test.spacing_mm, probability)
    return Run(folder)


def averaged(runs: Sequence[Run], *, device: str = "auto") -> list[Run]:
    """The same runs, but those of protocol "holdout_folds" as the mean of their folds: what 003 reports."""
    groups: dict[tuple[bool, str], list[Run]] = {}
    for run in runs:
        together = run.config["data"]["protocol"] == "holdout_folds"
        groups.setdefault((together, _kind(run.config) if together else run.folder.name), []).append(run)
    return [
        evaluate(group, device=device) if together else group[0] for (together, _), group in groups.items()
    ]


def _kind(config: dict) -> str:
    """Everything of a configuration but the fold."""
    return digest({part: config[part] for part in ("loss", "model", "training", "data", "seed")})


def _test_part(runs: Sequence[Run]) -> tuple[str, ...]:
    parts = {tuple(run.per_image["sample_id"]) for run in runs}
    if len(parts) > 1:
        raise ValueError(
            "these folds test different images, of which the others have trained on some: only folds of the "
            'protocol "holdout_folds" can be averaged on their own test part'
        )
    return parts.pop()


def _predict(run: Run, test: SegmentationDataset, device: str) -> Float[np.ndarray, "n h w"]:
    """The probabilities that one network gives."""
    config = run.config
    # Its own weights replace whatever it started from, which need not be on this machine.
    options = {k: v for k, v in config["model"].items() if k not in ("weights", "weights_file")}
    trainer = Trainer(
        build_model(**options),
        build_loss(**config["loss"]),
        Training(**config["training"]),
        seed=config["seed"],
        device=choose_device(device),
        precision=config["precision"],
        normalization=run.normalization,
    )
    trainer.best = torch.load(run.folder / "weights.pt", map_location="cpu", weights_only=True)
    return trainer.predict(test)
