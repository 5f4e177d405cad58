from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_msssim import ssim

from mammoseg_lib.losses import BCE, RMI, SSIM, Batch, build_loss, hybrid_region
from tests.losses.cases import EXACT

POOLINGS = ("avg4", "avg2", "max3", "none")
ALPHA = 5e-4
each_pooling = pytest.mark.parametrize("pooling", POOLINGS)


def disc(side: int = 256, radius: float = 23) -> torch.Tensor:
    rows, columns = np.indices((side, side)) - side / 2
    return torch.from_numpy(rows**2 + columns**2 < radius**2).double()[None, None]


def blobs(
    seed: int, shape: tuple[int, int], dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, Batch]:
    """Two samples: a noisy prediction beside an ellipse, and beside a box."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    h, w = shape
    masks = np.stack(
        [((y - h / 2) / (h / 3)) ** 2 + ((x - w / 3) / (w / 4)) ** 2 < 1, (y > h / 2) & (x < w / 2)]
    )
    logits = np.where(np.roll(masks, 1, axis=(1, 2)), 1.5, -2.0) + rng.normal(0, 1.5, masks.shape)
    return torch.from_numpy(logits).to(dtype)[:, None], Batch(torch.from_numpy(masks).to(dtype)[:, None])


def pooled_by_loops(image: np.ndarray, pooling: str) -> np.ndarray:
    if pooling == "none":
        return image
    k = int(pooling[3:])
    pad = k // 2
    h, w = ((side + 2 * pad - k) // k + 1 for side in image.shape)
    result = np.empty((h, w))
    for i in range(h):
        for j in range(w):
            window = [
                (image[r, c] if 0 <= r < image.shape[0] and 0 <= c < image.shape[1] else None)
                for r in range(i * k - pad, i * k - pad + k)
                for c in range(j * k - pad, j * k - pad + k)
            ]
            if pooling.startswith("max"):
                result[i, j] = max(v for v in window if v is not None)
            else:  # the padding counts, as zeros
                result[i, j] = sum(v for v in window if v is not None) / k**2
    return result


def rmi_by_loops(
    logits: np.ndarray, target: np.ndarray, pooling: str, radius: int, alpha: float, epsilon: float = 0
) -> float:
    def points(image: np.ndarray) -> np.ndarray:
        image = pooled_by_loops(image, pooling)
        h, w = image.shape
        found = [
            [image[i + r, j + c] for r in range(radius) for c in range(radius)]
            for i in range(h - radius + 1)
            for j in range(w - radius + 1)
        ]
        return np.array(found) - np.mean(found, axis=0)

    y, p = points(target), points(1 / (1 + np.exp(-logits)) + epsilon)
    d = radius**2
    s_y, s_p, c = np.zeros((3, d, d))
    for a, b in zip(y, p, strict=True):
        s_y += np.outer(a, a)
        s_p += np.outer(b, b)
        c += np.outer(a, b)
    m = s_y - c @ np.linalg.inv(s_p + alpha * np.eye(d)) @ c.T
    return float(np.linalg.slogdet(m + alpha * np.eye(d))[1]) / 2 / d


def ssim_by_loops(logits: np.ndarray, target: np.ndarray) -> float:
    p = 1 / (1 + np.exp(-logits))
    g = np.array([math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)])
    weights = np.outer(g, g) / g.sum() ** 2
    values = []
    for i in range(p.shape[0] - 10):
        for j in range(p.shape[1] - 10):
            a, b = target[i : i + 11, j : j + 11], p[i : i + 11, j : j + 11]
            mu_a, mu_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mu_a) ** 2).sum(), (weights * (b - mu_b) ** 2).sum()
            cov = (weights * (a - mu_a) * (b - mu_b)).sum()
            luminance = (2 * mu_a * mu_b + 0.01**2) / (mu_a**2 + mu_b**2 + 0.01**2)
            values.append(luminance * (2 * cov + 0.03**2) / (var_a + var_b + 0.03**2))
    return 1 - sum(values) / len(values)


def by_loops(function, logits: torch.Tensor, batch: Batch, *options) -> torch.Tensor:
    pairs = zip(logits[:, 0].numpy(), batch.target[:, 0].numpy(), strict=True)
    return torch.tensor([function(x, y, *options) for x, y in pairs], dtype=torch.float64)


@each_pooling
@pytest.mark.parametrize("shape", [(19, 26), (12, 9)], ids=str)
@pytest.mark.parametrize(("radius", "alpha"), [(3, ALPHA), (2, 0.03), (1, ALPHA)])
def test_rmi_is_the_formula_on_lists_of_neighborhoods(pooling, shape, radius, alpha):
    logits, batch = blobs(0, shape)
    want = by_loops(rmi_by_loops, logits, batch, pooling, radius, alpha)
    got = RMI(pooling=pooling, radius=radius, alpha=alpha)(logits, batch)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    # What the published code adds to every probability hardly matters, and nothing at all without padding.
    published = by_loops(rmi_by_loops, logits, batch, pooling, radius, alpha, 1e-6)
    bound = 1e-5 if pooling.startswith("avg") else 1e-9
    torch.testing.assert_close(got, published, rtol=0, atol=bound)


def test_rmi_by_hand():
    """Neighborhoods of one pixel: S_Y = S_P = 12 x 1/4 x 1/4 + 4 x 9/16 = 3, twice the slope for C.

    Target 4x4 with a mass of 4, p = .75 on it and .25 elsewhere: C = 3/2, S_P = 3/4.
    """
    target = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    target[..., :2, :2] = 1
    logits = (0.25 + 0.5 * target).logit()
    got = RMI(pooling="none", radius=1, alpha=0.25)(logits, Batch(target))
    assert got.item() == pytest.approx(math.log(3 - 1.5**2 / (0.75 + 0.25) + 0.25) / 2, rel=1e-12)


@each_pooling
def test_a_perfect_prediction(pooling):
    target = disc()
    value = RMI(pooling=pooling)(100 * (target - 0.5), Batch(target)).item()
    assert value == pytest.approx(math.log(2 * ALPHA) / 2, abs=1e-3)
    assert round(value, 3) == -3.454


@pytest.mark.parametrize(("pooling", "value"), [("avg4", 1.20), ("avg2", 1.64), ("none", 2.28)])
def test_a_constant_prediction(pooling, value):
    """Of two discs, as average pooling tells whether a border lies on the grid of 4 pixels."""
    target = torch.cat([disc(), disc().roll(1, 3)])
    got = RMI(pooling=pooling)(torch.full_like(target, -1.0), Batch(target))
    assert round(got.mean().item(), 2) == value


@each_pooling
def test_an_empty_target_teaches_nothing(pooling):
    logits, _ = blobs(1, (32, 32))
    logits.requires_grad_()
    values = RMI(pooling=pooling)(logits, Batch(torch.zeros_like(logits)))
    torch.testing.assert_close(values, torch.full_like(values, math.log(ALPHA) / 2), **EXACT)
    assert round(values[0].item(), 4) == -3.8005
    values.sum().backward()
    assert logits.grad.abs().max() < 1e-12


def test_a_full_target_has_a_border_only_where_the_padding_counts():
    logits, _ = blobs(1, (32, 32))
    full = Batch(torch.ones_like(logits))
    for pooling in ("max3", "none"):
        values = RMI(pooling=pooling)(logits, full)
        torch.testing.assert_close(values, torch.full_like(values, math.log(ALPHA) / 2), **EXACT)
    assert (RMI(pooling="avg4")(logits, full) > -3).all()


def test_without_pooling_an_inverted_mask_is_perfect():
    target = disc(64, 9)
    perfect, batch = 100 * (target - 0.5), Batch(target)
    assert RMI(pooling="none")(-perfect, batch).item() == pytest.approx(
        RMI(pooling="none")(perfect, batch).item(), abs=1e-6
    )
    assert RMI(pooling="avg4")(-perfect, batch) > RMI(pooling="avg4")(perfect, batch) + 0.1


def test_rmi_of_what_explains_nothing_grows_with_the_image():
    values = []
    for side in (64, 128, 256):
        target = disc(side, side / 8)
        values.append(RMI()(torch.zeros_like(target), Batch(target)).item())
    assert values[0] + 0.3 < values[1] < values[2] - 0.3


def test_bce_weight():
    logits, batch = blobs(2, (32, 32))
    got = RMI(bce_weight=0.25)(logits, batch)
    torch.testing.assert_close(got, 0.25 * BCE()(logits, batch) + 0.75 * RMI()(logits, batch), **EXACT)


@each_pooling
@pytest.mark.parametrize("radius", [2, 3])
def test_gradient_of_rmi(pooling, radius):
    logits, batch = blobs(3, (14, 13))
    loss = RMI(pooling=pooling, radius=radius)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), (logits.requires_grad_(),))


@given(seed=st.integers(0, 2**32 - 1), h=st.integers(11, 60), w=st.integers(11, 60))
@settings(max_examples=25, deadline=None)
def test_ssim_is_that_of_pytorch_msssim(seed, h, w):
    logits, batch = blobs(seed, (h, w), torch.float32)
    want = 1 - ssim(logits.sigmoid(), batch.target, data_range=1, size_average=False)
    torch.testing.assert_close(SSIM()(logits, batch), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(11, 11), (15, 44), (53, 12)], ids=str)
def test_ssim_is_the_formula_window_by_window(shape):
    """In sides above 42, more than one block of outputs."""
    logits, batch = blobs(4, shape)
    torch.testing.assert_close(SSIM()(logits, batch), by_loops(ssim_by_loops, logits, batch), **EXACT)


def test_ssim_keeps_its_digits_in_float32():
    """Of a nearly perfect prediction: `1 - SSIM` from E[x^2] - mu^2 has none of its digits right."""
    target = disc(64, 9)
    logits = 30 * (target - 0.5) + torch.from_numpy(np.random.default_rng(0).normal(0, 1, target.shape))
    want = SSIM()(logits, Batch(target)).item()
    got = SSIM()(logits.float(), Batch(target.float())).item()
    assert want < 1e-8
    assert got == pytest.approx(want, rel=1e-3)


def test_ssim_of_known_predictions():
    target = disc(64, 9)
    batch, empty = Batch(target), Batch(torch.zeros_like(target))
    assert SSIM()(200 * (target - 0.5), batch).item() == pytest.approx(0, abs=1e-15)
    assert SSIM()(torch.full_like(target, -50.0), empty).item() == pytest.approx(0, abs=1e-15)
    # A constant p of an empty target: luminance alone, p^2 / (p^2 + C1).
    half = SSIM()(torch.zeros_like(target), empty).item()
    assert half == pytest.approx(0.25 / (0.25 + 1e-4), rel=1e-12)
    assert SSIM()(200 * (0.5 - target), batch).item() > 0.99


def test_the_map_of_ssim_lies_where_it_says():
    target = torch.zeros(1, 1, 40, 30, dtype=torch.float64)
    logits = torch.full_like(target, -50.0)
    logits[0, 0, 21, 12] = 50
    errors = SSIM().map(logits, Batch(target))
    assert errors.shape == (1, 30, 20)
    assert divmod(int(errors.argmax()), 20) == (21 - 5, 12 - 5)


def test_gradient_of_ssim():
    logits, batch = blobs(5, (14, 12))
    assert torch.autograd.gradcheck(lambda x: SSIM()(x, batch), (logits.requires_grad_(),))


LOSSES = [*(RMI(pooling=pooling) for pooling in POOLINGS), RMI(bce_weight=0.5), SSIM(), hybrid_region()]
NAMES = [*POOLINGS, "with BCE", "ssim", "hybrid"]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=NAMES)


@pytest.mark.parametrize("loss", LOSSES[:-1], ids=NAMES[:-1])
def test_autocast_and_half_precision_change_no_digit(loss):
    """The logits are rounded, what is computed from them is not."""
    logits, batch = blobs(6, (48, 33), torch.float32)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        rounded = logits.to(dtype)
        want = rounded.float().clone().requires_grad_()
        loss(want, batch).sum().backward()
        got = rounded.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = loss(got, batch)
            values.sum().backward()
        assert values.dtype == torch.float32
        assert torch.equal(values, loss(want, batch))
        assert torch.equal(got.grad, want.grad.to(dtype))


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extreme_logits_are_finite(loss, dtype):
    targets = torch.stack([torch.zeros(33, 40), torch.ones(33, 40), torch.zeros(33, 40), disc(40)[0, 0, :33]])
    targets[2, 16, 20] = 1
    batch = Batch(targets[:, None].to(dtype))
    for pattern in (2 * batch.target - 1, torch.ones_like(batch.target)):
        for size in (50, -50, 1e-3, 0):
            logits = (size * pattern).requires_grad_()
            values = loss(logits, batch)
            assert values.isfinite().all()
            values.sum().backward()
            assert logits.grad.isfinite().all()


@each_loss
def test_a_broken_sample_leaves_the_others_alone(loss):
    logits, batch = blobs(7, (32, 32))
    logits[1, 0, 0, 0] = math.nan
    logits.requires_grad_()
    values = loss(logits, batch)
    assert values[1].isnan()
    torch.testing.assert_close(values[:1], loss(logits[:1], Batch(batch.target[:1])), **EXACT)
    values[0].backward()
    assert logits.grad[0].isfinite().all()


def test_an_alpha_that_rounding_swallows_is_nan():
    target = disc(64, 9)
    assert RMI(pooling="none", alpha=1e-20)(100 * (target - 0.5), Batch(target)).isnan()


@each_loss
def test_flips_and_transposition_change_nothing(loss):
    logits, batch = blobs(8, (40, 40))  # the windows of every pooling lie symmetric in 40 pixels
    want = loss(logits, batch)
    for turn in (lambda t: t.flip(2), lambda t: t.flip(3), lambda t: t.mT.contiguous()):
        torch.testing.assert_close(loss(turn(logits), Batch(turn(batch.target))), want, rtol=1e-9, atol=1e-9)


def test_the_features_of_the_target_are_small():
    mask = disc(64, 9)[0, 0].numpy() > 0
    features = RMI().target_features(mask)
    assert {k: (v.shape, v.dtype.name) for k, v in features.items()} == {
        "covariance": ((9, 9), "float64"),
        "pooled": ((17, 17), "float32"),
    }
    assert set(RMI(pooling="none").target_features(mask)) == {"covariance"}
    assert SSIM().target_features(mask) == {}


def test_hybrid_region_is_the_weighted_sum():
    logits, batch = blobs(9, (40, 40))
    got = hybrid_region(rmi_weight=0.5, ssim_weight=2, pooling="max3", rmi_include_bce=True)(logits, batch)
    want = 0.5 * RMI(pooling="max3", bce_weight=0.5)(logits, batch) + 2 * SSIM()(logits, batch)
    torch.testing.assert_close(got, want, **EXACT)
    plain = build_loss({"rmi": 1, "ssim": 1})(logits, batch)
    torch.testing.assert_close(build_loss("hybrid_region")(logits, batch), plain, **EXACT)


@pytest.mark.parametrize(
    ("options", "shape", "says"),
    [
        ({}, (8, 7), r"pooling='avg4' and radius=3 needs images of at least 8 x 8 pixels, not 8 x 7"),
        ({"pooling": "avg2"}, (3, 9), "at least 4 x 4 pixels, not 3 x 9"),
        ({"pooling": "max3"}, (6, 9), "at least 7 x 7 pixels, not 6 x 9"),
        ({"pooling": "none", "radius": 5}, (9, 4), "at least 5 x 5 pixels, not 9 x 4"),
    ],
)
def test_images_without_a_neighborhood(options, shape, says):
    zeros = torch.zeros(1, 1, *shape)
    with pytest.raises(ValueError, match=says):
        RMI(**options)(zeros, Batch(zeros))
    least = torch.zeros(1, 1, *[max(side, int(says.split(" x ")[0].split()[-1])) for side in shape])
    assert RMI(**options)(least, Batch(least)).isfinite().all()


def test_images_smaller_than_a_window():
    zeros = torch.zeros(1, 1, 11, 10)
    with pytest.raises(ValueError, match="SSIM needs images of at least 11 x 11 pixels, not 11 x 10"):
        SSIM()(zeros, Batch(zeros))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pooling": "avg3"}, r"pooling='avg3' is not one of 'avg4', 'avg2', 'max3', 'none'"),
        ({"radius": 0}, "radius must be a whole number from 1, not 0"),
        ({"alpha": 0}, "alpha must be positive"),
        ({"bce_weight": 1.5}, "bce_weight must lie between 0 and 1, not 1.5"),
    ],
)
def test_options_out_of_range(options, says):
    with pytest.raises(ValueError, match=says):
        RMI(**options)
