"""The loss atlas: every loss of the registry on the same drawn cases, and its properties, one by one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mammoseg_lib.losses import LOSSES, build_loss
from mammoseg_lib.losses.base import Loss
from mammoseg_lib.scenes import Logits, Mask, Number, disc, evaluate, fading, gradient, logit

DENSITY = 3
"""ACR class of the drawn breasts, for the losses that ask for one."""

EPOCH, EPOCHS = 40, 81
"""Losses that change while a network is trained are looked at halfway: epoch 40, from 0, of 81."""

NEEDED: dict[str, dict[str, object]] = {
    "weighted_bce": {"positive_weight": 10},
    "asp": {
        "grouping": "quantile",
        "dice_weights": [1.6, 1.2, 0.8, 0.4],
        "bce_weights": [0.4, 0.8, 1.2, 1.6],
    },
}
"""Options for the losses that have one without a default."""

VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "spatial_matching": {"tversky, scale": {"core": "tversky", "variant": "scale"}}
}
"""What is shown of a loss besides its defaults."""

Cases = Mapping[str, tuple[Mask, Mask]]


def families() -> dict[str, list[str]]:
    """The names of all losses by family, which is the module that a loss stands in."""
    found: dict[str, list[str]] = {}
    for name, factory in LOSSES.items():
        found.setdefault(inspect.getmodule(factory).__name__.rpartition(".")[2], []).append(name)
    return found


def left_out() -> dict[str, str]:
    """Losses that have an option without a default, which does not stand in `NEEDED`, and what they say."""
    found = {}
    for name in LOSSES:
        try:
            build_loss(name, **NEEDED.get(name, {}))
        except ValueError as error:
            found[name] = str(error)
    return found


def members(family: str, side: int) -> dict[str, Loss]:
    """The losses of a family, by name and variant, ready to be asked about images of `side` pixels."""
    losses = {}
    for name in families()[family]:
        if name in left_out():
            continue
        for variant, options in {"": NEEDED.get(name, {}), **VARIANTS.get(name, {})}.items():
            losses[f"{name} ({variant})" if variant else name] = ready(build_loss(name, **options), side)
    return losses


def ready(loss: Loss, side: int) -> Loss:
    """A loss that has seen masses of many sizes and is halfway through training."""
    center = (side / 2, side / 2)
    loss.fit_targets(np.stack([disc(side, center, r * side / 64) for r in np.linspace(2, 20, 40)]))
    loss.at_epoch(EPOCH, EPOCHS)
    return loss


def cases(side: int) -> dict[str, tuple[Mask, Mask]]:
    """One mass and what a network may make of it, as (truth, prediction); last, no mass and a false one."""
    unit = side / 64  # everything is given for 64 pixels and scaled

    def at(row: Number, column: Number, radius: Number) -> Mask:
        return disc(side, (row * unit, column * unit), radius * unit)

    mass, nothing = at(32, 26, 10), np.zeros((side, side), dtype=bool)
    gap = np.abs(np.indices(mass.shape)[1] - 26 * unit) < 2 * unit
    return {
        "perfect": (mass, mass),
        "shift": (mass, at(32, 31, 10)),
        "dilation": (mass, at(32, 26, 13)),
        "erosion": (mass, at(32, 26, 7)),
        "split": (mass, mass & ~gap),
        "extra blob": (mass, mass | at(12, 54, 4)),
        "missed mass": (mass, nothing),
        "empty target": (nothing, at(12, 54, 4)),
    }


@dataclass(frozen=True)
class Row:
    """A loss on every case.

    Attributes:
        values: Case to the value of the loss.
        gradients: Case to its derivative with respect to every logit.
    """

    values: dict[str, float]
    gradients: dict[str, Float[np.ndarray, "h w"]]


def row(loss: Loss, among: Cases, confidence: float) -> Row:
    """What a loss says to each case, for predictions that fade at their outline (`scenes.fading`)."""
    found = {
        name: gradient(loss, fading(prediction, confidence), truth, DENSITY)
        for name, (truth, prediction) in among.items()
    }
    return Row({name: value for name, (value, _) in found.items()}, {n: g for n, (_, g) in found.items()})


def properties(loss: Loss, side: int, confidence: float) -> dict[str, str]:
    """What a loss sees, each entry the outcome of a computation.

    Returns:
        `moved blob`: a false blob lies 36 pixels from the center of the mass and then 76 (for `side` 64; the
        image has twice that side). `scattered`: its pixels are spread over the background. For both
        "dearer", "cheaper", or "blind" where the loss changes by less than 1 % of what the blob costs.
        `density` and `epoch`: "yes" if it changes between ACR 1 and 4, and between the first and the last
        epoch. `cached`: what it wants to know of the target beforehand. `perfect` and `right and empty`: its
        value for a perfect prediction, and for an empty prediction of an empty target.
    """
    mass, without, near, far, scattered = _blob_scene(side, confidence)

    def value(logits: Logits, density: Number = DENSITY) -> float:
        return evaluate(loss, logits, mass, density)

    here = value(near)
    cost = abs(here - value(without))
    by_epoch = []
    for epoch in (0, EPOCHS - 1):
        loss.at_epoch(epoch, EPOCHS)
        by_epoch.append(value(near))
    loss.at_epoch(EPOCH, EPOCHS)
    nothing = np.zeros((side, side), dtype=bool)
    perfect = cases(side)["perfect"][0]
    return {
        "moved blob": _verdict(value(far) - here, cost),
        "scattered": _verdict(value(scattered) - here, cost),
        "density": "yes" if value(near, 1) != value(near, 4) else "",
        "epoch": "yes" if by_epoch[0] != by_epoch[1] else "",
        "cached": ", ".join(sorted({key.rpartition("/")[2] for key in loss.target_features(mass)})),
        "perfect": f"{evaluate(loss, fading(perfect, confidence), perfect, DENSITY):.3f}",
        "right and empty": f"{evaluate(loss, fading(nothing, confidence), nothing, DENSITY):.3f}",
    }


def _blob_scene(side: int, confidence: float) -> tuple[Mask, Logits, Logits, Logits, Logits]:
    """A mass, and logits without a false blob, with one near, with one far, and with its pixels scattered."""
    unit, wide = side / 64, 2 * side
    mass = disc(wide, (64 * unit, 24 * unit), 10 * unit)
    blobs = [disc(wide, (64 * unit, column * unit), 4 * unit) for column in (60, 100)]
    without, limit = fading(mass, confidence), logit(confidence)
    near, far = (np.where(blob, limit, without) for blob in blobs)
    rows, columns = np.indices(mass.shape)
    lattice = np.flatnonzero((rows % 4 == 0) & (columns % 4 == 0) & (without == -limit))
    scattered = without.copy()
    scattered.flat[np.random.default_rng(0).choice(lattice, int(blobs[0].sum()), replace=False)] = limit
    return mass, without, near, far, scattered


def _verdict(change: float, cost: float) -> str:
    if abs(change) < 0.01 * cost:
        return "blind"
    return "dearer" if change > 0 else "cheaper"
