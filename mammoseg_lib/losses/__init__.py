"""Losses: one module a family, one registry.

loss = build_loss("spatial_matching", core="tversky", variant="scale", aggregation="all")
loss = build_loss({"dice": 1, "bce": {"weight": 0.5}})
per_sample = loss(logits, Batch(target))
"""

from mammoseg_lib.losses.base import Batch, Features, Loss
from mammoseg_lib.losses.composite import Linear, Phases, WeightedSum
from mammoseg_lib.losses.hybrids import dice_bce
from mammoseg_lib.losses.overlap import Dice, Tversky
from mammoseg_lib.losses.pixel import BCE
from mammoseg_lib.losses.registry import LOSSES, build_loss
from mammoseg_lib.losses.spatial_matching import GridTerms, SpatialMatching

__all__ = [
    "BCE",
    "LOSSES",
    "Batch",
    "Dice",
    "Features",
    "GridTerms",
    "Linear",
    "Loss",
    "Phases",
    "SpatialMatching",
    "Tversky",
    "WeightedSum",
    "build_loss",
    "dice_bce",
]
