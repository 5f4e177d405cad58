from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import FocalLoss
from torchvision.ops import sigmoid_focal_loss

from mammoseg_lib.losses import BCE, BalancedBCE, Batch, Focal, WeightedBCE
from tests.losses.cases import EXACT, corner_case, pixels, random_case

any_seed = st.integers(0, 2**32 - 1)
many = settings(max_examples=50, deadline=None)
ALL = [
    BCE(),
    WeightedBCE(positive_weight=3, negative_weight=0.5),
    BalancedBCE(),
    Focal(),
    Focal(gamma=0.5, alpha=None),
]


@given(seed=any_seed)
@many
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


@given(seed=any_seed, positive=st.floats(0.01, 100), negative=st.floats(0.01, 100))
@many
def test_weighted_bce_is_torchs_with_pos_weight(seed, positive, negative):
    logits, batch = random_case(seed)
    ratio = torch.tensor(positive / negative, dtype=torch.float64)
    want = [
        negative * F.binary_cross_entropy_with_logits(x, y, pos_weight=ratio)
        for x, y in zip(logits, batch.target, strict=True)
    ]
    got = WeightedBCE(positive_weight=positive, negative_weight=negative)(logits, batch)
    torch.testing.assert_close(got, torch.stack(want), rtol=1e-10, atol=1e-12)


@given(seed=any_seed)
@many
def test_balanced_bce_is_xie_and_tus_over_the_sum_of_its_weights(seed):
    logits, batch = random_case(seed)
    want = []
    for x, y in zip(logits, batch.target, strict=True):
        image = pixels(x, y)
        beta = sum(1 - label for _, label in image) / len(image)
        entropy = [-math.log(p if label else 1 - p) for p, label in image]
        weights = [beta if label else 1 - beta for _, label in image]
        if sum(weights) == 0:  # one class only
            weights = [1] * len(image)
        want.append(sum(w * e for w, e in zip(weights, entropy, strict=True)) / sum(weights))
    got = BalancedBCE()(logits, batch)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("label", [0, 1], ids=["empty", "full"])
def test_balanced_bce_of_a_target_with_one_class_is_bce(label):
    logits, batch = random_case(5)
    batch = Batch(torch.full_like(batch.target, label))
    torch.testing.assert_close(BalancedBCE()(logits, batch), BCE()(logits, batch), **EXACT)


def test_balanced_bce_gives_a_small_mass_as_much_weight_as_a_large_one():
    """A missed mass of one pixel costs as much as one of 400; to BCE it is 400 times cheaper."""
    targets = torch.zeros(2, 1, 40, 40, dtype=torch.float64)
    targets[0, :, 7, 7] = targets[1, :, :20, :20] = 1
    missed = torch.full_like(targets, -6.0)
    balanced, plain = BalancedBCE()(missed, Batch(targets)), BCE()(missed, Batch(targets))
    assert balanced[0].item() == pytest.approx(balanced[1].item(), rel=1e-12)
    assert plain[1] > 80 * plain[0]


@given(seed=any_seed, gamma=st.floats(0, 5), alpha=st.none() | st.floats(0.01, 0.99))
@many
def test_focal_is_torchvisions_per_sample(seed, gamma, alpha):
    logits, batch = random_case(seed)
    want = sigmoid_focal_loss(logits, batch.target, alpha=-1 if alpha is None else alpha, gamma=gamma)
    got = Focal(gamma=gamma, alpha=alpha)(logits, batch)
    # Theirs takes 1 - p_t from 1, which costs digits; a loop that does not, below.
    torch.testing.assert_close(got, want.mean((1, 2, 3)), rtol=1e-7, atol=1e-12)


def test_focal_is_monais_per_sample():
    logits, batch = random_case(6, torch.float32)
    want = FocalLoss(gamma=1.5, alpha=0.3, reduction="none")(logits, batch.target).mean((1, 2, 3))
    torch.testing.assert_close(Focal(gamma=1.5, alpha=0.3)(logits, batch), want, rtol=1e-5, atol=1e-7)


def test_focal_keeps_its_digits_in_the_tails():
    """The value of single pixels of a wrong and a right class, from -60 to 60, against plain floats."""
    x = torch.linspace(-60, 60, 241, dtype=torch.float64)[:, None, None, None]
    got = Focal(gamma=2, alpha=None)(x, Batch(torch.ones_like(x)))
    want = [math.log1p(math.exp(-v)) / (1 + math.exp(v)) ** 2 for v in x.flatten().tolist()]
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("gamma", [0, 0.1, 0.5, 1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_focal_has_a_gradient_where_1_minus_p_is_rounded_to_0(gamma, dtype):
    logits = torch.tensor([-2000.0, -200.0, -50.0, 50.0, 200.0, 2000.0], dtype=dtype)[:, None, None, None]
    for label in (0, 1):
        x = logits.clone().requires_grad_()
        Focal(gamma=gamma)(x, Batch(torch.full_like(x, label))).sum().backward()
        assert x.grad.isfinite().all()


def test_focal_without_focus_and_weights_is_bce():
    logits, batch = random_case(7)
    torch.testing.assert_close(Focal(gamma=0, alpha=None)(logits, batch), BCE()(logits, batch), **EXACT)


def test_by_hand_on_4x4():
    """15 pixels are given .9 for their class, one false alarm .1."""
    logits, batch = corner_case()
    good, bad = -math.log(0.9), -math.log(0.1)
    weighted = WeightedBCE(positive_weight=3, negative_weight=0.5)
    focal = 0.75 * (11 * 0.1**2 * good + 0.9**2 * bad) + 0.25 * 4 * 0.1**2 * good
    assert BCE()(logits, batch).item() == pytest.approx((15 * good + bad) / 16, rel=1e-12)
    assert weighted(logits, batch).item() == pytest.approx(
        (3 * 4 * good + 0.5 * (11 * good + bad)) / 16, rel=1e-12
    )
    assert BalancedBCE()(logits, batch).item() == pytest.approx(
        (good + (11 * good + bad) / 12) / 2, rel=1e-12
    )
    assert Focal()(logits, batch).item() == pytest.approx(focal / 16, rel=1e-12)


def test_the_defaults_are_the_documented_ones():
    logits, batch = random_case(3)
    assert torch.equal(Focal()(logits, batch), Focal(gamma=2, alpha=0.25)(logits, batch))
    one_sided = WeightedBCE(positive_weight=7)(logits, batch)
    assert torch.equal(one_sided, WeightedBCE(positive_weight=7, negative_weight=1)(logits, batch))


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_a_perfect_prediction_of_an_empty_and_of_a_full_target_costs_nothing(loss):
    empty, full = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    for target, right in ((empty, -40.0), (full, 40.0)):
        logits = torch.full_like(target, right)
        assert loss(logits, Batch(target)).item() == pytest.approx(0, abs=1e-14)
        assert loss(-logits, Batch(target)).item() > 9


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_gradient(loss):
    logits, batch = random_case(1)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), (logits.requires_grad_(),))


@pytest.mark.parametrize(
    ("loss", "options", "says"),
    [
        (WeightedBCE, {"positive_weight": 0}, "positive_weight must be positive"),
        (WeightedBCE, {"positive_weight": 1, "negative_weight": -1}, "negative_weight must be positive"),
        (Focal, {"gamma": -0.1}, "gamma must be a finite number from 0, not -0.1"),
        (Focal, {"gamma": math.inf}, "gamma must be a finite number from 0"),
        (Focal, {"alpha": 1.0}, r"alpha must lie between 0 and 1, not 1\.0"),
        (Focal, {"alpha": 0.0}, "alpha must lie between 0 and 1"),
    ],
)
def test_values_that_make_no_sense(loss, options, says):
    with pytest.raises(ValueError, match=says):
        loss(**options)
