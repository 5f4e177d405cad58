"""Random logits and targets, shared by the tests of the losses."""

from __future__ import annotations

import numpy as np
import torch

from mammoseg_lib.losses import Batch

EXACT = {"rtol": 1e-12, "atol": 1e-12}

# Options of each loss; one case a row. Those that are not named are built without options.
OPTIONS: dict[str, list[dict]] = {
    "weighted_bce": [{"positive_weight": 5}],
    "focal": [{}, {"gamma": 0.5, "alpha": None}],
    "jaccard": [{}, {"log": True}, {"per": "pixel", "smooth": 1e-7}, {"per": "pixel", "log": True}],
    "bce_jaccard_then_focal_tversky": [{}, {"combination_epochs": 1}],  # either phase
    "spatial_matching": [
        {},
        {"core": "dice", "variant": "distance", "aggregation": "nonzero"},
        {"core": "tversky", "variant": "scale", "aggregation": "nonzero", "soft_counts": True},
    ],
    "density_asp": [{}, {"missing": 4}],
    "asp": [
        {"grouping": "quantile", "dice_weights": [1, 2, 3], "bce_weights": [3, 2, 1]},
        {"grouping": "cluster", "dice_weights": [1, 2, 3], "bce_weights": [3, 2, 1]},
        {"grouping": "learned"},
    ],
}


def random_case(seed: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, Batch]:
    """Three samples of one random size, each with its own share of mass."""
    rng = np.random.default_rng(seed)
    shape = (3, 1, *rng.integers(1, 20, 2))
    logits = torch.from_numpy(rng.normal(-1, 3, shape)).to(dtype)
    return logits, Batch(torch.from_numpy(rng.random(shape) < rng.random((3, 1, 1, 1))).to(dtype))


def corner_case() -> tuple[torch.Tensor, Batch]:
    """4x4 by hand: a mass of 4 pixels at p = .9, one false alarm at .9, the other 11 at .1."""
    target = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    target[..., :2, :2] = 1
    probs = 0.1 + 0.8 * target
    probs[..., 3, 3] = 0.9
    return probs.logit(), Batch(target)


def pixels(logits: torch.Tensor, target: torch.Tensor) -> list[tuple[float, int]]:
    """Probability and label of every pixel of one sample, as plain numbers: what a loop runs over."""
    return list(zip(logits.sigmoid().flatten().tolist(), target.int().flatten().tolist(), strict=True))
