"""Drawn cases, and small batches of them, on which any loss can be tried."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from mammoseg_lib.checks import Mask, as_mask
from mammoseg_lib.losses.base import Batch, Loss, known_spacing, stack_features
from mammoseg_lib.losses.own import trial_masks

SIDE = 64  # pixels of every drawn image
SURE, UNSURE = 6.0, 2.0  # logits of the drawn predictions

Case = tuple[Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]
"""Logits and target."""


def cases(side: int = SIDE) -> dict[str, Case]:
    """Predictions of one disc, from a perfect one to its opposite, with logits of +-6 and +-2."""
    target = trial_masks(side)[4]
    predicted = {
        "perfect": target,
        "shifted": np.roll(target, side // 8, axis=1),
        "elsewhere": np.roll(target, (side // 3, side // 3), axis=(0, 1)),
        "too small": trial_masks(side)[2],
        "too large": trial_masks(side)[6],
        "nothing": np.zeros_like(target),
        "everything": np.ones_like(target),
        "inverted": ~target,
    }
    drawn = {name: (np.where(mask, SURE, -SURE), target) for name, mask in predicted.items()}
    return drawn | {
        "unsure but right": (np.where(target, UNSURE, -UNSURE), target),
        "p = 1/2 everywhere": (np.zeros(target.shape), target),
    }


def batch_of(masks: Shaped[Mask, "n h w"]) -> Batch:
    """The masks as a batch that knows all that a sample table may know."""
    masks = as_mask(masks, "the masks", axes=(3,))
    n = len(masks)
    return Batch(
        torch.from_numpy(masks)[:, None],
        acr_density=torch.arange(n, dtype=torch.float32) % 4 + 1,
        spacing_mm=torch.full((n, 2), 0.1),
    )


def rows_of(batch: Batch, rows: list[int]) -> Batch:
    """Some of its samples, in this order."""
    return Batch(batch.target[rows], acr_density=batch.acr_density[rows], spacing_mm=batch.spacing_mm[rows])


def with_features(loss: Loss, masks: Shaped[Mask, "n h w"]) -> Batch:
    """The masks as a batch with the features that a data set would keep for the loss."""
    masks = as_mask(masks, "the masks", axes=(3,))
    batch = batch_of(masks)
    spacings = map(known_spacing, batch.spacing_mm.numpy())
    rows = [loss.target_features(mask, spacing) for mask, spacing in zip(masks, spacings, strict=True)]
    return batch.with_features(stack_features(rows))


def value_of(loss: Loss, logits: Float[np.ndarray, "h w"], target: Bool[np.ndarray, "h w"]) -> float:
    """What one prediction costs, computed in float64."""
    with torch.no_grad():
        return float(loss(torch.from_numpy(logits).double()[None, None], batch_of(target[None])))


def random_masks() -> Bool[np.ndarray, "n h w"]:
    """Four discs, no mass, and nothing but mass."""
    masks = trial_masks(SIDE)
    return np.concatenate([masks[1::2], np.zeros_like(masks[:1]), np.ones_like(masks[:1])])


def random_case() -> tuple[Float[Tensor, "n 1 h w"], Batch]:
    """`random_masks`, each with noise around a fair prediction, in float64."""
    masks = random_masks()
    noise = np.random.default_rng(0).normal(-1, 2, masks.shape)
    return torch.from_numpy(noise + 2 * masks)[:, None], batch_of(masks)
