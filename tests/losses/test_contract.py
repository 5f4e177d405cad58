"""What every loss promises, whatever it computes. Each name in `LOSSES` is held to all of it.

A new loss is held by being registered. One that cannot be built without options, or that has switches with
code of their own, gets a row in `OPTIONS` of `cases`; a name that cannot be built fails every test here.
"""

from __future__ import annotations

import inspect
import re
from contextlib import nullcontext
from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mammoseg_lib.losses import LOSSES, Batch, Loss, build_loss
from mammoseg_lib.losses.base import stack_features
from tests.losses.cases import OPTIONS

CASES = [(name, options) for name in LOSSES for options in OPTIONS.get(name, [{}])]
# What reads numbers from a tensor on its way cannot be one graph; with which options it does.
NOT_COMPILED = {
    "spatial_matching": lambda options: True,  # the sizes of the cells
    "density_asp": lambda options: "missing" not in options,  # whether every density is known
}

each_loss = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{n}-{'-'.join(map(str, o.values())) or 'default'}" for n, o in CASES]
)
any_seed = given(seed=st.integers(0, 2**32 - 1))
few = settings(max_examples=5, deadline=None)

SIDE = 32  # cells and pooling windows divide it, so that a flip maps each onto another
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def masks(rng: np.random.Generator) -> np.ndarray:
    """Five targets: empty, full, a single pixel, a smooth blob, and a box."""
    result = np.zeros((5, SIDE, SIDE), dtype=bool)
    result[1] = True
    result[2][tuple(rng.integers(0, SIDE, 2))] = True
    noise = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
    result[3] = noise > np.quantile(noise, rng.uniform(0.7, 0.98))
    top, left = rng.integers(0, SIDE - 9, 2)
    result[4, top : top + rng.integers(2, 9), left : left + rng.integers(2, 9)] = True
    return result


def batch_of(targets: np.ndarray, dtype: torch.dtype = torch.float64) -> Batch:
    """The targets, and of everything that a sample table may know something."""
    n = len(targets)
    return Batch(
        torch.from_numpy(targets)[:, None].to(dtype),
        acr_density=torch.arange(n, dtype=torch.float32) % 4 + 1,
        spacing_mm=torch.full((n, 2), 0.5),
    )


def case(seed: int) -> tuple[torch.Tensor, np.ndarray, Batch]:
    rng = np.random.default_rng(seed)
    targets = masks(rng)
    logits = torch.from_numpy(rng.normal(-1, 3, targets.shape) + 3 * targets)[:, None]
    return logits, targets, batch_of(targets)


def built(name: str, options: dict, epoch: int = 1) -> Loss:
    """The loss after its look at the training masks, in the middle of training: nothing has weight 0."""
    loss = build_loss(name, **options)
    loss.fit_targets(np.concatenate([masks(np.random.default_rng(seed)) for seed in range(4)]))
    for parameter in loss.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    loss.at_epoch(epoch, 4)
    return loss


def cached(loss: Loss, targets: np.ndarray, batch: Batch) -> Batch:
    """The same batch with the features that a data set would have kept."""
    spacing = (0.5, 0.5)
    rows = [loss.target_features(target, spacing) for target in targets]
    return replace(batch, features=stack_features(rows))


def rows_of(batch: Batch, rows: list[int]) -> Batch:
    return Batch(batch.target[rows], acr_density=batch.acr_density[rows], spacing_mm=batch.spacing_mm[rows])


def test_no_row_is_left_of_a_loss_that_is_gone():
    assert set(OPTIONS) | set(NOT_COMPILED) <= set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_its_docstring_states_what_must_be_stated(name):
    text = inspect.getdoc(LOSSES[name])
    for what in (r"[Rr]ange|bounded", r"[Ee]mpty", r"full", r"\b00[0-3]\b|et al\.|Source:", r"`.*`|   .* = "):
        assert re.search(what, text), f"{what} is not in:\n{text}"


@each_loss
@any_seed
@few
def test_a_sample_does_not_depend_on_its_batch_mates(name, options, seed):
    logits, _, batch = case(seed)
    loss = built(name, options)
    together = loss(logits, batch)
    assert together.shape == (len(logits),)
    alone = torch.cat([loss(logits[[i]], rows_of(batch, [i])) for i in range(len(logits))])
    torch.testing.assert_close(together, alone, **EXACT)


@each_loss
@any_seed
@few
def test_flips_and_transposition_change_nothing(name, options, seed):
    logits, _, batch = case(seed)
    loss = built(name, options)
    want = loss(logits, batch)
    for turn in (lambda t: t.flip(2), lambda t: t.flip(3), lambda t: t.transpose(2, 3).contiguous()):
        got = loss(turn(logits), replace(batch, target=turn(batch.target)))
        torch.testing.assert_close(got, want, **EXACT)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("autocast", [False, True], ids=["plain", "autocast"])
def test_extreme_logits_are_finite_and_so_are_their_gradients(name, options, dtype, autocast):
    targets = masks(np.random.default_rng(0))
    batch = batch_of(targets, torch.float32)
    loss = built(name, options)
    right = 2 * batch.target - 1
    checkers = 2.0 * (torch.from_numpy(np.indices((SIDE, SIDE)).sum(0)) % 2) - 1
    for pattern in (right, -right, torch.ones_like(right), -torch.ones_like(right), checkers * right.abs()):
        logits = (50 * pattern).to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            values = loss(logits, batch)
        assert values.dtype in (torch.float32, torch.float64)
        assert values.isfinite().all()
        values.sum().backward()
        assert logits.grad.isfinite().all()


@each_loss
@any_seed
@few
def test_cached_features_give_what_computed_ones_give(name, options, seed):
    logits, targets, batch = case(seed)
    loss = built(name, options)
    assert torch.equal(loss(logits, cached(loss, targets, batch)), loss(logits, batch))


@each_loss
def test_the_state_brings_back_what_was_learned_from_the_training_masks(name, options):
    logits, _, batch = case(0)
    loss, other = built(name, options), build_loss(name, **options)
    other.load_state_dict(loss.state_dict())
    other.at_epoch(loss.epoch, loss.epochs)
    assert torch.equal(other(logits, batch), loss(logits, batch))


@each_loss
def test_a_training_step_reads_nothing_from_the_device(name, options, monkeypatch):
    """What is read from an accelerator makes the processor wait. The device `meta` has nothing to read."""
    logits, targets, batch = case(0)
    loss = built(name, options)
    batch = cached(loss, targets, batch_of(targets, torch.float32)).to("meta")
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # which `meta` lacks
    x = torch.zeros(logits.shape, device="meta", requires_grad=True)
    if NOT_COMPILED.get(name, lambda options: False)(options):
        with pytest.raises((NotImplementedError, RuntimeError), match="meta tensor"):
            loss.to("meta")(x, batch)
        return
    values = loss.to("meta")(x, batch)
    values.sum().backward()
    assert values.shape == (len(logits),)
    assert x.grad.shape == x.shape


@pytest.fixture
def shapes_unchecked(monkeypatch):
    """Checks of shapes are Python that no compiler can trace, and are not there outside of tests."""
    for name in ("__init__", "__post_init__"):
        monkeypatch.setattr(Batch, name, inspect.unwrap(getattr(Batch, name)))
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
    torch.compiler.reset()


@pytest.mark.slow
@each_loss
def test_one_graph_without_breaks(name, options, shapes_unchecked):
    logits, targets, batch = case(0)
    logits = logits.float()
    loss = built(name, options)
    batch = cached(loss, targets, batch_of(targets, torch.float32))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    if NOT_COMPILED.get(name, lambda options: False)(options):
        with pytest.raises(torch._dynamo.exc.TorchDynamoException):
            compiled(logits, batch)
        return
    results = []
    for function in (compiled, loss):
        x = logits.clone().requires_grad_()
        values = function(x, batch)
        values.sum().backward()
        results.append((values.detach(), x.grad))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-7)
