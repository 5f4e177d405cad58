"""What every loss shares: the batch it is given, the contract it keeps, and the sum of several."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
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
        target: Ground truth, 0 or 1, one channel.
        features: What the loss's `target_features` gave for each sample, stacked along the batch.
            Empty when nothing was cached; a loss then computes what it needs from `target`.
        acr_density: ACR density class 1..4 of each sample, NaN where unknown; None when the source has none.
    """

    target: Float[Tensor, "b 1 h w"]
    features: Mapping[str, Shaped[Tensor, "b ..."]] = field(default_factory=dict)
    acr_density: Float[Tensor, " b"] | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(
            target=self.target.to(device, non_blocking=True),
            features={k: v.to(device, non_blocking=True) for k, v in self.features.items()},
            acr_density=None if self.acr_density is None else self.acr_density.to(device, non_blocking=True),
        )


class Loss(nn.Module):
    """Base class: logits in, one value per sample out.

    A subclass implements `forward(logits, batch)` and returns `Float[Tensor, "b"]`, so that an adaptive
    weight is a plain product and the value of a sample never depends on its neighbors in the batch.
    What depends on the target alone belongs in `target_features`, which the data set calls once per
    sample and keeps.
    """

    def target_features(self, mask: Bool[np.ndarray, "h w"]) -> Features:
        """Arrays of a fixed shape for a fixed image size, computed from one target mask. None by default."""
        return {}

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """One loss value per sample."""
        raise NotImplementedError

    def features_of(self, batch: Batch) -> dict[str, Tensor]:
        """The cached features of a batch, or, where the batch carries none, the same computed now."""
        if batch.features:
            return dict(batch.features)
        masks = batch.target[:, 0].detach().cpu().numpy() > 0.5
        rows = [self.target_features(mask) for mask in masks]
        return {
            key: torch.as_tensor(np.stack([row[key] for row in rows])).to(batch.target.device)
            for key in rows[0]
        }


class WeightedSum(Loss):
    """A weighted sum of losses, L = sum_k w_k L_k, for example the Dice + BCE hybrid of 000 and 001."""

    def __init__(self, terms: Mapping[str, tuple[Loss, float]]):
        super().__init__()
        self.terms = nn.ModuleDict({name: loss for name, (loss, _) in terms.items()})
        self.weights = {name: float(weight) for name, (_, weight) in terms.items()}

    def target_features(self, mask: Bool[np.ndarray, "h w"]) -> Features:
        """The features of every term, each under `term/feature`."""
        return {
            f"{name}/{key}": value
            for name, term in self.terms.items()
            for key, value in term.target_features(mask).items()
        }

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The weighted sum, one value per sample."""
        total = logits.new_zeros(logits.shape[0])
        for name, term in self.terms.items():
            prefix = f"{name}/"
            own = {k.removeprefix(prefix): v for k, v in batch.features.items() if k.startswith(prefix)}
            total = total + self.weights[name] * term(logits, Batch(batch.target, own, batch.acr_density))
        return total


def full_precision(logits: Tensor) -> Tensor:
    """Half-precision logits as float32; float32 and float64 as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def check_choice(option: str, value: object, valid: Sequence[str]) -> None:
    """Raises a ValueError that lists the valid values, unless `value` is one of them."""
    if value not in valid:
        raise ValueError(f"{option}={value!r} is not one of {', '.join(map(repr, valid))}")


def check_positive(option: str, value: float | int) -> float:
    """The value as a float; a ValueError unless it is positive and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{option} must be positive and finite, not {value!r}")
    return float(value)


def check_options(what: str, factory: Callable[..., object], options: Mapping[str, object]) -> None:
    """Raises a ValueError that lists the valid options, unless `factory` takes every one that is given."""
    parameters = inspect.signature(factory).parameters.values()
    valid = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if unknown := [name for name in options if name not in valid]:
        names = ", ".join(map(repr, valid)) or "no options"
        raise ValueError(f"{what} has no option {', '.join(map(repr, unknown))}; it takes {names}")
