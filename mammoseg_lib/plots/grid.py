"""The grid of the Spatial Matching loss over a true and a predicted mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage

from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Corner = tuple[int, int]
"""A corner of a cell: 0 above or 1 below, 0 on the left or 1 on the right."""

RIGHT_FIRST: tuple[Corner, ...] = ((1, 1), (0, 1), (1, 0), (0, 0))
LEFT_FIRST: tuple[Corner, ...] = ((0, 0), (1, 0), (0, 1), (1, 1))
WORD = (0.06, 0.09)  # height and width of what is written into a cell, as shares of the image's


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
    lines = outlines(truth, prediction)
    taken: dict[tuple[int, int], Corner] = {}
    for kind, cells in colors.items():
        for i, j in np.argwhere(cells).tolist():
            left, top = j * cell[1] - 0.5, i * cell[0] - 0.5
            ax.add_patch(Rectangle((left, top), cell[1], cell[0], color=palette[kind], lw=0))
            if letters:
                taken[i, j] = free_corner(lines, cell, (i, j), RIGHT_FIRST)
                ax.text(**corner_text(cell, (i, j), taken[i, j]), s=kind, fontsize=7, color=INK)
    for i, j in np.argwhere(crossed) if crossed is not None else []:
        y, x = i * cell[0] - 0.5, j * cell[1] - 0.5
        ax.plot([x, x + cell[1]], [y, y + cell[0]], color="#c9c9c9", lw=0.7)
        ax.plot([x, x + cell[1]], [y + cell[0], y], color="#c9c9c9", lw=0.7)
    if numbers is not None:
        for i, j in np.argwhere(np.isfinite(numbers)).tolist():
            free = [corner for corner in LEFT_FIRST if corner != taken.get((i, j))]
            corner = corner_text(cell, (i, j), free_corner(lines, cell, (i, j), free))
            ax.text(**corner, s=f"{numbers[i, j]:.2f}", fontsize=7, color=INK)
    for edge in np.arange(0, width + 1, cell[1]) - 0.5:
        ax.axvline(edge, color=MUTED, lw=0.6)
    for edge in np.arange(0, height + 1, cell[0]) - 0.5:
        ax.axhline(edge, color=MUTED, lw=0.6)
    outline(ax, truth, TRUTH, 2.0)
    outline(ax, prediction, PREDICTION, 2.0)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[], title=title)
    ax.set_aspect("equal")


def outlines(*masks: Mask) -> Mask:
    """The pixels that the outlines of masks are drawn on."""
    return np.any([ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask) for mask in masks], axis=0)


def free_corner(
    lines: Mask, cell: tuple[int, int], place: tuple[int, int], corners: Sequence[Corner]
) -> Corner:
    """The first of some corners of a cell where a short word lies on no line, or on the fewest pixels of one.

    Args:
        lines: Where something is drawn.
        cell: Height and width of a cell in pixels.
        place: Row and column of the cell.
        corners: In the order in which they are preferred.
    """
    word = [round(share * n) for share, n in zip(WORD, lines.shape, strict=True)]

    def covered(corner: Corner) -> int:
        starts = [
            max(0, i * side + at * (side - n))
            for i, side, at, n in zip(place, cell, corner, word, strict=True)
        ]
        return int(lines[tuple(slice(start, start + n) for start, n in zip(starts, word, strict=True))].sum())

    return min(corners, key=covered)


def corner_text(cell: tuple[int, int], place: tuple[int, int], corner: Corner) -> dict[str, object]:
    """Where a text stands in a corner of a cell: keywords of `Axes.text`."""
    y, x = (
        (i + at) * side - 0.5 + (-1 if at else 1) for i, side, at in zip(place, cell, corner, strict=True)
    )
    return {"x": x, "y": y, "va": ("top", "bottom")[corner[0]], "ha": ("left", "right")[corner[1]]}


def kinds_legend(figure: Figure, kinds: Mapping[str, str]) -> None:
    """A legend below a figure of grids: label of each kind of cell to its color."""
    handles = [Patch(facecolor=color, edgecolor=MUTED, label=label) for label, color in kinds.items()]
    handles += [
        plt.Line2D([], [], color=TRUTH, lw=2, label="ground truth"),
        plt.Line2D([], [], color=PREDICTION, lw=2, label="prediction"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
