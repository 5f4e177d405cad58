"""The combinations of losses that the papers name."""

from __future__ import annotations

from mammoseg_lib.checks import check_share, check_whole
from mammoseg_lib.losses.composite import Phases, WeightedSum
from mammoseg_lib.losses.overlap import Dice, FocalTversky, Jaccard
from mammoseg_lib.losses.pixel import BCE, WeightedBCE


def dice_bce(
    *,
    dice_weight: float | int = 1.0,
    bce_weight: float | int = 1.0,
    dice_factor: float | int = 2,
    smooth: float | int = 1.0,
) -> WeightedSum:
    """The Dice + BCE hybrid, the baseline loss of 000 and 001: `dice_weight Dice + bce_weight BCE`.

    The weights are alpha and beta of 001 Eq. 3. Neither paper states them; 1 and 1 is our reading. Range
    [0, inf), 0 for a perfect prediction with factor 2. With an empty target both terms fall to 0 with the
    prediction; a full one needs no special case.
    """
    dice = Dice(dice_factor=dice_factor, smooth=smooth)
    return WeightedSum({"dice": (dice, dice_weight), "bce": (BCE(), bce_weight)})


def bce_jaccard(
    *, omega: float = 0.5, smooth: float | int = 1.0, per: str = "image", log: bool = False
) -> WeightedSum:
    """The combination loss of 003, Eq. 1: `(1 - omega) BCE + omega (1 - J)`.

    The paper prints `(1 - omega) BCE - omega J` and calls J, an index, a loss; ours is larger by the constant
    omega, which has no gradient. Range [0, inf), 0 for a perfect prediction. With an empty target both terms
    fall to 0 with the prediction; a full one needs no special case.

    Args:
        omega: Weight of the Jaccard term, in (0, 1); .5 in 003.
        smooth: Smoothing of the Jaccard index, see `Jaccard`.
        per: Over what the index is taken, `"image"` or, as printed, `"pixel"`; see `Jaccard`.
        log: `-log J` in place of `1 - J`, see `Jaccard`.

    Raises:
        ValueError: `omega` does not lie in (0, 1), or an option of `Jaccard` is not valid.
    """
    omega = check_share("omega", omega)
    jaccard = Jaccard(smooth=smooth, per=per, log=log)
    return WeightedSum({"bce": (BCE(), 1 - omega), "jaccard": (jaccard, omega)})


def two_phase(
    *,
    combination_epochs: int = 20,
    omega: float = 0.5,
    per: str = "image",
    log: bool = False,
    alpha: float = 0.7,
    exponent: float | int = 0.75,
    smooth: float | int = 1.0,
) -> Phases:
    """The losses of 003 in their order: `bce_jaccard` for some epochs, `FocalTversky` from then on.

    003 trains with the first for 20 epochs and with the second for 60. The numbers of the two are not
    comparable: "best by validation loss" across the change picks a phase rather than a model. Range, and what
    an empty and a full target give: see the loss whose turn it is.

    Args:
        combination_epochs: How long the first loss lasts, >= 1.
        omega: See `bce_jaccard`.
        per: See `Jaccard`.
        log: See `Jaccard`.
        alpha: See `FocalTversky`.
        exponent: See `FocalTversky`.
        smooth: Smoothing of both.

    Raises:
        ValueError: An option is not valid.
    """
    check_whole("combination_epochs", combination_epochs)
    combination = bce_jaccard(omega=omega, smooth=smooth, per=per, log=log)
    focal_tversky = FocalTversky(alpha=alpha, exponent=exponent, smooth=smooth)
    return Phases([(combination, combination_epochs), (focal_tversky, 0)])


def combo(*, alpha: float = 0.5, beta: float = 0.5, smooth: float | int = 1.0) -> WeightedSum:
    """Combo loss (Taghanaki et al., 2019): `alpha CE_beta + (1 - alpha) (1 - D)`, D the Dice index.

    `CE_beta` is the cross entropy with weight beta on mass pixels and 1 - beta on the others, so that .5 is
    half the BCE; beta < .5 penalizes false positives more. The original subtracts `(1 - alpha) D`: ours is
    larger by the constant 1 - alpha, which has no gradient, and 0 for a perfect prediction. Range [0, inf).
    With an empty target both terms fall to 0 with the prediction; a full one needs no special case.

    Args:
        alpha: Weight of the cross entropy against Dice, in (0, 1).
        beta: Weight of the mass pixels in the cross entropy, in (0, 1).
        smooth: Smoothing of the Dice index, see `Dice`.

    Raises:
        ValueError: `alpha` or `beta` does not lie in (0, 1), or `smooth` is not positive.
    """
    alpha, beta = check_share("alpha", alpha), check_share("beta", beta)
    entropy = WeightedBCE(positive_weight=beta, negative_weight=1 - beta)
    return WeightedSum({"weighted_bce": (entropy, alpha), "dice": (Dice(smooth=smooth), 1 - alpha)})
