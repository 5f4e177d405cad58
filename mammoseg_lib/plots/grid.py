"""The grid of the Spatial Matching loss over a true and a predicted mask."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH


def grid_panel(
    ax: Axes,
    truth: Mask,
    prediction: Mask,
    cell: tuple[int, int],
    colors: Mapping[str, Bool[np.ndarray, "nh nw"]],
    palette: Mapping[str, str],
    crossed: Bool[np.ndarray, "nh nw"] | None = None,
    numbers: Float[np.ndarray, "nh nw"] | None = None,
    title: str = "",
    letters: bool = False,
) -> None:
    """The grid over both masks, cells filled by kind, some crossed out, some with a number.

    Args:
        ax: Where to draw.
        truth: Ground truth.
        prediction: Predicted mask.
        cell: Height and width of a cell in pixels.
        colors: Kind of cell to where it holds.
        palette: Kind of cell to its color.
        crossed: Cells to cross out.
        numbers: Numbers to write into cells; NaN writes nothing.
        title: Title of the panel.
        letters: Whether the kind of a cell stands in it as well, for those who do not see its color.
    """
    height, width = truth.shape
    for kind, cells in colors.items():
        for i, j in np.argwhere(cells):
            left, top = j * cell[1] - 0.5, i * cell[0] - 0.5
            ax.add_patch(Rectangle((left, top), cell[1], cell[0], color=palette[kind], lw=0))
            if letters:
                ax.text(left + cell[1] - 1.5, top + cell[0] - 2, kind, ha="right", fontsize=7, color=INK)
    for i, j in np.argwhere(crossed) if crossed is not None else []:
        y, x = i * cell[0] - 0.5, j * cell[1] - 0.5
        ax.plot([x, x + cell[1]], [y, y + cell[0]], color="#c9c9c9", lw=0.7)
        ax.plot([x, x + cell[1]], [y + cell[0], y], color="#c9c9c9", lw=0.7)
    if numbers is not None:
        for i, j in np.argwhere(np.isfinite(numbers)):
            corner = j * cell[1] + 1.5, i * cell[0] + 1.5  # clear of most outlines
            ax.text(*corner, f"{numbers[i, j]:.2f}", ha="left", va="top", fontsize=7, color=INK)
    for edge in np.arange(0, width + 1, cell[1]) - 0.5:
        ax.axvline(edge, color=MUTED, lw=0.6)
    for edge in np.arange(0, height + 1, cell[0]) - 0.5:
        ax.axhline(edge, color=MUTED, lw=0.6)
    outline(ax, truth, TRUTH, 2.0)
    outline(ax, prediction, PREDICTION, 2.0)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], title=title)
    ax.set_aspect("equal")


def kinds_legend(figure: Figure, kinds: Mapping[str, str]) -> None:
    """A legend below a figure of grids: label of each kind of cell to its color."""
    handles = [Patch(facecolor=color, edgecolor=MUTED, label=label) for label, color in kinds.items()]
    handles += [
        plt.Line2D([], [], color=TRUTH, lw=2, label="ground truth"),
        plt.Line2D([], [], color=PREDICTION, lw=2, label="prediction"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
