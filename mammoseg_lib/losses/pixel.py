"""Losses that compare prediction and target pixel by pixel: cross entropy and its relatives.

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

from mammoseg_lib.losses.base import Batch, Loss, full_precision

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
