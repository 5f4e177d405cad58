"""Cross entropy, focal and overlap losses against torch's and MONAI's: forward and backward, one thread.

Cross entropy may take up to half as long again as torch's: it keeps the digits of confident true negatives,
which torch's loses.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor

from mammoseg_lib.losses import Batch, Loss, build_loss
from tests.bench.timing import Row, devices, loss_step, one_thread, paired, peak_mib

SIDE, N = 256, 8


def rows() -> list[Row]:
    """The rows of the bench table: one for each loss that has a counterpart."""
    smooth = {"smooth_nr": 1.0, "smooth_dr": 1.0}
    pairs = {
        "BCE / torch": (build_loss("bce"), F.binary_cross_entropy_with_logits),
        "weighted BCE / torch": (
            build_loss("weighted_bce", positive_weight=3),
            lambda x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=x.new_tensor(3.0)),
        ),
        "focal / MONAI": (build_loss("focal"), FocalLoss(gamma=2.0, alpha=0.25)),
        "Dice / MONAI": (build_loss("dice"), DiceLoss(sigmoid=True, **smooth)),
        "Tversky / MONAI": (build_loss("tversky"), TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, **smooth)),
        "Jaccard / MONAI": (
            build_loss("jaccard", smooth=0.5),
            DiceLoss(sigmoid=True, jaccard=True, **smooth),
        ),
    }
    with one_thread():
        return [_row(what, *pair, device) for device in devices() for what, pair in pairs.items()]


def _row(what: str, loss: Loss, counterpart: Callable[[Tensor, Tensor], Tensor], device: str) -> Row:
    target = torch.zeros(N, 1, SIDE, SIDE)
    target[..., 100:140, 90:150] = 1
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    logits = (6 * target.roll((5, 5), (2, 3)) - 4 + noise).to(device).requires_grad_()
    target = target.to(device)
    ours = loss_step(lambda x: loss(x, Batch(target)), logits)
    theirs = loss_step(lambda x: counterpart(x, target), logits)
    ours()
    gradient = logits.grad
    theirs()
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-3, atol=1e-9)  # it is the same loss
    a, b = paired(ours, theirs, rounds=31, calls=5)
    detail = f"{a * 1e3:.2f} ms against {b * 1e3:.2f} ms"
    if device == "cuda":
        detail += f"; peak memory {peak_mib(ours):.0f} and {peak_mib(theirs):.0f} MiB"
    bound = 1.5 if "torch" in what else 1.0
    return Row(f"{what}, {N}x1x{SIDE}x{SIDE}, {device}", a / b, bound, True, detail)
