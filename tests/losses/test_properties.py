"""What is measured of a loss: for those of the library what they promise, for broken ones what is broken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mammoseg_lib.losses import BCE, LOSSES, Loss, WeightedSum, build_loss
from mammoseg_lib.losses import properties as measured
from mammoseg_lib.losses.properties import (
    BEST,
    EMPTY,
    FINITE,
    FULL,
    GRADIENT,
    OWN,
    QUESTIONS,
    RANGE,
    TIME,
    Property,
    properties,
)  # fmt: skip
from tests.losses.cases import OPTIONS

CASES = [(name, options) for name in LOSSES for options in OPTIONS.get(name, [{}])]
# Ranges as the docstrings state them.
RANGES = {
    "bce": (0, math.inf),
    "weighted_bce": (0, math.inf),
    "balanced_bce": (0, math.inf),
    "focal": (0, math.inf),
    "dice": (0, 1),
    "tversky": (0, 1),
    "focal_tversky": (5.6e-6, 1),
    "dice_bce": (0, math.inf),
    "bce_jaccard": (0, math.inf),
    "combo": (0, math.inf),
    "spatial_matching": (0, math.inf),
    "rmi": (-3.8005, math.inf),
    "ssim": (0, 2),
    "asp": (0, math.inf),
}
HALF = 64 * 64 / 2  # sum of p = 1/2 over an image


def of(loss: Loss, **options: object) -> dict[str, Property]:
    return {each.what: each for each in properties(loss, **options)}


@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)])
def test_losses_of_the_library_keep_all_they_must(name, options):
    answers = properties(build_loss(name, **options), speed=False)
    assert [each.what for each in answers] == list(QUESTIONS[:-1])
    for each in answers:
        assert each.holds, str(each)
    low, high = RANGES.get(name, (-math.inf, math.inf))
    values = [value for each in answers[:4] for value in each.numbers.values()]
    assert low <= min(values)
    assert max(values) <= high


def test_empty_and_full_targets_by_hand():
    for name, half_empty, half_full in [
        ("bce", math.log(2), math.log(2)),
        ("dice", HALF / (HALF + 1), 1 - (2 * HALF + 1) / (3 * HALF + 1)),
        ("jaccard", HALF / (HALF + 1), HALF / (2 * HALF + 1)),
        ("tversky", 0.3 * HALF / (0.3 * HALF + 1), 0.7 * HALF / (HALF + 0.7 * HALF + 1)),
        ("ssim", None, 0.2),  # 1 - (2 mu + C1) / (mu^2 + 1 + C1) at mu = 1/2, without C1
        ("boundary", 0, 0),
    ]:
        answers = of(build_loss(name), speed=False)
        if half_empty is not None:
            assert answers[EMPTY].numbers["p = 1/2"] == pytest.approx(half_empty, rel=1e-9)
        assert answers[FULL].numbers["p = 1/2"] == pytest.approx(half_full, rel=1e-4)


def test_cases_of_ones_own():
    target = np.zeros((16, 16), bool)
    target[4:8, 4:8] = True
    cases = {"unknown": (np.zeros((16, 16)), target), "wrong": (np.where(target, -3.0, 3.0), target)}
    answer = of(BCE(), cases=cases, speed=False)[RANGE]
    assert answer.numbers == pytest.approx({"unknown": math.log(2), "wrong": math.log1p(math.exp(3))})
    assert answer.result == "0.6931 (unknown) to 3.049 (wrong)"


class Broken(Loss):
    """Cross entropy with one thing wrong."""

    def __init__(self, how: str):
        super().__init__()
        self.how, self.bce = how, BCE()

    def forward(self, logits, batch):
        right = self.bce(logits, batch)
        p, y = logits.sigmoid(), batch.target.to(logits.dtype)
        return {
            "log of a sigmoid": lambda: -(y * p.log() + (1 - y) * (1 - p).log()).mean((1, 2, 3)),
            "over the batch": lambda: right / right.max(),
            "detached": lambda: right * right.detach(),
            "upside down": lambda: -right,
            "nan where there is no mass": lambda: right / y.sum((1, 2, 3)),
            "in half precision": lambda: ((60 * logits) ** 2).mean((1, 2, 3)).to(logits.dtype),
            "fails": lambda: right @ right @ right[0],
        }[self.how]()


@pytest.mark.parametrize(
    ("how", "fails"),
    [
        ("log of a sigmoid", {EMPTY, FULL, FINITE}),
        ("over the batch", {OWN}),
        ("detached", {GRADIENT}),
        ("upside down", {BEST}),
        ("nan where there is no mass", {EMPTY, FINITE, OWN, GRADIENT}),
    ],
)
def test_what_is_broken_is_told(how, fails):
    wrong = {what for what, each in of(Broken(how), speed=False).items() if each.holds is False}
    assert wrong == fails


def test_only_the_types_that_fail_are_named():
    answer = of(Broken("in half precision"), speed=False)[FINITE]
    assert not answer.holds
    assert answer.result == "not in float16"
    assert answer.numbers == {"float64": 0, "float32": 0, "bfloat16": 0, "float16": 20}


def test_a_question_at_which_it_fails_is_answered_with_its_error():
    answers = of(Broken("fails"), speed=False)
    assert list(answers) == list(QUESTIONS[:-1])
    assert all(each.holds is False for each in answers.values())
    assert answers[RANGE].result.startswith("fails with ")
    assert str(answers[RANGE]).startswith(" NO  range on the cases: fails with ")


def test_time_is_a_ratio_of_medians(monkeypatch):
    """With a clock that cross entropy moves by 1, and the loss by the number of its terms."""
    now = [0.0]
    forward = BCE.forward

    def counted(self, logits, batch):
        now[0] += 1
        return forward(self, logits, batch)

    monkeypatch.setattr(BCE, "forward", counted)
    monkeypatch.setattr(measured.time, "perf_counter", lambda: now[0])
    loss = WeightedSum({name: (BCE(), 1.0) for name in "abc"})
    answer = measured.speed_against_bce(loss, (2, 1, 64, 64), rounds=3)
    assert answer.what == TIME
    assert answer.numbers == {"ratio": 3, "milliseconds": 3000, "milliseconds of BCE": 1000}
    assert answer.holds is None
    assert str(answer) == " -   time, forward and backward: 3 times that of BCE at 2x1x64x64"


def test_time_is_taken_last():
    answers = properties(build_loss("boundary"))
    assert [each.what for each in answers] == list(QUESTIONS)
    assert answers[-1].numbers["ratio"] > 0


def test_the_loss_stays_as_it_is():
    loss = build_loss("asp", **OPTIONS["asp"][0])
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss.at_epoch(3, 7)
    properties(loss, speed=False)
    assert not loss.fitted
    assert (loss.epoch, loss.epochs) == (3, 7)
    for name, value in loss.state_dict().items():
        torch.testing.assert_close(value, before[name], equal_nan=True)


def test_pytorchs_own_functions_have_the_gradient_of_their_value():
    """They compute in the precision of the target, and a difference of values needs more than float32."""

    class Plain(Loss):
        def forward(self, logits, batch):
            each = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, batch.target, reduction="none"
            )
            return each.mean((1, 2, 3))

    assert measured.gradient_is_right(Plain()).holds
