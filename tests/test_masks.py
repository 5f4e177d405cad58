"""Every public function of losses and metrics that takes a mask gives the same for every kind of mask."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch

from mammoseg_lib import losses, metrics
from mammoseg_lib.losses import ASPReconstruction, Boundary, Loss, SpatialMatching, build_loss, drawn, grid
from mammoseg_lib.losses.base import Batch
from mammoseg_lib.metrics import distance, hausdorff
from tests.losses.cases import OPTIONS
from tests.masks import KINDS

SIDE = 24


def disc(row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE))
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


TARGET, PREDICTION = disc(9, 10, 5) | disc(19, 4, 2), disc(12, 8, 6)
STACK = np.stack([TARGET, PREDICTION, disc(3, 3, 2)])
LOGITS = torch.from_numpy(np.random.default_rng(0).normal(size=(SIDE, SIDE)))
ASP = {"dice_weights": [1, 2, 3], "bce_weights": [3, 2, 1]}


def fitted(masks: np.ndarray, **options: object) -> dict[str, torch.Tensor]:
    loss = ASPReconstruction(**options)
    loss.fit_targets(masks)
    return loss.state_dict()


def explained(mask: np.ndarray) -> dict[str, torch.Tensor]:
    terms = SpatialMatching().explain(LOGITS, mask)
    return {name: value for name, value in vars(terms).items() if value is not None}


# What takes a mask, or two, and what it is given; the names are checked to be all there are.
OF_ONE: dict[str, dict[str, Callable]] = {
    "signed_distance_map": {
        "plain": losses.signed_distance_map,
        "mm": lambda mask: losses.signed_distance_map(mask, (0.5, 0.3), inside_offset=False, normalize=True),
    },
    "mass_cell_size": {"plain": grid.mass_cell_size, "mean": lambda m: grid.mass_cell_size(m, reduce="mean")},
    "cell_mass": {"plain": lambda mask: grid.cell_mass(mask, (4, 8))},
    "cell_distances": {
        "closest": lambda mask: grid.cell_distances(mask, (4, 8)),
        "center": lambda mask: grid.cell_distances(mask, (4, 8), distance_from="center", unit="pixel"),
    },
    "SpatialMatching.target_features": {
        variant: SpatialMatching(variant=variant).target_features for variant in ("scale", "distance")
    },
    "SpatialMatching.explain": {"plain": explained},
    "Boundary.target_features": {
        "one": Boundary().target_features,
        "mm": lambda mask: Boundary(unit="mm").target_features(mask, (0.5, 0.5)),
    },
    "RMI.target_features": {
        pooling: losses.RMI(pooling=pooling).target_features for pooling in ("avg4", "none")
    },
    "Composite.target_features": {
        name: build_loss(name).target_features for name in ("boundary_strategy", "hybrid_region", "dice_bce")
    },
    "Loss.target_features": {"none": losses.BCE().target_features},
    "boundary": {"plain": distance.boundary},
}
OF_SEVERAL: dict[str, dict[str, Callable]] = {
    "ASPReconstruction.fit_targets": {
        "quantile": lambda masks: fitted(masks, **ASP),
        "learned": lambda masks: fitted(masks, grouping="learned"),
    },
    "Loss.fit_targets": {"none": losses.BCE().fit_targets},
    "Composite.fit_targets": {"none": build_loss("dice_bce").fit_targets},
    "Boundary.target_features": {"classes": Boundary(classes=(0, 2)).target_features},
    "batch_of": {"plain": lambda masks: drawn.batch_of(masks).target},
    "with_features": {"boundary": lambda masks: dict(drawn.with_features(Boundary(), masks).features)},
}
OF_TWO: dict[str, dict[str, Callable]] = {
    "confusion": {"plain": metrics.confusion},
    "detect": {"plain": metrics.detect, "half": lambda p, y: metrics.detect(p, y, 0.5)},
    "distances": {"plain": metrics.distances, "mm": lambda p, y: metrics.distances(p, y, (0.5, 0.3))},
    "surface_distances": {"plain": metrics.surface_distances},
    "joint_crop": {"plain": distance.joint_crop},
    "hausdorff": {
        "plain": hausdorff,
        "rows": lambda p, y: hausdorff(p, y, "rows", direction="pred_to_target"),
    },
    "per_image": {"plain": metrics.per_image, "mm": lambda p, y: metrics.per_image(p, y, (0.5, 0.3))},
}


def cases(table: dict[str, dict[str, Callable]]) -> list:
    return [
        pytest.param(function, id=f"{name}-{how}")
        for name, ways in table.items()
        for how, function in ways.items()
    ]


def takes_masks() -> Iterator[str]:
    """Names of the public functions and methods of losses and metrics that have a mask for a parameter."""
    for package in (losses, metrics):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                if name.startswith("_") or getattr(value, "__module__", None) != info.name:
                    continue
                members = {name: value}
                if inspect.isclass(value):
                    members = {f"{name}.{n}": v for n, v in vars(value).items() if not n.startswith("_")}
                for member, function in members.items():
                    if not inspect.isfunction(function):
                        continue
                    parameters = inspect.signature(function).parameters.values()
                    if any(
                        p.name in ("mask", "masks", "pred") or "Mask" in str(p.annotation) for p in parameters
                    ):
                        yield member


def test_no_function_that_takes_a_mask_is_left_out():
    assert set(takes_masks()) == OF_ONE.keys() | OF_SEVERAL.keys() | OF_TWO.keys()


def same(got: object, want: object) -> None:
    if isinstance(want, dict):
        assert got.keys() == want.keys()
        got, want = list(got.values()), list(want.values())
    if isinstance(want, list | tuple):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            same(g, w)
    elif want is None:
        assert got is None
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", cases(OF_ONE))
@pytest.mark.parametrize(
    "mask", [TARGET, np.zeros_like(TARGET), np.ones_like(TARGET)], ids=["mass", "empty", "full"]
)
def test_of_one_mask(function, kind, mask):
    same(function(KINDS[kind](mask)), function(mask))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", cases(OF_SEVERAL))
def test_of_several_masks(function, kind):
    same(function(KINDS[kind](STACK)), function(STACK))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", cases(OF_TWO))
def test_of_two_masks(function, kind):
    want = function(PREDICTION, TARGET)
    same(function(KINDS[kind](PREDICTION), TARGET), want)
    same(function(PREDICTION, KINDS[kind](TARGET)), want)


@pytest.mark.parametrize("kind", KINDS)
def test_of_stacks_of_two(kind):
    for mode, stack in (("boundary", 1), ("rows", 2)):
        want = hausdorff(STACK, STACK[::-1], mode, stack=stack)
        same(hausdorff(KINDS[kind](STACK), KINDS[kind](STACK[::-1]), mode, stack=stack), want)


NO_MASKS = {
    "soft": lambda m: m * 0.5,
    "labels": lambda m: m * 2,
    "negative": lambda m: -m.astype(int),
    "nan": lambda m: np.where(m, np.nan, 0.0),
    "soft tensor": lambda m: torch.from_numpy(m * 0.25),
    "text": lambda m: m.astype(str),
}
IGNORES = ("Loss.target_features-none", "Loss.fit_targets-none", "Composite.fit_targets-none", "dice_bce")


def refusing(table: dict[str, dict[str, Callable]]) -> list:
    """Those that look at the mask at all."""
    return [case for case in cases(table) if not case.id.endswith(IGNORES)]


@pytest.mark.parametrize("what", NO_MASKS)
@pytest.mark.parametrize("function", refusing(OF_ONE))
def test_what_is_no_mask_is_refused(function, what):
    with pytest.raises(
        ValueError, match=r"must hold numbers or booleans|holds .*: a mask holds False and True"
    ):
        function(NO_MASKS[what](TARGET))


@pytest.mark.parametrize("what", NO_MASKS)
@pytest.mark.parametrize("function", refusing(OF_SEVERAL))
def test_what_are_no_masks_is_refused(function, what):
    with pytest.raises(
        ValueError, match=r"must hold numbers or booleans|holds .*: a mask holds False and True"
    ):
        function(NO_MASKS[what](STACK))


@pytest.mark.parametrize("what", NO_MASKS)
@pytest.mark.parametrize("function", cases(OF_TWO))
def test_what_is_no_pair_of_masks_is_refused(function, what):
    for pair, name in (
        ((NO_MASKS[what](TARGET), TARGET), "prediction"),
        ((TARGET, NO_MASKS[what](TARGET)), "target"),
    ):
        with pytest.raises(ValueError, match=f"the {name} "):
            function(*pair)


def test_the_three_pixels_of_the_report():
    """A mask of integers gave 2.236 where 1 is right: `~` of an integer is bitwise."""
    mask = np.zeros((5, 5), np.uint8)
    mask[2, 1:4] = 1
    assert losses.signed_distance_map(mask)[1, 2] == 1
    assert losses.signed_distance_map(mask).max() == pytest.approx(8**0.5 - 8**0.5 + 5**0.5)


# What a loss is given --------------------------------------------------------------------------------


TENSORS = {
    "bool": torch.bool, "uint8": torch.uint8, "int64": torch.int64, "float64": torch.float64,
    "float16": torch.float16, "bfloat16": torch.bfloat16,
}  # fmt: skip
ONE = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 1, SIDE, SIDE))).float()
BOTH = torch.from_numpy(np.stack([TARGET, PREDICTION]))[:, None]
EACH = [(name, OPTIONS.get(name, [{}])[0]) for name in losses.LOSSES]
each_loss = pytest.mark.parametrize(("name", "options"), EACH, ids=[name for name, _ in EACH])


def loss_of(name: str, options: dict) -> Loss:
    loss = build_loss(name, **options)
    loss.fit_targets(STACK)
    return loss


@each_loss
def test_a_loss_takes_a_target_of_any_type(name, options):
    loss = loss_of(name, options)
    density = torch.tensor([1.0, 4.0])
    want = loss(ONE, Batch(BOTH.float(), acr_density=density))
    for dtype in TENSORS.values():
        assert torch.equal(loss(ONE, Batch(BOTH.to(dtype), acr_density=density)), want)


@each_loss
@pytest.mark.parametrize(
    ("logits", "target"),
    [
        ((2, 2, 16, 16), (2, 1, 16, 16)),
        ((2, 1, 16, 16), (1, 1, 16, 16)),
        ((1, 1, 16, 16), (2, 1, 16, 16)),
        ((2, 1, 16, 16), (2, 1, 1, 1)),
        ((2, 1, 16, 16), (2, 1, 16, 17)),
        ((2, 1, 16, 1), (2, 1, 16, 16)),
    ],
)
def test_logits_and_target_have_one_shape(name, options, logits, target):
    loss = loss_of(name, options)
    with pytest.raises(
        ValueError, match=r"logits \(.*\) do not fit the target \(.*\): both must be \[b c h w\]"
    ):
        loss(torch.zeros(logits), Batch(torch.zeros(target)))


@pytest.mark.parametrize(("name", "options"), [case for case in EACH if case[0] != "boundary"])
def test_several_channels_are_refused_by_losses_of_one(name, options):
    """The boundary loss takes any number of them; see there."""
    loss = loss_of(name, options)
    with pytest.raises(ValueError, match=r"takes logits of one channel, not \(2, 2, 16, 16\)"):
        loss(torch.zeros(2, 2, 16, 16), Batch(torch.zeros(2, 2, 16, 16)))


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (BOTH * 255, r"the target holds 255\.0; it must hold 0 and 1 only \(divide 0 and 255 by 255\)"),
        (BOTH * 255.0, r"the target holds 255\.0"),
        (BOTH * 0.5, r"the target holds 0\.5"),
        (BOTH * -1, r"the target holds -1\.0"),
        (BOTH * float("nan"), "the target holds nan"),
        (BOTH[:, 0], r"the target must be a tensor \[b c h w\], not a Tensor of shape \(2, 24, 24\)"),
        (BOTH.numpy(), r"the target must be a tensor \[b c h w\], not a ndarray of shape \(2, 1, 24, 24\)"),
        (None, r"the target must be a tensor \[b c h w\], not a NoneType"),
    ],
)
def test_what_is_no_target_is_refused(target, says):
    with pytest.raises(ValueError, match=says):
        look_at(made_of(target))


look_at = partial(inspect.unwrap(Batch.__post_init__), look=True)


def made_of(target: object) -> Batch:
    """A batch that nobody has looked at, annotations included: those are not there outside of tests."""
    batch = object.__new__(Batch)
    batch.__dict__.update(target=target, features={}, acr_density=None, spacing_mm=None)
    return batch


@pytest.mark.parametrize(
    "more",
    [
        {"acr_density": torch.ones(1)},
        {"spacing_mm": torch.ones(1, 2)},
        {"features": {"distance_map": torch.zeros(3, 24, 24)}},
    ],
)
def test_what_is_known_of_other_samples_is_refused(more):
    batch = made_of(BOTH)
    batch.__dict__.update(more)
    with pytest.raises(ValueError, match=r"is given for [13] samples, the target for 2"):
        look_at(batch)


def test_a_bare_target_is_no_batch():
    with pytest.raises(ValueError, match=r"a loss takes logits and a batch, loss\(logits, Batch\(target\)\)"):
        losses.BCE()(ONE, BOTH.float())


def test_a_batch_of_an_accelerator_is_not_read():
    """Reading it would make the processor wait; the device `meta` has no values to read at all."""
    batch = Batch(torch.zeros(2, 1, 8, 8, device="meta"))
    assert losses.BCE()(torch.zeros(2, 1, 8, 8, device="meta"), batch).shape == (2,)
    moved = Batch(torch.zeros(2, 1, 8, 8)).to("meta")
    assert moved.target.device.type == "meta"


def test_what_is_computed_from_a_batch_is_not_looked_at_again(monkeypatch):
    seen = []
    monkeypatch.setattr("mammoseg_lib.losses.base._binary", lambda target: seen.append(target) or target)
    batch = Batch(BOTH.float())
    build_loss({"dice_bce": 1, "boundary_strategy": 1})(ONE, batch.to("cpu"))
    assert len(seen) == 1
