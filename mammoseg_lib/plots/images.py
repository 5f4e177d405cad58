"""Images with the outlines of masks on them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes

from mammoseg_lib.plots.style import PREDICTION, TRUTH

Mask = Bool[np.ndarray, "h w"]


def show_image(
    ax: Axes,
    image: Float[np.ndarray, "h w"],
    truth: Mask | None = None,
    prediction: Mask | None = None,
    title: str = "",
    vmax: float | None = None,
) -> None:
    """A gray image, with ground truth outlined in green and a prediction in blue."""
    ax.imshow(image, cmap="gray", vmin=0, vmax=vmax if vmax is not None else max(float(image.max()), 1e-6))
    for mask, color in ((truth, TRUTH), (prediction, PREDICTION)):
        outline(ax, mask, color)
    ax.set_title(title)
    ax.set_axis_off()


def outline(ax: Axes, mask: Mask | None, color: str, width: float = 1.3) -> None:
    """The border of a mask as a line; nothing for an empty mask."""
    if mask is not None and mask.any() and not mask.all():
        # Padded, so that a mask that touches the edge of the image is closed there, too.
        padded = np.pad(mask.astype(float), 1)
        rows, columns = (np.arange(-1, n + 1) for n in mask.shape)
        ax.contour(columns, rows, padded, levels=[0.5], colors=[color], linewidths=width)
        ax.set_xlim(-0.5, mask.shape[1] - 0.5)
        ax.set_ylim(mask.shape[0] - 0.5, -0.5)


def masks_panel(ax: Axes, truth: Mask, prediction: Mask, title: str = "") -> None:
    """Ground truth filled green, prediction filled blue, on an empty frame."""
    ax.imshow(np.full((*truth.shape, 3), 0.93))
    for mask, color in ((truth, TRUTH), (prediction, PREDICTION)):
        rgba = np.zeros((*mask.shape, 4))
        rgba[mask] = (*plt.matplotlib.colors.to_rgb(color), 0.45)
        ax.imshow(rgba)
        outline(ax, mask, color)
    ax.set(xticks=[], yticks=[], title=title)
