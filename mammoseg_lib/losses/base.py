"""What every loss shares: the batch it is given, and the contract it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mammoseg_lib.checks import Mask

Features = dict[str, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """What a loss may know besides the logits.

    Shapes are looked at wherever a batch is made, values where the target lies on a CPU: reading them from an
    accelerator would make the processor wait for it in every step. So a batch is best made on the CPU, where
    its target comes from, and then moved with `to`, which does not look again.

    Attributes:
        target: Ground truth, 0 or 1 (or False and True) of any type; kept as floating point. One channel for
            a binary task; else one per class, one-hot.
        features: What the loss's `target_features` gave for each sample, stacked along the batch.
            Empty when nothing was cached; a loss then computes what it needs from `target`.
        acr_density: ACR density class 1..4 of each sample, NaN where unknown; None when the source has none.
        spacing_mm: Height and width of a pixel of each sample, NaN where unknown; None when the source has
            none.

    Raises:
        ValueError: The target is no tensor `[b c h w]` of zeros and ones, or something else is given for
            another number of samples.
    """

    target: Shaped[Tensor, "b c h w"]
    features: Mapping[str, Shaped[Tensor, "b ..."]] = field(default_factory=dict)
    acr_density: Float[Tensor, " b"] | None = None
    spacing_mm: Float[Tensor, "b 2"] | None = None
    look: InitVar[bool] = True  # False: made from a batch that was looked at

    def __post_init__(self, look: bool):
        if not look:
            return
        object.__setattr__(self, "target", _binary(self.target))
        of_samples = {**self.features, "acr_density": self.acr_density, "spacing_mm": self.spacing_mm}
        samples = len(self.target)
        for name, values in of_samples.items():
            if values is not None and len(values) != samples:
                raise ValueError(f"{name} is given for {len(values)} samples, the target for {samples}")

    def with_features(self, features: Mapping[str, Tensor]) -> Batch:
        """The same batch with other features."""
        return replace(self, features=features, look=False)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return Batch(
            target=moved(self.target),
            features={name: moved(feature) for name, feature in self.features.items()},
            acr_density=moved(self.acr_density),
            spacing_mm=moved(self.spacing_mm),
            look=False,
        )


def _binary(target: object) -> Tensor:
    """A target of zeros and ones as floating point; one that lies on an accelerator is believed."""
    if not isinstance(target, Tensor) or target.ndim != 4:
        shape = f" of shape {tuple(target.shape)}" if hasattr(target, "shape") else ""
        raise ValueError(f"the target must be a tensor [b c h w], not a {type(target).__name__}{shape}")
    if not target.is_floating_point():
        target = target.float()
    if target.device.type == "cpu":
        # NumPy compares ten times as fast as PyTorch does, and has no bfloat16.
        values = (target.float() if target.dtype == torch.bfloat16 else target).detach().numpy()
        if np.count_nonzero(values == 0) + np.count_nonzero(values == 1) < values.size:
            strange = values[(values != 0) & (values != 1)][0]
            raise ValueError(
                f"the target holds {strange}; it must hold 0 and 1 only (divide 0 and 255 by 255)"
            )
    return target


class Loss(nn.Module):
    """Base class: logits in, one value per sample out.

    A subclass implements `forward(logits, batch)` and returns `Float[Tensor, "b"]`, so that an adaptive
    weight is a plain product and the value of a sample never depends on its neighbors in the batch.
    What depends on the target alone belongs in `target_features`, which the data set calls once per
    sample and keeps.

    Attributes:
        epoch: Number of the epoch, from 0. For losses that change while a network is trained; see `at_epoch`.
        epochs: How many epochs there are in all.
        one_channel: Whether the logits have one channel, as in a binary task; False: any number.
    """

    epoch: int = 0
    epochs: int = 1
    one_channel: bool = True

    def __init__(self):
        super().__init__()
        self.register_forward_pre_hook(_before_forward, with_kwargs=True)

    def target_features(
        self, mask: Shaped[Mask, "*c h w"], spacing_mm: tuple[float, float] | None = None
    ) -> Features:
        """Arrays of a fixed shape for a fixed image size, computed from one target. None by default.

        Args:
            mask: The target, of a binary task; with a leading axis of classes otherwise. Of any kind that
                `checks.as_mask` takes.
            spacing_mm: Height and width of a pixel, where they are known.
        """
        return {}

    def fit_targets(self, masks: Shaped[Mask, "n h w"]) -> None:
        """Take from the training masks what the loss has to know of them all. Nothing by default.

        Called once, before training. What is learned here belongs in a buffer, so that it is saved.
        """

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Tell this loss and every loss inside it that epoch `epoch`, from 0, of `epochs` begins."""
        self.epoch, self.epochs = epoch, epochs
        for loss in losses_inside(self):
            loss.at_epoch(epoch, epochs)

    def stage(self, epoch: int, epochs: int) -> tuple:
        """Equal for two epochs in which the loss is the same function, so that its values can be compared."""
        return ()

    def phase_starts(self) -> set[int]:
        """Epochs, from 0, in which another loss takes its turn; 0 alone, unless `Phases` are inside."""
        return {0}.union(*(loss.phase_starts() for loss in losses_inside(self)))

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """One loss value per sample."""
        raise NotImplementedError

    def check(self, logits: object, batch: object) -> None:
        """Raises a ValueError unless logits and target fit. Done before every `forward`; reads no values."""
        if not isinstance(batch, Batch) or not isinstance(logits, Tensor):
            given = f"{type(logits).__name__}, {type(batch).__name__}"
            raise ValueError(f"a loss takes logits and a batch, loss(logits, Batch(target)), not {given}")
        if logits.shape != batch.target.shape:  # would be broadcast into nonsense
            shapes = f"{tuple(logits.shape)} do not fit the target {tuple(batch.target.shape)}"
            raise ValueError(f"logits {shapes}: both must be [b c h w], with the same sizes")
        if self.one_channel and logits.shape[1] != 1:
            raise ValueError(f"{type(self).__name__} takes logits of one channel, not {tuple(logits.shape)}")

    def features_of(self, batch: Batch) -> dict[str, Tensor]:
        """The cached features of a batch, or, where the batch carries none, the same computed now."""
        if batch.features:
            return dict(batch.features)
        masks = (batch.target.detach() > 0.5).cpu().numpy()
        spacings = [None] * len(masks)
        if batch.spacing_mm is not None:
            spacings = [known_spacing(row) for row in batch.spacing_mm.cpu().numpy()]
        rows = [
            self.target_features(mask[0] if len(mask) == 1 else mask, spacing)
            for mask, spacing in zip(masks, spacings, strict=True)
        ]
        return {key: value.to(batch.target.device) for key, value in stack_features(rows).items()}


def losses_inside(module: nn.Module) -> Iterator[Loss]:
    """The losses that a module is made of, but not those that these are made of in turn."""
    for child in module.children():
        if isinstance(child, Loss):
            yield child
        else:
            yield from losses_inside(child)


def _before_forward(loss: Loss, args: tuple, kwargs: dict) -> None:
    loss.check(*args, **kwargs)


def stack_features(rows: Sequence[Features]) -> dict[str, Tensor]:
    """The features of several samples, along the batch."""
    return {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}


def known_spacing(row: Float[np.ndarray, " 2"]) -> tuple[float, float] | None:
    """Height and width of a pixel as two numbers; None where they are NaN."""
    return None if np.isnan(row).any() else (float(row[0]), float(row[1]))


def full_precision(logits: Tensor) -> Tensor:
    """Half-precision logits as float32; float32 and float64 as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
