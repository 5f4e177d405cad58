"""One network in training: the step, the epoch, what a checkpoint must hold; plain PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.losses import Batch, Loss
from mammoseg_lib.settings import Training
from mammoseg_lib.storage import digest, write_tensors


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where it stopped and why."""


class Trainer:
    """One network in training: model, loss, optimizer and all else that a checkpoint must hold.

    Args:
        model: The network.
        loss: What it minimizes.
        settings: How.
        seed: Of the order of the images and of dropout.
        device: Where.
        precision: "float32" or "bfloat16"; see `choose_precision`.
        normalization: What is subtracted from the images and what they are divided by.
        workers: Processes that alter images; they change nothing in the result.

    Attributes:
        last: Of each of the last ten epochs, by its number, the counts tp, fp, fn, tn of every test image.
        seen: Of some epochs, by their number, the probabilities of a few images to look at.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        settings: Training,
        *,
        seed: int,
        device: torch.device,
        precision: str = "float32",
        normalization: tuple[float, float] = (0.0, 1.0),
        workers: int = 0,
    ):
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = model.to(device, memory_format=layout)
        self.loss, self.settings, self.seed, self.device = loss.to(device), settings, seed, device
        self.normalization, self.workers = normalization, workers
        self.phase_starts = sorted(loss.phase_starts())
        if self.phase_starts[-1] >= settings.epochs:
            raise ValueError(
                f"the last loss begins after epoch {self.phase_starts[-1]}, but there are {settings.epochs}"
                f" epochs: give the loss before it (combination_epochs) {settings.epochs - 1} at most"
            )
        if settings.freeze_encoder and not isinstance(getattr(model, "encoder", None), nn.Module):
            raise ValueError(
                f"freeze_encoder={settings.freeze_encoder}, but {type(model).__name__} has no encoder"
            )
        groups = [{"params": list(self.model.parameters()), "weight_decay": settings.weight_decay}]
        if learned := list(self.loss.parameters()):  # a penalty on these would pull them to their start
            groups.append({"params": learned, "weight_decay": 0.0})
        # One kernel for all tensors: with small networks the optimizer is else a good part of a step.
        self.optimizer = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        self.precision = precision
        self.loss.at_epoch(0, settings.epochs)  # some losses remember where they are
        self.loss_digest = digest(list(_described(self.loss)))
        self.history: list[dict] = []
        self.best: dict[str, Tensor] = {}
        self.best_loss: dict[str, Tensor] = {}
        self.last: dict[int, Tensor] = {}
        self.seen: dict[int, Tensor] = {}

    @property
    def epoch(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    @property
    def learning_rate(self) -> float:
        """That of the epoch to come."""
        settings, epoch = self.settings, self.epoch
        if settings.milestones_per_phase:
            epoch -= max(start for start in self.phase_starts if start <= self.epoch)
        decays = epoch // settings.decay_every if settings.decay_every else 0
        decays += sum(epoch >= milestone for milestone in settings.milestones)
        return settings.learning_rate * settings.decay**decays

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
        settings = self.settings
        if settings.patience is None or self.epoch <= self.phase_starts[-1]:  # the last loss is still to come
            return self.epoch >= settings.epochs
        return self.epoch >= settings.epochs or self.epoch - self.best_epoch >= settings.patience

    def step(self, images: Tensor, batch: Batch) -> Tensor:
        """One optimizer step; returns the mean loss of the batch, still on the device."""
        with self._autocast(), _single_values(self.model) if len(images) == 1 else nullcontext():
            logits = self.model(self._input(images))
        value = self.loss(logits, batch.to(self.device)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        return value.detach()

    def run_epoch(self, train: SegmentationDataset, validation: SegmentationDataset) -> dict:
        """Train one epoch, validate, and keep the weights if they are the best so far."""
        start, settings = time.perf_counter(), self.settings
        # All randomness of an epoch (order, dropout) follows from the seed and the epoch's number, so that
        # a resumed run needs no saved random state to go on exactly as an uninterrupted one.
        epoch_seed = self.seed * 100_003 + self.epoch
        torch.manual_seed(epoch_seed)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.loss.at_epoch(self.epoch, settings.epochs)
        self.model.train()
        if settings.freeze_encoder:
            frozen = self.epoch < settings.freeze_encoder
            self.model.encoder.requires_grad_(not frozen).train(not frozen)
        train.epoch = self.epoch
        losses = [
            self.step(images, batch) * len(images)
            for images, batch in train.batches(
                settings.batch_size, shuffle_seed=epoch_seed, workers=self.workers
            )
        ]
        train_loss = float(torch.stack(losses).sum()) / len(train)
        validated = self.validate(validation)
        for name, value in (("training", train_loss), ("validation", validated["val_loss"])):
            if not math.isfinite(value):
                raise TrainingError(f"the {name} loss became {value} in epoch {self.epoch + 1}")
        self.history.append(
            {
                "epoch": self.epoch + 1,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "train_loss": train_loss,
                **validated,
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
    def count(self, dataset: SegmentationDataset) -> Int[Tensor, "n 4"]:
        """True and false positives, false and true negatives of every image, with the weights of now."""
        counts = []
        for logits, batch in self._logits(dataset):
            predicted, target = logits > 0, batch.target > 0.5
            pairs = (
                (predicted, target),
                (predicted, ~target),
                (~predicted, target),
                (~predicted, ~target),
            )
            counts.append(torch.stack([(a & b).sum((1, 2, 3)) for a, b in pairs], dim=1))
        return torch.cat(counts).cpu()

    @torch.no_grad()
    def probabilities(self, dataset: SegmentationDataset) -> Float[np.ndarray, "n h w"]:
        """Probabilities for every image of a data set, with the weights of now."""
        return torch.cat([logits.sigmoid()[:, 0].cpu() for logits, _ in self._logits(dataset)]).numpy()

    def predict(self, dataset: SegmentationDataset) -> Float[np.ndarray, "n h w"]:
        """Probabilities for every image of a data set, with the weights of the best epoch."""
        if not self.best:
            raise ValueError("there are no weights of a best epoch yet: train first")
        self.model.load_state_dict(self.best)
        return self.probabilities(dataset)

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on, atomically."""
        state = {
            "settings": asdict(self.settings),
            "seed": self.seed,
            "loss_digest": self.loss_digest,
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "best_loss": self.best_loss,
            "history": self.history,
            "last": self.last,
            "seen": self.seen,
        }
        write_tensors(path, state)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that `save` wrote.

        Raises:
            TrainingError: It is of another seed, another loss, or of other settings.
        """
        # To the processor first: counts and pictures stay there, the rest is moved as it is loaded.
        state = torch.load(path, map_location="cpu", weights_only=True)
        mine = {"settings": asdict(self.settings), "seed": self.seed, "loss_digest": self.loss_digest}
        if wrong := [name for name, value in mine.items() if state.get(name) != value]:
            words = " and ".join(wrong).replace("_digest", "")
            raise TrainingError(f"{path} is of another run: its {words} differ; give another path")
        for name in ("model", "loss", "optimizer"):
            try:
                getattr(self, name).load_state_dict(state[name])
            except (ValueError, RuntimeError) as error:
                raise TrainingError(f"{path} is of another run: its {name} does not fit") from error
        for name in ("best", "best_loss", "history", "last", "seen"):
            setattr(self, name, state[name])

    def _score(self, row: dict) -> float:
        return row["val_dsc"] if self.settings.monitor == "dsc" else -row["val_loss"]

    def _autocast(self):
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.precision))

    def _input(self, images: Tensor) -> Tensor:
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        images = images.to(self.device, memory_format=layout, non_blocking=True)
        mean, deviation = self.normalization
        return images if self.normalization == (0.0, 1.0) else (images - mean) / deviation

    def _logits(self, dataset: SegmentationDataset) -> Iterator[tuple[Tensor, Batch]]:
        self.model.eval()
        for images, batch in dataset.batches(self.settings.batch_size):
            with self._autocast():
                logits = self.model(self._input(images))
            yield logits.float(), batch.to(self.device)


@contextmanager
def _single_values(model: nn.Module) -> Iterator[None]:
    """Let batch normalization take its running statistics where a channel has one value, which has no spread.

    So it is in a batch of one image where a network pools its maps to one pixel.
    """
    switched: list[nn.Module] = []

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if norm.training and inputs[0].numel() == inputs[0].shape[1]:
            norm.eval()
            switched.append(norm)

    norms = (part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm))
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm in switched:
            norm.train()


def _described(loss: Loss) -> Iterator[str]:
    """What a loss is made of, part by part: classes, and options that are plain values."""
    for name, part in loss.named_modules():
        options = {key: repr(value) for key, value in sorted(vars(part).items()) if _plain(key, value)}
        yield f"{name}: {type(part).__qualname__} {options}"


def _plain(name: str, value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(name, each) for each in value)
    plain = isinstance(value, int | float | str | None) or is_dataclass(value)
    return plain and not name.startswith("_") and name != "training"
