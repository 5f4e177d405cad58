"""Losses: one module a family, one registry.

loss = build_loss("spatial_matching", core="tversky", variant="scale", aggregation="all")
loss = build_loss({"dice": 1, "bce": {"weight": 0.5}})
per_sample = loss(logits, Batch(target))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mammoseg_lib.losses.base import Batch, Features, Loss, WeightedSum, check_options
from mammoseg_lib.losses.pixel import BCE, Dice, Tversky, dice_bce
from mammoseg_lib.losses.spatial_matching import GridTerms, SpatialMatching

__all__ = [
    "BCE",
    "LOSSES",
    "Batch",
    "Dice",
    "Features",
    "GridTerms",
    "Loss",
    "SpatialMatching",
    "Tversky",
    "WeightedSum",
    "build_loss",
    "dice_bce",
]

LOSSES: dict[str, Callable[..., Loss]] = {
    "bce": BCE,
    "dice": Dice,
    "tversky": Tversky,
    "dice_bce": dice_bce,
    "spatial_matching": SpatialMatching,
}
"""Every loss by name; its options are the parameters of what stands here."""


def build_loss(name: str | Mapping[str, object], **options: object) -> Loss:
    """A loss by name, or a weighted sum of several.

    Args:
        name: A key of `LOSSES`, or a mapping of such keys to a weight or to `{"weight": w, **options}`,
            where the weight is 1 unless given.
        **options: Passed on to the named loss.

    Raises:
        ValueError: The name or an option is unknown; the message lists the known ones.
    """
    if isinstance(name, Mapping):
        return _build_sum(name, options)
    if name not in LOSSES:
        raise ValueError(f"no loss is called {name!r}; there are {', '.join(map(repr, LOSSES))}")
    check_options(f"loss {name!r}", LOSSES[name], options)
    return LOSSES[name](**options)


def _build_sum(terms: Mapping[str, object], options: Mapping[str, object]) -> WeightedSum:
    if not terms:
        raise ValueError(f"a sum needs at least one of {', '.join(map(repr, LOSSES))}")
    if options:
        raise ValueError(
            f"give {', '.join(map(repr, options))} to a term: {{name: {{'weight': 1, option: value}}}}"
        )
    built = {}
    for name, spec in terms.items():
        own = dict(spec) if isinstance(spec, Mapping) else {"weight": spec}
        weight = own.pop("weight", 1)
        if not isinstance(weight, int | float):
            raise ValueError(f"the weight of {name!r} must be a number, not {weight!r}")
        built[name] = build_loss(name, **own), float(weight)
    return WeightedSum(built)
