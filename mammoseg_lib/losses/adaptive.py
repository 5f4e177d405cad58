"""Losses that weigh their terms sample by sample: by breast density (001) or by the size of the mass (ASP).

No code and no full text of ASP could be had. What stands here under that name is a reconstruction from the
few sentences that 001 spends on it, and is called one wherever it shows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mammoseg_lib.checks import Mask, as_mask, check_choice
from mammoseg_lib.losses.base import Batch, full_precision
from mammoseg_lib.losses.composite import Composite
from mammoseg_lib.losses.hybrids import dice_bce
from mammoseg_lib.losses.overlap import Dice
from mammoseg_lib.losses.pixel import BCE
from mammoseg_lib.losses.region import hybrid_region

THETA = {"inbreast": (0.5, 0.5, 0.85, 0.95), "cbis_ddsm": (0.25, 0.25, 0.85, 0.95)}
"""Weights of the region-level loss for ACR 1, 2, 3 and 4 (001, Section 4.3)."""

DICE_WEIGHT = {"inbreast": 2.0, "cbis_ddsm": 2.5}
"""alpha of 001, Section 4.3."""

GROUPINGS = ("quantile", "cluster", "learned")


class DensityASP(Composite):
    r"""Density-ASP loss, 001 Eq. 7: `L^i = (p^i theta^T) L_HR^i + L_HP^i` for sample i.

    p^i is the one-hot ACR density of the sample, so that the denser the breast, the more the region-level
    loss counts: `L_HR = eta L_RMI + gamma L_SSIM` (Eq. 6). The pixel-level loss
    `L_HP = alpha L_Dice + beta L_BCE` (Eq. 3) has the same weight for all.

    Not bounded below by 0: the RMI term is negative for a good prediction, and so may the sum be. An empty
    target leaves the RMI term a constant (see `RMI`), which no prediction changes; a full one needs no
    special case.

    `torch.compile` breaks the graph at one place, the check that every density is known; with `missing`
    given there is no check and no break.

    Args:
        theta: `"inbreast"` or `"cbis_ddsm"`, the paper's vectors, or four weights for ACR 1 to 4.
        dice_weight: alpha. None: the paper's for the named theta (2 and 2.5), and 2 for any other.
        bce_weight: beta.
        rmi_weight: eta.
        ssim_weight: gamma.
        dice_factor: 1, as Eq. 2 is printed (a perfect prediction costs about 1/2), or 2; see `Dice`.
        pooling: That of `RMI`.
        rmi_include_bce: Whether the RMI loss holds its public implementation's own half of BCE; the paper
            used "the publicly available implementations", and its Eq. 4 has no such term.
        missing: ACR class, 1 to 4, to take where the density is unknown. None: that is an error.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, density `[b]`, result `[b]`. Source: 001.

    Raises:
        ValueError: An option has an unknown value; or, in use, the density of a sample is unknown.
    """

    one_channel = True

    def __init__(
        self,
        theta: str | Sequence[float | int] = "inbreast",
        *,
        dice_weight: float | int | None = None,
        bce_weight: float | int = 1.0,
        rmi_weight: float | int = 1.0,
        ssim_weight: float | int = 1.0,
        dice_factor: float | int = 1,
        pooling: str = "avg4",
        rmi_include_bce: bool = False,
        missing: int | None = None,
    ):
        if isinstance(theta, str):
            check_choice("theta", theta, tuple(THETA))
            dice_weight = DICE_WEIGHT[theta] if dice_weight is None else dice_weight
            theta = THETA[theta]
        if missing is not None:
            check_choice("missing", missing, (1, 2, 3, 4))
        pixel = dice_bce(
            dice_weight=2.0 if dice_weight is None else dice_weight,
            bce_weight=bce_weight,
            dice_factor=dice_factor,
        )
        region = hybrid_region(
            rmi_weight=rmi_weight, ssim_weight=ssim_weight, pooling=pooling, rmi_include_bce=rmi_include_bce
        )
        super().__init__({"pixel": pixel, "region": region})
        # Neither is learned: they belong to the configuration, not to the saved state.
        self.register_buffer("theta", _weights("theta", theta, 4), persistent=False)
        self.register_buffer("classes", torch.arange(1.0, 5), persistent=False)
        self.missing = missing

    def region_weight(self, density: Float[Tensor, " b"] | None) -> Float[Tensor, " b"]:
        """`p theta^T`, the weight of the region-level loss for samples of the given ACR densities."""
        if density is None:
            if self.missing is None:
                raise ValueError("Density-ASP needs the ACR density of every sample; this source has none")
            return self.theta[self.missing - 1 : self.missing]
        one_hot = density[:, None] == self.classes
        if self.missing is not None:
            unknown = ~one_hot.any(1, keepdim=True)
            one_hot = one_hot | (unknown & (self.classes == self.missing))
        elif not bool(one_hot.any(1).all()):
            strange = ", ".join(f"{d:g}" for d in density[~one_hot.any(1)].tolist())
            raise ValueError(
                f"Density-ASP needs an ACR density of 1, 2, 3 or 4 for every sample, not {strange}"
            )
        return one_hot.to(self.theta.dtype) @ self.theta

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss, one value per sample."""
        weight = self.region_weight(batch.acr_density)
        return weight * self.term("region", logits, batch) + self.term("pixel", logits, batch)


class ASPReconstruction(Composite):
    r"""Adaptive Sample-level Prioritizing loss, reconstructed: `L^i = w_D^i L_Dice^i + w_B^i L_BCE^i`.

    001 says of ASP (its reference 10) that it weighs Dice and BCE for each sample by the ratio of the mass to
    the image, in three versions, and no more. The grouping below follows these sentences; the weights, the
    number of groups and the form that is learned are this project's design.

        quantile   the sample's group is the quantile that its mass ratio r lies in
        cluster    the sample's group is the nearest of K means of r
        learned    (w_D, w_B) = 2 softmax(A [z, 1]), z = (log r - mean) / sd, with A trained along with the
                   network, from 0, which is the plain Dice + BCE

    Quantiles, means and the moments of log r are taken from the training masks (`fit_targets`) and saved with
    the loss, as is A. The learned version minimizes what it weighs: nothing keeps it from moving all weight
    to the term that is smaller anyway.

    Range [0, inf). An empty target has r = 0, the group of the smallest masses; in `"learned"`, r is at least
    one pixel. A full target needs no special case.

    Args:
        grouping: `"quantile"`, `"cluster"` or `"learned"`.
        dice_weights: w_D of each group, from the smallest masses to the largest. As many as there are
            groups. Not for `"learned"`, and required otherwise: the paper states none.
        bce_weights: w_B, likewise.
        dice_factor: See `Dice`.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]`, result `[b]`. Source: 001, Section 2.2, which cites
    Aliniya et al., ICANN 2023.

    Raises:
        ValueError: An option has an unknown value, the weights do not fit the grouping, or the training masks
            have fewer different sizes than there are groups.
        RuntimeError: The loss is used before `fit_targets`.
    """

    one_channel = True

    def __init__(
        self,
        grouping: str = "quantile",
        dice_weights: Sequence[float | int] | None = None,
        bce_weights: Sequence[float | int] | None = None,
        *,
        dice_factor: float | int = 2,
    ):
        check_choice("grouping", grouping, GROUPINGS)
        super().__init__({"dice": Dice(dice_factor=dice_factor), "bce": BCE()})
        self.grouping, self.fitted = grouping, False
        if grouping == "learned":
            if dice_weights is not None or bce_weights is not None:
                raise ValueError("grouping='learned' learns its weights; it takes none")
            self.register_buffer("log_ratio_mean", torch.full((), torch.nan))
            self.register_buffer("log_ratio_sd", torch.full((), torch.nan))
            self.slopes = nn.Parameter(torch.zeros(2, 2))
        else:
            n = len(dice_weights or ())
            if n < 2 or n != len(bce_weights or ()):
                raise ValueError(
                    f"grouping={grouping!r} needs dice_weights and bce_weights, one of each for every group"
                )
            pair = [_weights("dice_weights", dice_weights, n), _weights("bce_weights", bce_weights, n)]
            self.register_buffer("group_weights", torch.stack(pair, dim=1), persistent=False)
            # float64, as a quantile may be the ratio of a training mask to the last bit.
            self.register_buffer("edges", torch.full((n - 1,), torch.nan, dtype=torch.float64))
        self.register_load_state_dict_post_hook(_after_load)

    def fit_targets(self, masks: Shaped[Mask, "n h w"]) -> None:
        """Take the groups' edges, or the moments of log r, from the training masks."""
        masks = as_mask(masks, "the masks", axes=(3,))
        ratios = masks.mean((1, 2))
        if self.grouping == "learned":
            logs = np.log(np.maximum(ratios, 1 / masks[0].size))
            if logs.std() == 0:
                raise ValueError("the training masks are all of one size: there is nothing to adapt to")
            self.log_ratio_mean.fill_(logs.mean())
            self.log_ratio_sd.fill_(logs.std())
        else:
            n = len(self.group_weights)
            if (sizes := len(np.unique(ratios))) < n:
                raise ValueError(f"{n} groups need as many sizes of mass; the training masks have {sizes}")
            edges = _edges(self.grouping, ratios, n)
            if (np.diff(edges) <= 0).any():
                raise ValueError(f"too many training masks are of one size to form {n} groups")
            self.edges.copy_(torch.from_numpy(edges))
        self.fitted = True

    def groups(self, ratios: Float[Tensor, " b"]) -> Tensor:
        """The group, from 0, of each mass ratio."""
        self._check_fitted()
        return torch.bucketize(ratios.double(), self.edges, right=True)

    def weights(self, ratios: Float[Tensor, " b"], pixels: int) -> Float[Tensor, "b 2"]:
        """w_D and w_B of samples with the given mass ratios in images of so many pixels."""
        if self.grouping != "learned":
            return self.group_weights[self.groups(ratios)]
        self._check_fitted()
        z = (ratios.clamp(min=1 / pixels).log() - self.log_ratio_mean) / self.log_ratio_sd
        return 2 * (z[:, None] * self.slopes[:, 0] + self.slopes[:, 1]).softmax(dim=1)

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss, one value per sample."""
        pixels = batch.target[0].numel()
        ratios = batch.target.sum((1, 2, 3)).double() / pixels
        weights = self.weights(ratios, pixels).to(full_precision(logits).dtype)
        dice_weight, bce_weight = weights.unbind(dim=1)
        return dice_weight * self.term("dice", logits, batch) + bce_weight * self.term("bce", logits, batch)

    def _check_fitted(self) -> None:
        if not self.fitted:
            raise RuntimeError("ASP has not seen the training masks: call fit_targets first")


def _edges(grouping: str, ratios: np.ndarray, n: int) -> np.ndarray:
    """The n - 1 ratios at which one group ends and the next begins."""
    if grouping == "quantile":
        return np.quantile(ratios, np.arange(1, n) / n)
    from sklearn.cluster import KMeans  # here: it takes longer to import than all losses

    means = KMeans(n, n_init=10, random_state=0).fit(ratios[:, None]).cluster_centers_[:, 0]
    means.sort()
    return (means[1:] + means[:-1]) / 2  # on a line, the nearest mean changes halfway


def _after_load(loss: ASPReconstruction, keys: object) -> None:
    loss.fitted = all(bool(value.isfinite().all()) for value in loss.buffers())


def _weights(option: str, values: Sequence[float | int], n: int) -> Float[Tensor, " n"]:
    numbers = values if isinstance(values, list | tuple) else ()
    if len(numbers) != n or not all(isinstance(v, int | float) and 0 <= v < float("inf") for v in numbers):
        raise ValueError(f"{option} must be {n} finite numbers from 0, not {values!r}")
    return torch.tensor([float(v) for v in numbers])
