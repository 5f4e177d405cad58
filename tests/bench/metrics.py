"""Metrics: outline distances against MONAI's."""

from __future__ import annotations

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

from mammoseg_lib import metrics
from tests.bench.timing import Row, paired

SIZE = 256


def rows() -> list[Row]:
    """The rows of the bench table: one mass, and one mass with false blobs all over the image."""
    return [
        _distances("one mass", _mask((128, 120), 23), _mask((132, 126), 21)),
        _distances("scattered", _mask((128, 120), 23), _mask((132, 126), 21) | _mask((20, 230), 9)),
    ]


def _mask(center: tuple[int, int], radius: int) -> np.ndarray:
    grid = np.indices((SIZE, SIZE))
    distance = np.hypot(grid[0] - center[0], (grid[1] - center[1]) * 0.8)
    # A lobed outline, so that no shortcut for circles can help.
    angle = np.arctan2(grid[0] - center[0], grid[1] - center[1])
    return distance < radius * (1 + 0.15 * np.sin(7 * angle))


def _distances(name: str, pred: np.ndarray, target: np.ndarray) -> Row:
    y_pred, y = (torch.from_numpy(mask)[None, None].float() for mask in (pred, target))

    def oracle() -> None:
        compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95)
        compute_average_surface_distance(y_pred, y, include_background=True, symmetric=True)

    theirs, ours = paired(oracle, lambda: metrics.distances(pred, target), calls=20)
    return Row(
        f"HD, HD95 and ASSD against MONAI's HD95 and ASSD, {SIZE}x{SIZE}, {name}",
        theirs / ours,
        5.0,
        at_most=False,
        detail=f"MONAI {theirs * 1e3:.2f} ms, here {ours * 1e3:.2f} ms",
    )
