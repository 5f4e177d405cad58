"""Figures of notebook 50: many losses under one protocol, and how sure their order is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION


def losses_figure(table: pd.DataFrame) -> Figure:
    """The value of each loss with its interval.

    Args:
        table: Columns label, value, low, high and "mean over images" (all in 0..1), in the order of drawing.
    """
    y = np.arange(len(table))
    figure, ax = plt.subplots(figsize=(8.4, 0.27 * len(table) + 1.0))
    ax.hlines(y, 100 * table["low"], 100 * table["high"], color=PREDICTION, lw=2)
    ax.plot(100 * table["value"], y, "D", color=PREDICTION, ms=5, label="pooled over the test pixels")
    ax.plot(100 * table["mean over images"], y, "o", mfc="white", mec=INK, ms=5, label="mean over images")
    ax.set(yticks=y, yticklabels=table["label"], xlabel="DSC in %", ylim=(len(table) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#eeeeee")
    ax.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def pairs_figure(pairs: pd.DataFrame, order: Sequence[str], labels: Mapping[str, str]) -> Figure:
    """Differences between every two losses as a matrix; those beyond their interval are outlined.

    Args:
        pairs: Columns left, right, value, low and high (left minus right, in 0..1).
        order: The losses, from the best.
        labels: What each is called.
    """
    place = {name: i for i, name in enumerate(order)}
    values = np.full((len(order), len(order)), np.nan)
    size = 0.36 * len(order) + 2.6
    figure, ax = plt.subplots(figsize=(min(8.6, size + 1.4), min(7.6, size)))
    for row in pairs.itertuples():
        i, j = place[row.left], place[row.right]
        values[i, j], values[j, i] = 100 * row.value, -100 * row.value
        if row.low > 0 or row.high < 0:
            for a, b in ((i, j), (j, i)):
                ax.add_patch(Rectangle((b - 0.5, a - 0.5), 1, 1, fill=False, edgecolor=INK, lw=1.3, zorder=3))
    limit = float(np.nanmax(np.abs(values)))
    shown = ax.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit)
    for i, j in np.argwhere(np.isfinite(values)):
        color = "white" if abs(values[i, j]) > 0.6 * limit else INK
        ax.text(j, i, f"{values[i, j]:.0f}", ha="center", va="center", fontsize=7, color=color)
    names = [labels[name] for name in order]
    ax.set_xticks(range(len(order)), names, rotation=90)
    ax.set_yticks(range(len(order)), names)
    ax.tick_params(length=0, labelsize=8)
    figure.colorbar(shown, ax=ax, shrink=0.6, label="row minus column, points of DSC")
    return figure


def ranks_figure(shares: pd.DataFrame, table: pd.DataFrame, labels: Mapping[str, str], top: int) -> Figure:
    """How often each loss has which rank, and how often it is among the first.

    Args:
        shares: Share of resamples; a row a loss, a column a rank.
        table: Columns arm and among_first, in the order of the rows of `shares`.
        labels: What each loss is called.
        top: Among how many first.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 0.3 * len(shares) + 1.4), width_ratios=(3, 1), sharey=True
    )
    left.imshow(shares, cmap="Blues", vmin=0, vmax=max(0.4, float(shares.to_numpy().max())), aspect="auto")
    for i, j in np.argwhere(shares.to_numpy() >= 0.095):
        value = shares.to_numpy()[i, j]
        left.text(
            j,
            i,
            f"{100 * value:.0f}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if value > 0.25 else INK,
        )
    left.set_yticks(range(len(shares)), [labels[arm] for arm in shares.index])
    left.set_xticks(range(shares.shape[1]), shares.columns)
    left.set(xlabel="rank", title="share of resamples, %")
    right.barh(range(len(table)), 100 * table["among_first"], color=PREDICTION, height=0.6)
    right.set(xlim=(0, 100), xlabel="%", title=f"among the first {top}")
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
    return figure


def variance_figure(parts: pd.DataFrame) -> Figure:
    """Standard deviations by component.

    Args:
        parts: Columns component, sd (in 0..1) and share.
    """
    figure, ax = plt.subplots(figsize=(8.4, 0.32 * len(parts) + 0.9))
    y = np.arange(len(parts))
    ax.barh(y, 100 * parts["sd"], color=PREDICTION, height=0.6)
    for place, row in zip(y, parts.itertuples(), strict=True):
        ax.text(
            100 * row.sd + 0.2,
            place,
            f"{100 * row.sd:.1f} ({100 * row.share:.0f} % of the variance)",
            va="center",
            fontsize=8,
        )
    ax.set(yticks=y, yticklabels=parts["component"], xlabel="standard deviation in points of DSC")
    ax.set(xlim=(0, 130 * parts["sd"].max()), ylim=(len(parts) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    return figure


def patients_figure(pairs: pd.DataFrame, patients: int) -> Figure:
    """Patients that show a difference between two losses, by its size.

    Args:
        pairs: Column needed_10: the patients that show a difference of ten points.
        patients: How many the data set has.
    """
    size = np.linspace(1, 15, 200)
    figure, ax = plt.subplots(figsize=(6.4, 3.2))
    low, middle, high = (pairs["needed_10"].quantile(q) * (10 / size) ** 2 for q in (0.1, 0.5, 0.9))
    ax.fill_between(size, low, high, color=PREDICTION, alpha=0.2, lw=0)
    ax.plot(size, middle, color=PREDICTION, label="median pair")
    ax.axhline(patients, color=MUTED, lw=1, ls="--")
    ax.annotate(f"{patients} patients", (1, patients), (-4, 3), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", va="bottom", color=INK, fontsize=8)  # fmt: skip
    ax.set(yscale="log", xlabel="difference in points of DSC", ylabel="patients", xlim=(1, 15))
    ax.grid(color="#eeeeee")
    ax.set_axisbelow(True)
    ax.legend(loc="upper right")
    return figure
