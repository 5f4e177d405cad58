"""Losses that compare how much prediction and target overlap: Dice, Tversky and their relatives."""

from __future__ import annotations

from collections.abc import Sequence

from mammoseg_lib.checks import check_choice, check_positive, check_share
from mammoseg_lib.losses.pixel import Count, PixelLoss, Pixels, Sums

JACCARD_PER = ("image", "pixel")


class _OverlapLoss(PixelLoss):
    """What the losses of this family share: they need the sums of p and of p y."""

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
        check_choice("dice_factor", dice_factor, (1, 2))
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


class FocalTversky(Tversky):
    r"""Focal Tversky loss, 003 Eqs. 3 and 4: `(1 - TI)^(1/gamma)`, TI with alpha on FN and 1 - alpha on FP.

    The published `gamma = 4/3` is the exponent 3/4, which we take as the option, since other libraries call
    the exponent gamma. An exponent below 1 steepens the loss near TI = 1, where the gradient of the power is
    infinite; therefore 1 - TI is clamped to at least 1e-7. What is closer to perfect has a gradient of 0.

    Range [1e-7^exponent, 1), that is [5.6e-6, 1) for .75; the lower end for a perfect prediction. An empty
    target gives `(b P / (b P + s))^exponent` with P = sum p and b = 1 - alpha. A full one needs no special
    case.

    Args:
        alpha: Weight of the false negatives, in (0, 1); the false positives weigh `1 - alpha`.
        exponent: 1 / gamma of 003, > 0.
        smooth: s > 0, in pixels. 003 gives no value ("for numerical stability"); 1 is that of the authors
            whom it follows (Abraham and Khan, 2019).

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 003.

    Raises:
        ValueError: `alpha` does not lie in (0, 1), or another option is not positive.
    """

    def __init__(self, *, alpha: float = 0.7, exponent: float | int = 0.75, smooth: float | int = 1.0):
        super().__init__(alpha=check_share("alpha", alpha), beta=1 - alpha, smooth=smooth)
        self.exponent = check_positive("exponent", exponent)

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The Focal Tversky loss of each region."""
        return super().value(sums, mass, pixels).clamp(min=1e-7) ** self.exponent


class Jaccard(_OverlapLoss):
    r"""Soft Jaccard loss: `1 - J`, or `-log J`, with `J = (sum p y + s) / (sum p + sum y - sum p y + s)`.

    `per` says what the sums are over. `"image"`: over the image, the usual soft Jaccard. `"pixel"`: 003
    Eq. 2 as it is printed, a J for each pixel, and then their mean. Written out, the latter is

        1 - J = 1/N [sum_{y=1} (1 - p) / (1 + s) + sum_{y=0} p / (p + s)],

    in which, with a small s, every background pixel costs 1 until its p comes near s: for s = 1e-7 the
    gradient with respect to p is next to nothing for any usual p and 1 / (N s) at p = 0. Whoever tries it
    should keep s = 1.

    Range of `1 - J`: [0, 1). Of `-log J`: [0, log(1 + N/s)] per image and [0, log(1 + 1/s)] per pixel. A
    perfect prediction gives 0. An empty target gives, per image, `P / (P + s)` with P = sum p, or
    `log(1 + P/s)`: it falls to 0 with the prediction. A full one needs no special case.

    Args:
        smooth: s > 0, in pixels. 003 gives no value; 1 is our choice.
        per: `"image"` or `"pixel"`.
        log: False: `1 - J`, as in 003 Eq. 1 up to a constant. True: `-log J`, as in configurations that the
            authors of 003 published for other work.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 003.

    Raises:
        ValueError: `per` is unknown, or `smooth` is not positive.
    """

    def __init__(self, *, smooth: float | int = 1.0, per: str = "image", log: bool = False):
        super().__init__()
        check_choice("per", per, JACCARD_PER)
        self.smooth = check_positive("smooth", smooth)
        self.per_pixel, self.log = per == "pixel", log

    def maps(self, logits: Pixels, target: Pixels) -> tuple[Pixels, ...]:
        """The maps of the family; for `per="pixel"`, 1 - J and J of each pixel."""
        probs, matched = super().maps(logits, target)
        if not self.per_pixel:
            return probs, matched
        errors, hits = probs + target - 2 * matched, matched + self.smooth
        union = errors + hits
        return errors / union, hits / union

    def value(self, sums: Sequence[Sums], mass: Sums, pixels: Count) -> Sums:
        """The Jaccard loss of each region; with J = hits / (errors + hits) nothing has to be taken from 1."""
        if self.per_pixel:
            errors, hits = sums
        else:
            predicted, matched = sums
            errors, hits = predicted + mass - 2 * matched, matched + self.smooth
        return (errors / hits).log1p() if self.log else errors / (errors + hits)
