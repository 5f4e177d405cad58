"""Losses: one module a family, one registry.

loss = build_loss("spatial_matching", core="tversky", variant="scale", aggregation="all")
loss = build_loss({"dice": 1, "bce": {"weight": 0.5}})
loss = build_loss("path/to/file.py:Class")
per_sample = loss(logits, Batch(target))
"""

from mammoseg_lib.losses.adaptive import ASPReconstruction, DensityASP
from mammoseg_lib.losses.base import Batch, Features, Loss
from mammoseg_lib.losses.boundary import Boundary, boundary_strategy, signed_distance_map
from mammoseg_lib.losses.composite import Linear, Phases, WeightedSum
from mammoseg_lib.losses.hybrids import bce_jaccard, combo, dice_bce, two_phase
from mammoseg_lib.losses.overlap import Dice, FocalTversky, Jaccard, Tversky
from mammoseg_lib.losses.own import FunctionLoss, source_files
from mammoseg_lib.losses.pixel import BCE, BalancedBCE, Focal, WeightedBCE
from mammoseg_lib.losses.region import RMI, SSIM, hybrid_region
from mammoseg_lib.losses.registry import LOSSES, build_loss
from mammoseg_lib.losses.spatial_matching import GridTerms, SpatialMatching

__all__ = [
    "BCE",
    "LOSSES",
    "RMI",
    "SSIM",
    "ASPReconstruction",
    "BalancedBCE",
    "Batch",
    "Boundary",
    "DensityASP",
    "Dice",
    "Features",
    "Focal",
    "FocalTversky",
    "FunctionLoss",
    "GridTerms",
    "Jaccard",
    "Linear",
    "Loss",
    "Phases",
    "SpatialMatching",
    "Tversky",
    "WeightedBCE",
    "WeightedSum",
    "bce_jaccard",
    "boundary_strategy",
    "build_loss",
    "combo",
    "dice_bce",
    "hybrid_region",
    "signed_distance_map",
    "source_files",
    "two_phase",
]
