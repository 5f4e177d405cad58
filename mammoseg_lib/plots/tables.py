"""Figures of notebook 40: printed numbers beside measured ones, and one set of networks with four numbers."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION


def printed_and_measured(table: pd.DataFrame) -> Figure:
    """A row a setting: the printed value with its interval, and the measured one with its own.

    Args:
        table: Columns paper and label; in percent, published, should_low, should_high, value, low, high.
    """
    new = table["paper"].ne(table["paper"].shift()).to_numpy()
    y = np.arange(len(table)) + 1.0 * np.cumsum(new)
    figure, ax = plt.subplots(figsize=(8.4, 0.26 * (y[-1] + 1) + 1.0))
    looks = (
        (-0.16, ("should_low", "should_high", "published"), MUTED, "D", "white"),
        (0.16, ("low", "high", "value"), PREDICTION, "o", PREDICTION),
    )
    for shift, (low, high, value), color, marker, face in looks:
        ax.hlines(y + shift, table[low], table[high], color=color, lw=2)
        edge = INK if face == "white" else color
        ax.plot(table[value], y + shift, marker, mfc=face, mec=edge, ms=4.5, lw=0)
    for start in y[new]:
        ax.annotate(
            table["paper"].iloc[int(np.flatnonzero(y == start)[0])], (0, start - 0.9), (-6, 0),
            xycoords=("axes fraction", "data"), textcoords="offset points", ha="right", va="center",
            fontweight="bold", color=INK,
        )  # fmt: skip
    ax.set(yticks=y, yticklabels=table["label"], xlabel="DSC in %", ylim=(y[-1] + 0.8, -0.3))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#eeeeee")
    ax.set_axisbelow(True)
    handles = [
        Line2D([], [], color=MUTED, lw=2, marker="D", mfc="white", mec=INK, ms=4.5),
        Line2D([], [], color=PREDICTION, lw=2, marker="o", ms=4.5),
    ]
    names = ["as printed, with the interval that it should have carried", "measured here, with its interval"]
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def four_numbers(table: pd.DataFrame) -> Figure:
    """A line a loss through several ways to make one number of its networks.

    Args:
        table: A DSC in percent; a row a loss, a column a way.
    """
    figure, ax = plt.subplots(figsize=(8.4, 4.2))
    colors = sns.color_palette("husl", len(table))
    x = np.arange(table.shape[1])
    for (name, row), color in zip(table.iterrows(), colors, strict=True):
        ax.plot(x, row, "o-", color=color, ms=4, lw=1.3, label=name)
    ax.set_xticks(x, table.columns)
    ax.set(ylabel="DSC in %", xlim=(-0.2, x[-1] + 0.2))
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
    return figure
