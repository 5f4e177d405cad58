"""Losses that compare how much prediction and target overlap: Dice, Tversky and their relatives."""

from __future__ import annotations

from collections.abc import Sequence

from mammoseg_lib.losses.base import check_positive
from mammoseg_lib.losses.pixel import Count, PixelLoss, Pixels, Sums


class _OverlapLoss(PixelLoss):
    """What Dice and Tversky share: both need the sums of p and of p y."""

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The probability of each pixel, and that of the mass pixels."""
        probs = logits.sigmoid()
        return probs, probs * target


class Dice(_OverlapLoss):
    r"""Dice loss: `1 - (k sum p y + s) / (sum p + sum y + s)`, k = `dice_factor`, s = `smooth`.

    With `dice_factor=2` (default) a perfect prediction gives 0 and the range is [0, 1). With
    `dice_factor=1`, as 001 prints its Eq. 2, a perfect prediction of a large mass gives about 1/2 and the
    range is [0, 1) still, 0 being reached by an empty prediction of an empty target only.

    An empty target gives `P / (P + s)` with P = sum p: it falls to 0 with the prediction. A full one needs
    no special case. The papers do not give the smoothing; 1 is our choice.

    Args:
        dice_factor: 1 or 2.
        smooth: s > 0, in pixels. It matters for regions without mass: the larger, the cheaper a faint
            prediction there.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 001 Eq. 2; 000 Appendix A.

    Raises:
        ValueError: `dice_factor` is neither 1 nor 2, or `smooth` is not positive.
    """

    def __init__(self, *, dice_factor: float | int = 2, smooth: float | int = 1.0):
        super().__init__()
        if dice_factor not in (1, 2):
            raise ValueError(f"dice_factor must be 1 or 2, not {dice_factor!r}")
        self.dice_factor = dice_factor
        self.smooth = check_positive("smooth", smooth)

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The Dice loss of each region; the 1 is multiplied out, which spares its rounding error."""
        predicted, matched = sums
        total = predicted + mass
        return (total - self.dice_factor * matched) / (total + self.smooth)


class Tversky(_OverlapLoss):
    r"""Tversky loss, `1 - T` with 000 Eq. 3: `T = (TP + s) / (TP + alpha FN + beta FP + s)`.

    Soft counts: `TP = sum p y`, `FN = sum (1 - p) y`, `FP = sum p (1 - y)`. As in 000 (and 003) **alpha
    weighs the false negatives**; many libraries use the letters the other way round. Range [0, 1), 0 for a
    perfect prediction. The paper prints the index and no values for alpha, beta and s: the loss is 1 - T,
    .7, .3 and 1 are our reading, after the usual choice of weighing misses more.

    An empty target gives `beta P / (beta P + s)` with P = sum p: it falls to 0 with the prediction. A full
    one needs no special case.

    Args:
        alpha: Weight of the false negatives, > 0.
        beta: Weight of the false positives, > 0.
        smooth: s > 0, in pixels. It matters for regions without mass: in a 32 x 32 cell a prediction of
            .01 everywhere costs .75 with s = 1 and 1.00 with s = 1e-6.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 000.

    Raises:
        ValueError: An option is not positive.
    """

    def __init__(self, *, alpha: float | int = 0.7, beta: float | int = 0.3, smooth: float | int = 1.0):
        super().__init__()
        self.alpha = check_positive("alpha", alpha)
        self.beta = check_positive("beta", beta)
        self.smooth = check_positive("smooth", smooth)

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The Tversky loss of each region; the 1 is multiplied out, which spares its rounding error."""
        predicted, matched = sums
        errors = self.alpha * (mass - matched) + self.beta * (predicted - matched)
        return errors / (matched + errors + self.smooth)
