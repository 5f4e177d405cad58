"""Figures of notebook 11: the grid, its cells, what the two sigmoids do, and the grid behind sliders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from skimage.measure import find_contours

from mammoseg_lib.plots.explore import Control, Explorer
from mammoseg_lib.plots.grid import RIGHT_FIRST, corner_text, free_corner, grid_panel, kinds_legend, outlines
from mammoseg_lib.plots.images import Mask
from mammoseg_lib.plots.style import CELLS, INK, MUTED, PREDICTION, TRUTH

FAR = "#a9c8f5"
Kinds = Mapping[str, Bool[np.ndarray, "nh nw"]]


def grid_figure(
    truth: Mask, prediction: Mask, cell: tuple[int, int], kinds: Kinds, distances: Float[np.ndarray, "nh nw"]
) -> Figure:
    """The cells that each variant looks at, for both ways of averaging: Figure 2 of 000.

    Args:
        truth: Ground truth.
        prediction: Predicted mask.
        cell: Height and width of a cell in pixels.
        kinds: "TP", "FP", "FN" and "TN" to the cells of that kind.
        distances: Distance of each false positive cell to the mass; NaN in the others.
    """
    figure, axes = plt.subplots(2, 3, figsize=(8.4, 6.1))
    occupied = {kind: kinds[kind] for kind in ("TP", "FP", "FN")}
    for row, (aggregation, letters) in zip(axes, {"A": "abc", "NZ": "def"}.items(), strict=True):
        crossed = kinds["TN"] if aggregation == "NZ" else None
        titles = [f"({x}) {name}, G-{aggregation}" for x, name in zip(letters, VARIANTS, strict=True)]
        grid_panel(row[0], truth, prediction, cell, {}, {}, crossed, title=titles[0])
        grid_panel(row[1], truth, prediction, cell, occupied, CELLS, crossed, title=titles[1], letters=True)
        only = {"FP": kinds["FP"]}
        grid_panel(row[2], truth, prediction, cell, only, {"FP": FAR}, crossed, distances, titles[2], True)
    for ax in axes.flat:
        ax.spines[:].set(visible=True, color=MUTED)
    colors = {"FN: mass only": CELLS["FN"], "TP: both": CELLS["TP"], "FP: prediction only": CELLS["FP"]}
    kinds_legend(figure, colors | {"FP, by distance": FAR})
    return figure


VARIANTS = ("basic", "scale", "distance")


def sigmoid_curves(scale: pd.DataFrame, distance: pd.DataFrame) -> Figure:
    """What the two sigmoids make of S and of d.

    Args:
        scale: Columns S, sigmoid, raw.
        distance: Columns d and sigmoid.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.9))
    axes[0].plot(scale["S"], scale["sigmoid"], color=PREDICTION, label=r"$\sigma(S)$")
    axes[0].plot(scale["S"], scale["raw"], color=MUTED, ls="--", label="$S$ itself")
    axes[0].set(
        xlabel="$S$ = predicted cells / cells with mass",
        ylabel="factor of the grid loss",
        ylim=(0, 2),
        title="Scale",
    )
    axes[0].annotate(
        "mass missed altogether:\nthe smallest factor there is",
        (0, 0.5),
        (1.9, 0.12),
        arrowprops={"arrowstyle": "->", "color": INK},
    )
    axes[1].plot(
        distance["d"], distance["sigmoid"], color=PREDICTION, label=r"false positive cell, $\sigma(d)$"
    )
    axes[1].axhline(1, color=MUTED, ls="--", label="every other cell")
    axes[1].set(
        xlabel="$d$, distance to the closest mass in cells",
        ylabel="weight of the cell",
        ylim=(0, 1.15),
        title="Distance",
    )
    axes[0].legend(loc="upper right")
    axes[1].legend(loc="lower right")
    return figure


def cell_size_curve(table: pd.DataFrame) -> Figure:
    """Cell size over mass size for each way of rounding. Columns: size, and one per way."""
    figure, ax = plt.subplots(figsize=(5.2, 3))
    for (name, values), style in zip(
        table.drop(columns="size").items(), ("-", "--", ":", "-."), strict=False
    ):
        ax.step(table["size"], values, style, where="mid", label=name)
    ax.plot(table["size"], table["size"], color=MUTED, lw=0.8, label="no rounding")
    ax.set(xlabel="side of the smallest mass in px", ylabel="side of a cell in px")
    _powers_of_two(ax, 8, 256)
    ax.legend()
    return figure


def _powers_of_two(ax: plt.Axes, low: int, high: int) -> None:
    ticks = [2**k for k in range(int(np.log2(low)), int(np.log2(high)) + 1)]
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()


@dataclass(frozen=True)
class GridScene:
    """A mass, a prediction and the grid over them.

    Attributes:
        truth: Ground truth.
        prediction: Predicted mask.
        cell: Height and width of a cell in pixels.
        kinds: "TP", "FP", "FN" and "TN" to the cells of that kind.
        size: Height and width of the mass's bounding box.
        lines: What to write beside it.
    """

    truth: Mask
    prediction: Mask
    cell: tuple[int, int]
    kinds: Kinds
    size: tuple[int, int]
    lines: Sequence[str]


def grid_explorer(
    scene: Callable[..., GridScene], curve: pd.DataFrame, side: int, controls: Mapping[str, Control]
) -> Explorer:
    """The grid over a mass and a prediction, which snaps through powers of two, behind sliders.

    Args:
        scene: Takes the values of the controls by name.
        curve: Columns size and cell: the side of a cell for each side of a mass.
        side: Pixels along a side of the image.
        controls: See `Explorer`.
    """
    figure, (ax, steps, text) = plt.subplots(1, 3, figsize=(8.4, 3.4), width_ratios=(1.25, 1, 0.85))
    ax.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5), xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set(visible=True, color=MUTED)
    filled = ax.imshow(np.zeros((2, 2, 4)), extent=(-0.5, side - 0.5, side - 0.5, -0.5), zorder=0)
    lines = ax.add_collection(LineCollection([], colors=MUTED, linewidths=0.6))
    borders = [ax.add_collection(LineCollection([], colors=c, linewidths=2)) for c in (TRUTH, PREDICTION)]
    letters = [ax.text(0, 0, "", fontsize=7, color=INK) for _ in range(64)]
    steps.step(curve["size"], curve["cell"], where="mid", color=MUTED)
    steps.set(xlabel="side of the mass in px", ylabel="side of a cell in px")
    _powers_of_two(steps, 4, side)
    steps.set(xlim=(4, 1.3 * side), ylim=(4, 1.3 * side))
    dots = [steps.plot([8], [8], marker, color=TRUTH, ms=8, label=x)[0] for marker, x in SIDES]
    steps.legend(loc="lower right")
    text.set_axis_off()
    written = text.text(0, 1, "\n" * 9, va="top", family="monospace", fontsize=8.5, color=INK)

    def update(**values: float | int | str) -> None:
        now = scene(**values)
        (ch, cw), (nh, nw) = now.cell, now.kinds["TP"].shape
        colors = np.zeros((nh, nw, 4))
        places = []
        for kind in ("TP", "FP", "FN"):
            colors[now.kinds[kind]] = to_rgba(CELLS[kind])
            places += [(kind, (i, j)) for i, j in np.argwhere(now.kinds[kind]).tolist()]
        filled.set_data(colors)
        filled.set_extent((-0.5, nw * cw - 0.5, nh * ch - 0.5, -0.5))
        vertical = [[(j * cw - 0.5, -0.5), (j * cw - 0.5, side)] for j in range(nw + 1)]
        lines.set_segments(vertical + [[(-0.5, i * ch - 0.5), (side, i * ch - 0.5)] for i in range(nh + 1)])
        for border, mask in zip(borders, (now.truth, now.prediction), strict=True):
            border.set_segments([c[:, ::-1] - 1 for c in find_contours(np.pad(mask.astype(float), 1), 0.5)])
        drawn = outlines(now.truth, now.prediction)
        for letter, (kind, place) in zip(letters, places + [("", (0, 0))] * len(letters), strict=False):
            corner = free_corner(drawn, now.cell, place, RIGHT_FIRST)
            letter.set(text=kind if min(ch, cw) >= side // 16 else "", **corner_text(now.cell, place, corner))
        for dot, size, cell in zip(dots, now.size, now.cell, strict=True):
            dot.set_data([size], [cell])
        written.set_text("\n".join(now.lines))

    return Explorer(figure, [filled, lines, *letters, *borders, *dots, written], update, controls)


SIDES = (("^", "height"), (">", "width"))
