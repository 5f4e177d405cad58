"""The training loop: plain PyTorch, resumable after every epoch, best epoch by validation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler
from tqdm import tqdm

from mammoseg_lib.losses import Batch, Loss, Phases
from mammoseg_lib.losses.base import known_spacing, stack_features
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.storage import atomic_file


@dataclass(frozen=True)
class Training:
    """How a network is trained. The defaults are what paper 000 states or leaves open (see papers/*.yaml).

    Attributes:
        epochs: Most epochs to train.
        batch_size: Images a step.
        learning_rate: Of Adam, at the start.
        decay_every: Epochs after which the learning rate is multiplied by `decay`; None keeps it.
        decay: That factor.
        weight_decay: L2 penalty of Adam.
        patience: Stop after this many epochs without a better validation value; None never does.
        monitor: What makes an epoch the best: the highest validation DSC (pooled pixels), or the lowest loss
            among the epochs with the loss of the last one: a loss that changes is not compared with itself.
        amp: Mixed precision, on an accelerator only: a CPU gains nothing from it.
        channels_last: Memory layout with the channels innermost, which convolutions on CPUs prefer.
    """

    epochs: int = 100
    batch_size: int = 4
    learning_rate: float = 1e-4
    decay_every: int | None = None
    decay: float = 0.5
    weight_decay: float = 0.0
    patience: int | None = None
    monitor: Literal["dsc", "loss"] = "dsc"
    amp: bool = True
    channels_last: bool = True


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and why."""


class SegmentationDataset(Dataset):
    """Some rows of a prepared set as batches: indexed with a list of positions, it gives (images, `Batch`).

    What a loss computes from the target alone (`target_features`) is computed here, once per image.
    """

    def __init__(self, prepared: PreparedSet, sample_ids: tuple[str, ...], loss: Loss | None = None):
        position = {sample_id: i for i, sample_id in enumerate(prepared.table["sample_id"])}
        rows = [position[sample_id] for sample_id in sample_ids]
        self.table = prepared.table.iloc[rows].reset_index(drop=True)
        self.spacing_mm = np.asarray(prepared.spacing_mm[rows])
        self.images = torch.from_numpy(prepared.images[rows])[:, None]
        self.masks = prepared.masks[rows]
        self.targets = torch.from_numpy(self.masks.astype(np.float32))[:, None]
        density = self.table["acr_density"].astype("Float32").to_numpy(np.float32, na_value=np.nan)
        self.acr_density = torch.from_numpy(density)
        features = [{}]
        if loss and rows:
            spacings = map(known_spacing, self.spacing_mm)
            features = [loss.target_features(*each) for each in zip(self.masks, spacings, strict=True)]
        self.features = stack_features(features)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, positions: list[int]) -> tuple[Tensor, Batch]:
        features = {key: value[positions] for key, value in self.features.items()}
        spacing_mm = torch.from_numpy(self.spacing_mm[positions])
        batch = Batch(self.targets[positions], features, self.acr_density[positions], spacing_mm)
        return self.images[positions], batch

    def batches(self, size: int, *, shuffle_seed: int | None = None) -> DataLoader:
        """Batches in order, or in the order that a seed gives."""
        if shuffle_seed is None:
            order = SequentialSampler(self)
        else:
            order = RandomSampler(self, generator=torch.Generator().manual_seed(shuffle_seed))
        return DataLoader(self, sampler=BatchSampler(order, size, drop_last=False), batch_size=None)


class Trainer:
    """One network in training: model, loss, optimizer and all else that a checkpoint must hold."""

    def __init__(self, model: nn.Module, loss: Loss, settings: Training, *, seed: int, device: torch.device):
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = model.to(device, memory_format=layout)
        self.loss, self.settings, self.seed, self.device = loss.to(device), settings, seed, device
        for phases in (part for part in loss.modules() if isinstance(part, Phases)):
            if phases.ends[-1] >= settings.epochs:
                raise ValueError(
                    f"the last loss begins after epoch {phases.ends[-1]}, but there are {settings.epochs}"
                )
        groups = [{"params": list(self.model.parameters()), "weight_decay": settings.weight_decay}]
        if learned := list(self.loss.parameters()):  # a penalty on these would pull them to their start
            groups.append({"params": learned, "weight_decay": 0.0})
        self.optimizer = torch.optim.Adam(groups, lr=settings.learning_rate)
        self.mixed = settings.amp and device.type == "cuda"
        self.half = torch.bfloat16 if self.mixed and torch.cuda.is_bf16_supported() else torch.float16
        # bfloat16 has the exponent of float32 and needs no scaling.
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.mixed and self.half == torch.float16)
        self.history: list[dict] = []
        self.best: dict[str, Tensor] = {}
        self.best_loss: dict[str, Tensor] = {}

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The number, from 1, of the epoch whose weights are kept."""
        scores = [self._score(row) for row in self.history]
        if self.settings.monitor == "loss":  # which can be compared only while it is the same function
            stages = [self.loss.stage(i, self.settings.epochs) for i in range(self.epoch)]
            scores = [
                s if stage == stages[-1] else -math.inf for s, stage in zip(scores, stages, strict=True)
            ]
        return 1 + int(np.argmax(scores))

    @property
    def finished(self) -> bool:
        """Whether the last epoch is done or patience has run out."""
        patience = self.settings.patience
        if self.epoch and patience is not None and self.epoch - self.best_epoch >= patience:
            return True
        return self.epoch >= self.settings.epochs

    def step(self, images: Tensor, batch: Batch) -> Tensor:
        """One optimizer step; returns the mean loss of the batch, still on the device."""
        with self._autocast():
            logits = self.model(self._input(images))
        value = self.loss(logits, batch.to(self.device)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(value).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return value.detach()

    def run_epoch(self, train: SegmentationDataset, validation: SegmentationDataset) -> dict:
        """Train one epoch, validate, and keep the weights if they are the best so far."""
        start, settings = time.perf_counter(), self.settings
        # All randomness of an epoch (order, dropout) follows from the seed and the epoch's number, so that
        # a resumed run needs no saved random state to go on exactly as an uninterrupted one.
        epoch_seed = self.seed * 100_003 + self.epoch
        torch.manual_seed(epoch_seed)
        halvings = self.epoch // settings.decay_every if settings.decay_every else 0
        learning_rate = settings.learning_rate * settings.decay**halvings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.loss.at_epoch(self.epoch, settings.epochs)
        self.model.train()
        losses = [
            self.step(images, batch) * len(images)
            for images, batch in train.batches(settings.batch_size, shuffle_seed=epoch_seed)
        ]
        train_loss = float(torch.stack(losses).sum()) / len(train)
        if not math.isfinite(train_loss):
            raise TrainingError(f"the training loss became {train_loss} in epoch {self.epoch + 1}")
        self.history.append(
            {
                "epoch": self.epoch + 1,
                "learning_rate": learning_rate,
                "train_loss": train_loss,
                **self.validate(validation),
                "seconds": round(time.perf_counter() - start, 2),
            }
        )
        if self.best_epoch == self.epoch:
            self.best, self.best_loss = (
                {k: v.detach().cpu().clone() for k, v in module.state_dict().items()}
                for module in (self.model, self.loss)
            )
        return self.history[-1]

    @torch.no_grad()
    def validate(self, dataset: SegmentationDataset) -> dict[str, float]:
        """Mean loss and pooled DSC = 2 TP / (|P| + |Y|) of a data set."""
        loss, overlap, total = 0.0, 0, 0
        for logits, batch in self._logits(dataset):
            loss += float(self.loss(logits, batch).sum())
            predicted, target = logits > 0, batch.target > 0.5
            overlap += int((predicted & target).sum())
            total += int(predicted.sum()) + int(target.sum())
        return {"val_loss": loss / len(dataset), "val_dsc": 2 * overlap / total if total else 1.0}

    @torch.no_grad()
    def predict(self, dataset: SegmentationDataset) -> Float[np.ndarray, "n h w"]:
        """Probabilities for every image of a data set, with the weights of the best epoch."""
        self.model.load_state_dict(self.best)
        return torch.cat([logits.sigmoid()[:, 0].cpu() for logits, _ in self._logits(dataset)]).numpy()

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on, atomically."""
        state = {
            "settings": asdict(self.settings),
            "seed": self.seed,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
            "best_loss": self.best_loss,
            "history": self.history,
        }
        with atomic_file(path) as partial:
            torch.save(state, partial)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that `save` wrote."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        for name in ("model", "loss", "optimizer", "scaler"):
            getattr(self, name).load_state_dict(state[name])
        self.best, self.best_loss, self.history = (state[k] for k in ("best", "best_loss", "history"))

    def _score(self, row: dict) -> float:
        return row["val_dsc"] if self.settings.monitor == "dsc" else -row["val_loss"]

    def _autocast(self):
        return torch.autocast(self.device.type, dtype=self.half) if self.mixed else nullcontext()

    def _input(self, images: Tensor) -> Tensor:
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        return images.to(self.device, memory_format=layout, non_blocking=True)

    def _logits(self, dataset: SegmentationDataset) -> Iterator[tuple[Tensor, Batch]]:
        self.model.eval()
        for images, batch in dataset.batches(self.settings.batch_size):
            with self._autocast():
                logits = self.model(self._input(images))
            yield logits.float(), batch.to(self.device)


def fit(
    trainer: Trainer,
    train: SegmentationDataset,
    validation: SegmentationDataset,
    *,
    checkpoint: Path | None = None,
    progress: bool = False,
    label: str = "train",
) -> pd.DataFrame:
    """Train until the last epoch or until patience runs out, resuming from the checkpoint if there is one.

    Returns:
        One row per epoch: learning rate, training and validation loss, validation DSC, seconds.
    """
    if checkpoint is not None and checkpoint.exists():
        trainer.load(checkpoint)
    with tqdm(
        total=trainer.settings.epochs, initial=trainer.epoch, desc=label, unit="epoch", disable=not progress
    ) as bar:
        while not trainer.finished:
            row = trainer.run_epoch(train, validation)
            if checkpoint is not None:
                trainer.save(checkpoint)
            bar.update()
            bar.set_postfix(loss=f"{row['train_loss']:.3f}", val_dsc=f"{row['val_dsc']:.3f}")
    return pd.DataFrame(trainer.history)
