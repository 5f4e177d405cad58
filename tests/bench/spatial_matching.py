"""Spatial Matching against its core loss, and against the loop over cells that it replaces.

On one thread, and in processor time instead of wall time: a step takes 1 ms, so that on a host shared with
others the wall clock (and a second thread, which is waited for in every operation) tells above all how often
the step was interrupted.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from mammoseg_lib.losses import Batch, Loss, SpatialMatching
from mammoseg_lib.losses.base import stack_features
from tests.bench.timing import Row, devices, loss_step, one_thread, paired, peak_mib

CORES = ("bce", "tversky", "dice")
VARIANTS = ("basic", "scale", "distance", "scale_distance")
AGGREGATIONS = ("all", "nonzero")
SIDE = 256
EQUAL = ((8, 8),) * 8
MIXED = ((8, 8), (16, 16), (32, 32), (64, 64), (8, 16), (40, 30), (100, 128), (20, 14))


def rows() -> list[Row]:
    with one_thread():
        grids = {"8-px cells": EQUAL, "mixed cells": MIXED}
        against = [
            _against_core(name, sizes, device) for device in devices() for name, sizes in grids.items()
        ]
        return [*against, _against_loop()]


def _against_core(label: str, sizes: tuple[tuple[int, int], ...], device: str) -> Row:
    """The worst of all 24."""
    clock = "CPU time" if device == "cpu" else device
    ratios, peak = {}, 0.0
    for core, variant, aggregation in itertools.product(CORES, VARIANTS, AGGREGATIONS):
        loss = SpatialMatching(core, variant, aggregation)
        logits, batch = _batch(loss, sizes, device)
        steps = [loss_step(lambda x, f=f, batch=batch: f(x, batch), logits) for f in (loss, loss.core)]
        ours, theirs = _paired(*steps) if device == "cpu" else paired(*steps, rounds=31)
        ratios[f"{core} {variant} {aggregation}"] = ours / theirs, ours
        if device == "cuda":
            peak = max(peak, peak_mib(steps[0]))
    worst = max(ratios, key=lambda name: ratios[name][0])
    ratio, ours = ratios[worst]
    middle = statistics.median(r for r, _ in ratios.values())
    detail = f"worst of 24: {worst}, {ours * 1e3:.2f} ms; median of 24: {middle:.2f}"
    if device == "cuda":
        detail += f"; largest peak memory {peak:.0f} MiB"
    return Row(f"SM over its core loss, 8x1x256x256, {clock}, {label}", ratio, 3.0, True, detail)


def _against_loop() -> Row:
    """The worst core, for the variant with the most to do."""
    ratios = {}
    for core in CORES:
        loss = SpatialMatching(core, "scale_distance", "all")
        logits, batch = _batch(loss, EQUAL, "cpu")
        ours = loss_step(lambda x, loss=loss, batch=batch: loss(x, batch), logits)
        fast, _ = _paired(ours, ours)
        gradient = logits.grad.clone()
        slow = _seconds(loss_step(lambda x, core=core, batch=batch: _loop(core, x, batch), logits))
        torch.testing.assert_close(gradient, logits.grad, rtol=1e-3, atol=1e-9)  # it is the same loss
        ratios[core] = slow / fast, slow
    worst = min(ratios, key=lambda core: ratios[core][0])
    ratio, slow = ratios[worst]
    what = "loop over cells over SM, 8x1x256x256, CPU time, 8-px cells"
    return Row(what, ratio, 100.0, False, f"worst of 3 cores: {worst}, the loop takes {slow:.2f} s")


def _seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _paired(a: Callable[[], None], b: Callable[[], None], rounds: int = 101) -> tuple[float, float]:
    """Median processor seconds of `a` and of `b`, timed A B A B ... after a warm-up."""
    times = [(_seconds(a), _seconds(b)) for _ in range(rounds + 3)][3:]
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times)


def _batch(loss: Loss, sizes: tuple[tuple[int, int], ...], device: str) -> tuple[torch.Tensor, Batch]:
    """One box of each size, and a prediction with hits, misses and false alarms."""
    rng = np.random.default_rng(0)
    masks = np.zeros((len(sizes), SIDE, SIDE), dtype=bool)
    for mask, (h, w) in zip(masks, sizes, strict=True):
        top, left = rng.integers(0, SIDE - h), rng.integers(0, SIDE - w)
        mask[top : top + h, left : left + w] = True
    noise = rng.normal(0, 1, masks.shape)
    logits = torch.from_numpy(np.where(np.roll(masks, 5, axis=(1, 2)), 2.0, -4.0) + noise).float()
    features = [loss.target_features(mask) for mask in masks]
    stacked = stack_features(features)
    batch = Batch(torch.from_numpy(masks).float()[:, None], stacked).to(device)
    return logits[:, None].to(device).requires_grad_(), batch


def _loop(core: str, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """SM-SD over all cells as one writes it down at first: Algorithm 1, cell by cell."""
    return torch.stack(
        [
            _loop_one(core, *each)
            for each in zip(logits[:, 0], batch.target[:, 0], *_grids(batch), strict=True)
        ]
    )


def _grids(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.features["cell_size"], batch.features["cell_distance"]


def _loop_one(
    core: str, x: torch.Tensor, y: torch.Tensor, cell: torch.Tensor, d: torch.Tensor
) -> torch.Tensor:
    p = x.sigmoid()
    h, w = cell.tolist()
    grid_loss, predicted, true, n = 0.0, 0, 0, 0
    for i in range(SIDE // h):
        for j in range(SIDE // w):
            here = slice(i * h, (i + 1) * h), slice(j * w, (j + 1) * w)
            loss = _core(core, x[here], p[here], y[here])
            p_has, y_has = (p[here] > 0.5).any(), y[here].any()
            predicted, true, n = predicted + p_has.int(), true + y_has.int(), n + 1
            if p_has and not y_has:
                loss = loss * d[i, j].sigmoid()
            grid_loss = grid_loss + loss
    return _core(core, x, p, y) + grid_loss / n * (predicted / true).sigmoid()


def _core(core: str, x: torch.Tensor, p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if core == "bce":
        return F.binary_cross_entropy_with_logits(x, y)
    tp = (p * y).sum()
    if core == "dice":
        return 1 - (2 * tp + 1) / (p.sum() + y.sum() + 1)
    return 1 - (tp + 1) / (tp + 0.7 * ((1 - p) * y).sum() + 0.3 * (p * (1 - y)).sum() + 1)
