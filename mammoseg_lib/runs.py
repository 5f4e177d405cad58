"""A run: one frozen configuration, one folder, named by a digest of the configuration and of the data.

A run is worked on in a folder of another name and gets its own when it is complete. Killed at any moment,
the next start goes on from the last finished epoch; a complete run is never trained twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from mammoseg_lib import metrics, paths
from mammoseg_lib.datasets import open_source
from mammoseg_lib.losses import build_loss
from mammoseg_lib.losses.base import known_spacing
from mammoseg_lib.models import build_model, start_of
from mammoseg_lib.papers import Paper, load_paper
from mammoseg_lib.preprocessing import PreparedSet, Preprocessing, prepare
from mammoseg_lib.provenance import environment
from mammoseg_lib.splits import N_FOLDS, make_split, write_split
from mammoseg_lib.storage import atomic_file, digest, write_json
from mammoseg_lib.training import SegmentationDataset, Trainer, Training, fit

VERSION = 2  # of what a configuration means; raise it when a loss, network or metric changes its results


@dataclass(frozen=True)
class Data:
    """Which images a run uses and how they are prepared.

    Attributes:
        source: Key of `datasets.SOURCES`.
        phantoms: True: phantoms. False: the real data, and an error where it is absent.
        n_images: Phantoms to make; ignored for real data.
        phantom_size: Their longest side in pixels; ignored for real data.
        preprocessing: See `Preprocessing`.
        protocol: Key of `splits.PROTOCOLS`.
        split_seed: Its seed.
        filters: Those of the source's `select`.
    """

    source: str = "inbreast"
    phantoms: bool = True
    n_images: int = 120
    phantom_size: int = 256
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    protocol: str = "patient_folds"
    split_seed: int = 0
    filters: dict = field(default_factory=lambda: {"with_masses": True})

    def prepare(self, *, jobs: int = 2, progress: bool = False) -> PreparedSet:
        """The prepared images, from the cache."""
        source = open_source(
            self.source, phantoms=self.phantoms, n_images=self.n_images, size=self.phantom_size
        )
        return prepare(source, self.preprocessing, jobs=jobs, progress=progress, **self.filters)


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the outcome of a run, next to the data's content and the machine.

    Attributes:
        paper: Key of the paper whose method this is.
        method: Id of the method in `papers/<paper>.yaml`.
        loss: Name and options for `build_loss`.
        model: Name and options for `build_model`.
        training: See `Training`.
        data: See `Data`.
        fold: Number of the fold, from 0.
        seed: Of the weights' start and of the order of the images.
        profile: Name of the profile that asked for it: "smoke", "quick", "paper".
    """

    paper: str
    method: str
    loss: dict
    model: dict
    training: Training
    data: Data
    fold: int
    seed: int
    profile: str


@dataclass(frozen=True)
class Run:
    """A complete run on disk."""

    folder: Path

    @property
    def config(self) -> dict:
        """The configuration, as plain values."""
        return json.loads((self.folder / "config.json").read_text(encoding="utf-8"))

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


def plan(
    paper: Paper,
    *,
    profile: str,
    methods: Sequence[str],
    folds: Sequence[int],
    seeds: Sequence[int],
    phantoms: bool,
    n_images: int,
    image_size: int,
    protocol: str,
    model: dict,
    training: dict,
    variants: Sequence[dict] = ({},),
) -> list[RunConfig]:
    """The runs of some methods of a paper, each on some folds with some seeds: what a profile describes.

    Args:
        paper: From `load_paper`.
        profile: Name to record.
        methods: Ids of methods of that paper.
        folds: Fold numbers, from 0.
        seeds: One run per seed and fold.
        phantoms: Phantoms, or the real data.
        n_images: How many phantoms; ignored for real data.
        image_size: Side of the prepared images.
        protocol: Key of `splits.PROTOCOLS`.
        model: Options of the model that differ from the paper's, for example `{"base_width": 8}`.
        training: Options of `Training` that differ from the paper's, for example `{"epochs": 3}`.
        variants: For an ablation, options of the loss that differ from the method's, one run for each:
            `[{}, {"reduce": "mean"}]`.

    Raises:
        ValueError: If a method is unknown or not available.
    """
    if wrong := [fold for fold in folds if not 0 <= fold < N_FOLDS]:
        raise ValueError(f"there is no fold {wrong[0]}; folds are numbered 0 to {N_FOLDS - 1}")
    data = Data(
        phantoms=phantoms,
        n_images=n_images,
        preprocessing=Preprocessing(size=image_size),
        protocol=protocol,
    )
    return [
        RunConfig(
            paper=paper.key,
            method=method.id,
            loss={**method.loss, **variant},
            model={**method.model, **model},
            training=Training(**{**method.training, **training}),
            data=data,
            fold=fold,
            seed=seed,
            profile=profile,
        )
        for method in map(paper.method, methods)
        for variant in variants
        for fold in folds
        for seed in seeds
    ]


def execute(config: RunConfig, *, device: str = "auto", progress: bool = False) -> Run:
    """Train and test, or return at once the run that is complete already.

    Args:
        config: What to do.
        device: "cpu", "cuda", or "auto" for an accelerator where there is one.
        progress: Show a progress bar.
    """
    prepared = config.data.prepare(progress=progress)
    folder = _folder(config, prepared)
    partial = folder.with_name(f".partial-{folder.name}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(partial.with_suffix(".lock")):
        if not folder.is_dir():
            partial.mkdir(exist_ok=True)
            _work(config, prepared, partial, _device(device), progress)
            partial.rename(folder)
    return Run(folder)


def complete(configs: Iterable[RunConfig]) -> list[Run]:
    """Those of the runs that are complete. Trains nothing."""
    folders = [_folder(config, config.data.prepare()) for config in configs]
    return [Run(folder) for folder in folders if folder.is_dir()]


def results(runs: Iterable[Run]) -> pd.DataFrame:
    """The per-image metrics of some runs in one table, each row with the settings of its run."""
    tables = []
    for run in runs:
        config = run.config
        settings = {
            "run": run.folder.name,
            **{key: config[key] for key in ("paper", "method", "fold", "seed", "profile")},
            "variant": _variant(config),
            "source": config["data"]["source"] + (" phantoms" if config["data"]["phantoms"] else " (real)"),
            "protocol": config["data"]["protocol"],
            "image_size": config["data"]["preprocessing"]["size"],
            "base_width": config["model"].get("base_width"),
            "epochs": config["training"]["epochs"],
        }
        tables.append(run.per_image.assign(**settings))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _variant(config: dict) -> str:
    """What of the loss differs from the method that the run is of; empty for the method itself."""
    own = load_paper(config["paper"]).find(config["method"]).loss
    return ", ".join(f"{name}={value}" for name, value in config["loss"].items() if own.get(name) != value)


def _folder(config: RunConfig, prepared: PreparedSet) -> Path:
    key = {"version": VERSION, "config": asdict(config), "data": prepared.key}
    if config.model.get("weights", "none") != "none":  # by the file's content: its path differs by machine
        model = key["config"]["model"]
        key["start"] = start_of(model.pop("weights"), model.pop("weights_file", None))
    return paths.runs() / digest(key)


def _work(
    config: RunConfig, prepared: PreparedSet, folder: Path, device: torch.device, progress: bool
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
    train, validation = (SegmentationDataset(prepared, part, loss) for part in (fold.train, fold.validation))
    trainer = Trainer(model, loss, config.training, seed=config.seed, device=device)
    label = f"{config.method} fold {config.fold}"
    history = fit(
        trainer, train, validation, checkpoint=folder / "checkpoint.pt", progress=progress, label=label
    )

    test = SegmentationDataset(prepared, fold.test)
    probability = trainer.predict(test)
    with atomic_file(folder / "predictions.npz") as file:
        sample_id = test.table["sample_id"].to_numpy(str)
        np.savez_compressed(file, sample_id=sample_id, probability=probability.astype(np.float16))
    for name, table in (("history", history), ("per_image", _per_image(test, probability))):
        with atomic_file(folder / f"{name}.csv") as file:
            table.to_csv(file, index=False)
    if trainer.best_loss:  # what it learned, from the training masks or along with the network
        write_json(folder / "loss.json", {name: value.tolist() for name, value in trainer.best_loss.items()})
    # What is kept is the best weights; the state of the optimizer is three times as large.
    with atomic_file(folder / "weights.pt") as file:
        torch.save(trainer.best, file)
    (folder / "checkpoint.pt").unlink()


def _per_image(test: SegmentationDataset, probability: np.ndarray) -> pd.DataFrame:
    rows = []
    for i, probs in enumerate(probability):
        ids = {key: test.table[key].iloc[i] for key in ("sample_id", "patient_id")}
        spacing = known_spacing(test.spacing_mm[i])
        rows.append({**ids, **metrics.per_image(probs > 0.5, test.masks[i], spacing_mm=spacing)})
    return pd.DataFrame(rows)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but there is no accelerator here")
    return torch.device(name)
