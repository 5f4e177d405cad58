"""Figures of notebook 11: the grid, its cells, and what the two sigmoids do."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION


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
