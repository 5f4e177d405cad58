"""Executing a run, and reading one that is complete.

A run is worked on in a folder of another name and gets its own when it is complete. Killed at any moment,
the next start goes on from the last finished epoch; a complete run is never trained twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from jaxtyping import Float

from mammoseg_lib import metrics, paths
from mammoseg_lib.augmentation import build_augmentation
from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.losses import build_loss
from mammoseg_lib.losses.base import known_spacing
from mammoseg_lib.models import build_model, start_of
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.provenance import environment
from mammoseg_lib.runs.config import RunConfig
from mammoseg_lib.splits import make_split, write_split
from mammoseg_lib.storage import atomic_file, digest, write_json
from mammoseg_lib.training import Trainer, fit

VERSION = 3  # of what a configuration means; raise it when a loss, network or metric changes its results


@dataclass(frozen=True)
class Run:
    """A complete run on disk."""

    folder: Path

    @property
    def config(self) -> dict:
        """The configuration, as plain values."""
        return json.loads((self.folder / "config.json").read_text(encoding="utf-8"))

    @property
    def start(self) -> dict:
        """What the network started from; see `models.start_of`."""
        return json.loads((self.folder / "start.json").read_text(encoding="utf-8"))

    @property
    def normalization(self) -> tuple[float, float]:
        """What is subtracted from an image and what it is divided by."""
        values = json.loads((self.folder / "normalization.json").read_text(encoding="utf-8"))
        return values["mean"], values["deviation"]

    @property
    def per_image(self) -> pd.DataFrame:
        """One row of metrics per test image."""
        return pd.read_csv(self.folder / "per_image.csv", dtype={"sample_id": str, "patient_id": str})

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch."""
        return pd.read_csv(self.folder / "history.csv")

    def predictions(self) -> dict[str, np.ndarray]:
        """Probability maps (float16) by sample id."""
        with np.load(self.folder / "predictions.npz") as file:
            return dict(zip(file["sample_id"].tolist(), file["probability"], strict=True))


def execute(config: RunConfig, *, device: str = "auto", workers: int = 0, progress: bool = False) -> Run:
    """Train and test, or return at once the run that is complete already.

    Args:
        config: What to do.
        device: "cpu", "cuda", or "auto" for an accelerator where there is one.
        workers: Processes that alter training images, where the configuration says that they are altered.
        progress: Show a progress bar.
    """
    prepared = config.data.prepare(progress=progress)
    folder = _folder(config, prepared)
    partial = folder.with_name(f".partial-{folder.name}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(partial.with_suffix(".lock")):
        if not folder.is_dir():
            partial.mkdir(exist_ok=True)
            _work(config, prepared, partial, choose_device(device), workers, progress)
            partial.rename(folder)
    return Run(folder)


def complete(configs: Iterable[RunConfig]) -> list[Run]:
    """Those of the runs that are complete. Trains nothing."""
    folders = [_folder(config, config.data.prepare()) for config in configs]
    return [Run(folder) for folder in folders if folder.is_dir()]


def _folder(config: RunConfig, prepared: PreparedSet) -> Path:
    key = {"version": VERSION, "config": asdict(config), "data": prepared.key}
    if config.model.get("weights", "none") != "none":  # by the file's content: its path differs by machine
        model = key["config"]["model"]
        key["start"] = start_of(model.pop("weights"), model.pop("weights_file", None))
    return paths.runs() / digest(key)


def _work(
    config: RunConfig,
    prepared: PreparedSet,
    folder: Path,
    device: torch.device,
    workers: int,
    progress: bool,
) -> None:
    for leftover in folder.glob(".*"):  # half-written files of a killed process
        leftover.unlink()
    split = make_split(prepared.table, config.data.protocol, config.data.split_seed)
    fold = split.folds[config.fold]
    write_json(
        folder / "config.json", {**asdict(config), "data_key": prepared.key, "split_checksum": split.checksum}
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    write_json(folder / "environment.json", environment(name, torch.get_num_threads()))
    write_split(split, folder / "split.json")

    torch.manual_seed(config.seed)
    model, loss = build_model(**config.model), build_loss(**config.loss)
    write_json(folder / "start.json", model.start)
    loss.fit_targets(prepared.masks[prepared.table["sample_id"].isin(fold.train).to_numpy()])
    settings = config.training
    augment = build_augmentation(settings.augmentation, config.data.preprocessing.size)
    train = SegmentationDataset(prepared, fold.train, loss, augment=augment, seed=config.seed)
    validation = SegmentationDataset(prepared, fold.validation, loss)
    normalization = train.mean_and_deviation() if settings.normalize else (0.0, 1.0)
    write_json(folder / "normalization.json", dict(zip(("mean", "deviation"), normalization, strict=True)))
    trainer = Trainer(
        model,
        loss,
        settings,
        seed=config.seed,
        device=device,
        normalization=normalization,
        workers=workers,
    )
    label = f"{config.method} fold {config.fold}"
    history = fit(
        trainer, train, validation, checkpoint=folder / "checkpoint.pt", progress=progress, label=label
    )

    test = SegmentationDataset(prepared, fold.test)
    probability = trainer.predict(test)
    write_test(folder, test, probability)
    with atomic_file(folder / "history.csv") as file:
        history.to_csv(file, index=False)
    if trainer.best_loss:  # what it learned, from the training masks or along with the network
        write_json(folder / "loss.json", {name: value.tolist() for name, value in trainer.best_loss.items()})
    # What is kept is the best weights; the state of the optimizer is three times as large.
    with atomic_file(folder / "weights.pt") as file:
        torch.save(trainer.best, file)
    (folder / "checkpoint.pt").unlink()


def write_test(folder: Path, test: SegmentationDataset, probability: Float[np.ndarray, "n h w"]) -> None:
    """Write the predictions of the tested images and their metrics."""
    rows = []
    for i, probs in enumerate(probability):
        ids = {key: test.table[key].iloc[i] for key in ("sample_id", "patient_id")}
        spacing = known_spacing(test.spacing_mm[i])
        rows.append({**ids, **metrics.per_image(probs > 0.5, test.masks[i], spacing_mm=spacing)})
    with atomic_file(folder / "per_image.csv") as file:
        pd.DataFrame(rows).to_csv(file, index=False)
    with atomic_file(folder / "predictions.npz") as file:
        sample_id = test.table["sample_id"].to_numpy(str)
        np.savez_compressed(file, sample_id=sample_id, probability=_half(probability))


def _half(probability: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
    """In half the digits, but on the same side of .5: what is predicted must not change by being stored."""
    half = probability.astype(np.float16)
    half[(probability > 0.5) & (half <= 0.5)] = np.nextafter(np.float16(0.5), np.float16(1))
    return half


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is an accelerator where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but there is no accelerator here")
    return torch.device(name)
