"""Losses that compare prediction and target pixel by pixel: BCE, Dice, Tversky, and the Dice + BCE hybrid.

Each is a function of sums of pixel maps over a region. Written that way, the same few lines give the
loss of a whole image and of every cell of a grid, which is what the Spatial Matching loss asks of its
core loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mammoseg_lib.losses.base import Batch, Loss, WeightedSum, check_positive, full_precision

Pixels = Float[Tensor, "b *pixels"]
Sums = Float[Tensor, "*regions"]
Count = int | Int[Tensor, "..."]


class PixelLoss(Loss):
    """A loss of a region that depends only on sums of pixel maps over that region.

    A subclass gives the maps and the value. `forward` applies the value to the whole image, one per sample.
    """

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The pixel maps, differentiable in the logits, whose sums `value` needs; element by element."""
        raise NotImplementedError

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The loss of each region.

        Args:
            sums: Sum of each pixel map over the region.
            mass: Number of mass pixels of the target in the region.
            pixels: Number of pixels of the region.
        """
        raise NotImplementedError

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss of the whole image, one value per sample."""
        x = full_precision(logits).squeeze(1)
        y = batch.target.squeeze(1).to(x.dtype)
        return self.value([m.sum((1, 2)) for m in self.maps(x, y)], y.sum((1, 2)), y[0].numel())


class _CrossEntropy(torch.autograd.Function):
    """Cross entropy of each pixel, max(x, 0) - x y + log(1 + exp(-|x|)), and its gradient sigmoid(x) - y.

    Torch's `binary_cross_entropy_with_logits` forms (1 - y) x - log sigmoid(x) instead. That cancels for
    confident true negatives, the bulk of a mammogram (a loss of 4.5e-5 keeps two digits in float32), and it
    calls log1p, measured to take ten times as long as log in torch's AVX-512 code on an AMD EPYC.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(x, y)
        u = x.abs().neg_().exp_()
        w = u + 1
        # log(1 + u) = log(w) + e / w, where e is what rounding 1 + u to w has lost: log1p by other means.
        e = u.sub_(w - 1).div_(w)
        return x.clamp(min=0).sub_(x * y).add_(w.log_().add_(e))

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        x, y = ctx.saved_tensors
        return x.sigmoid().sub_(y).mul_(gradient), None


class BCE(PixelLoss):
    r"""Binary cross entropy, 000 Eq. 2: `-1/N sum_j [y_j log p_j + (1 - y_j) log(1 - p_j)]`.

    The paper's equation omits the sum over j. Range [0, inf): 0 for a perfect prediction, log 2 for p = 1/2.
    Empty and full targets need no special case. Computed from the logits, so that it stays finite for any
    finite logit (|logit| for a confident error).

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 000, 001.
    """

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The cross entropy of each pixel."""
        return (_CrossEntropy.apply(logits, target),)

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The mean over the pixels of the region."""
        return sums[0] / pixels


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
