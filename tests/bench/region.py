"""RMI against the published computation, SSIM against pytorch-msssim, forward and backward.

On one thread, as a second one is mostly waited for. Both start from the logits; what depends on the target
alone is cached, as it is in training.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from torch import Tensor

from mammoseg_lib.losses import RMI, SSIM, Batch, Loss
from mammoseg_lib.losses.base import stack_features
from tests.bench.timing import Row, devices, loss_step, one_thread, paired, peak_mib

SIDE, RADIUS, ALPHA = 256, 3, 5e-4
POOLINGS = ("avg4", "avg2", "max3", "none")


def rows() -> list[Row]:
    with one_thread():
        result = []
        for device in devices():
            for pooling in POOLINGS:
                published = _published_rmi(pooling)
                what = f"RMI: published over ours, {pooling}"
                result.append(_row(what, RMI(pooling=pooling), published, 2.0, device))
            result.append(_row("SSIM: pytorch-msssim over ours", SSIM(), _msssim, 1.0, device))
        return result


def _row(what: str, loss: Loss, other: Callable, bound: float, device: str) -> Row:
    logits, batch = _batch(loss, device)
    ours = loss_step(lambda x: loss(x, batch), logits)
    theirs = loss_step(lambda x: other(x, batch), logits)
    value, gradient = ours(), logits.grad
    torch.testing.assert_close(value, theirs(), rtol=0, atol=1e-6)  # it is the same loss
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))
    fast, slow = paired(ours, theirs, rounds=31, calls=1)
    detail = f"{fast * 1e3:.1f} ms, {slow * 1e3:.1f} ms"
    if device == "cuda":
        detail += f"; peak memory {peak_mib(ours):.0f} and {peak_mib(theirs):.0f} MiB"
    return Row(f"{what}, 8x1x{SIDE}x{SIDE}, {device}", slow / fast, bound, False, detail)


def _batch(loss: Loss, device: str) -> tuple[Tensor, Batch]:
    """Discs of radius 23, and a prediction that is displaced and noisy."""
    y, x = np.indices((SIDE, SIDE))
    masks = np.stack([(y - 60 - 15 * i) ** 2 + (x - 128) ** 2 <= 23**2 for i in range(8)])
    noise = np.random.default_rng(0).normal(0, 1, masks.shape)
    logits = torch.from_numpy(np.where(np.roll(masks, 5, axis=(1, 2)), 2.0, -4.0) + noise).float()
    features = [loss.target_features(mask) for mask in masks]
    stacked = stack_features(features)
    batch = Batch(torch.from_numpy(masks).float()[:, None], stacked)
    return logits[:, None].to(device).requires_grad_(), batch.to(device)


def _published_rmi(pooling: str) -> Callable[[Tensor, Batch], Tensor]:
    """The bound as published: nine shifted crops, three Gram matrices, an inverse, a Cholesky factor."""
    kind, k = pooling[:3], int(pooling[3:]) if pooling != "none" else 1
    pool = F.max_pool2d if kind == "max" else F.avg_pool2d

    def crops(maps: Tensor) -> Tensor:
        pooled = maps if k == 1 else pool(maps, k, stride=k, padding=k // 2)
        h, w = (side - RADIUS + 1 for side in pooled.shape[2:])
        shifts = [pooled[:, 0, r : r + h, c : c + w] for r in range(RADIUS) for c in range(RADIUS)]
        points = torch.stack(shifts, 1).flatten(2).double()
        return points - points.mean(2, keepdim=True)

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        y, p = crops(batch.target), crops(logits.sigmoid() + 1e-6)
        ridge = ALPHA * torch.eye(RADIUS**2, dtype=y.dtype, device=y.device)
        c = y @ p.mT
        m = y @ y.mT - c @ torch.inverse(p @ p.mT + ridge) @ c.mT
        factor = torch.linalg.cholesky(m + ridge)
        return (factor.diagonal(dim1=1, dim2=2) + 1e-8).log().sum(1).float() / RADIUS**2

    return loss


def _msssim(logits: Tensor, batch: Batch) -> Tensor:
    return 1 - ssim(logits.sigmoid(), batch.target, data_range=1, size_average=False)
