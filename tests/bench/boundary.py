"""The boundary loss against cross entropy, with its distance maps cached; and what the maps cost.

On one thread, as a step takes about 1 ms and a second thread is mostly waited for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from mammoseg_lib.losses import BCE, Batch, Boundary
from tests.bench.timing import Row, paired, seconds

SIDE = 256
DIAMETERS = (16, 24, 32, 48, 64, 80, 96, 128)


def rows() -> list[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_against_cross_entropy(d) for d in ("cpu", "cuda") if d == "cpu" or torch.cuda.is_available()]
    finally:
        torch.set_num_threads(threads)


def _against_cross_entropy(device: str) -> Row:
    """Forward and backward, against whichever of our and torch's cross entropy is faster."""
    loss, masks = Boundary(), _masks()
    maps = [loss.target_features(mask)["distance_map"] for mask in masks]
    target = torch.from_numpy(masks).float()[:, None]
    batch = Batch(target, {"distance_map": torch.from_numpy(np.stack(maps))}).to(device)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    logits = (6 * target.roll(5, 2) - 4 + noise).to(device).requires_grad_()

    boundary = _step(lambda x: loss(x, batch).mean(), logits)
    others = {
        "our BCE": _step(lambda x: BCE()(x, batch).mean(), logits),
        "torch's": _step(lambda x: F.binary_cross_entropy_with_logits(x, batch.target), logits),
    }
    times = {name: paired(boundary, other, rounds=301, calls=1) for name, other in others.items()}
    ratios = {name: ours / theirs for name, (ours, theirs) in times.items()}
    ours, _ = times["our BCE"]
    detail = ", ".join(f"{ratio:.2f}x {name}" for name, ratio in ratios.items()) + f"; {ours * 1e3:.2f} ms"
    if device == "cpu":
        once = seconds(lambda: [loss.target_features(mask) for mask in masks], calls=5)
        detail += f"; maps of 8 masks: {once * 1e3:.0f} ms, once"
    else:
        peaks = [_peak_memory(step) / 2**20 for step in (boundary, *others.values())]
        detail += "; peak memory {:.0f}, {:.0f} and {:.0f} MiB".format(*peaks)
    what = f"boundary loss over the faster cross entropy, 8x1x256x256, {device}"
    return Row(what, max(ratios.values()), 1.0, True, detail)


def _masks() -> np.ndarray:
    """A disc in each image."""
    y, x = np.indices((SIDE, SIDE)) - SIDE / 2
    return np.stack([y**2 + x**2 < (d / 2) ** 2 for d in DIAMETERS])


def _step(value: Callable[[torch.Tensor], torch.Tensor], logits: torch.Tensor) -> Callable[[], None]:
    def step() -> None:
        logits.grad = None
        value(logits).backward()
        if logits.is_cuda:
            torch.cuda.synchronize()

    return step


def _peak_memory(step: Callable[[], None]) -> int:
    """Bytes allocated at most, with what the inputs hold."""
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated()
