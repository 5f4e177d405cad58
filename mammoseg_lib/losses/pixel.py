"""Losses that compare prediction and target pixel by pixel: cross entropy and its relatives.

Each is a function of sums of pixel maps over a region. Written that way, the same few lines give the
loss of a whole image and of every cell of a grid, which is what the Spatial Matching loss asks of its
core loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mammoseg_lib.checks import check_positive, check_share, check_weight
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


def cross_entropy(logits: Pixels, target: Pixels) -> Pixels:
    """Cross entropy of each pixel, softplus(-z), z being the logit of the true class: x for y = 1, else -x.

    Torch's `binary_cross_entropy_with_logits`, which also takes targets between 0 and 1, forms
    (1 - y) x - log sigmoid(x) instead. That cancels for confident true negatives, the bulk of a mammogram: a
    loss of 4.5e-5 keeps two digits in float32.
    """
    # Beyond 40, log(1 + e^z) is z in any precision.
    return F.softplus((1 - 2 * target) * logits, threshold=40)


class BCE(PixelLoss):
    r"""Binary cross entropy, 000 Eq. 2: `-1/N sum_j [y_j log p_j + (1 - y_j) log(1 - p_j)]`.

    The paper's equation omits the sum over j. Range [0, inf): 0 for a perfect prediction, log 2 for p = 1/2.
    Empty and full targets need no special case. Computed from the logits, so that it stays finite for any
    finite logit (|logit| for a confident error).

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 000, 001.
    """

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The cross entropy of each pixel."""
        return (cross_entropy(logits, target),)

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The mean over the pixels of the region."""
        return sums[0] / pixels


class WeightedBCE(BCE):
    r"""Cross entropy with a weight for each class.

        L = -1/N sum_j [w_pos y_j log p_j + w_neg (1 - y_j) log(1 - p_j)]

    The mean is over the pixels, not over the weights: twice the weights, twice the loss. 002 (Section 2.1)
    writes w_- and w_+ without saying which class is which, with a wrong sign, and gives no values, so ours
    are named by class and the first has no default.

    Range [0, inf): 0 for a perfect prediction. Empty and full targets need no special case; they give
    `negative_weight BCE` and `positive_weight BCE`.

    Args:
        positive_weight: Weight of the mass pixels, > 0. Above `negative_weight`, a miss costs more than a
            false alarm.
        negative_weight: Weight of the others, > 0.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 002; one of the two variants of
    BCE that 001 names.

    Raises:
        ValueError: A weight is not positive.
    """

    def __init__(self, *, positive_weight: float | int, negative_weight: float | int = 1.0):
        super().__init__()
        self.positive_weight = check_positive("positive_weight", positive_weight)
        self.negative_weight = check_positive("negative_weight", negative_weight)

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The weighted cross entropy of each pixel."""
        weights = self.negative_weight + (self.positive_weight - self.negative_weight) * target
        return (cross_entropy(logits, target) * weights,)


class BalancedBCE(PixelLoss):
    r"""Cross entropy with weights from the class frequencies of the sample itself (Xie and Tu, 2015).

        L = -1/Z [beta sum_{j in Y+} log p_j + (1 - beta) sum_{j in Y-} log(1 - p_j)],   beta = |Y-| / |Y|

    Each pixel is weighed by the share of the *other* class. Xie and Tu have no Z; ours is the sum of the
    weights, which makes the loss the average of the mean over the mass and the mean over the rest. With
    Z = |Y| a sample would count in proportion to |Y+| |Y-|: one with a small mass hardly at all.

    Range [0, inf): 0 for a perfect prediction, log 2 for p = 1/2. In an empty or a full target one class is
    absent and there is nothing to balance: the mean over the other one, which is plain BCE. (The unnormalized
    formula is 0 there, whatever is predicted.)

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: Xie and Tu, ICCV 2015, Eq. 2;
    the other variant of BCE that 001 names.
    """

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The cross entropy of the mass pixels, and that of the others."""
        entropy = cross_entropy(logits, target)
        return entropy * target, entropy * (1 - target)

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The mean of the means of the classes that the region has."""
        rest = pixels - mass
        classes = (mass > 0).to(mass.dtype) + (rest > 0)
        return (sums[0] / mass.clamp(min=1) + sums[1] / rest.clamp(min=1)) / classes.clamp(min=1)


class Focal(BCE):
    r"""Focal loss (Lin et al., 2017): `-1/N sum_j alpha_j (1 - q_j)^gamma log q_j`.

    q_j is the probability given to the true class of the pixel: p_j in the mass, 1 - p_j elsewhere. The
    better a pixel is predicted, the less it counts. Range [0, inf): 0 for a perfect prediction. Empty and
    full targets need no special case. With `gamma=0` and `alpha=None` it is BCE.

    (1 - q)^gamma is computed as exp(-gamma softplus(z)), z being the logit of q, and not as a power, whose
    gradient for gamma < 1 is 0 times infinity where 1 - q is rounded to 0.

    Args:
        gamma: How fast well predicted pixels cease to count, >= 0.
        alpha: Weight of the mass pixels, in (0, 1); the others weigh `1 - alpha`. None: all weigh 1. The
            published .25 weighs the *rare* class down, as gamma = 2 has already removed most of the other.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: Lin et al., ICCV 2017, Eq. 5;
    named in 001.

    Raises:
        ValueError: `gamma` is negative or not finite, or `alpha` does not lie in (0, 1).
    """

    def __init__(self, *, gamma: float | int = 2.0, alpha: float | None = 0.25):
        super().__init__()
        self.gamma = check_weight("gamma", gamma)
        self.alpha = None if alpha is None else check_share("alpha", alpha)

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The focal loss of each pixel."""
        entropy = cross_entropy(logits, target)  # softplus(-z)
        sign = 2 * target - 1
        focal = entropy * torch.exp(-self.gamma * (entropy + sign * logits))  # softplus(z) = softplus(-z) + z
        if self.alpha is None:
            return (focal,)
        return (focal * (0.5 + (self.alpha - 0.5) * sign),)
