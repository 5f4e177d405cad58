"""Figures of ablations: what each arm of a study gave, and what was seen while a few networks learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mammoseg_lib.plots.images import Mask, note, shade, show_image
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH, wrapped


def ablation_figure(table: pd.DataFrame, title: str = "", margin: float = 2.0) -> Figure:
    """What each arm gave, and its difference to the first one.

    Args:
        table: A row an arm, in percent: label; value, low and high of the last epochs; best, of the epoch
            that validation liked best; difference, difference_low, difference_high, NaN for the first.
        title: How the runs came about.
        margin: The largest difference that counts as none, which is shaded.
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(8.4, 0.42 * len(table) + 1.7), sharey=True, width_ratios=(3, 2)
    )
    y = np.arange(len(table))
    _intervals(axes[0], table, y, ("value", "low", "high"), PREDICTION)
    axes[0].plot(
        table["best"], y, "o", mfc="white", mec=INK, ms=5, zorder=4, label="best epoch by validation"
    )
    axes[0].set(xlabel="DSC in %", title="last ten epochs, with 95 % intervals", yticks=y)
    axes[0].set_yticklabels(table["label"])
    axes[0].legend(loc="best", fontsize=8)
    axes[1].axvspan(-margin, margin, color="#ececec", lw=0, zorder=0)
    axes[1].axvline(0, color=MUTED, lw=0.8, zorder=1)
    names = ("difference", "difference_low", "difference_high")
    shown = table[names[0]].notna().to_numpy()
    _intervals(axes[1], table[shown], y[shown], names, INK)
    axes[1].set(xlabel="difference in points", title=f"minus {table['label'].iloc[0]}")
    for ax in axes:
        ax.grid(axis="x", color="#e5e5e5")
        ax.set_axisbelow(True)
        ax.tick_params(axis="y", length=0)
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    figure.suptitle(wrapped(title, 100), fontsize=9, color=INK)
    return figure


@runtime_checkable
class Learned(Protocol):
    """What several networks made of one image while they learned; see `reports.live`.

    Attributes:
        image: Gray values.
        truth: Its masses.
        probability: What each arm predicted for it after each of `epochs`, by name.
        epochs: From 1, rising.
        curves: Columns arm, epoch and dsc (0..1): of the validation images.
    """

    image: Float[np.ndarray, "h w"]
    truth: Mask
    probability: Mapping[str, Float[np.ndarray, "epochs h w"]]
    epochs: Sequence[int]
    curves: pd.DataFrame


def learned_figure(seen: Learned, title: str = "") -> Figure:
    """Predictions for one image as the epochs pass, a row a network, and the DSC of every epoch.

    Args:
        seen: What was predicted.
        title: How the runs came about.
    """
    rows, columns = len(seen.probability), len(seen.epochs)
    figure = plt.figure(figsize=(1.3 * columns + 1.6, 1.35 * rows + 2.8))
    above, below = figure.subfigures(2, 1, height_ratios=(1.35 * rows + 0.5, 2.3))
    axes = above.subplots(rows, columns, squeeze=False)
    colors = dict(zip(seen.probability, sns.color_palette("colorblind", rows), strict=True))
    for row, (name, maps) in zip(axes, seen.probability.items(), strict=True):
        for ax, each in zip(row, maps, strict=True):
            predicted = each > 0.5
            show_image(ax, seen.image, seen.truth, predicted)
            shade(ax, predicted)
            if not predicted.any():
                note(ax, "nothing")
        row[0].annotate(
            name, (0, 0.5), (-6, 0), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="center", color=colors[name], fontweight="bold", fontsize=8,
        )  # fmt: skip
    for ax, epoch in zip(axes[0], seen.epochs, strict=True):
        ax.set_title(f"epoch {epoch}")
    _curves(below.subplots(), seen.curves, colors)
    outlines = [
        Line2D([], [], color=TRUTH, label="truth"),
        Line2D([], [], color=PREDICTION, label="prediction"),
    ]
    above.legend(handles=outlines, loc="outside lower right", ncols=2, fontsize=8)
    figure.suptitle(wrapped(title, 100), fontsize=9, color=INK)
    return figure


def dsc_by_density(table: pd.DataFrame, by: str = "θ", title: str = "") -> Figure:
    """Mean DSC by ACR density and by what was varied.

    Args:
        table: Columns `by`, "ACR density", dsc in 0..1 and images.
        by: Name of the column that tells the settings apart.
        title: What the images are.
    """
    figure, ax = plt.subplots(figsize=(3.4 + table[by].nunique(), 3))
    sns.barplot(
        table.assign(dsc=100 * table["dsc"]), x="ACR density", y="dsc", hue=by, ax=ax, palette="colorblind"
    )
    images = table.groupby("ACR density")["images"].first()
    ax.set_xticks(range(len(images)), [f"{acr}\n{n} images" for acr, n in images.items()])
    ax.set(ylabel="mean DSC in %", ylim=(0, 100), title=title)
    sns.move_legend(ax, "center left", bbox_to_anchor=(1.02, 0.5), title=None)
    return figure


def _intervals(ax: Axes, table: pd.DataFrame, y: np.ndarray, names: tuple[str, str, str], color: str) -> None:
    value, low, high = (table[name].to_numpy(float) for name in names)
    reach = np.nan_to_num(np.vstack([value - low, high - value]))
    ax.errorbar(value, y, xerr=reach, fmt="D", ms=5, color=color, capsize=3, lw=1.5, zorder=3)


def _curves(ax: Axes, curves: pd.DataFrame, colors: Mapping[str, tuple]) -> None:
    for (name, color), style in zip(colors.items(), ("-", "--", ":", "-."), strict=False):
        own = curves[curves["arm"] == name]
        ax.plot(own["epoch"], own["dsc"], style, color=color, label=name)
    ax.set(xlabel="epoch", ylabel="DSC, validation images", ylim=(0, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", color="#e5e5e5")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=len(colors), fontsize=8)
