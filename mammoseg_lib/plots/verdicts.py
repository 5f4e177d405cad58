"""Figures of notebook 52: how an interval becomes a verdict, and every claim with what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

VERDICT = {
    "held": (TRUTH, "o"),
    "reversed": ("#c4462f", "s"),
    "no difference": (PREDICTION, "D"),
    "undecided": (MUTED, "o"),
}
"""Color and marker of each verdict; what was not measured has neither."""
BAND = "#ececec"


def rule_figure(
    intervals: Sequence[tuple[float, float]], verdicts: Mapping[str, Sequence[str]], margin: float
) -> Figure:
    """The same intervals under two kinds of claim.

    Args:
        intervals: Lower and upper limits of differences.
        verdicts: What the claim says, to its verdict on each interval.
        margin: The largest difference that counts as none.
    """
    figure, axes = plt.subplots(1, len(verdicts), figsize=(8.4, 0.36 * len(intervals) + 1.3), sharey=True)
    for ax, (says, found) in zip(axes, verdicts.items(), strict=True):
        _zero(ax, margin)
        for y, ((low, high), verdict) in enumerate(zip(intervals, found, strict=True)):
            _interval(ax, y, (low + high) / 2, low, high, verdict)
            ax.annotate(
                verdict, (1, y), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="left", va="center", color=VERDICT[verdict][0] if verdict != "undecided" else INK,
            )  # fmt: skip
        ax.set(xlabel="difference in points of DSC", title=says, yticks=[])
        ax.spines["left"].set_visible(False)
    axes[0].set_ylim(len(intervals) - 0.4, -0.6)
    return figure


def differences_figure(table: pd.DataFrame, margin: float, *, width: int = 44, title: str = "") -> Figure:
    """Every claim about one metric: the printed difference, and the measured one with its interval.

    Args:
        table: Columns paper, label, says ("better", "worse" or "similar"), printed (NaN where nothing is),
            value, low, high (NaN where it was not run) and verdict; in the order of drawing.
        margin: The largest difference that counts as none, which is shaded.
        width: Characters in a line of a label.
        title: Of the figure.
    """
    labels = [fill(label, width) for label in table["label"]]
    heights = np.array([1 + 0.55 * label.count("\n") for label in labels])
    gaps = 0.7 * table["paper"].ne(table["paper"].shift()).to_numpy()
    y = np.cumsum(heights + gaps) - heights / 2
    figure, ax = plt.subplots(figsize=(8.4, 0.225 * (y[-1] + heights[-1]) + 1.1))
    _zero(ax, margin)
    for place, row in zip(y, table.itertuples(), strict=True):
        if np.isfinite(row.value):
            _interval(ax, place, row.value, row.low, row.high, row.verdict)
        else:
            ax.annotate(
                row.verdict, (1, place), (-2, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", va="center", color=MUTED, fontsize=8, style="italic",
            )  # fmt: skip
        if np.isfinite(row.printed):
            ax.plot(row.printed, place, "D", mfc="white", mec=INK, mew=1.1, ms=5, zorder=4)
    ax.set(yticks=y, yticklabels=labels, xlabel="difference in points of DSC", title=title)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(y[-1] + 1, -0.2)
    ax.grid(axis="x", color="#f0f0f0")
    ax.set_axisbelow(True)
    for paper, part in table.assign(_y=y).groupby("paper", sort=False):
        ax.annotate(
            paper, (0, part["_y"].iloc[0]), (-6, 11), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="center", fontweight="bold", color=INK,
        )  # fmt: skip
    _legend(figure, table)
    return figure


def _zero(ax: Axes, margin: float) -> None:
    ax.axvspan(-margin, margin, color=BAND, lw=0, zorder=0)
    ax.axvline(0, color=MUTED, lw=0.8, zorder=1)


def _interval(ax: Axes, y: float, value: float, low: float, high: float, verdict: str) -> None:
    color, marker = VERDICT.get(verdict, (MUTED, "o"))
    if np.isfinite(low):
        ax.plot([low, high], [y, y], color=color, lw=2, solid_capstyle="butt", zorder=2)
    ax.plot(value, y, marker, color=color, ms=5, zorder=3)


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    seen = [name for name in VERDICT if name in set(table["verdict"])]
    handles = [Line2D([], [], color=c, marker=m, lw=2, ms=5) for c, m in map(VERDICT.get, seen)]
    handles.append(Line2D([], [], color=INK, marker="D", mfc="white", lw=0, ms=5))
    handles.append(Patch(color=BAND))
    names = [*seen, "as printed", "counts as no difference"]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
