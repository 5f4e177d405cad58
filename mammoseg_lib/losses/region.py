"""Losses that compare neighborhoods instead of pixels: mutual information and structural similarity."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from mammoseg_lib.checks import Mask, as_mask, check_choice, check_positive, check_weight, check_whole
from mammoseg_lib.losses.base import Batch, Features, Loss, full_precision
from mammoseg_lib.losses.composite import WeightedSum
from mammoseg_lib.losses.pixel import BCE
from mammoseg_lib.losses.windows import WINDOW, covariances, gaussian_means

POOLINGS: dict[str, tuple[Callable[..., Tensor] | None, int]] = {
    "avg4": (F.avg_pool2d, 4),
    "avg2": (F.avg_pool2d, 2),
    "max3": (F.max_pool2d, 3),
    "none": (None, 1),
}
C1, C2 = 0.01**2, 0.03**2  # of SSIM, for values from 0 to 1


class RMI(Loss):
    r"""Region mutual information, the bound that is minimized for 001 Eq. 4: `1/2 log det(M + alpha I) / d`.

    Target and prediction are pooled, and every R x R neighborhood of each is read as a point with d = R^2
    coordinates. With the sums over all N neighborhoods (not divided by N, as published)

        S_Y = sum (y - mean)(y - mean)^T,  S_P likewise,  C = sum (y - mean)(p - mean)^T
        M = S_Y - C (S_P + alpha I)^-1 C^T

    M is what is left of the target's neighborhoods after a linear regression on those of the prediction.
    001 prints the mutual information, which is to be maximized; its negative is bounded from above by the
    entropy of what is left, which is what the source of the loss minimizes, and what is returned here. It
    adds 1e-6 to the sigmoid, which the means take out again (but for the half-empty windows at a padded
    border), and 1e-8 inside the logarithm of the Cholesky factor, which adds at most 5e-7: both are left out.

    Range about [1/2 ln alpha, inf), in nats for each coordinate. A perfect prediction of a mass gives
    1/2 ln(2 alpha), -3.454. An empty or a full target leaves nothing to explain: 1/2 ln alpha, -3.8005, and
    no gradient, whatever is predicted (with average pooling, whose zero padding counts, a full target has a
    visible border and a value of its own). What explains little costs the more, the larger the image: the
    sums are not divided by N. As a regression may have any sign and offset, without pooling an inverted mask
    scores like a perfect one, so **never train with it alone**.

    Computed in float64 with autocast off: a float32 factorization fails for good predictions. A sample is NaN
    where its logits are not finite, or where alpha is lost in the rounding of the sums (1e-11 for 256 x 256
    pixels without pooling; below 1e-9 digits are missing). `torch.compile(fullgraph=True)` works where the
    features are cached.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]` of zeros and ones, result `[b]`. Source: 001; Zhao et al.,
    Region Mutual Information Loss for Semantic Segmentation, NeurIPS 2019.

    Args:
        pooling: `"avg4"`, `"avg2"`, `"max3"` or `"none"`: average or maximum over k x k pixels, in steps of
            k, padded by k // 2. The published code has three defaults (maximum of 3 in the class, average
            of 2 in the arguments, average of 4 in the training script); 001 does not say.
        radius: R, the side of a neighborhood in pooled pixels.
        alpha: Regularization, > 0.
        bce_weight: lambda from 0 to 1 in `lambda BCE + (1 - lambda) RMI`. The published full loss has 1/2;
            0 is the bound alone.

    Raises:
        ValueError: An option is out of range, or the image has no neighborhood after pooling.
    """

    def __init__(
        self,
        *,
        pooling: str = "avg4",
        radius: int = 3,
        alpha: float | int = 5e-4,
        bce_weight: float | int = 0.0,
    ):
        super().__init__()
        check_choice("pooling", pooling, tuple(POOLINGS))
        self.pooling, self.radius = pooling, check_whole("radius", radius)
        self.bce_weight = check_weight("bce_weight", bce_weight)
        if bce_weight > 1:
            raise ValueError(f"bce_weight must lie between 0 and 1, not {bce_weight!r}")
        self.alpha = check_positive("alpha", alpha)
        self.bce = BCE()

    def target_features(
        self, mask: Shaped[Mask, "h w"], spacing_mm: tuple[float, float] | None = None
    ) -> Features:
        """What the target alone decides.

        Returns:
            `covariance`, float64 `[d d]`, S_Y; and `pooled`, float32 `[h' w']`, unless `pooling="none"`.
        """
        pooled = self._pool(torch.from_numpy(np.array(as_mask(mask))).float()[None])
        covariance, _ = covariances(pooled.double(), pooled.double(), self.radius)
        features = {"covariance": covariance[0].numpy()}
        return features if self.pooling == "none" else features | {"pooled": pooled[0].numpy()}

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss, one value per sample."""
        features = self.features_of(batch)
        x = full_precision(logits)
        # The sigmoid is monotone: the maximum may come first, which leaves it a ninth of the pixels.
        pooled = self._pool(x.squeeze(1)) if self.pooling == "max3" else x.squeeze(1)
        probs = pooled.sigmoid()
        if self.pooling.startswith("avg"):
            probs = self._pool(probs)
        target = features.get("pooled", batch.target.squeeze(1))
        bound = self._bound(probs.double(), target.double(), features["covariance"]).to(x.dtype)
        if self.bce_weight == 0:
            return bound
        return self.bce_weight * self.bce(x, batch) + (1 - self.bce_weight) * bound

    def _pool(self, maps: Float[Tensor, "b h w"]) -> Float[Tensor, "b ph pw"]:
        pool, k = POOLINGS[self.pooling]
        least = k * self.radius - 2 * (k // 2)
        if min(maps.shape[-2:]) < least:
            height, width = maps.shape[-2:]
            raise ValueError(
                f"RMI with pooling={self.pooling!r} and radius={self.radius} needs images of at least "
                f"{least} x {least} pixels, not {height} x {width}"
            )
        return maps if pool is None else pool(maps, k, stride=k, padding=k // 2)

    def _bound(
        self,
        probs: Float[Tensor, "b ph pw"],
        target: Float[Tensor, "b ph pw"],
        target_covariance: Float[Tensor, "b d d"],
    ) -> Float[Tensor, " b"]:
        s_p, c = covariances(probs, target, self.radius)
        joint = torch.cat([torch.cat([s_p, c], 2), torch.cat([c.mT, target_covariance], 2)], 1)
        d = self.radius**2
        identity = torch.eye(2 * d, dtype=joint.dtype, device=joint.device)
        # With the prediction's block first, the last d rows of the factor of the joint covariance are the
        # Cholesky factor of its Schur complement, M + alpha I.
        factor, failed = torch.linalg.cholesky_ex(joint + self.alpha * identity)
        bound = factor.diagonal(dim1=1, dim2=2)[:, d:].log().mean(1)
        return torch.where(failed == 0, bound, math.nan)


class SSIM(Loss):
    r"""Structural similarity loss, `1 - mean SSIM`, 001 Eq. 5.

    The mean over all windows of

        1 - (2 mu_y mu_p + C1) (2 sigma_yp + C2) / ((mu_y^2 + mu_p^2 + C1) (sigma_y^2 + sigma_p^2 + C2))

    001 prints mu_y^2 mu_p^2 in the denominator, with which equal patches would not give 1: a typo for the
    sum. As in Wang et al. 2004, moments are weighted by a Gaussian of 11 x 11 pixels with sigma 1.5 and not
    corrected for bias; C1 = .01^2, C2 = .03^2; only windows that lie inside the image count.

    Range [0, 2): 0 for a perfect prediction. An empty target asks for a prediction of 0 (any p far above
    C1^.5 = .01 costs 1), a full one for 1. The value is the mean over all windows, and most of a mammogram
    is background, so that a missed small mass costs little.

    Computed with autocast off, as written in `map`: the usual formula cancels in float32. The target's mean
    over windows is not cached: that would double the memory of the masks and save a sixth of the time.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]` of zeros and ones, result `[b]`. Source: 001; Wang et al.,
    Image Quality Assessment, IEEE TIP 2004.

    Raises:
        ValueError: The image is smaller than the window.
    """

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss, one value per sample."""
        return self.map(logits, batch).mean((1, 2))

    def map(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, "b wh ww"]:
        """1 - SSIM of each window; the window in row i, column j is centered on pixel (i + 5, j + 5)."""
        self.check(logits, batch)
        if min(logits.shape[-2:]) < WINDOW:
            height, width = logits.shape[-2:]
            raise ValueError(
                f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, not {height} x {width}"
            )
        p = full_precision(logits).squeeze(1).sigmoid()
        y = batch.target.squeeze(1).to(p.dtype)
        # SSIM is the product of 1 - (mu_y - mu_p)^2 / (mu_y^2 + mu_p^2 + C1) and
        # 1 - var(y - p) / (sigma_y^2 + sigma_p^2 + C2). In the difference nothing cancels where the two
        # agree, and shifting the values to +-1/2 spares digits of the variances.
        error = p - y
        moments = torch.cat([error, y, error.square(), (p - 0.5).square() + (y - 0.5).square()])
        mu_e, mu_y, square_e, squares = gaussian_means(moments).chunk(4)
        mu_p = mu_y + mu_e
        luminance = mu_e.square() / (mu_y.square() + mu_p.square() + C1)
        variances = squares - (mu_p - 0.5).square() - (mu_y - 0.5).square()
        structure = (square_e - mu_e.square()) / (variances + C2)
        return luminance + structure - luminance * structure


def hybrid_region(
    *,
    rmi_weight: float | int = 1.0,
    ssim_weight: float | int = 1.0,
    pooling: str = "avg4",
    rmi_include_bce: bool = False,
) -> WeightedSum:
    """The hybrid region-level loss, 001 Eq. 6: `rmi_weight L_RMI + ssim_weight L_SSIM`; eta = gamma = 1.

    Range about [-3.8, inf), see `RMI` and `SSIM`. With an empty target the first is a constant without a
    gradient, and SSIM alone asks for a prediction of 0; of a full one both ask for 1.

    Args:
        rmi_weight: eta.
        ssim_weight: gamma.
        pooling: That of `RMI`.
        rmi_include_bce: Whether the "publicly available implementation" of RMI that 001 used is taken with
            its own half of BCE (`RMI(bce_weight=0.5)`). 001 does not say; False is our reading.
    """
    rmi = RMI(pooling=pooling, bce_weight=0.5 if rmi_include_bce else 0.0)
    return WeightedSum({"rmi": (rmi, rmi_weight), "ssim": (SSIM(), ssim_weight)})
