"""The sums of losses that the papers name."""

from __future__ import annotations

from mammoseg_lib.losses.composite import WeightedSum
from mammoseg_lib.losses.overlap import Dice
from mammoseg_lib.losses.pixel import BCE


def dice_bce(
    *,
    dice_weight: float | int = 1.0,
    bce_weight: float | int = 1.0,
    dice_factor: float | int = 2,
    smooth: float | int = 1.0,
) -> WeightedSum:
    """The Dice + BCE hybrid, the baseline loss of 000 and 001: `dice_weight Dice + bce_weight BCE`.

    Neither paper states the weights; 1 and 1 is our reading. Range [0, inf).
    """
    dice = Dice(dice_factor=dice_factor, smooth=smooth)
    return WeightedSum({"dice": (dice, float(dice_weight)), "bce": (BCE(), float(bce_weight))})
