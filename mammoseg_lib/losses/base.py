"""What every loss shares: the batch it is given, and the contract it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

Features = dict[str, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """What a loss may know besides the logits.

    Attributes:
        target: Ground truth, 0 or 1. One channel for a binary task; else one per class, one-hot.
        features: What the loss's `target_features` gave for each sample, stacked along the batch.
            Empty when nothing was cached; a loss then computes what it needs from `target`.
        acr_density: ACR density class 1..4 of each sample, NaN where unknown; None when the source has none.
        spacing_mm: Height and width of a pixel of each sample, NaN where unknown; None when the source has
            none.
    """

    target: Float[Tensor, "b c h w"]
    features: Mapping[str, Shaped[Tensor, "b ..."]] = field(default_factory=dict)
    acr_density: Float[Tensor, " b"] | None = None
    spacing_mm: Float[Tensor, "b 2"] | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return Batch(
            target=moved(self.target),
            features={name: moved(feature) for name, feature in self.features.items()},
            acr_density=moved(self.acr_density),
            spacing_mm=moved(self.spacing_mm),
        )


class Loss(nn.Module):
    """Base class: logits in, one value per sample out.

    A subclass implements `forward(logits, batch)` and returns `Float[Tensor, "b"]`, so that an adaptive
    weight is a plain product and the value of a sample never depends on its neighbors in the batch.
    What depends on the target alone belongs in `target_features`, which the data set calls once per
    sample and keeps.

    Attributes:
        epoch: Number of the epoch, from 0. For losses that change while a network is trained; see `at_epoch`.
        epochs: How many epochs there are in all.
    """

    epoch: int = 0
    epochs: int = 1

    def target_features(
        self, mask: Bool[np.ndarray, "*c h w"], spacing_mm: tuple[float, float] | None = None
    ) -> Features:
        """Arrays of a fixed shape for a fixed image size, computed from one target. None by default.

        Args:
            mask: The target, of a binary task; with a leading axis of classes otherwise.
            spacing_mm: Height and width of a pixel, where they are known.
        """
        return {}

    def fit_targets(self, masks: Bool[np.ndarray, "n h w"]) -> None:
        """Take from the training masks what the loss has to know of them all. Nothing by default.

        Called once, before training. What is learned here belongs in a buffer, so that it is saved.
        """

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Tell this loss and every loss inside it that epoch `epoch`, from 0, of `epochs` begins."""
        for module in self.modules():
            if isinstance(module, Loss):
                module.epoch, module.epochs = epoch, epochs

    def stage(self, epoch: int, epochs: int) -> tuple:
        """Equal for two epochs in which the loss is the same function, so that its values can be compared."""
        return ()

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """One loss value per sample."""
        raise NotImplementedError

    def features_of(self, batch: Batch) -> dict[str, Tensor]:
        """The cached features of a batch, or, where the batch carries none, the same computed now."""
        if batch.features:
            return dict(batch.features)
        masks = batch.target.detach().cpu().numpy() > 0.5
        spacings = [None] * len(masks)
        if batch.spacing_mm is not None:
            spacings = [known_spacing(row) for row in batch.spacing_mm.cpu().numpy()]
        rows = [
            self.target_features(mask[0] if len(mask) == 1 else mask, spacing)
            for mask, spacing in zip(masks, spacings, strict=True)
        ]
        return {key: value.to(batch.target.device) for key, value in stack_features(rows).items()}


def stack_features(rows: Sequence[Features]) -> dict[str, Tensor]:
    """The features of several samples, along the batch."""
    return {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}


def known_spacing(row: Float[np.ndarray, " 2"]) -> tuple[float, float] | None:
    """Height and width of a pixel as two numbers; None where they are NaN."""
    return None if np.isnan(row).any() else (float(row[0]), float(row[1]))


def full_precision(logits: Tensor) -> Tensor:
    """Half-precision logits as float32; float32 and float64 as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
