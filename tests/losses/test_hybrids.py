from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mammoseg_lib.losses import (
    BCE,
    Dice,
    FocalTversky,
    Jaccard,
    bce_jaccard,
    build_loss,
    combo,
    dice_bce,
    two_phase,
)
from tests.losses.cases import EXACT, corner_case, pixels, random_case

any_seed = st.integers(0, 2**32 - 1)
many = settings(max_examples=50, deadline=None)


def test_dice_bce_is_the_weighted_sum():
    logits, batch = random_case(4)
    dice, bce = Dice(dice_factor=1, smooth=0.5)(logits, batch), BCE()(logits, batch)
    hybrid = dice_bce(dice_weight=0.25, bce_weight=2, dice_factor=1, smooth=0.5)
    torch.testing.assert_close(hybrid(logits, batch), 0.25 * dice + 2 * bce, **EXACT)


def test_dice_bce_weighs_both_terms_alike_unless_told():
    logits, batch = random_case(5)
    want = build_loss({"dice": 1, "bce": 1})(logits, batch)
    assert torch.equal(dice_bce()(logits, batch), want)


@given(seed=any_seed, omega=st.floats(0.01, 0.99), smooth=st.floats(0.01, 5))
@many
def test_bce_jaccard_is_equation_1_and_a_constant(seed, omega, smooth):
    """003 Eq. 1 in plain numbers: (1 - w) BCE - w J, to which ours adds w."""
    logits, batch = random_case(seed)
    want = []
    for x, y in zip(logits, batch.target, strict=True):
        image = pixels(x, y)
        bce = -sum(math.log(p if g else 1 - p) for p, g in image) / len(image)
        inter, union = sum(p * g for p, g in image), sum(p + g - p * g for p, g in image)
        want.append((1 - omega) * bce - omega * (inter + smooth) / (union + smooth) + omega)
    got = bce_jaccard(omega=omega, smooth=smooth)(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{"per": "pixel", "smooth": 1e-3}, {"log": True}, {"per": "pixel", "log": True}]
)
def test_bce_jaccard_hands_its_options_on(options):
    logits, batch = random_case(6)
    want = 0.75 * BCE()(logits, batch) + 0.25 * Jaccard(**options)(logits, batch)
    torch.testing.assert_close(bce_jaccard(omega=0.25, **options)(logits, batch), want, **EXACT)


def test_two_phase_is_20_epochs_of_the_combination_and_then_focal_tversky():
    logits, batch = random_case(7)
    loss, combination, focal = two_phase(), bce_jaccard(omega=0.5)(logits, batch), FocalTversky()
    assert not torch.equal(combination, focal(logits, batch))
    for epoch in range(80):
        loss.at_epoch(epoch, 80)
        want = combination if epoch < 20 else focal(logits, batch)
        assert torch.equal(loss(logits, batch), want), epoch


def test_two_phase_hands_its_options_on():
    logits, batch = random_case(8)
    loss = two_phase(
        combination_epochs=2, omega=0.3, per="pixel", log=True, alpha=0.6, exponent=0.5, smooth=2
    )
    for epoch, want in [
        (1, bce_jaccard(omega=0.3, per="pixel", log=True, smooth=2)),
        (2, FocalTversky(alpha=0.6, exponent=0.5, smooth=2)),
    ]:
        loss.at_epoch(epoch, 5)
        assert torch.equal(loss(logits, batch), want(logits, batch))


@given(seed=any_seed, alpha=st.floats(0.01, 0.99), beta=st.floats(0.01, 0.99), smooth=st.floats(0.01, 5))
@many
def test_combo_is_taghanakis_and_a_constant(seed, alpha, beta, smooth):
    """alpha (-1/N sum beta t log p + (1 - beta) (1 - t) log(1 - p)) - (1 - alpha) D, plus 1 - alpha."""
    logits, batch = random_case(seed)
    want = []
    for x, y in zip(logits, batch.target, strict=True):
        image = pixels(x, y)
        entropy = -sum(beta * math.log(p) if t else (1 - beta) * math.log(1 - p) for p, t in image)
        overlap, total = sum(p * t for p, t in image), sum(p + t for p, t in image)
        dice = (2 * overlap + smooth) / (total + smooth)
        want.append(alpha * entropy / len(image) - (1 - alpha) * dice + (1 - alpha))
    got = combo(alpha=alpha, beta=beta, smooth=smooth)(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_a_small_beta_makes_false_alarms_dearer_than_misses():
    """The corner case has one false alarm and no miss."""
    logits, batch = corner_case()
    assert combo(beta=0.2)(logits, batch) > combo(beta=0.5)(logits, batch) > combo(beta=0.8)(logits, batch)


def test_by_hand_on_4x4():
    logits, batch = corner_case()
    good, bad = -math.log(0.9), -math.log(0.1)
    bce, jaccard, dice = (15 * good + bad) / 16, 1 - 4.6 / 7, 1 - 8.2 / 10.6
    assert dice_bce()(logits, batch).item() == pytest.approx(dice + bce, rel=1e-12)
    assert bce_jaccard()(logits, batch).item() == pytest.approx(0.5 * bce + 0.5 * jaccard, rel=1e-12)
    entropy = (0.8 * 4 * good + 0.2 * (11 * good + bad)) / 16
    want = 0.25 * entropy + 0.75 * dice
    assert combo(alpha=0.25, beta=0.8)(logits, batch).item() == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("loss", [dice_bce(), bce_jaccard(), bce_jaccard(log=True), combo()])
def test_gradient(loss):
    logits, batch = random_case(1)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), (logits.requires_grad_(),))


@pytest.mark.parametrize(
    ("loss", "options", "says"),
    [
        (bce_jaccard, {"omega": 0.0}, r"omega must lie between 0 and 1, not 0\.0"),
        (bce_jaccard, {"per": "batch"}, "per='batch' is not one of 'image', 'pixel'"),
        (two_phase, {"combination_epochs": 0}, "combination_epochs must be a whole number from 1, not 0"),
        (two_phase, {"exponent": -1}, "exponent must be positive"),
        (combo, {"alpha": 1.0}, "alpha must lie between 0 and 1"),
        (combo, {"beta": 0.0}, "beta must lie between 0 and 1"),
    ],
)
def test_values_that_make_no_sense(loss, options, says):
    with pytest.raises(ValueError, match=says):
        loss(**options)
