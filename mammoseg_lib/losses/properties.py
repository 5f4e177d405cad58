"""What a loss does, measured: its values on drawn cases, its gradients, its independence, its speed.

for each in properties(build_loss("path/to/file.py:Class")):
    print(each)

Whatever a loss must keep to be trained with (see `Loss`) is tried here on small images, for one of the
library as for one of one's own.
"""

from __future__ import annotations

import copy
import math
import pickle
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from mammoseg_lib.losses import drawn
from mammoseg_lib.losses.base import Batch, Loss
from mammoseg_lib.losses.own import trial_masks
from mammoseg_lib.losses.pixel import BCE

TYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
EXTREME = 50  # logits of a prediction that is certain beyond all precision
SPEED_SHAPE = (8, 1, 256, 256)
STEP = 1e-5  # of the finite differences, in logits
AGREE = 1e-4  # relative difference up to which a gradient is that of the value
SAME = 1e-9  # relative difference up to which two values in float64 are one

QUESTIONS = (
    "range on the cases",
    "a perfect prediction costs least",
    "empty target",
    "full target",
    f"finite with finite gradients at logits of +-{EXTREME}",
    "logits and target stay as they are",
    "the same again, from a copy and with cached features",
    "a sample's value is its own",
    "the gradient is that of the value",
    "size of the gradient",
    "time, forward and backward",
)
RANGE, BEST, EMPTY, FULL, FINITE, UNTOUCHED, AGAIN, OWN, GRADIENT, SIZE, TIME = QUESTIONS

ADVICE = {
    RANGE: "a value that is not finite is a division by zero, or a logarithm or root of it",
    BEST: "a network trained with it is drawn away from the truth: is a sign the wrong way round?",
    EMPTY: "a target without mass makes a sum zero: add a constant to numerator and denominator",
    FULL: "a target of nothing but mass makes a sum zero: add a constant to numerator and denominator",
    FINITE: "start from the logits, with logsigmoid or softplus, instead of a logarithm of the sigmoid; "
    "add a constant where a sum is divided by; make half-precision logits float32 first, logits.float()",
    UNTOUCHED: "no method that ends in an underscore and no += on what it was given: make a copy",
    AGAIN: "draw no random numbers, count no calls; what depends on the target comes from features_of(batch)",
    OWN: "sum and average over the axes (1, 2, 3) only, never over the samples of a batch",
    GRADIENT: "a detach(), a .data, a rounding or a threshold hides a part of the value from the gradient",
    SIZE: "a gradient of zero teaches nothing: a threshold or a rounding has none",
}
"""What to do about each property that does not hold."""


@dataclass(frozen=True)
class Property:
    """One thing that was measured.

    Attributes:
        what: The question.
        result: The answer, for people.
        holds: Whether what a loss must keep is kept; None where the answer is only good to know.
        numbers: What was measured.
    """

    what: str
    result: str
    holds: bool | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def advice(self) -> str:
        """What to do about it, where it does not hold."""
        return ADVICE[self.what] if self.holds is False else ""

    def __str__(self) -> str:
        mark = {True: "yes", False: "NO", None: " - "}[self.holds]
        return f"{mark:>3}  {self.what}: {self.result}"


def properties(
    loss: Loss, cases: Mapping[str, drawn.Case] | None = None, *, speed: bool = True
) -> list[Property]:
    """Everything that is measured of a loss, one after the other; the loss itself stays as it is.

    A loss that has to see the training masks is shown drawn ones. A question at which it fails is answered
    with its error. One channel of logits; the epoch is that which the loss was last told.

    Args:
        loss: Any.
        cases: Name to logits and target, for the range. None: `drawn.cases`.
        speed: Whether to take the time, some seconds.
    """
    loss = copy.deepcopy(loss)
    loss.fit_targets(trial_masks(drawn.SIDE))
    questions: list[Callable[[], Property]] = [
        lambda: values_of_cases(loss, cases or drawn.cases()),
        lambda: perfect_is_best(loss),
        lambda: of_uniform_target(loss, full=False),
        lambda: of_uniform_target(loss, full=True),
        lambda: finite_at_extremes(loss),
        lambda: leaves_its_input(loss),
        lambda: same_again(loss),
        lambda: independent_of_batch(loss),
        lambda: gradient_is_right(loss),
        lambda: gradient_size(loss),
    ]
    if speed:
        questions.append(lambda: speed_against_bce(loss))
    return [_answer(what, question) for what, question in zip(QUESTIONS, questions, strict=False)]


def values_of_cases(loss: Loss, cases: Mapping[str, drawn.Case]) -> Property:
    """The range: the smallest and the largest value on some cases, in float64, and every one of them."""
    numbers = {name: drawn.value_of(loss, *case) for name, case in cases.items()}
    least, most = min(numbers, key=numbers.get), max(numbers, key=numbers.get)
    result = f"{numbers[least]:.4g} ({least}) to {numbers[most]:.4g} ({most})"
    return Property(RANGE, result, _finite(numbers), numbers)


def perfect_is_best(loss: Loss) -> Property:
    """Whether no drawn prediction costs less than the perfect one."""
    numbers = {name: drawn.value_of(loss, *case) for name, case in drawn.cases().items()}
    best = min(numbers, key=numbers.get)
    holds = numbers["perfect"] <= numbers[best] + SAME * max(1, abs(numbers[best]))
    result = f"{numbers['perfect']:.4g}" + ("" if holds else f", but {best!r} costs {numbers[best]:.4g}")
    return Property(BEST, result, holds, numbers)


def of_uniform_target(loss: Loss, *, full: bool) -> Property:
    """The values for a target without a mass, or of nothing but mass, as the prediction goes from 0 to 1."""
    target = np.full((drawn.SIDE, drawn.SIDE), full)
    logits = {"p = 0": -EXTREME, "p = 1/2": 0, "p = 1": EXTREME}
    numbers = {
        name: drawn.value_of(loss, np.full(target.shape, float(x)), target) for name, x in logits.items()
    }
    result = ", ".join(f"{value:.4g} at {name}" for name, value in numbers.items())
    return Property(FULL if full else EMPTY, result, _finite(numbers), numbers)


def finite_at_extremes(loss: Loss) -> Property:
    """Whether values and gradients are finite for logits of +-50, right and wrong, in every precision.

    Targets: empty, full, a single pixel and a disc. `numbers` counts the samples that are not, for each type.
    """
    disc = trial_masks(drawn.SIDE)[4]
    pixel = np.zeros_like(disc)
    pixel[3, 5] = True
    batch = drawn.batch_of(np.stack([np.zeros_like(disc), np.ones_like(disc), pixel, disc]))
    right = EXTREME * (2 * batch.target - 1)
    checkers = EXTREME * (2 * (torch.from_numpy(np.indices(disc.shape).sum(0)) % 2) - 1).expand_as(right)
    numbers = dict.fromkeys(TYPES, 0.0)
    for name, dtype in TYPES.items():
        for pattern in (right, -right, right.abs(), -right.abs(), checkers):
            logits = pattern.to(dtype)
            values, gradient = _with_gradient(loss, logits, batch)
            finite = values.isfinite() & gradient.isfinite().flatten(1).all(1)
            numbers[name] += int((~finite).sum())
    wrong = [name for name, count in numbers.items() if count]
    result = f"not in {', '.join(wrong)}" if wrong else f"in {', '.join(TYPES)}"
    return Property(FINITE, result, not wrong, numbers)


def leaves_its_input(loss: Loss) -> Property:
    """Whether logits and target are after the call what they were before it."""
    logits, batch = drawn.random_case()
    before = {"logits": logits.clone(), "target": batch.target.clone()}
    loss(logits, batch)
    changed = [
        name
        for name, now in (("logits", logits), ("target", batch.target))
        if not torch.equal(now, before[name])
    ]
    result = (
        f"it changes its {' and its '.join(changed)} in place" if changed else "nothing is changed in place"
    )
    return Property(UNTOUCHED, result, not changed)


def same_again(loss: Loss) -> Property:
    """Whether a second call, a copy as another process gets it, and cached features give the same values."""
    logits, batch = drawn.random_case()
    first = loss(logits.clone(), batch)
    others = {
        "a second call": loss(logits.clone(), batch),
        "a copy": pickle.loads(pickle.dumps(loss))(logits.clone(), batch),
        "cached features": loss(logits.clone(), drawn.with_features(loss, drawn.random_masks())),
    }
    wrong = [
        name
        for name, values in others.items()
        if not torch.allclose(values, first, SAME, SAME, equal_nan=True)
    ]
    result = f"other values from {', '.join(wrong)}" if wrong else "the same values"
    return Property(AGAIN, result, not wrong)


def independent_of_batch(loss: Loss) -> Property:
    """Whether a sample costs the same alone, among others, and in another order."""
    logits, batch = drawn.random_case()
    together = loss(logits, batch)
    order = list(range(len(logits)))[::-1]
    turned = loss(logits[order], drawn.rows_of(batch, order))[order]
    alone = torch.cat([loss(logits[[i]], drawn.rows_of(batch, [i])) for i in order[::-1]])
    scale = together.detach().abs().clamp(min=1)
    numbers = {
        name: float(((values - together).detach().abs() / scale).max())
        for name, values in (("order", turned), ("alone", alone))
    }
    holds = all(value <= SAME for value in numbers.values())  # not so for NaN
    result = "neither the order nor the other samples matter"
    if not holds:
        changes = " and ".join(f"{value:.2g} ({name})" for name, value in numbers.items())
        result = f"values change with the rest of the batch, by {changes}"
    return Property(OWN, result, holds, numbers)


def gradient_is_right(loss: Loss) -> Property:
    """Whether the gradient agrees with central differences of the value along random directions (float64)."""
    logits, batch = drawn.random_case()
    # PyTorch's own cross entropy computes in the precision of its target, and differences need all of it.
    batch = replace(batch, target=batch.target.double(), look=False)
    gradient = _with_gradient(loss, logits, batch)[1]
    generator = torch.Generator().manual_seed(1)
    differences = []
    with torch.no_grad():
        for _ in range(5):
            direction = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
            ahead, behind = (loss(logits + sign * STEP * direction, batch).sum() for sign in (1, -1))
            measured, claimed = float((ahead - behind) / (2 * STEP)), float((gradient * direction).sum())
            # Relative to what directions give typically: a single one may happen to give next to nothing.
            scale = max(abs(measured), abs(claimed), float(gradient.norm()), 1e-12)
            differences.append(abs(measured - claimed) / scale)
    worst = float(torch.tensor(differences).max())  # NaN, if one is
    holds = worst <= AGREE  # not so for NaN
    result = "as the value says" if holds else f"differs by {worst:.2g} of itself from what the value does"
    return Property(GRADIENT, result, holds, {"difference": worst})


def gradient_size(loss: Loss) -> Property:
    """The mean size of a pixel's gradient, over that of cross entropy: near 1 its learning rate fits, too."""
    logits, batch = drawn.random_case()
    own, other = (float(_with_gradient(each, logits, batch)[1].abs().mean()) for each in (loss, BCE()))
    result = f"{own / other:.2g} times that of BCE" if own else "zero everywhere"
    return Property(SIZE, result, own > 0, {"ratio": own / other})


def speed_against_bce(
    loss: Loss, shape: tuple[int, int, int, int] = SPEED_SHAPE, rounds: int = 9
) -> Property:
    """Seconds of forward and backward, in float32 with cached features, over those of cross entropy.

    Both are timed in turn and the medians compared, so that a busy machine slows both.
    """
    masks = trial_masks(shape[-1])[np.arange(shape[0]) % 8]
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    bce = BCE()
    batches = {each: drawn.with_features(each, masks) for each in (loss, bce)}
    times: dict[Loss, list[float]] = {loss: [], bce: []}
    for turn in range(rounds + 1):
        for each, batch in batches.items():
            start = time.perf_counter()
            logits.grad = None
            each(logits, batch).mean().backward()
            if turn:  # the first is a warm-up
                times[each].append(time.perf_counter() - start)
    own, other = (statistics.median(each) for each in times.values())
    numbers = {"ratio": own / other, "milliseconds": 1e3 * own, "milliseconds of BCE": 1e3 * other}
    size = "x".join(map(str, shape))
    return Property(TIME, f"{own / other:.2g} times that of BCE at {size}", None, numbers)


def _answer(what: str, question: Callable[[], Property]) -> Property:
    try:
        return question()
    except Exception as error:
        return Property(what, f"fails with {type(error).__name__}: {error}", False)


def _with_gradient(loss: Loss, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Values and the gradient of their sum; the loss is given a copy of the logits, as a network's output."""
    logits = logits.detach().requires_grad_()
    values = loss(logits.clone(), batch)
    return values, torch.autograd.grad(values.sum(), logits)[0]


def _finite(numbers: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, numbers.values()))
