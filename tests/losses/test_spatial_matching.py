from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mammoseg_lib.losses import BCE, Batch, SpatialMatching
from tests.losses.oracle import oracle

CORES = ("bce", "tversky", "dice")
VARIANTS = ("basic", "scale", "distance", "scale_distance")
AGGREGATIONS = ("all", "nonzero")
ALL = list(itertools.product(CORES, VARIANTS, AGGREGATIONS))
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def blobs(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with ellipses in boxes of (top, left, height, width)."""
    mask = np.zeros(shape, dtype=bool)
    for top, left, height, width in boxes:
        r, c = np.ogrid[:height, :width]
        inside = ((r + 0.5) / height * 2 - 1) ** 2 + ((c + 0.5) / width * 2 - 1) ** 2 <= 1
        mask[top : top + height, left : left + width] |= inside
    return mask


def masks(shape: tuple[int, int]) -> np.ndarray:
    """One mass, two of unlike sizes, none, one pixel, everything, a flat one: cells of six sizes."""
    return np.stack(
        [
            blobs(shape, (3, 4, 6, 5)),
            blobs(shape, (1, 1, 11, 6), (14, 12, 3, 7)),
            blobs(shape),
            blobs(shape, (9, 13, 1, 1)),
            np.ones(shape, dtype=bool),
            blobs(shape, (8, 2, 3, 15)),
        ]
    )


def prediction(masks: np.ndarray, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Logits with misses and false alarms: the mask displaced, over noise that seldom crosses 0."""
    rng = np.random.default_rng(seed)
    shifted = np.roll(masks, (3, 4), axis=(1, 2))
    logits = np.where(shifted, 2.0, -3.0) + rng.normal(0, 1.2, masks.shape)
    return torch.from_numpy(logits).to(dtype)[:, None]


def as_batch(loss, masks: np.ndarray, dtype: torch.dtype = torch.float64, cached: bool = True) -> Batch:
    target = torch.from_numpy(masks).to(dtype)[:, None]
    if not cached:
        return Batch(target)
    rows = [loss.target_features(mask) for mask in masks]
    return Batch(target, {k: torch.from_numpy(np.stack([row[k] for row in rows])) for k in rows[0]})


def expected(logits: torch.Tensor, masks: np.ndarray, core, variant, aggregation, **switches) -> torch.Tensor:
    values = [
        oracle(x, mask, core, variant, aggregation, **switches)
        for x, mask in zip(logits[:, 0].detach().numpy(), masks, strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("core", "variant", "aggregation"), ALL)
@pytest.mark.parametrize("shape", [(32, 32), (21, 26)], ids=["even", "ragged"])
def test_equals_algorithm_1(core, variant, aggregation, shape):
    truth = masks(shape)
    logits = prediction(truth)
    loss = SpatialMatching(core, variant, aggregation)
    got = loss(logits, as_batch(loss, truth))
    torch.testing.assert_close(got, expected(logits, truth, core, variant, aggregation), **EXACT)


@pytest.mark.parametrize(("core", "variant", "aggregation"), ALL)
def test_equal_cell_sizes_take_the_short_way_to_the_same_values(core, variant, aggregation):
    truth = np.stack([blobs((32, 32), (2, 3, 8, 4)), blobs((32, 32), (20, 9, 7, 5))])
    logits = prediction(truth, seed=3)
    loss = SpatialMatching(core, variant, aggregation)
    batch = as_batch(loss, truth)
    assert batch.features["cell_size"].tolist() == [[8, 4], [8, 4]]
    want = expected(logits, truth, core, variant, aggregation)
    torch.testing.assert_close(loss(logits, batch), want, **EXACT)


SWITCHES = [
    ({"core": "tversky"}, {"alpha": 0.4}),
    ({"core": "tversky"}, {"beta": 0.9}),
    ({"core": "tversky"}, {"smooth": 1e-6}),
    ({"core": "dice"}, {"smooth": 0.1}),
    ({"core": "dice"}, {"dice_factor": 1}),
    ({}, {"threshold": 0.3}),
    ({"variant": "scale"}, {"soft_counts": True}),
    ({"variant": "scale_distance", "aggregation": "nonzero"}, {"soft_counts": True}),
    ({"variant": "distance"}, {"soft_counts": True, "distance_weight": "algorithm"}),
    ({"aggregation": "nonzero"}, {"mask_numerator": True}),
    ({"aggregation": "nonzero", "variant": "basic"}, {"mask_numerator": True}),
    ({"aggregation": "nonzero"}, {"mask_numerator": True, "soft_counts": True}),
    ({"variant": "distance"}, {"distance_weight": "eq9"}),
    ({"variant": "scale_distance"}, {"distance_weight": "eq9"}),
    ({"variant": "distance"}, {"distance_weight": "algorithm"}),
    ({"variant": "scale_distance"}, {"distance_weight": "algorithm"}),
    ({"variant": "distance"}, {"distance_unit": "pixel"}),
    ({"variant": "distance"}, {"distance_unit": "normalized"}),
    ({"variant": "distance"}, {"distance_from": "center"}),
    ({"variant": "distance"}, {"distance_from": "center", "distance_unit": "pixel"}),
    ({"variant": "distance"}, {"rescale": "raw"}),
    ({"variant": "scale"}, {"rescale": "raw"}),
    ({"variant": "scale_distance"}, {"rescale": "raw", "distance_weight": "eq9"}),
    ({"variant": "scale_distance"}, {"rescale": "raw", "distance_weight": "algorithm"}),
    ({}, {"reduce": "mean"}),
    ({}, {"rounding": "log2"}),
    ({}, {"rounding": "up"}),
    ({}, {"rounding": "down"}),
    ({}, {"size_means": "cell_count"}),
]


@pytest.mark.parametrize(("base", "switch"), SWITCHES, ids=str)
@pytest.mark.parametrize("shape", [(32, 32), (24, 29)], ids=["even", "ragged"])
def test_each_switch_changes_the_loss_into_what_it_says(base, switch, shape):
    truth = np.concatenate([masks(shape), blobs(shape, (0, 0, 23, 5))[None]])  # log2 takes 23 for 32
    logits = prediction(truth, seed=1)
    base = {"core": "bce", "variant": "scale_distance", "aggregation": "all"} | base
    loss, default = SpatialMatching(**base, **switch), SpatialMatching(**base)
    got = loss(logits, as_batch(loss, truth))
    assert not torch.allclose(got, default(logits, as_batch(default, truth)), rtol=1e-4, atol=0)
    torch.testing.assert_close(got, expected(logits, truth, **base, **switch), **EXACT)


class TestByHand:
    """A 4x4 image whose upper left quarter is the mass: four cells of 2x2.

    The prediction is .9 on the mass and on the far corner pixel, .1 elsewhere. Cross entropy of a right
    pixel: a = -ln .9; of the wrong one: b = -ln .1. Corner cell: (3a + b) / 4, at (1/2, 1/2) cells from the
    mass, so d = sqrt(1/2). Two predicted cells over one with mass: S = 2.
    """

    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    a, b = 0.10536051565782628, 2.302585092994046
    image = (15 * a + b) / 16
    corner = (3 * a + b) / 4
    sigma_d, sigma_s = 0.6697615493266569, 0.8807970779778823  # sigma(.70710678), sigma(2)

    def logits(self) -> torch.Tensor:
        p = np.where(self.mask, 0.9, 0.1)
        p[3, 3] = 0.9
        return torch.from_numpy(np.log(p / (1 - p)))

    @pytest.mark.parametrize(
        ("variant", "aggregation", "grid_loss"),
        [
            ("basic", "all", (3 * a + corner) / 4),
            ("basic", "nonzero", (3 * a + corner) / 2),
            ("scale", "all", (3 * a + corner) / 4 * sigma_s),
            ("distance", "all", (3 * a + corner * sigma_d) / 4),
            ("distance", "nonzero", (3 * a + corner * sigma_d) / 2),
            ("scale_distance", "all", (3 * a + corner * sigma_d) / 4 * sigma_s),
            ("scale_distance", "nonzero", (3 * a + corner * sigma_d) / 2 * sigma_s),
        ],
    )
    def test_bce(self, variant, aggregation, grid_loss):
        loss = SpatialMatching("bce", variant, aggregation)
        got = loss(self.logits()[None, None], as_batch(loss, self.mask[None]))
        assert got.item() == pytest.approx(self.image + grid_loss, rel=1e-7)  # distances are float32

    def test_tversky(self):
        # Mass cell: TP 3.6, FN .4; faint cells: FP .4; corner cell: FP 1.2; whole image: FP 2.
        cells = [1 - 4.6 / (4.6 + 0.7 * 0.4), 2 * (1 - 1 / 1.12), 1 - 1 / 1.36]
        image = 1 - 4.6 / (4.6 + 0.7 * 0.4 + 0.3 * 2.0)
        loss = SpatialMatching("tversky", "scale", "all")
        got = loss(self.logits()[None, None], as_batch(loss, self.mask[None]))
        assert got.item() == pytest.approx(image + sum(cells) / 4 * self.sigma_s, rel=1e-12)

    def test_explain_shows_every_step(self):
        terms = SpatialMatching("bce", "scale_distance", "nonzero").explain(self.logits(), self.mask)
        assert terms.cell_size.tolist() == [2, 2]
        assert {k: v.int().tolist() for k, v in terms.kinds().items()} == {
            "TP": [[1, 0], [0, 0]],
            "FP": [[0, 0], [0, 1]],
            "FN": [[0, 0], [0, 0]],
            "TN": [[0, 1], [1, 0]],
        }
        assert terms.predicted.tolist() == [[1, 0], [0, 1]]
        a, d = self.a, math.sqrt(0.5)
        assert terms.cell_losses.flatten().tolist() == pytest.approx([a, a, a, self.corner], rel=1e-12)
        assert terms.distances.flatten().tolist() == pytest.approx([0, 0.5, 0.5, d], rel=1e-7)
        assert terms.weights.flatten().tolist() == pytest.approx([1, 1, 1, self.sigma_d], rel=1e-7)
        assert terms.denominator.item() == 2
        assert terms.scale_ratio.item() == 2
        assert terms.scale_factor.item() == pytest.approx(self.sigma_s, rel=1e-12)
        assert terms.image_loss.item() == pytest.approx(self.image, rel=1e-12)
        assert terms.loss.item() == pytest.approx(terms.image_loss.item() + terms.grid_loss.item(), rel=1e-12)

    def test_explain_leaves_out_what_the_variant_does_not_use(self):
        terms = SpatialMatching("bce", "basic", "all").explain(self.logits(), self.mask)
        assert terms.predicted is terms.distances is terms.weights is terms.scale_ratio is None
        with pytest.raises(ValueError, match="does not look at"):
            terms.kinds()


def test_a_missed_mass_is_a_cell_of_false_negatives():
    mask = TestByHand.mask
    terms = SpatialMatching("dice", "scale", "nonzero").explain(torch.full((4, 4), -3.0), mask)
    assert terms.kinds()["FN"].tolist() == [[True, False], [False, False]]
    assert terms.scale_ratio.item() == 0
    assert terms.scale_factor.item() == 0.5
    assert terms.denominator.item() == 1


@pytest.mark.parametrize(("core", "variant", "aggregation"), ALL)
def test_explain_and_forward_agree(core, variant, aggregation):
    truth = masks((32, 32))
    logits = prediction(truth)
    loss = SpatialMatching(core, variant, aggregation)
    one_by_one = [loss.explain(x, mask).loss for x, mask in zip(logits[:, 0], truth, strict=True)]
    torch.testing.assert_close(loss(logits, as_batch(loss, truth)), torch.stack(one_by_one), **EXACT)


@given(seed=st.integers(0, 2**32 - 1), side=st.sampled_from([8, 16, 64]), gain=st.floats(0, 20))
@settings(max_examples=40, deadline=None)
def test_basic_bce_over_all_cells_is_twice_the_bce(seed, side, gain):
    rng = np.random.default_rng(seed)
    truth = rng.random((3, side, side)) < rng.random((3, 1, 1))
    logits = torch.from_numpy(rng.normal(0, gain, (3, 1, side, side)))
    loss = SpatialMatching("bce", "basic", "all")
    twice = 2 * BCE()(logits, as_batch(loss, truth))
    has_mass = torch.from_numpy(truth.any((1, 2)))
    torch.testing.assert_close(loss(logits, as_batch(loss, truth))[has_mass], twice[has_mass], **EXACT)


@given(seed=st.integers(0, 2**32 - 1), which=st.sampled_from(ALL))
@settings(max_examples=40, deadline=None)
def test_mirrored_and_transposed_images_cost_the_same(seed, which):
    rng = np.random.default_rng(seed)
    truth = blobs((32, 32), (*rng.integers(0, 16, 2), *rng.integers(1, 16, 2)))[None]
    logits = prediction(truth, seed)
    loss = SpatialMatching(*which)
    want = loss(logits, as_batch(loss, truth))
    for turned in (
        lambda a: a[..., ::-1],
        lambda a: a[..., ::-1, :],
        lambda a: a.swapaxes(-1, -2),
    ):
        there = torch.from_numpy(turned(logits.numpy()).copy())
        torch.testing.assert_close(loss(there, as_batch(loss, turned(truth).copy())), want, **EXACT)


@pytest.mark.parametrize(("core", "variant", "aggregation"), ALL)
def test_a_sample_does_not_depend_on_its_neighbors(core, variant, aggregation):
    truth = masks((24, 32))
    logits = prediction(truth).requires_grad_()
    loss = SpatialMatching(core, variant, aggregation)
    together = loss(logits, as_batch(loss, truth))
    alone = [loss(logits[[i]], as_batch(loss, truth[[i]])) for i in range(len(truth))]
    torch.testing.assert_close(together, torch.cat(alone), **EXACT)
    (gradient,) = torch.autograd.grad(together[1], logits)
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2, 3, 4, 5]].abs().max() == 0


@pytest.mark.parametrize(("core", "variant", "aggregation"), ALL)
def test_computed_features_equal_cached_ones(core, variant, aggregation):
    truth = masks((21, 26))
    logits = prediction(truth)
    loss = SpatialMatching(core, variant, aggregation)
    cached, computed = (loss(logits, as_batch(loss, truth, cached=c)) for c in (True, False))
    assert torch.equal(cached, computed)


@pytest.mark.parametrize(("core", "variant", "aggregation"), ALL)
def test_empty_target_leaves_the_core_loss(core, variant, aggregation):
    truth = np.zeros((2, 12, 20), dtype=bool)
    logits = torch.stack([torch.full((1, 12, 20), -2.0), torch.full((1, 12, 20), 2.0)]).double()
    loss = SpatialMatching(core, variant, aggregation)
    batch = as_batch(loss, truth)
    torch.testing.assert_close(loss(logits, batch), loss.core(logits, batch), **EXACT)


@pytest.mark.parametrize(
    "which",
    # That of both weights has the factors of the others.
    [pytest.param(each, marks=() if "scale_distance" in each else pytest.mark.slow) for each in ALL],
    ids=str,
)
@pytest.mark.parametrize("soft_counts", [False, True])
def test_gradient(which, soft_counts):
    truth = np.stack([blobs((6, 8), (1, 2, 3, 3)), blobs((6, 8), (0, 0, 2, 2), (3, 4, 2, 3)), blobs((6, 8))])
    logits = prediction(truth, seed=5).requires_grad_()
    loss = SpatialMatching(*which, soft_counts=soft_counts)
    batch = as_batch(loss, truth)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), (logits,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "switch", [s for _, s in SWITCHES if "distance_weight" in s or "mask_numerator" in s], ids=str
)
def test_gradient_of_the_other_readings(switch):
    truth = np.stack([blobs((8, 12), (1, 2, 4, 3)), blobs((8, 12), (0, 0, 2, 2), (4, 6, 3, 5))])
    logits = prediction(truth, seed=5).requires_grad_()
    loss = SpatialMatching("tversky", "scale_distance", "nonzero", **({"soft_counts": True} | switch))
    batch = as_batch(loss, truth)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), (logits,))


def test_only_soft_counts_send_a_gradient_through_the_scale():
    """The gradient of SM-S is the one of SM-B at a fixed scale, and another with soft counts."""
    truth = blobs((16, 16), (2, 2, 4, 4))[None]
    logits = prediction(truth).requires_grad_()

    def grid_gradient(variant, **switches):
        loss = SpatialMatching("bce", variant, "all", **switches)
        batch = as_batch(loss, truth)
        value = (loss(logits, batch) - BCE()(logits, batch)).sum()
        return value, torch.autograd.grad(value, logits)[0]

    basic, basic_gradient = grid_gradient("basic")
    scaled, scaled_gradient = grid_gradient("scale")
    torch.testing.assert_close(scaled_gradient, basic_gradient * (scaled / basic), rtol=1e-9, atol=1e-15)
    soft, soft_gradient = grid_gradient("scale", soft_counts=True)
    assert not torch.allclose(soft_gradient, basic_gradient * (soft / basic), rtol=1e-3, atol=0)


@pytest.mark.parametrize("which", ALL, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("soft_counts", [False, True])
def test_extreme_logits_are_finite(which, dtype, soft_counts):
    truth = masks((21, 26)).repeat(3, axis=0)
    sign = torch.where(torch.from_numpy(truth), 1, -1)[:, None]
    logits = 50.0 * sign
    logits[1::3] *= -1  # all wrong
    logits[2::3] = 50.0  # all mass
    logits = logits.to(dtype).requires_grad_()
    loss = SpatialMatching(*which, soft_counts=soft_counts)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype in (torch.float16, torch.bfloat16)):
        values = loss(logits, as_batch(loss, truth, torch.float32))
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert values.isfinite().all()
    assert values.min() >= 0
    values.sum().backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("which", ALL, ids=str)
def test_a_perfect_prediction_costs_nothing(which):
    truth = masks((32, 32))
    logits = torch.where(torch.from_numpy(truth), 40.0, -40.0)[:, None]
    loss = SpatialMatching(*which)
    values = loss(logits, as_batch(loss, truth, torch.float32))
    torch.testing.assert_close(values, torch.zeros(len(truth)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_autocast_costs_no_precision(dtype):
    truth = masks((32, 32))
    logits = prediction(truth, dtype=dtype)
    loss = SpatialMatching("tversky", "scale_distance", "nonzero")
    batch = as_batch(loss, truth, torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        got = loss(logits, batch)
    assert torch.equal(got, loss(logits.float(), batch))


def test_features_have_one_shape_whatever_the_cell_size():
    loss = SpatialMatching(variant="distance")
    rows = [loss.target_features(mask) for mask in masks((21, 26))]
    assert {k: (v.shape, v.dtype) for k, v in rows[0].items()} == {
        "cell_size": ((2,), np.dtype("int64")),
        "cell_mass": ((21, 26), np.dtype("float32")),
        "cell_distance": ((21, 26), np.dtype("float32")),
    }
    for row in rows[1:]:
        assert {k: v.shape for k, v in row.items()} == {k: v.shape for k, v in rows[0].items()}
    assert [row["cell_size"].tolist() for row in rows] == [
        [8, 4],
        [4, 8],
        [32, 32],
        [1, 1],
        [16, 32],
        [4, 16],
    ]
    assert "cell_distance" not in SpatialMatching(variant="scale").target_features(masks((21, 26))[0])


def test_survives_a_worker_process():
    loss = pickle.loads(pickle.dumps(SpatialMatching("dice", "scale_distance", "nonzero", rescale="raw")))
    truth = masks((21, 26))
    assert loss(prediction(truth), as_batch(loss, truth)).isfinite().all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"core": "focal"}, "'bce', 'tversky', 'dice'"),
        ({"variant": "sd"}, "'basic', 'scale', 'distance', 'scale_distance'"),
        ({"aggregation": "a"}, "'all', 'nonzero'"),
        ({"distance_weight": "text"}, "'fp_cells', 'eq9', 'algorithm'"),
        ({"distance_unit": "mm"}, "'cell', 'pixel', 'normalized'"),
        ({"distance_from": "corner"}, "'closest', 'center'"),
        ({"rescale": "tanh"}, "'sigmoid', 'raw'"),
        ({"reduce": "max"}, "'min', 'mean'"),
        ({"rounding": "even"}, "'nearest', 'log2', 'up', 'down'"),
        ({"size_means": "pixels"}, "'cell_pixels', 'cell_count'"),
        ({"core": "bce", "alpha": 0.5}, "core 'bce' has no option 'alpha'; it takes no options"),
        ({"core": "dice", "beta": 0.5}, "core 'dice' has no option 'beta'; it takes 'dice_factor', 'smooth'"),
        ({"core": "tversky", "dice_factor": 1}, "it takes 'alpha', 'beta', 'smooth'"),
        ({"core": "tversky", "smooth": 0}, "smooth must be positive"),
        ({"core": "dice", "dice_factor": 3}, "dice_factor=3 is not one of 1, 2"),
        ({"threshold": 0.0}, "threshold must lie between 0 and 1"),
        ({"threshold": 1.0}, "threshold must lie between 0 and 1"),
        ({"mask_numerator": True}, "belongs to aggregation='nonzero'"),
    ],
)
def test_bad_options_say_what_is_valid(options, says):
    with pytest.raises(ValueError, match=says):
        SpatialMatching(**options)
