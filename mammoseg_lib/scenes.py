"""Drawn masks, predictions of them, and what a loss says to them: what the notebooks on losses work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from mammoseg_lib.losses.base import Batch, Loss
from mammoseg_lib.metrics import confusion, distances, overlap

Mask = Bool[np.ndarray, "h w"]
Logits = Float[np.ndarray, "h w"]
Number = float | int
Place = tuple[Number, Number]
"""Row and column, in pixels."""


def ellipse(side: int, center: Place, half_axes: Place) -> Mask:
    """The pixels of a square image that lie inside an ellipse."""
    rows, columns = np.indices((side, side))
    height, width = (max(half, 1e-9) for half in half_axes)  # one of no size holds no pixel but its center
    return ((rows - center[0]) / height) ** 2 + ((columns - center[1]) / width) ** 2 < 1


def disc(side: int, center: Place, radius: Number) -> Mask:
    """The pixels of a square image that are closer to a center than the radius."""
    return ellipse(side, center, (radius, radius))


def disc_of_area(side: int, center: Place, area: int) -> Mask:
    """The `area` pixels of a square image that are closest to a center: any area, exactly."""
    rows, columns = np.indices((side, side))
    distance = (rows - center[0]) ** 2 + (columns - center[1]) ** 2
    mask = np.zeros(side * side, dtype=bool)
    mask[np.argsort(distance, axis=None, kind="stable")[:area]] = True
    return mask.reshape(side, side)


def spoiled(mask: Mask, seed: int = 0, shift: int = 5) -> dict[str, Mask]:
    """A mask spoiled in four ways, each with the same number of wrong pixels.

    `moved` to the right; with `holes` where a smooth random field is low; `ragged`, with random pixels near
    the border turned over; `strewn`, with random pixels of the whole image turned over.
    """
    rng = np.random.default_rng(seed)
    moved = np.roll(mask, shift, axis=1)
    wrong = int((moved != mask).sum())
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    waves = ndimage.gaussian_filter(rng.normal(size=mask.shape), 2)
    orders = {
        "holes": np.where(inside > 2, waves, np.inf),
        "ragged": np.maximum(inside, outside) + rng.uniform(0, 6, mask.shape),
        "strewn": rng.uniform(size=mask.shape),
    }
    masks = {"moved": moved}
    for name, order in orders.items():
        masks[name] = mask.copy()
        masks[name].flat[np.argsort(order, axis=None)[:wrong]] ^= True
    return masks


def logit(p: float) -> float:
    """The logit `log(p / (1 - p))` of a probability: the number whose sigmoid it is."""
    return float(np.log(p / (1 - p)))


def two_valued(prediction: Mask, confidence: float) -> Logits:
    """Logits of a prediction that says `confidence` inside a mask and `1 - confidence` everywhere else."""
    return np.where(prediction, logit(confidence), -logit(confidence))


def fading(prediction: Mask, confidence: float, softness: Number = 1.0) -> Logits:
    """Logits as a trained network gives them: 0 at the outline, growing with the distance to it.

    Args:
        prediction: The predicted mask.
        confidence: The largest probability of either class.
        softness: Pixels from the outline in which the logit grows by 1.
    """
    limit = logit(confidence)
    if not prediction.any():
        return np.full(prediction.shape, -limit)
    inside, outside = (ndimage.distance_transform_edt(m) for m in (prediction, ~prediction))
    return np.clip(np.where(prediction, inside - 0.5, 0.5 - outside) / softness, -limit, limit)


def spread(side: int, center: Place, radius: Number, count: int) -> Mask:
    """One disc, or the same area as `count` discs on a circle around its center."""
    if count == 1:
        return disc(side, center, radius)
    angles = 2 * np.pi * (np.arange(count) + 0.5) / count
    places = [(center[0] + 1.5 * radius * np.sin(a), center[1] + 1.5 * radius * np.cos(a)) for a in angles]
    return np.any([disc(side, place, radius / np.sqrt(count)) for place in places], axis=0)


def as_batch(logits: Logits, truth: Mask, density: Number | None = None) -> tuple[Tensor, Batch]:
    """Logits and batch of one image, in float64, as a loss takes them.

    Args:
        logits: One number a pixel.
        truth: The target.
        density: ACR class of the image, 1 to 4; None where it is not known.
    """
    target = torch.from_numpy(np.asarray(truth, dtype=np.float64))[None, None]
    acr_density = None if density is None else torch.tensor([float(density)])
    return torch.from_numpy(np.asarray(logits, dtype=np.float64))[None, None], Batch(
        target, acr_density=acr_density
    )


def evaluate(loss: Loss, logits: Logits, truth: Mask, density: Number | None = None) -> float:
    """The value of a loss for one image, in float64."""
    with torch.no_grad():
        return float(loss(*as_batch(logits, truth, density)))


def gradient(
    loss: Loss, logits: Logits, truth: Mask, density: Number | None = None
) -> tuple[float, Float[np.ndarray, "h w"]]:
    """The value of a loss for one image and its derivative with respect to every logit, in float64."""
    x, batch = as_batch(logits, truth, density)
    x.requires_grad_()
    value = loss(x, batch).sum()
    value.backward()
    return float(value.detach()), x.grad[0, 0].numpy()


@dataclass(frozen=True)
class Response:
    """What a prediction is answered with.

    Attributes:
        probs: The prediction.
        gradient: Derivative of the chosen loss with respect to each logit.
        values: Name of each loss to its value.
        costs: Name of each loss to its value on a scale, in percent, on which the perfect prediction is 0 and
            the missed mass 100.
        metrics: Dice similarity coefficient, sensitivity and Hausdorff distance (pixels) of the mask p > 1/2.
    """

    probs: Float[np.ndarray, "h w"]
    gradient: Float[np.ndarray, "h w"]
    values: dict[str, float]
    costs: dict[str, float]
    metrics: dict[str, float]


class Responder:
    """What losses and metrics say to a prediction of one mass that is put somewhere else.

    Args:
        losses: Those that are asked, by name.
        truth: Ground truth, a square mask with a mass.
        confidence: Largest probability of either class.
        density: ACR class of the image, for the losses that want one.
    """

    def __init__(
        self, losses: Mapping[str, Loss], truth: Mask, confidence: float, density: Number | None = None
    ):
        self.losses, self.truth, self.confidence, self.density = dict(losses), truth, confidence, density
        self._perfect, self._missed = (
            self._values(fading(mask, confidence)) for mask in (truth, np.zeros_like(truth))
        )

    def __call__(
        self, loss: str, row: Number, column: Number, radius: Number, count: int, softness: Number
    ) -> Response:
        """The answer to `count` discs of together the area of one, see `spread` and `fading`."""
        mask = spread(len(self.truth), (row, column), radius, count)
        logits = fading(mask, self.confidence, softness)
        values = self._values(logits)
        counts = confusion(mask, self.truth)
        found = overlap(**counts)
        return Response(
            probs=1 / (1 + np.exp(-logits)),
            gradient=gradient(self.losses[loss], logits, self.truth, self.density)[1],
            values=values,
            costs={
                name: 100 * (value - self._perfect[name]) / (self._missed[name] - self._perfect[name])
                for name, value in values.items()
            },
            metrics={
                "DSC": float(found["dsc"]),
                "sensitivity": float(found["sensitivity"]),
                "HD": distances(mask, self.truth)["hd"],
            },
        )

    def _values(self, logits: Logits) -> dict[str, float]:
        return {name: evaluate(loss, logits, self.truth, self.density) for name, loss in self.losses.items()}
