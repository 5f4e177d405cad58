from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss, TverskyLoss

from mammoseg_lib.losses import BCE, Batch, Dice, Tversky, dice_bce

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def random_case(seed: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, Batch]:
    rng = np.random.default_rng(seed)
    shape = (3, 1, *rng.integers(1, 20, 2))
    logits = torch.from_numpy(rng.normal(-1, 3, shape)).to(dtype)
    return logits, Batch(torch.from_numpy(rng.random(shape) < rng.random((3, 1, 1, 1))).to(dtype))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_bce_is_torchs_per_sample(seed):
    logits, batch = random_case(seed)
    want = [F.binary_cross_entropy_with_logits(x, y) for x, y in zip(logits, batch.target, strict=True)]
    torch.testing.assert_close(BCE()(logits, batch), torch.stack(want), **EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_bce_keeps_its_digits_in_the_tails(dtype):
    """Value and gradient of single pixels, from -60 to 60, to a few units in the last place."""
    x = torch.linspace(-60, 60, 2401, dtype=dtype)[:, None, None, None]
    for label in (0.0, 1.0):
        logits = x.clone().requires_grad_()
        got = BCE()(logits, Batch(torch.full_like(x, label)))
        want = [math.log1p(math.exp(v if label == 0 else -v)) for v in x.flatten().tolist()]
        torch.testing.assert_close(
            got, torch.tensor(want, dtype=dtype), rtol=8 * torch.finfo(dtype).eps, atol=0
        )
        got.sum().backward()
        slope = [1 / (1 + math.exp(-v)) - label for v in x.flatten().tolist()]
        # 1 - p is rounded for the right class: of the gradient the absolute error counts.
        eps = 2 * torch.finfo(dtype).eps
        torch.testing.assert_close(logits.grad.flatten(), torch.tensor(slope, dtype=dtype), rtol=0, atol=eps)


@given(seed=st.integers(0, 2**32 - 1), smooth=st.floats(1e-6, 10))
@settings(max_examples=50, deadline=None)
def test_dice_is_monais_per_sample(seed, smooth):
    logits, batch = random_case(seed)
    monai = DiceLoss(sigmoid=True, reduction="none", smooth_nr=smooth, smooth_dr=smooth)
    want = monai(logits, batch.target).flatten()
    torch.testing.assert_close(Dice(smooth=smooth)(logits, batch), want, **EXACT)


@given(
    seed=st.integers(0, 2**32 - 1),
    alpha=st.floats(0.05, 2),
    beta=st.floats(0.05, 2),
    smooth=st.floats(1e-6, 10),
)
@settings(max_examples=50, deadline=None)
def test_tversky_is_monais_with_the_letters_swapped(seed, alpha, beta, smooth):
    logits, batch = random_case(seed)
    monai = TverskyLoss(
        sigmoid=True, reduction="none", alpha=beta, beta=alpha, smooth_nr=smooth, smooth_dr=smooth
    )
    want = monai(logits, batch.target).flatten()
    torch.testing.assert_close(Tversky(alpha=alpha, beta=beta, smooth=smooth)(logits, batch), want, **EXACT)


def test_alpha_weighs_what_is_missed():
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2, :] = 1
    missed, invented = torch.full_like(target, -50.0), torch.full_like(target, 50.0)
    loss = Tversky(alpha=0.7, beta=0.3, smooth=1.0)
    assert loss(missed, Batch(target)).item() == pytest.approx(1 - 1 / (1 + 0.7 * 8), rel=1e-6)
    assert loss(invented, Batch(target)).item() == pytest.approx(1 - 9 / (9 + 0.3 * 8), rel=1e-6)


def test_the_defaults_are_the_documented_ones():
    logits, batch = random_case(3)
    assert torch.equal(Tversky()(logits, batch), Tversky(alpha=0.7, beta=0.3, smooth=1.0)(logits, batch))
    assert torch.equal(Dice()(logits, batch), Dice(dice_factor=2, smooth=1.0)(logits, batch))


def test_by_hand_on_4x4():
    """Mass of 4 pixels at p = .9, one false alarm at .9, the other 11 at .1: TP 3.6, sum p = 5.6."""
    target = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    target[..., :2, :2] = 1
    probs = 0.1 + 0.8 * target
    probs[..., 3, 3] = 0.9
    logits, batch = probs.logit(), Batch(target)
    assert Dice()(logits, batch).item() == pytest.approx(1 - (7.2 + 1) / (5.6 + 4 + 1), rel=1e-12)
    assert Dice(dice_factor=1)(logits, batch).item() == pytest.approx(1 - 4.6 / 10.6, rel=1e-12)
    assert Tversky()(logits, batch).item() == pytest.approx(1 - 4.6 / (4.6 + 0.7 * 0.4 + 0.3 * 2), rel=1e-12)
    assert BCE()(logits, batch).item() == pytest.approx(-(15 * math.log(0.9) + math.log(0.1)) / 16, rel=1e-12)


def test_a_faint_32x32_cell_costs_what_the_docstring_says():
    logits = torch.full((1, 1, 32, 32), math.log(0.01 / 0.99), dtype=torch.float64)
    empty = Batch(torch.zeros_like(logits))
    assert Tversky()(logits, empty).item() == pytest.approx(0.754, abs=5e-4)
    assert Tversky(smooth=1e-6)(logits, empty).item() == pytest.approx(1.000, abs=5e-4)


@pytest.mark.parametrize("loss", [Dice(), Dice(dice_factor=1), Tversky(), BCE(), dice_bce()], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_extreme_logits_are_finite(loss, dtype):
    target = torch.zeros(4, 1, 8, 8)
    target[1] = 1
    target[2, :, 4, 4] = 1
    target[3, :, :4] = 1
    for sign in (1, -1):
        for pattern in (torch.ones_like(target), 2 * target - 1):
            logits = (50 * sign * pattern).to(dtype).requires_grad_()
            with torch.autocast("cpu", dtype=dtype, enabled=dtype in (torch.float16, torch.bfloat16)):
                values = loss(logits, Batch(target))
            assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            assert values.isfinite().all()
            assert values.min() >= 0
            values.sum().backward()
            assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", [Dice(), Tversky(), BCE()], ids=repr)
def test_empty_and_full_targets(loss):
    empty, full = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    for target, right in ((empty, -40.0), (full, 40.0)):
        logits = torch.full_like(target, right)
        assert loss(logits, Batch(target)).item() == pytest.approx(0, abs=1e-14)
        assert loss(-logits, Batch(target)).item() > 0.9


@pytest.mark.parametrize("loss", [Dice(), Dice(dice_factor=1), Tversky(), BCE(), dice_bce()], ids=repr)
def test_gradient(loss):
    logits, batch = random_case(1)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), (logits.requires_grad_(),))


@pytest.mark.parametrize("loss", [Dice(), Tversky(), BCE(), dice_bce()], ids=repr)
def test_a_sample_does_not_depend_on_its_neighbors(loss):
    logits, batch = random_case(2)
    alone = [loss(logits[[i]], Batch(batch.target[[i]])) for i in range(3)]
    torch.testing.assert_close(loss(logits, batch), torch.cat(alone), **EXACT)


def test_dice_bce_is_the_weighted_sum():
    logits, batch = random_case(4)
    dice, bce = Dice(dice_factor=1, smooth=0.5)(logits, batch), BCE()(logits, batch)
    hybrid = dice_bce(dice_weight=0.25, bce_weight=2, dice_factor=1, smooth=0.5)
    torch.testing.assert_close(hybrid(logits, batch), 0.25 * dice + 2 * bce, **EXACT)


@pytest.mark.parametrize("option", ["alpha", "beta", "smooth"])
@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan])
def test_options_must_be_positive(option, value):
    with pytest.raises(ValueError, match=f"{option} must be positive"):
        Tversky(**{option: value})


def test_dice_factor_is_1_or_2():
    with pytest.raises(ValueError, match="must be 1 or 2, not 3"):
        Dice(dice_factor=3)
