"""Masks of a few pixels with a number in each: small enough to work out a loss by hand."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mammoseg_lib.plots.images import Mask
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH


def number_grids(
    panels: Mapping[str, Float[np.ndarray, "h w"]],
    truth: Mask | None = None,
    *,
    cell: tuple[int, int] | None = None,
    digits: int = 2,
) -> Figure:
    """One panel an array: every pixel a square with its number in it, shaded by it; the true mass outlined.

    Args:
        panels: Title to array, all of one shape. Those called "y" or "Y" are shaded green, others blue,
            relative to the largest of the panel.
        truth: The true mass, outlined in green.
        cell: Height and width of the cells of a grid to draw over the pixels.
        digits: Decimals of the numbers; whole numbers show none.
    """
    height, width = next(iter(panels.values())).shape
    figure, axes = plt.subplots(
        1, len(panels), figsize=(0.47 * width * len(panels) + 0.3, 0.47 * height + 0.4), squeeze=False
    )
    for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
        color = to_rgb(TRUTH if title.lower().startswith("$y$") else PREDICTION)
        top = max(float(np.abs(values).max()), 1e-12)
        whole = np.allclose(values, np.round(values))
        for i, j in np.ndindex(values.shape):
            shade = (*color, 0.55 * abs(values[i, j]) / top)
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=shade, edgecolor=MUTED, lw=0.5))
            text = f"{values[i, j]:.0f}" if whole else f"{values[i, j]:.{digits}f}"
            ax.text(j, i, text, ha="center", va="center", color=INK, fontsize=8)
        if cell is not None:
            for edge in np.arange(0, width + 1, cell[1]) - 0.5:
                ax.axvline(edge, color=INK, lw=1.5, solid_capstyle="projecting")
            for edge in np.arange(0, height + 1, cell[0]) - 0.5:
                ax.axhline(edge, color=INK, lw=1.5, solid_capstyle="projecting")
        if truth is not None:
            ax.add_collection(LineCollection(_edges(truth), colors=TRUTH, linewidths=2.5, capstyle="round"))
        ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], title=title)
        ax.set_aspect("equal")
        ax.spines[:].set_visible(False)
        for artist in ax.get_children():
            artist.set_clip_on(False)  # or the lines on the edge would lose their outer half
    return figure


def _edges(mask: Mask) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The sides of pixels at which a mask ends, as pairs of points (x, y)."""
    padded = np.pad(mask, 1)
    lines = []
    for i, j in np.argwhere(padded[1:] != padded[:-1]):
        lines.append(((j - 1.5, i - 0.5), (j - 0.5, i - 0.5)))
    for i, j in np.argwhere(padded[:, 1:] != padded[:, :-1]):
        lines.append(((j - 0.5, i - 1.5), (j - 0.5, i - 0.5)))
    return lines
