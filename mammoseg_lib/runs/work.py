"""Executing a run.

A run is worked on in a folder of another name and gets its own when it is complete. Killed at any moment,
the next start goes on from the last epoch that was kept; a complete run is never trained twice.
"""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from mammoseg_lib import paths
from mammoseg_lib.augmentation import build_augmentation
from mammoseg_lib.losses import build_loss
from mammoseg_lib.models import build_model
from mammoseg_lib.parallel import without_script
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.provenance import environment
from mammoseg_lib.runs.identity import folder_name, identity, run_code, settings_digest
from mammoseg_lib.runs.run import Run, find
from mammoseg_lib.runs.trained import Trained, train_and_test
from mammoseg_lib.settings import RunConfig
from mammoseg_lib.splits import Split, check_checksum, make_split, read_split, write_split
from mammoseg_lib.storage import atomic_file, locked, write_json, write_tensors
from mammoseg_lib.training import choose_device, choose_precision


def execute(
    config: RunConfig,
    *,
    device: str = "auto",
    workers: int = 0,
    deadline: float | None = None,
    progress: bool = False,
) -> Run:
    """Train and test, or return at once the run that is complete already.

    Args:
        config: What to do.
        device: "cpu", "cuda", or "auto" for an accelerator where there is one.
        workers: Processes that alter training images, where the configuration says that they are altered.
        deadline: When to stop and keep what was done, as `time.monotonic()` counts.
        progress: Show a progress bar.

    Raises:
        TrainingError: The loss became infinite or not a number.
        OutOfTimeError: The deadline passed before the last epoch.
    """
    if (run := find(config)) is not None:
        return run
    place = choose_device(device)
    precision = choose_precision(config.training.precision, place)
    prepared = config.data.prepare(progress=progress)
    name = identity(config, prepared.key, precision)
    folder = paths.runs() / folder_name(config, name)
    partial = folder.with_name(f".partial-{folder.name}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with locked(partial.with_name(f"{partial.name}.lock")):  # a name of one's own loss holds dots
        if not folder.is_dir():
            partial.mkdir(exist_ok=True)
            for leftover in partial.glob(".*"):  # half-written files of a killed process
                leftover.unlink()
            started = time.perf_counter()
            split, model, trained = _train(
                config, prepared, partial, place, precision, workers, deadline, progress
            )
            record = {
                **asdict(config),
                "identity": name,
                "settings": settings_digest(config),
                "code": run_code(config),
                "data_key": prepared.key,
                "split_checksum": split.checksum,
                "precision": precision,
                "start": model.start,
                "normalization": trained.trainer.normalization,
            }
            minutes = _minutes(partial, time.perf_counter() - started)
            _write(partial, record, trained, minutes, place)
            (partial / "checkpoint.pt").unlink(missing_ok=True)
            (partial / "minutes.json").unlink()
            partial.rename(folder)
    return Run(folder)


def _train(
    config: RunConfig,
    prepared: PreparedSet,
    folder: Path,
    device: torch.device,
    precision: str,
    workers: int,
    deadline: float | None,
    progress: bool,
) -> tuple[Split, torch.nn.Module, Trained]:
    split = _divided(config, prepared, folder / "split.json")
    torch.manual_seed(config.seed)
    model, loss = build_model(**config.model), build_loss(**config.loss)
    started = time.perf_counter()
    try:
        with without_script() if workers else nullcontext():
            trained = train_and_test(
                model,
                loss,
                prepared,
                split.folds[config.fold],
                config.training,
                seed=config.seed,
                device=device,
                precision=precision,
                augment=build_augmentation(config.training.augmentation, config.data.preprocessing.size),
                workers=workers,
                checkpoint=folder / "checkpoint.pt",
                deadline=deadline,
                progress=progress,
                label=str(config),
            )
    except BaseException:
        _minutes(folder, time.perf_counter() - started)
        raise
    return split, model, trained


def _divided(config: RunConfig, prepared: PreparedSet, store: Path) -> Split:
    """The split, kept from the first start on: a run that goes on must go on with the same images."""
    split = make_split(prepared, config.data.protocol, config.data.split_seed)
    if store.exists():
        check_checksum(split, read_split(store).checksum, store)
    else:
        write_split(split, store)
    return split


def _minutes(folder: Path, seconds: float) -> float:
    """Minutes spent on a run so far, over all its starts."""
    store = folder / "minutes.json"
    before = json.loads(store.read_text(encoding="utf-8")) if store.exists() else 0.0
    write_json(store, before + seconds / 60)
    return before + seconds / 60


def _write(folder: Path, record: dict, trained: Trained, minutes: float, device: torch.device) -> None:
    """All that is kept of a run."""
    trainer, ids = trained.trainer, trained.test.table["sample_id"]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    machine = environment(name, torch.get_num_threads())
    write_json(folder / "environment.json", {**machine, "minutes": round(minutes, 2)})
    if trainer.best_loss:  # what it learned, from the training masks or along with the network
        write_json(folder / "loss.json", {name: value.tolist() for name, value in trainer.best_loss.items()})
    with atomic_file(folder / "history.csv") as file:
        trained.history.to_csv(file, index=False)
    last = pd.concat(
        [
            pd.DataFrame(counts.numpy(), columns=["tp", "fp", "fn", "tn"]).assign(epoch=epoch, sample_id=ids)
            for epoch, counts in trainer.last.items()
        ]
    )
    with atomic_file(folder / "last.csv") as file:
        last[["epoch", "sample_id", "tp", "fp", "fn", "tn"]].to_csv(file, index=False)
    write_predictions(
        folder, trained.test.table, trained.test.masks, trained.test.spacing_mm, trained.probability
    )
    with atomic_file(folder / "learning.npz") as file:
        np.savez_compressed(
            file,
            epochs=np.array(list(trainer.seen)),
            sample_id=trained.shown.table["sample_id"].to_numpy(str),
            probability=torch.stack(list(trainer.seen.values())).numpy(),
        )
    # What is kept is the best weights; the state of the optimizer is three times as large.
    write_tensors(folder / "weights.pt", trainer.best)
    write_json(folder / "config.json", record)


def write_predictions(
    folder: Path,
    table: pd.DataFrame,
    masks: np.ndarray,
    spacing_mm: np.ndarray,
    probability: Float[np.ndarray, "n h w"],
) -> None:
    """Write what was predicted, with the masks, so that every metric can be computed without the images."""
    with atomic_file(folder / "predictions.npz") as file:
        np.savez_compressed(
            file,
            sample_id=table["sample_id"].to_numpy(str),
            patient_id=table["patient_id"].fillna("").to_numpy(str),
            spacing_mm=spacing_mm,
            mask_bits=np.packbits(masks.reshape(len(masks), -1), axis=1),
            probability=_half(probability),
        )


def _half(probability: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    """In half the digits, but on the same side of .5: what is predicted must not change by being stored."""
    half = probability.astype(np.float16)
    half[(probability > 0.5) & (half <= 0.5)] = np.nextafter(np.float16(0.5), np.float16(1))
    return half
