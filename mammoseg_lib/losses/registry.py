"""Every loss by name, and how a configuration becomes a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mammoseg_lib.checks import check_name, check_options, check_weight, check_whole, listed
from mammoseg_lib.losses.adaptive import ASPReconstruction, DensityASP
from mammoseg_lib.losses.base import Loss
from mammoseg_lib.losses.boundary import Boundary, boundary_strategy
from mammoseg_lib.losses.composite import Linear, Phases, WeightedSum
from mammoseg_lib.losses.hybrids import bce_jaccard, combo, dice_bce, two_phase
from mammoseg_lib.losses.overlap import Dice, FocalTversky, Jaccard, Tversky
from mammoseg_lib.losses.own import build_own, is_own
from mammoseg_lib.losses.pixel import BCE, BalancedBCE, Focal, WeightedBCE
from mammoseg_lib.losses.region import RMI, SSIM, hybrid_region
from mammoseg_lib.losses.spatial_matching import SpatialMatching

LOSSES: dict[str, Callable[..., Loss]] = {
    "bce": BCE,
    "weighted_bce": WeightedBCE,
    "balanced_bce": BalancedBCE,
    "focal": Focal,
    "dice": Dice,
    "tversky": Tversky,
    "focal_tversky": FocalTversky,
    "jaccard": Jaccard,
    "dice_bce": dice_bce,
    "bce_jaccard": bce_jaccard,
    "bce_jaccard_then_focal_tversky": two_phase,
    "combo": combo,
    "spatial_matching": SpatialMatching,
    "rmi": RMI,
    "ssim": SSIM,
    "hybrid_region": hybrid_region,
    "boundary": Boundary,
    "boundary_strategy": boundary_strategy,
    "density_asp": DensityASP,
    "asp": ASPReconstruction,
}
"""Every loss by name; its options are the parameters of what stands here."""

Config = str | Mapping[str, object] | Sequence[Mapping[str, object]]


def build_loss(name: Config, **options: object) -> Loss:
    """A loss by name, a weighted sum of several, or several one after the other.

    Args:
        name: One of three. A key of `LOSSES`. A mapping of such keys to a weight or to
            `{"weight": w, **options}`: their sum. A weight is a number, 1 unless given, or the options of
            `Linear`, such as `{"start": 0, "end": 1}`. A list of `{"name": name, "epochs": n, **options}`,
            each of which may name a sum in turn: losses that take turns over the epochs, of which the last
            goes on to the end and takes no number of epochs. In place of a key of `LOSSES` may always stand
            a loss of one's own, `"package.module:Class"` or `"path/to/file.py:Class"`; see `own`.
        **options: Passed on to the named loss.

    Raises:
        ValueError: The name or an option is unknown; the message lists the known ones and the nearest.
    """
    if isinstance(name, Mapping | list | tuple):
        if options:
            raise ValueError(f"give {listed(options)} to one of the losses: {{'name': name, option: value}}")
        return _build_sum(name) if isinstance(name, Mapping) else _build_phases(name)
    if is_own(name):
        return build_own(name, options)
    if str(name).endswith(".py"):
        raise ValueError(f"{name!r} is a file: name the loss in it, '{name}:Class'")
    check_name("loss", name, LOSSES)
    check_options(f"loss {name!r}", LOSSES[name], options)
    return LOSSES[name](**options)


def _build_sum(terms: Mapping[str, object]) -> WeightedSum:
    if not terms:
        raise ValueError(f"a sum needs at least one of {listed(LOSSES)}")
    built = {}
    for name, spec in terms.items():
        own = dict(spec) if isinstance(spec, Mapping) else {"weight": spec}
        weight = _weight(name, own.pop("weight", 1))
        built[_key(name, built)] = build_loss(name, **own), weight
    return WeightedSum(built)


def _key(name: str, taken: Mapping[str, object]) -> str:
    """Under which a term of a sum is kept: its name, or of a loss of one's own the part after the colon."""
    key = name.rpartition(":")[2]
    return key if key not in taken else f"{key}_{len(taken) + 1}"


def _build_phases(phases: Sequence[Mapping[str, object]]) -> Phases:
    if len(phases) < 2:
        raise ValueError("losses that take turns are at least two")
    built = []
    for number, phase in enumerate(phases, start=1):
        own = dict(phase)
        last = number == len(phases)
        if ("epochs" in own) == last or "name" not in own:
            raise ValueError(
                f"loss {number} of {len(phases)} needs a name, and all but the last epochs: {phase}"
            )
        epochs = own.pop("epochs", 0)
        if not last:
            check_whole(f"the epochs of loss {number}", epochs)
        built.append((build_loss(own.pop("name"), **own), epochs))
    return Phases(built)


def _weight(name: str, weight: object) -> float | Linear:
    if isinstance(weight, Mapping):
        check_options(f"the weight of {name!r}", Linear, weight)
        return Linear(**weight)
    return check_weight(f"the weight of {name!r}", weight)
