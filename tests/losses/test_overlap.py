from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss, TverskyLoss

from mammoseg_lib.losses import Batch, Dice, FocalTversky, Jaccard, Tversky
from tests.losses.cases import EXACT, corner_case, pixels, random_case

any_seed = st.integers(0, 2**32 - 1)
many = settings(max_examples=50, deadline=None)
ALL = [
    Dice(),
    Dice(dice_factor=1),
    Tversky(),
    FocalTversky(),
    Jaccard(),
    Jaccard(log=True),
    Jaccard(per="pixel"),
    Jaccard(per="pixel", log=True),
]


@given(seed=any_seed, smooth=st.floats(1e-6, 10))
@many
def test_dice_is_monais_per_sample(seed, smooth):
    logits, batch = random_case(seed)
    monai = DiceLoss(sigmoid=True, reduction="none", smooth_nr=smooth, smooth_dr=smooth)
    want = monai(logits, batch.target).flatten()
    torch.testing.assert_close(Dice(smooth=smooth)(logits, batch), want, **EXACT)


@given(
    seed=any_seed,
    alpha=st.floats(0.05, 2),
    beta=st.floats(0.05, 2),
    smooth=st.floats(1e-6, 10),
)
@many
def test_tversky_is_monais_with_the_letters_swapped(seed, alpha, beta, smooth):
    logits, batch = random_case(seed)
    monai = TverskyLoss(
        sigmoid=True, reduction="none", alpha=beta, beta=alpha, smooth_nr=smooth, smooth_dr=smooth
    )
    want = monai(logits, batch.target).flatten()
    torch.testing.assert_close(Tversky(alpha=alpha, beta=beta, smooth=smooth)(logits, batch), want, **EXACT)


@given(seed=any_seed, alpha=st.floats(0.05, 0.95), exponent=st.floats(0.3, 2), smooth=st.floats(0.01, 10))
@many
def test_focal_tversky_is_equations_3_and_4(seed, alpha, exponent, smooth):
    logits, batch = random_case(seed)
    want = []
    for x, y in zip(logits, batch.target, strict=True):
        image = pixels(x, y)
        hit = sum(p for p, label in image if label)
        missed = sum(1 - p for p, label in image if label)
        invented = sum(p for p, label in image if not label)
        index = (hit + smooth) / (hit + alpha * missed + (1 - alpha) * invented + smooth)
        want.append((1 - index) ** exponent)
    got = FocalTversky(alpha=alpha, exponent=exponent, smooth=smooth)(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@given(seed=any_seed, smooth=st.floats(1e-6, 10))
@many
def test_jaccard_is_monais_per_sample(seed, smooth):
    logits, batch = random_case(seed)
    # MONAI doubles numerator and denominator, and smooths after that.
    monai = DiceLoss(sigmoid=True, jaccard=True, reduction="none", smooth_nr=2 * smooth, smooth_dr=2 * smooth)
    want = monai(logits, batch.target).flatten()
    torch.testing.assert_close(Jaccard(smooth=smooth)(logits, batch), want, **EXACT)


@given(seed=any_seed, smooth=st.floats(1e-6, 10))
@many
def test_log_jaccard_is_the_logarithm_of_the_index(seed, smooth):
    logits, batch = random_case(seed)
    want = []
    for x, y in zip(logits, batch.target, strict=True):
        image = pixels(x, y)
        inter, union = sum(p * g for p, g in image), sum(p + g - p * g for p, g in image)
        want.append(math.log((union + smooth) / (inter + smooth)))
    got = Jaccard(smooth=smooth, log=True)(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@given(seed=any_seed, smooth=st.floats(1e-3, 10), log=st.booleans())
@many
def test_jaccard_per_pixel_is_equation_2_as_printed(seed, smooth, log):
    logits, batch = random_case(seed)
    want = []
    for x, y in zip(logits, batch.target, strict=True):
        image = pixels(x, y)
        j = sum((g * p + smooth) / (g + p - g * p + smooth) for p, g in image) / len(image)
        want.append(-math.log(j) if log else 1 - j)
    got = Jaccard(smooth=smooth, per="pixel", log=log)(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@given(seed=any_seed, smooth=st.floats(1e-3, 10))
@many
def test_jaccard_is_dice_by_another_measure(seed, smooth):
    """J = D / (2 - D), smoothed too, if Jaccard is smoothed by half as much: 1 - J = 2 L / (1 + L)."""
    logits, batch = random_case(seed)
    dice = Dice(smooth=smooth)(logits, batch)
    torch.testing.assert_close(Jaccard(smooth=smooth / 2)(logits, batch), 2 * dice / (1 + dice), **EXACT)


def background_slope(p: float, side: int, smooth: float) -> float:
    """How fast the loss grows with the p of one background pixel; all else is predicted perfectly."""
    prob = torch.tensor(p, dtype=torch.float64, requires_grad=True)
    target = torch.zeros(1, 1, side, side, dtype=torch.float64)
    target[..., -5:, -5:] = 1
    logits = 50 * (2 * target - 1)
    logits[..., 0, 0] = prob.logit()
    Jaccard(per="pixel", smooth=smooth)(logits, Batch(target)).sum().backward()
    return prob.grad.item()


def test_jaccard_per_pixel_has_next_to_no_gradient_and_then_far_too_much():
    """In p, that is: s / (N (p + s)^2) for a background pixel, here with s = 1e-7 and 128 x 128 pixels."""
    n, s = 128**2, 1e-7
    assert background_slope(0.08, 128, s) == pytest.approx(s / (n * (0.08 + s) ** 2), rel=1e-6)
    assert background_slope(0.08, 128, s) == pytest.approx(1e-9, rel=0.05)
    assert background_slope(1e-12, 128, s) == pytest.approx(610, rel=1e-3)
    assert background_slope(1e-12, 128, 1.0) == pytest.approx(1 / n, rel=1e-6)


def test_the_sigmoid_takes_the_explosion_back():
    """In the logit, the slope is s p (1 - p) / (N (p + s)^2): at most 1 / (4 N), where p = s."""
    s = 1e-7
    x = torch.linspace(-40, 10, 5001, dtype=torch.float64)[:, None, None, None].requires_grad_()
    Jaccard(per="pixel", smooth=s)(x, Batch(torch.zeros_like(x))).sum().backward()
    assert x.grad.max().item() == pytest.approx(1 / 4, rel=1e-4)
    assert x[x.grad.argmax()].item() == pytest.approx(math.log(s), abs=0.01)


def test_alpha_weighs_what_is_missed():
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2, :] = 1
    missed, invented = torch.full_like(target, -50.0), torch.full_like(target, 50.0)
    loss = Tversky(alpha=0.7, beta=0.3, smooth=1.0)
    assert loss(missed, Batch(target)).item() == pytest.approx(1 - 1 / (1 + 0.7 * 8), rel=1e-6)
    assert loss(invented, Batch(target)).item() == pytest.approx(1 - 9 / (9 + 0.3 * 8), rel=1e-6)
    focal = FocalTversky(alpha=0.7)
    assert focal(missed, Batch(target)).item() == pytest.approx((1 - 1 / 6.6) ** 0.75, rel=1e-6)
    assert focal(invented, Batch(target)).item() == pytest.approx((1 - 9 / 11.4) ** 0.75, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("exponent", [0.25, 0.75])
def test_focal_tversky_has_a_gradient_at_a_perfect_prediction(dtype, exponent):
    """Where (1 - TI)^exponent has a slope of infinity, times 0."""
    target = torch.zeros(2, 1, 8, 8, dtype=dtype)
    target[0, :, 2:5, 2:5] = 1
    logits = (100 * (2 * target - 1)).requires_grad_()
    loss = FocalTversky(exponent=exponent)(logits, Batch(target))
    assert loss.tolist() == pytest.approx([1e-7**exponent] * 2, rel=1e-5)
    loss.sum().backward()
    assert (logits.grad == 0).all()


def test_focal_tversky_is_clamped_no_earlier_than_it_says():
    """One mass pixel of 100 with a miss of 1e-4: 1 - TI of 7e-7 is above 1e-7, and has a gradient."""
    target = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    target[..., :10, :10] = 1
    logits = 100 * (2 * target - 1)
    logits[..., 0, 0] = math.log((1 - 1e-4) / 1e-4)
    logits.requires_grad_()
    loss = FocalTversky()(logits, Batch(target))
    assert loss.item() == pytest.approx((0.7e-4 / 101) ** 0.75, rel=1e-4)
    loss.sum().backward()
    assert logits.grad[0, 0, 0, 0] < 0


def test_the_defaults_are_the_documented_ones():
    logits, batch = random_case(3)
    assert torch.equal(Tversky()(logits, batch), Tversky(alpha=0.7, beta=0.3, smooth=1.0)(logits, batch))
    assert torch.equal(Dice()(logits, batch), Dice(dice_factor=2, smooth=1.0)(logits, batch))
    focal = FocalTversky(alpha=0.7, exponent=0.75, smooth=1.0)
    assert torch.equal(FocalTversky()(logits, batch), focal(logits, batch))
    jaccard = Jaccard(smooth=1.0, per="image", log=False)
    assert torch.equal(Jaccard()(logits, batch), jaccard(logits, batch))


def test_by_hand_on_4x4():
    """TP 3.6, FN .4, sum p = 5.6, FP 2; per pixel, four of .9, one false alarm of .9, eleven of .1."""
    logits, batch = corner_case()
    per_pixel = (4 * (1.9 / 2) + 1 / 1.9 + 11 / 1.1) / 16
    for loss, want in [
        (Dice(), 1 - (7.2 + 1) / (5.6 + 4 + 1)),
        (Dice(dice_factor=1), 1 - 4.6 / 10.6),
        (Tversky(), 1 - 4.6 / (4.6 + 0.7 * 0.4 + 0.3 * 2)),
        (FocalTversky(), (1 - 4.6 / (4.6 + 0.7 * 0.4 + 0.3 * 2)) ** 0.75),
        (FocalTversky(alpha=0.2, exponent=2), (1 - 4.6 / (4.6 + 0.2 * 0.4 + 0.8 * 2)) ** 2),
        (Jaccard(), 1 - 4.6 / 7),
        (Jaccard(smooth=3), 1 - 6.6 / 9),
        (Jaccard(log=True), -math.log(4.6 / 7)),
        (Jaccard(per="pixel"), 1 - per_pixel),
        (Jaccard(per="pixel", log=True), -math.log(per_pixel)),
    ]:
        assert loss(logits, batch).item() == pytest.approx(want, rel=1e-12), loss


def test_a_faint_32x32_cell_costs_what_the_docstring_says():
    logits = torch.full((1, 1, 32, 32), math.log(0.01 / 0.99), dtype=torch.float64)
    empty = Batch(torch.zeros_like(logits))
    assert Tversky()(logits, empty).item() == pytest.approx(0.754, abs=5e-4)
    assert Tversky(smooth=1e-6)(logits, empty).item() == pytest.approx(1.000, abs=5e-4)


def test_an_empty_target_gives_what_the_docstrings_say():
    logits, batch = random_case(8)
    empty = Batch(torch.zeros_like(batch.target))
    total = logits.sigmoid().sum((1, 2, 3))
    for loss, want in [
        (Dice(smooth=2), total / (total + 2)),
        (Tversky(beta=0.4, smooth=2), 0.4 * total / (0.4 * total + 2)),
        (FocalTversky(alpha=0.6, smooth=2), (0.4 * total / (0.4 * total + 2)) ** 0.75),
        (Jaccard(smooth=2), total / (total + 2)),
        (Jaccard(smooth=2, log=True), (1 + total / 2).log()),
    ]:
        torch.testing.assert_close(loss(logits, empty), want, **EXACT)


@pytest.mark.parametrize(
    ("loss", "best", "worst"),
    [
        (Dice(), [0, 0, 0], [256 / 257, 256 / 257, 256 / 257]),
        (Dice(dice_factor=1), [0, 256 / 513, 80 / 161], [256 / 257, 256 / 257, 256 / 257]),
        (Tversky(), [0, 0, 0], [76.8 / 77.8, 179.2 / 180.2, 108.8 / 109.8]),
        (FocalTversky(exponent=1), [1e-7] * 3, [76.8 / 77.8, 179.2 / 180.2, 108.8 / 109.8]),
        (Jaccard(), [0, 0, 0], [256 / 257, 256 / 257, 256 / 257]),
        (Jaccard(log=True), [0, 0, 0], [math.log(257)] * 3),
        (Jaccard(per="pixel"), [0, 0, 0], [1 / 2] * 3),
        (Jaccard(per="pixel", log=True), [0, 0, 0], [math.log(2)] * 3),
    ],
    ids=repr,
)
def test_the_range_is_the_documented_one(loss, best, worst):
    """An empty, a full and another target of 256 pixels, predicted perfectly, and wrong in every pixel."""
    targets = torch.zeros(3, 1, 16, 16, dtype=torch.float64)
    targets[1] = targets[2, :, :5] = 1
    for sign, want in ((1, best), (-1, worst)):
        values = loss(40.0 * sign * (2 * targets - 1), Batch(targets))
        torch.testing.assert_close(values, torch.tensor(want).double(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_gradient(loss):
    logits, batch = random_case(1)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), (logits.requires_grad_(),))


@pytest.mark.parametrize("option", ["alpha", "beta", "smooth"])
@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan])
def test_options_must_be_positive(option, value):
    with pytest.raises(ValueError, match=f"{option} must be positive"):
        Tversky(**{option: value})


@pytest.mark.parametrize(
    ("loss", "options", "says"),
    [
        (Dice, {"dice_factor": 3}, "dice_factor=3 is not one of 1, 2"),
        (FocalTversky, {"alpha": 1.0}, r"alpha must lie between 0 and 1, not 1\.0"),
        (FocalTversky, {"exponent": 0}, "exponent must be positive"),
        (FocalTversky, {"smooth": 0}, "smooth must be positive"),
        (Jaccard, {"per": "batch"}, "per='batch' is not one of 'image', 'pixel'"),
        (Jaccard, {"smooth": 0.0}, "smooth must be positive"),
    ],
)
def test_values_that_make_no_sense(loss, options, says):
    with pytest.raises(ValueError, match=says):
        loss(**options)
