"""Figures that explain losses: pairs of masks, grids of cells, curves of weights."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH


def masks_panel(ax: Axes, truth: Mask, prediction: Mask, title: str = "") -> None:
    """Ground truth filled green, prediction filled blue, on an empty frame."""
    ax.imshow(np.full((*truth.shape, 3), 0.93))
    for mask, color in ((truth, TRUTH), (prediction, PREDICTION)):
        rgba = np.zeros((*mask.shape, 4))
        rgba[mask] = (*plt.matplotlib.colors.to_rgb(color), 0.45)
        ax.imshow(rgba)
        outline(ax, mask, color)
    ax.set(xticks=[], yticks=[], title=title)


def pairs_figure(
    pairs: Mapping[str, tuple[tuple[Mask, Mask], tuple[Mask, Mask]]], bce: Mapping[str, tuple[float, float]]
) -> Figure:
    """Pairs of (truth, prediction) cases side by side, with the BCE of each: Figure 1 of 000.

    Args:
        pairs: Title of the pair to its left and right case, each (truth, prediction).
        bce: Title of the pair to the BCE of its left and right case.
    """
    figure, axes = plt.subplots(1, 2 * len(pairs), figsize=(3.7 * len(pairs), 2.5))
    for i, (title, cases) in enumerate(pairs.items()):
        for ax, (truth, prediction), value, side in zip(
            axes[2 * i :], cases, bce[title], ("left", "right"), strict=False
        ):
            masks_panel(ax, truth, prediction, f"{title}, {side}")
            ax.set_xlabel(f"BCE = {value:.6f}")
            ax.spines[:].set_visible(False)
    handles = [
        Patch(color=TRUTH, alpha=0.6, label="ground truth"),
        Patch(color=PREDICTION, alpha=0.6, label="prediction"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def difference_heatmap(differences: pd.DataFrame, title: str) -> Figure:
    """Relative differences of losses (rows) between the two cases of each pair (columns).

    Args:
        differences: Right minus left over their mean, in percent.
        title: What a positive number means.
    """
    figure, ax = plt.subplots(figsize=(6.4, 0.27 * len(differences) + 1.3))
    limit = float(np.abs(differences.to_numpy()).max())
    sns.heatmap(
        differences, ax=ax, annot=True, fmt="+.1f", cmap="PiYG", center=0, vmin=-limit, vmax=limit,
        linewidths=0.5, cbar=False, annot_kws={"size": 8},
    )  # fmt: skip
    ax.set(xlabel="", ylabel="", title=title)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.xaxis.set_tick_params(length=0)
    ax.title.set_position((0.5, 1.2))
    return figure


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
    """
    height, width = truth.shape
    for kind, cells in colors.items():
        for i, j in np.argwhere(cells):
            ax.add_patch(
                Rectangle((j * cell[1] - 0.5, i * cell[0] - 0.5), cell[1], cell[0], color=palette[kind], lw=0)
            )
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
    outline(ax, truth, TRUTH, 2)
    outline(ax, prediction, PREDICTION, 2)
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


def sigmoid_curves(scale: pd.DataFrame, distance: pd.DataFrame) -> Figure:
    """What the two sigmoids make of S and of d.

    Args:
        scale: Columns S, sigmoid, raw.
        distance: Columns d, sigmoid, and one more: the weight of every other cell.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.9))
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
        (0.65, 0.12),
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
    for ax in axes:
        ax.legend(loc="lower right")
    return figure


def cell_size_curve(table: pd.DataFrame) -> Figure:
    """Cell size over mass size for each way of rounding. Columns: size, and one per way."""
    figure, ax = plt.subplots(figsize=(5.2, 3))
    for (name, values), style in zip(
        table.drop(columns="size").items(), ("-", "--", ":", "-."), strict=False
    ):
        ax.step(table["size"], values, style, where="mid", label=name)
    ax.plot(table["size"], table["size"], color=MUTED, lw=0.8, label="no rounding")
    ax.set(
        xlabel="side of the smallest mass in px", ylabel="side of a cell in px", xscale="log", yscale="log"
    )
    ticks = [8, 16, 32, 64, 128, 256]
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.minorticks_off()
    ax.legend()
    return figure
