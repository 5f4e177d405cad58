from __future__ import annotations

import math

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mammoseg_lib.losses import BCE, Batch, Boundary, boundary_strategy, build_loss, signed_distance_map
from mammoseg_lib.losses.base import stack_features

EXACT = {"rtol": 1e-12, "atol": 1e-12}
FLOAT32 = {"rtol": 1e-6, "atol": 1e-6}
SWITCHES = [
    {},
    {"inside_offset": False},
    {"integer_trunc": True},
    {"normalize": True},
    {"inside_offset": False, "integer_trunc": True, "normalize": True},
]
HALVES = [torch.float16, torch.bfloat16]


def brute_force(
    mask: np.ndarray, spacing=None, *, inside_offset=True, integer_trunc=False, normalize=False
) -> np.ndarray:
    """Phi by trying every pair of pixels."""
    dy, dx = spacing or (1.0, 1.0)
    phi = [[0.0] * mask.shape[1] for _ in range(mask.shape[0])]
    if 0 < mask.sum() < mask.size:
        for r, c in np.ndindex(mask.shape):
            others = [(a, b) for a, b in np.ndindex(mask.shape) if mask[a, b] != mask[r, c]]
            d = min(math.sqrt((dy * (a - r)) ** 2 + (dx * (b - c)) ** 2) for a, b in others)
            if mask[r, c]:
                d = -(d - min(dy, dx)) if inside_offset else -d
            phi[r][c] = float(int(d)) if integer_trunc else d
        if normalize and (largest := max(abs(v) for row in phi for v in row)):
            phi = [[v / largest for v in row] for row in phi]
    return np.array(phi)


def random_mask(seed: int, largest: int = 9) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random(rng.integers(1, largest, 2)) < rng.random()


def random_batch(seed: int, classes: int = 1, side: int = 8) -> tuple[torch.Tensor, Batch]:
    """Blobs, so that distances are more than 1; float64."""
    rng = np.random.default_rng(seed)
    shape = (3, classes, side, side)
    logits = torch.from_numpy(rng.normal(0, 2, shape))
    if classes == 1:
        target = np.zeros(shape)
        target[0, 0, 1:6, 2:7] = target[1, 0, 4:8, :3] = target[2, 0, 3, 3] = 1
    else:
        regions = np.zeros((3, side, side), dtype=int)
        regions[:, 1:7, 1:6] = 1
        regions[:2, 3:6, 2:5] = 2  # the last sample lacks the last class
        target = np.moveaxis(np.eye(classes)[regions], -1, 1)
    return logits, Batch(torch.from_numpy(target))


def cached(loss: Boundary, target: torch.Tensor) -> dict[str, torch.Tensor]:
    masks = target.numpy() > 0.5
    rows = [loss.target_features(mask[0] if len(mask) == 1 else mask) for mask in masks]
    return stack_features(rows)


# The map


@given(seed=st.integers(0, 2**32 - 1), spacing=st.sampled_from([None, (1.0, 1.0), (0.5, 0.2), (0.3, 2.5)]))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("switches", [SWITCHES[0], SWITCHES[1], SWITCHES[3]], ids=str)
def test_the_map_is_the_brute_force_one(seed, spacing, switches):
    mask = random_mask(seed)
    got = signed_distance_map(mask, spacing, **switches)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, brute_force(mask, spacing, **switches), **FLOAT32)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("switches", [SWITCHES[2], SWITCHES[4]], ids=str)
def test_the_truncated_map_is_the_brute_force_one(seed, switches):
    """In pixels, where distances are square roots of integers; truncated mm hang on the last digit."""
    mask = random_mask(seed)
    np.testing.assert_allclose(
        signed_distance_map(mask, **switches), brute_force(mask, **switches), **FLOAT32
    )


def corner() -> np.ndarray:
    mask = np.zeros((4, 4), dtype=bool)
    mask[:3, :3] = True
    return mask


BY_HAND = np.array([[-2, -1, 0, 1], [-1, -1, 0, 1], [0, 0, 0, 1], [1, 1, 1, math.sqrt(2)]])


def test_the_map_by_hand_on_4x4():
    mask = corner()
    np.testing.assert_allclose(signed_distance_map(mask), BY_HAND, **FLOAT32)
    np.testing.assert_allclose(signed_distance_map(mask, inside_offset=False), BY_HAND - mask, **FLOAT32)
    np.testing.assert_array_equal(signed_distance_map(mask, integer_trunc=True), np.trunc(BY_HAND))
    np.testing.assert_allclose(signed_distance_map(mask, normalize=True), BY_HAND / 2, **FLOAT32)
    # Pixels of 2 x 1 mm: the row below is 2 away, the column to the right 1.
    wide = [[-2, -1, 0, 1], [-2, -1, 0, 1], [-1, -1, 0, 1], [2, 2, 2, math.sqrt(5)]]
    np.testing.assert_allclose(signed_distance_map(mask, (2.0, 1.0)), wide, **FLOAT32)


def test_square_pixels_only_scale_the_map():
    mask = random_mask(5)
    want = 0.2 * signed_distance_map(mask)
    np.testing.assert_allclose(signed_distance_map(mask, (0.2, 0.2)), want, **FLOAT32)


def test_truncation_is_towards_zero_and_loses_less_than_a_pixel():
    mask = np.zeros((13, 13), dtype=bool)
    mask[6, 6] = True
    exact, truncated = signed_distance_map(mask), signed_distance_map(mask, integer_trunc=True)
    assert exact[6 + 3, 6 + 5] == pytest.approx(math.sqrt(34))
    assert truncated[6 + 3, 6 + 5] == 5
    near = exact < 6.5
    assert (exact - truncated)[near].max() == pytest.approx(math.sqrt(34) - 5)
    inside = signed_distance_map(~mask, integer_trunc=True) - signed_distance_map(~mask)
    assert inside.min() == 0  # never further from the contour than it is
    assert 0.8 < inside.max() < 1


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@pytest.mark.parametrize("spacing", [None, (0.5, 0.25)])
def test_without_a_contour_the_map_is_zero(switches, spacing):
    for mask in (np.zeros((5, 7), dtype=bool), np.ones((5, 7), dtype=bool), np.ones((1, 1), dtype=bool)):
        assert not signed_distance_map(mask, spacing, **switches).any()


def test_a_map_of_truncated_zeros_is_normalized_to_zeros():
    mask = np.array([[True, False]])
    phi = signed_distance_map(mask, (0.1, 0.1), integer_trunc=True, normalize=True)
    np.testing.assert_array_equal(phi, [[0, 0]])


def test_single_pixel():
    mask = np.zeros((3, 3), dtype=bool)
    mask[1, 1] = True
    diagonal = math.sqrt(2)
    want = [[diagonal, 1, diagonal], [1, 0, 1], [diagonal, 1, diagonal]]
    np.testing.assert_allclose(signed_distance_map(mask), want, **FLOAT32)
    assert signed_distance_map(mask, inside_offset=False)[1, 1] == -1


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_flips_and_transposes_of_the_mask_are_those_of_the_map(seed):
    mask = random_mask(seed)
    phi = signed_distance_map(mask, (0.5, 0.2))
    for axis in (0, 1):
        np.testing.assert_array_equal(
            signed_distance_map(np.flip(mask, axis), (0.5, 0.2)), np.flip(phi, axis)
        )
    np.testing.assert_allclose(signed_distance_map(mask.T, (0.2, 0.5)), phi.T, **FLOAT32)


# The loss


def test_the_loss_by_hand_on_4x4():
    """p = 1/2 in every pixel: half the mean of the map."""
    target = torch.from_numpy(corner()).double()[None, None]
    value = Boundary()(torch.zeros_like(target), Batch(target)).item()
    assert value == pytest.approx((-5 + 6 + math.sqrt(2)) / 32, rel=1e-6)


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_the_loss_is_the_naive_sum(switches):
    logits, batch = random_batch(0)
    want = []
    for x, y in zip(logits[:, 0], batch.target[:, 0], strict=True):
        phi = brute_force(y.numpy() > 0.5, **switches)
        terms = [phi[r, c] / (1 + math.exp(-float(x[r, c]))) for r, c in np.ndindex(phi.shape)]
        want.append(sum(terms) / len(terms))
    got = Boundary(**switches)(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("switches", SWITCHES[1:], ids=str)
def test_every_switch_matters(switches):
    logits, batch = random_batch(0)
    assert not torch.isclose(Boundary(**switches)(logits, batch), Boundary()(logits, batch)).any()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_equations_2_to_7(seed, switches):
    """With D_G = |Phi_G|, every right-hand side is the sum of D_G between the two contours."""
    rng = np.random.default_rng(seed)
    G, S = rng.random((2, 7, 9)) < rng.random((2, 1, 1))
    phi = brute_force(G, **switches)
    D = np.abs(phi)
    between = D[G ^ S].sum()  # Eqs 2 and 3
    np.testing.assert_allclose(
        D[G].sum() + D[S].sum() - 2 * D[S & G].sum(), between, **EXACT
    )  # Eq. 4, mended
    np.testing.assert_allclose(phi[S].sum() - phi[G].sum(), between, **EXACT)  # Eq. 5
    loss, target = Boundary(**switches), torch.from_numpy(G).double()[None, None]

    def certain(mask: np.ndarray) -> float:
        logits = torch.from_numpy(np.where(mask, 50.0, -50.0))[None, None]
        return loss(logits, Batch(target)).item()

    np.testing.assert_allclose(
        phi.size * (certain(S) - certain(G)), between, rtol=1e-5, atol=1e-5
    )  # Eqs 6, 7


def test_equation_4_as_printed_is_another_number():
    G = corner()
    S = np.roll(G, 1, axis=1)
    D = np.abs(BY_HAND)
    assert D[G].sum() + D[S].sum() - D[S & G].sum() != pytest.approx(D[G ^ S].sum())


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_the_target_is_the_minimum_and_its_complement_the_maximum(switches):
    logits, batch = random_batch(1)
    loss = Boundary(**switches)
    sure = 100 * (batch.target - 0.5)
    lowest, highest = loss(sure, batch), loss(-sure, batch)
    assert (lowest[:2] < 0).all()
    assert (lowest < loss(logits, batch)).all()
    assert (loss(logits, batch) < highest).all()


def test_the_inner_rim_is_free_unless_it_is_counted():
    target = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    target[..., 2:7, 2:7] = 1
    eroded = torch.zeros_like(target)
    eroded[..., 3:6, 3:6] = 1
    for inside_offset, free in ((True, True), (False, False)):
        loss = Boundary(inside_offset=inside_offset)
        exact, less = (loss(100 * (m - 0.5), Batch(target)) for m in (target, eroded))
        assert bool(torch.isclose(exact, less, rtol=0, atol=1e-12)) == free


def test_confident_predictions_have_no_gradient_right_or_wrong():
    _, batch = random_batch(1)
    for sign in (1, -1):
        logits = (40 * sign * (2 * batch.target - 1)).requires_grad_()
        Boundary()(logits, batch).sum().backward()
        assert logits.grad.abs().max() < 1e-14


def test_mm():
    logits, batch = random_batch(2)
    spacing = torch.tensor([[0.5, 0.2], [1.0, 1.0], [0.3, 0.3]])
    with_mm = Batch(batch.target, spacing_mm=spacing)
    got = Boundary(unit="mm")(logits, with_mm)
    phi = [
        brute_force(y.numpy() > 0.5, tuple(s))
        for y, s in zip(batch.target[:, 0], spacing.tolist(), strict=True)
    ]
    want = (torch.from_numpy(np.stack(phi)) * logits[:, 0].sigmoid()).mean((1, 2))
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)
    pixels = Boundary()(logits, with_mm)
    torch.testing.assert_close(got[1:], pixels[1:] * torch.tensor([1, 0.3]), rtol=1e-6, atol=1e-7)
    assert not torch.isclose(got[0], pixels[0])


def test_mm_needs_the_spacing():
    logits, batch = random_batch(2)
    unknown = torch.tensor([[0.5, 0.2], [torch.nan, torch.nan], [0.3, 0.3]])
    for known in (None, unknown):
        with pytest.raises(ValueError, match="unit='mm' needs the pixel spacing of every sample"):
            Boundary(unit="mm")(logits, Batch(batch.target, spacing_mm=known))


@pytest.mark.parametrize(("classes", "counted"), [(None, (1, 2)), ((2,), (2,)), ([0, 1, 2], (0, 1, 2))])
def test_regions_are_the_naive_sum(classes, counted):
    logits, batch = random_batch(3, classes=3)
    want = []
    for x, y in zip(logits.tolist(), batch.target.numpy() > 0.5, strict=True):
        total = 0.0
        for k in counted:
            phi = brute_force(y[k])
            for r, c in np.ndindex(phi.shape):
                exponentials = [math.exp(x[j][r][c]) for j in range(3)]
                total += phi[r, c] * exponentials[k] / sum(exponentials)
        want.append(total / phi.size / len(counted))
    got = Boundary(classes=classes)(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-6, atol=1e-7)


def test_two_channels_are_one():
    logits, batch = random_batch(4)
    pair = torch.cat([torch.ones_like(logits), logits + 1], 1)
    one_hot = Batch(torch.cat([1 - batch.target, batch.target], 1))
    for classes in (None, (1,)):
        torch.testing.assert_close(
            Boundary(classes=classes)(pair, one_hot), Boundary()(logits, batch), **EXACT
        )


def test_an_absent_class_weighs_nothing():
    """The last sample has no pixel of class 2: its map is zeros, and the mean over two classes halves."""
    logits, batch = random_batch(3, classes=3)
    both, first = Boundary()(logits, batch), Boundary(classes=(1,))(logits, batch)
    torch.testing.assert_close(both[2], first[2] / 2, **EXACT)
    assert not torch.isclose(both[0], first[0] / 2)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("unit", ["pixel", "mm"])
def test_cached_features_are_read(classes, unit):
    logits, batch = random_batch(5, classes)
    loss = Boundary(unit=unit)
    spaced = Batch(batch.target, spacing_mm=torch.full((3, 2), 0.5))
    masks = batch.target.numpy() > 0.5
    rows = [loss.target_features(m[0] if classes == 1 else m, (0.5, 0.5)) for m in masks]
    assert set(rows[0]) == {"distance_map"}
    phi = torch.from_numpy(np.stack([row["distance_map"] for row in rows]))
    assert phi.dtype == torch.float32
    assert torch.equal(loss(logits, Batch(batch.target, {"distance_map": phi})), loss(logits, spaced))
    assert torch.equal(loss(logits, Batch(batch.target, {"distance_map": 0 * phi})), torch.zeros(3).double())


@pytest.mark.parametrize("classes", [1, 3])
def test_gradient(classes):
    logits, batch = random_batch(6, classes, side=7)
    logits.requires_grad_()
    for switches in SWITCHES:
        loss = Boundary(**switches)
        known = Batch(batch.target, cached(loss, batch.target))
        assert torch.autograd.gradcheck(lambda x, f=loss, b=known: f(x, b), (logits,))


@pytest.mark.parametrize("classes", [1, 3])
def test_a_sample_does_not_depend_on_its_neighbors(classes):
    logits, batch = random_batch(7, classes)
    loss = Boundary()
    alone = [loss(logits[[i]], Batch(batch.target[[i]])) for i in range(3)]
    torch.testing.assert_close(loss(logits, batch), torch.cat(alone), **EXACT)


@pytest.mark.parametrize("classes", [1, 3])
def test_flips_and_transposes_do_not_matter(classes):
    logits, batch = random_batch(8, classes)
    want = Boundary()(logits, batch)
    for turn in (lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.mT):
        torch.testing.assert_close(Boundary()(turn(logits), Batch(turn(batch.target))), want, **EXACT)


@pytest.mark.parametrize(
    "loss", [Boundary(), Boundary(normalize=True), boundary_strategy("linear")], ids=repr
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALVES], ids=str)
def test_extreme_logits_are_finite(loss, dtype):
    target = torch.zeros(4, 1, 8, 8)
    target[1] = 1
    target[2, :, 4, 4] = 1
    target[3, :, :4] = 1
    for sign in (1, -1):
        for pattern in (torch.ones_like(target), 2 * target - 1):
            logits = (50 * sign * pattern).to(dtype).requires_grad_()
            with torch.autocast("cpu", dtype=dtype, enabled=dtype in HALVES):
                values = loss(logits, Batch(target))
            assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            assert values.isfinite().all()
            values.sum().backward()
            assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_logits_of_several_classes(dtype):
    logits, batch = random_batch(9, classes=3)
    rounded = logits.to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        got = Boundary()(rounded, batch)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, Boundary()(rounded.double(), batch).float(), rtol=1e-5, atol=1e-6)


def test_empty_and_full_targets_give_zero_and_no_gradient():
    for fill in (0.0, 1.0):
        target = torch.full((1, 1, 6, 6), fill)
        logits = torch.linspace(-3, 3, 36).reshape(target.shape).requires_grad_()
        value = Boundary()(logits, Batch(target))
        value.sum().backward()
        assert value.item() == 0
        assert not logits.grad.any()


@pytest.mark.parametrize("classes", [1, 3])
def test_compiles_in_one_graph_with_cached_features(classes, monkeypatch):
    """Without the checks of shapes that tests add, which cannot be traced."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    torch.compiler.reset()
    logits, batch = random_batch(10, classes)
    loss = Boundary()
    known = Batch(batch.target, cached(loss, batch.target))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    grads = []
    for run in (loss, compiled):
        x = logits.clone().requires_grad_()
        value = run(x, known)
        value.sum().backward()
        grads.append((value.detach(), x.grad))
    torch.testing.assert_close(grads[0], grads[1], **EXACT)


# The strategies


def expected_weights(strategy: str, schedule: str, epoch: int, epochs: int) -> tuple[float, float]:
    """Of cross entropy and boundary loss, as 002 and its published code have them."""
    if schedule == "code":
        a = max(0.0, (epoch + 1) / epochs - 1 / epochs)  # epochs of the code count from 1
    else:
        a = epoch / (epochs - 1) if epochs > 1 else 0.0
    return {"linear": (1.0, 1.0), "scheduling": (1.0, a), "rebalance": (1 - a, a)}[strategy]


@pytest.mark.parametrize("strategy", ["linear", "scheduling", "rebalance"])
@pytest.mark.parametrize("schedule", ["paper", "code"])
@pytest.mark.parametrize("epochs", [1, 2, 20])
def test_strategies_at_every_epoch(strategy, schedule, epochs):
    logits, batch = random_batch(11)
    loss = build_loss("boundary_strategy", strategy=strategy, schedule=schedule)
    ce, boundary = BCE()(logits, batch), Boundary()(logits, batch)
    for epoch in range(epochs):
        loss.at_epoch(epoch, epochs)
        of_ce, of_boundary = expected_weights(strategy, schedule, epoch, epochs)
        torch.testing.assert_close(loss(logits, batch), of_ce * ce + of_boundary * boundary, **EXACT)


def test_where_the_schedules_end():
    ends = [
        boundary_strategy("rebalance", schedule=schedule).weights_at(19, 20) for schedule in ("paper", "code")
    ]
    assert ends[0] == pytest.approx({"bce": 0, "boundary": 1})
    assert ends[1] == pytest.approx({"bce": 0.05, "boundary": 0.95})


def test_alpha_is_the_weight_or_its_end():
    assert boundary_strategy("linear", alpha=0.1).weights_at(3, 20) == {"bce": 1, "boundary": 0.1}
    assert boundary_strategy("scheduling", alpha=5).weights_at(19, 20) == {"bce": 1, "boundary": 5}
    rebalance = boundary_strategy("rebalance", alpha=0.1, ce_scale=2)
    assert rebalance.weights_at(19, 20) == pytest.approx({"bce": 1.8, "boundary": 0.1})


def test_the_published_cross_entropy_is_50_and_a_half_times_the_plain_one():
    """BCE of both softmax channels, weight 100 where the one-hot target is 1; the mean over everything."""
    logits, batch = random_batch(12)
    p, y = logits.sigmoid(), batch.target
    probs, one_hot = torch.cat([1 - p, p], 1), torch.cat([1 - y, y], 1)
    entropy = -(one_hot * probs.log() + (1 - one_hot) * (1 - probs).log())
    published = (entropy * (1 + 99 * one_hot)).mean((1, 2, 3))
    loss = boundary_strategy("scheduling", ce_scale=50.5)  # its first epoch is cross entropy alone
    torch.testing.assert_close(loss(logits, batch), published, **EXACT)
    loss = boundary_strategy("rebalance", ce_scale=50.5)
    loss.at_epoch(5, 20)
    want = 14 / 19 * published + 5 / 19 * Boundary()(logits, batch)
    torch.testing.assert_close(loss(logits, batch), want, **EXACT)


@pytest.mark.parametrize("switches", [*SWITCHES[1:], {"unit": "mm"}], ids=str)
def test_strategies_pass_the_switches_on(switches):
    logits, batch = random_batch(13)
    batch = Batch(batch.target, spacing_mm=torch.full((3, 2), 0.5))
    want = BCE()(logits, batch) + Boundary(**switches)(logits, batch)
    torch.testing.assert_close(boundary_strategy("linear", **switches)(logits, batch), want, **EXACT)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Boundary(unit="cm"), "unit='cm' is not one of 'pixel', 'mm'"),
        (lambda: Boundary(classes=()), "classes must be distinct"),
        (lambda: Boundary(classes=(1, 1)), "classes must be distinct"),
        (lambda: Boundary(classes=(-1,)), "classes must be distinct"),
        (
            lambda: boundary_strategy("dynamic"),
            "strategy='dynamic' is not one of 'linear', 'scheduling', 'reb",
        ),
        (lambda: boundary_strategy(schedule="thesis"), "schedule='thesis' is not one of 'paper', 'code'"),
        (lambda: boundary_strategy(alpha=0), "alpha must be positive"),
        (lambda: boundary_strategy("rebalance", alpha=2), "alpha must be at most 1"),
        (lambda: boundary_strategy(ce_scale=-1), "ce_scale must be positive"),
        (
            lambda: build_loss("boundary", schedule="code"),
            "it takes 'unit', 'inside_offset', 'integer_trunc'",
        ),
    ],
)
def test_wrong_options(build, says):
    with pytest.raises(ValueError, match=says):
        build()


def test_what_does_not_fit_the_channels():
    logits, batch = random_batch(14)
    with pytest.raises(ValueError, match=r"classes=\(0,\) cannot be chosen from 1 channel"):
        Boundary(classes=(0,))(logits, batch)
    several, regions = random_batch(14, classes=3)
    with pytest.raises(ValueError, match=r"classes=\(3,\) cannot be chosen from 3 channel"):
        Boundary(classes=(3,))(several, regions)
    with pytest.raises(ValueError, match=r"logits \(3, 3, 8, 8\) do not fit the target \(3, 1, 8, 8\)"):
        Boundary()(several, batch)
    of_another_size = batch.with_features({"distance_map": torch.zeros(3, 4, 4)})
    with pytest.raises(ValueError, match=r"distance maps \(3, 4, 4\) do not fit logits \(3, 1, 8, 8\)"):
        Boundary()(logits, of_another_size)
