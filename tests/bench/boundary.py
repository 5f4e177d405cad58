"""The boundary loss against cross entropy, with its distance maps cached; and what the maps cost.

On one thread, as a step takes about 1 ms and a second thread is mostly waited for.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mammoseg_lib.losses import BCE, Batch, Boundary
from tests.bench.timing import Row, devices, loss_step, one_thread, paired, peak_mib, seconds

SIDE = 256
DIAMETERS = (16, 24, 32, 48, 64, 80, 96, 128)


def rows() -> list[Row]:
    with one_thread():
        return [_against_cross_entropy(device) for device in devices()]


def _against_cross_entropy(device: str) -> Row:
    """Forward and backward, against whichever of our and torch's cross entropy is faster."""
    loss, masks = Boundary(), _masks()
    maps = [loss.target_features(mask)["distance_map"] for mask in masks]
    target = torch.from_numpy(masks).float()[:, None]
    batch = Batch(target, {"distance_map": torch.from_numpy(np.stack(maps))}).to(device)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    logits = (6 * target.roll(5, 2) - 4 + noise).to(device).requires_grad_()

    boundary = loss_step(lambda x: loss(x, batch), logits)
    others = {
        "our BCE": loss_step(lambda x: BCE()(x, batch), logits),
        "torch's": loss_step(lambda x: F.binary_cross_entropy_with_logits(x, batch.target), logits),
    }
    times = {name: paired(boundary, other, rounds=301, calls=1) for name, other in others.items()}
    ratios = {name: ours / theirs for name, (ours, theirs) in times.items()}
    ours, _ = times["our BCE"]
    detail = ", ".join(f"{ratio:.2f}x {name}" for name, ratio in ratios.items()) + f"; {ours * 1e3:.2f} ms"
    if device == "cpu":
        once = seconds(lambda: [loss.target_features(mask) for mask in masks], calls=5)
        detail += f"; maps of 8 masks: {once * 1e3:.0f} ms, once"
    else:
        peaks = [peak_mib(step) for step in (boundary, *others.values())]
        detail += "; peak memory {:.0f}, {:.0f} and {:.0f} MiB".format(*peaks)
    what = f"boundary loss over the faster cross entropy, 8x1x256x256, {device}"
    return Row(what, max(ratios.values()), 1.0, True, detail)


def _masks() -> np.ndarray:
    """A disc in each image."""
    y, x = np.indices((SIDE, SIDE)) - SIDE / 2
    return np.stack([y**2 + x**2 < (d / 2) ** 2 for d in DIAMETERS])
