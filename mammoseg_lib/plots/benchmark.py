"""Figures of notebook 50: differences of every two settings, ranks, what spreads, and how many patients."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH


def pair_matrix(table: pd.DataFrame, order: Sequence[str]) -> Figure:
    """The difference of every two settings, row minus column; bold where its interval excludes zero.

    Args:
        table: Columns left, right, value, low, high, in points.
        order: All names, from the best to the worst.
    """
    n = len(order)
    place = {name: number for number, name in enumerate(order)}
    values = np.full((n, n), np.nan)
    sure = np.zeros((n, n), bool)
    for row in table.itertuples():
        i, j = place[row.left], place[row.right]
        sign = 1 if i < j else -1
        values[min(i, j), max(i, j)] = sign * row.value
        sure[min(i, j), max(i, j)] = row.low > 0 or row.high < 0
    limit = np.nanmax(values)
    figure, ax = plt.subplots(figsize=(8.4, 0.36 * n + 1.9))
    shown = values[:-1, 1:]  # nothing is compared with itself
    ax.imshow(shown, cmap="Purples", vmin=0, vmax=limit, aspect="auto")
    for i, j in zip(*np.nonzero(np.isfinite(shown)), strict=True):
        bold, strong = sure[i, j + 1], shown[i, j] > 0.6 * limit
        ax.text(
            j, i, f"{shown[i, j]:.0f}", ha="center", va="center", fontsize=7,
            color="white" if strong else INK, fontweight="bold" if bold else "normal",
        )  # fmt: skip
    ax.set(xticks=range(n - 1), yticks=range(n - 1), yticklabels=order[:-1])
    ax.set_xticks(range(n - 1), order[1:], rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


def rank_figure(ranks: pd.DataFrame, shares: pd.DataFrame) -> Figure:
    """How often a setting has which rank in the resamples, and how often it is among the first three.

    Args:
        ranks: Columns arm, rank and among_first; a row a setting, the best first.
        shares: A row a setting (its index), a column a rank.
    """
    names = ranks["arm"].tolist()
    n = len(names)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 0.28 * n + 1.3), sharey=True, width_ratios=(2.2, 1)
    )
    image = left.imshow(100 * shares.loc[names], cmap="Blues", aspect="auto", vmin=0)
    left.plot(ranks["rank"] - 1, range(n), "o", mfc="white", mec=INK, ms=4)
    left.set(
        xticks=range(0, n, 2), xticklabels=range(1, n + 1, 2), yticks=range(n), yticklabels=names,
        xlabel="rank (circle: as measured)",
    )  # fmt: skip
    left.spines[:].set_visible(False)
    figure.colorbar(image, ax=left, label="resamples, %", shrink=0.8)
    right.barh(range(n), 100 * ranks["among_first"], color=PREDICTION)
    right.set(xlim=(0, 100), xlabel="among the first three, %")
    right.grid(axis="x", color="#e5e5e5")
    right.set_axisbelow(True)
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
    return figure


def share_figure(table: pd.DataFrame) -> Figure:
    """What the spread of a patient's value is made of.

    Args:
        table: Columns component, share and sd (in points).
    """
    y = np.arange(len(table))
    figure, ax = plt.subplots(figsize=(7.6, 0.32 * len(table) + 0.9))
    loss = table["component"].str.startswith("loss")
    ax.barh(y, 100 * table["share"], color=np.where(loss, TRUTH, MUTED))
    for place, row in zip(y, table.itertuples(), strict=True):
        ax.text(100 * row.share + 1, place, f"{100 * row.share:.1f} %  (SD {row.sd:.1f} points)", va="center")
    ax.set(yticks=y, yticklabels=table["component"], xlabel="share of the variance, %", xlim=(0, 100))
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    return figure


def patients_figure(table: pd.DataFrame, sizes: Sequence[int], at_hand: int) -> Figure:
    """How many patients each pair of settings would need to show a difference of some size.

    Args:
        table: Columns `needed_<size>` for each size; a row a pair.
        sizes: Differences in points.
        at_hand: Patients that were tested.
    """
    figure, ax = plt.subplots(figsize=(7.6, 0.5 * len(sizes) + 1.3))
    for y, size in enumerate(sizes):
        needed = np.sort(table[f"needed_{size}"].to_numpy())
        jitter = np.linspace(-0.18, 0.18, len(needed))[np.argsort(np.sin(np.arange(len(needed)) * 12.9898))]
        ax.plot(needed, y + jitter, "o", color=PREDICTION, ms=3, alpha=0.5, mew=0)
        middle = np.median(needed)
        ax.plot([middle, middle], [y - 0.32, y + 0.32], color=INK, lw=2)
        ax.annotate(f"{middle:,.0f}", (middle, y - 0.34), ha="center", va="bottom", color=INK)
    ax.axvline(at_hand, color=TRUTH, ls="--")
    ax.annotate(
        f"INbreast: {at_hand}", (at_hand, len(sizes) - 0.5), (4, 0), textcoords="offset points", color=TRUTH
    )
    ax.set(
        xscale="log", yticks=range(len(sizes)), yticklabels=[f"{size} points" for size in sizes],
        xlabel="patients that show the difference in four of five studies", ylim=(len(sizes) - 0.3, -0.75),
    )  # fmt: skip
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure
