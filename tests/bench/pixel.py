"""Cross entropy, focal and overlap losses against torch's and MONAI's: forward and backward, one thread.

Cross entropy may take up to half as long again as torch's: it keeps the digits of confident true negatives,
which torch's loses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor

from mammoseg_lib.losses import Batch, Loss, build_loss
from tests.bench.timing import Row, paired

SIDE, N = 256, 8


def rows() -> list[Row]:
    """The rows of the bench table: one for each loss that has a counterpart."""
    weight = torch.tensor(3.0)
    smooth = {"smooth_nr": 1.0, "smooth_dr": 1.0}
    pairs = {
        "BCE / torch": (build_loss("bce"), F.binary_cross_entropy_with_logits),
        "weighted BCE / torch": (
            build_loss("weighted_bce", positive_weight=3),
            lambda x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=weight),
        ),
        "focal / MONAI": (build_loss("focal"), FocalLoss(gamma=2.0, alpha=0.25)),
        "Dice / MONAI": (build_loss("dice"), DiceLoss(sigmoid=True, **smooth)),
        "Tversky / MONAI": (build_loss("tversky"), TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, **smooth)),
        "Jaccard / MONAI": (
            build_loss("jaccard", smooth=0.5),
            DiceLoss(sigmoid=True, jaccard=True, **smooth),
        ),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_row(what, *pair) for what, pair in pairs.items()]
    finally:
        torch.set_num_threads(threads)


def _row(what: str, loss: Loss, counterpart: Callable[[Tensor, Tensor], Tensor]) -> Row:
    rng = np.random.default_rng(0)
    target = torch.zeros(N, 1, SIDE, SIDE)
    target[..., 100:140, 90:150] = 1
    noise = torch.from_numpy(rng.normal(0, 1, target.shape)).float()
    logits = (6 * target.roll((5, 5), (2, 3)) - 4 + noise).requires_grad_()

    def ours() -> None:
        logits.grad = None
        loss(logits, Batch(target)).mean().backward()

    def theirs() -> None:
        logits.grad = None
        counterpart(logits, target).backward()

    ours()
    gradient = logits.grad.clone()
    theirs()
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-3, atol=1e-9)  # it is the same loss
    a, b = paired(ours, theirs, rounds=31, calls=5)
    detail = f"{a * 1e3:.2f} ms against {b * 1e3:.2f} ms"
    return Row(f"{what}, {N}x1x{SIDE}x{SIDE}", a / b, 1.5 if "torch" in what else 1.0, True, detail)
