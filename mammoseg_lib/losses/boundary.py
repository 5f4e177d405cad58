"""The boundary loss of 002: a distance between contours, written as an integral over the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from scipy import ndimage
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mammoseg_lib.checks import Mask, as_mask, check_choice, check_positive
from mammoseg_lib.losses.base import Batch, Features, Loss, full_precision
from mammoseg_lib.losses.composite import Linear, WeightedSum
from mammoseg_lib.losses.pixel import BCE

UNITS = ("pixel", "mm")
STRATEGIES = ("linear", "scheduling", "rebalance")
SCHEDULES = ("paper", "code")


def signed_distance_map(
    mask: Shaped[Mask, "h w"],
    spacing: tuple[float, float] | None = None,
    *,
    inside_offset: bool = True,
    integer_trunc: bool = False,
    normalize: bool = False,
) -> Float[np.ndarray, "h w"]:
    r"""Signed distance to the contour of a mask, Phi_G of 002: > 0 outside of the mass, <= 0 inside.

    Between pixel centers: outside, the distance to the closest mass pixel; inside, minus the distance to
    the closest pixel that is none. The contour itself runs between the two, half a pixel from each.

    An empty mask has no contour to measure to, and neither has a full one: both give zeros, so that no
    pixel is pulled anywhere. (The published code gives zeros for the empty one and what the distance
    transform happens to return for the full one.) The border of the image is no contour: a mass that
    reaches it is measured to its other sides only.

    Args:
        mask: The target, of any kind that `checks.as_mask` takes.
        spacing: Height and width of a pixel, and the unit of the result. None: the unit is a pixel.
        inside_offset: True: distances inside count from the mass pixels next to the contour, which get 0,
            as in the published code; from the others one pixel (the shorter side of one that is not square)
            is subtracted. False: they count from the contour's far side, so that the two rims are -1 and 1.
        integer_trunc: Round every distance towards zero, as the published code does by storing the map in
            an integer array. It loses up to 1: sqrt(34) = 5.83 becomes 5.
        normalize: Divide the map by its largest absolute value, so that it lies in [-1, 1] whatever the size
            of the image. Not in 002; our reading of the word.

    Returns:
        float32, in pixels or in the unit of `spacing`; without a unit if normalized.
    """
    mask = as_mask(mask)
    if mask.all() or not mask.any():
        return np.zeros(mask.shape, dtype=np.float32)
    pixel = 1.0 if spacing is None else min(spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing) - (pixel if inside_offset else 0)
    phi = np.where(mask, -inside, ndimage.distance_transform_edt(~mask, sampling=spacing))
    if integer_trunc:
        phi = np.trunc(phi)
    if normalize:
        phi /= max(np.abs(phi).max(), np.finfo(np.float32).tiny)  # truncated mm may all be 0
    return phi.astype(np.float32) + 0  # + 0: no -0 on the inner rim


class _SigmoidBoundary(torch.autograd.Function):
    """Mean of sigmoid(x) Phi over each sample, for a constant Phi, and its gradient Phi p (1 - p) / N.

    With so little to compute, memory is what takes the time: autograd would keep the product and spread the
    gradient over two more arrays of its size (about twice as long, measured on an AMD EPYC).
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, phi: Tensor) -> Tensor:
        probs = x.sigmoid()
        ctx.save_for_backward(probs, phi)
        return (probs * phi).mean((1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        probs, phi = ctx.saved_tensors
        share = gradient[:, None, None] / phi[0].numel()
        return (1 - probs).mul_(probs).mul_(phi).mul_(share), None


class Boundary(Loss):
    r"""Boundary loss, 002 Eq. 7, as a mean over the pixels: `L_B = 1/N sum_q Phi_G(q) p(q)`.

    Phi_G is the signed distance to the contour of the target (`signed_distance_map`), which depends on the
    target alone and is kept with it. Up to a constant, L_B of a binary p is half the distance between the
    two contours in the sense of Eqs 2 to 6. The loss is linear in p, and no pixel's share depends on how many
    others there are.

    With one channel, p is the sigmoid of the logit. With several, p is their softmax, the target is one-hot,
    every class has a map of its own, and the result is the mean over the chosen classes. Two channels with
    the classes (1,) are the same as one channel that holds their difference. More than two go beyond 002,
    which names them as future work.

    Range: from `1/N sum min(Phi_G, 0)`, which is below zero and reached by p = target, to
    `1/N sum max(Phi_G, 0)`, reached by its complement. With `inside_offset` the inner rim is 0, and the
    minimum is the same whether the rim is predicted or not. An empty and a full target have no contour: 0 for
    every p, without a gradient.

    No loss to train with alone, as 002 says: the gradient Phi_G p (1 - p) / N vanishes for every confident
    prediction, right or wrong (see `boundary_strategy`).

    Shapes: logits `[b c h w]`, target `[b c h w]` of zeros and ones, result `[b]`. Source: 002; Kervadec et
    al., Medical Image Analysis 67, 2021, with their published code for the map.

    Args:
        unit: `"pixel"`, as published, or `"mm"`, which needs the spacing of every sample.
        inside_offset: See `signed_distance_map`.
        integer_trunc: See `signed_distance_map`.
        normalize: See `signed_distance_map`.
        classes: The channels that count, for several. None: all but the background, channel 0.

    Raises:
        ValueError: An option has an unknown value, `classes` does not fit the channels, the target does not
            fit the logits, or the unit is mm and a sample has no spacing.
    """

    one_channel = False

    def __init__(
        self,
        *,
        unit: str = "pixel",
        inside_offset: bool = True,
        integer_trunc: bool = False,
        normalize: bool = False,
        classes: Sequence[int] | None = None,
    ):
        super().__init__()
        check_choice("unit", unit, UNITS)
        if classes is not None and (not classes or min(classes) < 0 or len(set(classes)) < len(classes)):
            raise ValueError(f"classes must be distinct numbers of channels, from 0, not {classes!r}")
        self.unit = unit
        self.map_options = {
            "inside_offset": inside_offset,
            "integer_trunc": integer_trunc,
            "normalize": normalize,
        }
        self.classes = classes

    def target_features(
        self, mask: Shaped[Mask, "*c h w"], spacing_mm: tuple[float, float] | None = None
    ) -> Features:
        """The maps.

        Returns:
            `distance_map`, float32: `[h w]` for a mask `[h w]`, else `[k h w]` with the k chosen classes.
        """
        mask = as_mask(mask, axes=(2, 3))
        if self.unit == "mm" and spacing_mm is None:
            raise ValueError("unit='mm' needs the pixel spacing of every sample; unit='pixel' needs none")
        spacing = spacing_mm if self.unit == "mm" else None
        masks = [mask] if mask.ndim == 2 else mask[self._chosen(len(mask))]
        maps = [signed_distance_map(one, spacing, **self.map_options) for one in masks]
        return {"distance_map": maps[0] if mask.ndim == 2 else np.stack(maps)}

    def forward(self, logits: Float[Tensor, "b c h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss, one value per sample."""
        x, chosen = full_precision(logits), self._chosen(logits.shape[1])
        binary = logits.shape[1] == 1
        x = x.squeeze(1) if binary else x.softmax(1)[:, chosen]
        phi = self.features_of(batch)["distance_map"].to(x.dtype)
        if phi.shape != x.shape:  # would broadcast into nonsense
            raise ValueError(f"distance maps {tuple(phi.shape)} do not fit logits {tuple(logits.shape)}")
        return _SigmoidBoundary.apply(x, phi) if binary else (x * phi).mean((1, 2, 3))

    def _chosen(self, channels: int) -> list[int]:
        """The channels that count, of several."""
        classes = range(1, channels) if self.classes is None else self.classes
        if self.classes is not None and (channels == 1 or max(classes) >= channels):
            raise ValueError(f"classes={self.classes!r} cannot be chosen from {channels} channel(s)")
        return list(classes)


def boundary_strategy(
    strategy: str = "rebalance",
    *,
    alpha: float | int = 1.0,
    schedule: str = "paper",
    ce_scale: float | int = 1.0,
    unit: str = "pixel",
    inside_offset: bool = True,
    integer_trunc: bool = False,
    normalize: bool = False,
) -> WeightedSum:
    r"""Cross entropy and boundary loss together, the three strategies of 002, Section 3.2.

    | strategy | loss |
    |---|---|
    | `"linear"` | `L_CE + alpha L_B` in every epoch |
    | `"scheduling"` | `L_CE + a(t) L_B`, a(t) rising linearly from 0 to alpha |
    | `"rebalance"` | `(1 - a(t)) L_CE + a(t) L_B`, the same a(t) |

    Range: not bounded above; below as `Boundary`. An empty and a full target have no contour and give L_CE
    alone, with its weight, which `"rebalance"` takes to 0 for alpha = 1. Tell it the epoch with `at_epoch`.
    One logit channel; the terms are called `bce` and `boundary`.

    Args:
        strategy: One of the three.
        alpha: The weight of the boundary loss, > 0, or where its weight goes to; 1 in 002. At most 1 with
            `"rebalance"`.
        schedule: How a(t) rises, for the two strategies that have one. `"paper"`: to alpha in the last epoch,
            where rebalance with alpha = 1 is the boundary loss alone. `"code"`: as in the published code, one
            step short of it, 0 to .95 in 20 epochs.
        ce_scale: L_CE is this times the cross entropy, > 0. The published code has 50.5: it gives weight 100
            to the channel of the true class and 1 to the other, in a mean over both channels, and every
            pixel has one of each.
        unit: See `Boundary`.
        inside_offset: See `signed_distance_map`.
        integer_trunc: See `signed_distance_map`.
        normalize: See `signed_distance_map`.

    Raises:
        ValueError: An option has an unknown value.
    """
    check_choice("strategy", strategy, STRATEGIES)
    check_choice("schedule", schedule, SCHEDULES)
    alpha, ce_scale = check_positive("alpha", alpha), check_positive("ce_scale", ce_scale)
    if strategy == "rebalance" and alpha > 1:
        raise ValueError(f"alpha must be at most 1 for strategy='rebalance', not {alpha!r}")
    reach_end = schedule == "paper"
    boundary = Boundary(
        unit=unit, inside_offset=inside_offset, integer_trunc=integer_trunc, normalize=normalize
    )
    rising = alpha if strategy == "linear" else Linear(0.0, alpha, reach_end)
    falling = Linear(ce_scale, ce_scale * (1 - alpha), reach_end) if strategy == "rebalance" else ce_scale
    return WeightedSum({"bce": (BCE(), falling), "boundary": (boundary, rising)})
