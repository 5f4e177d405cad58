"""Figures of ablations: one thing varied, every run a point."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammoseg_lib.plots.grid import grid_panel, kinds_legend
from mammoseg_lib.plots.images import Mask
from mammoseg_lib.plots.style import CELLS, INK, MUTED, PREDICTION, wrapped


def ablation_figure(
    runs: pd.DataFrame, summary: pd.DataFrame, by: str, title: str, aggregate: str = "micro"
) -> Figure:
    """The DSC of every run of every setting, and how far each setting differs from the first.

    Args:
        runs: Columns `by`, fold, seed and value, a DSC in percent.
        summary: Columns `by`, runs, mean, low, high, difference, difference_low and difference_high in
            percent; rows numbered from 0.
        by: Name of the column that tells the settings apart.
        title: How the runs came about.
        aggregate: "micro" where the DSC is that of pooled pixels, "macro" where it is a mean over images.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.5 * len(summary) + 1.9), sharey=True, width_ratios=(3, 2))
    position = {name: i for i, name in enumerate(summary[by])}
    for _, group in runs.groupby(["fold", "seed"], sort=False):
        group = group.sort_values(by, key=lambda names: names.map(position))
        axes[0].plot(group["value"], group[by].map(position), "o-", color=MUTED, ms=4, lw=0.7, alpha=0.8)
    _interval(axes[0], summary, ("mean", "low", "high"), PREDICTION)
    axes[0].set(
        xlabel=f"DSC in %, {'pooled over the test pixels' if aggregate == 'micro' else 'mean over images'}",
        title=f"{summary['runs'].max()} runs each",
        yticks=list(position.values()),
        yticklabels=list(position),
    )
    axes[1].axvline(0, color=MUTED, lw=0.8)
    _interval(axes[1], summary.iloc[1:], ("difference", "difference_low", "difference_high"), INK)
    axes[1].set(xlabel="difference in points", title=f"minus {summary[by].iloc[0]}, same fold and seed")
    for ax in axes:
        ax.grid(axis="x", color="#e5e5e5")
        ax.set_axisbelow(True)
    axes[0].invert_yaxis()
    axes[0].set_ylim(len(summary) - 0.4, -0.6)
    figure.suptitle(wrapped(title), fontsize=9, color=INK)
    return figure


def _interval(ax: Axes, table: pd.DataFrame, columns: tuple[str, str, str], color: str) -> None:
    """Means with their intervals, a row each; a mean without one where there were too few runs."""
    y = table.index.to_numpy() + 0.18
    value, lower, upper = (table[name].to_numpy(float) for name in columns)
    reach = np.nan_to_num(np.vstack([value - lower, upper - value]))
    ax.errorbar(value, y, xerr=reach, fmt="D", ms=5, color=color, capsize=3, lw=1.5)


def grids_side_by_side(
    truth: Mask,
    prediction: Mask,
    cells: Mapping[str, tuple[int, int]],
    kinds: Mapping[str, Mapping[str, Bool[np.ndarray, "nh nw"]]],
    captions: Mapping[str, str],
) -> Figure:
    """The same two masks under several grids.

    Args:
        truth: Ground truth.
        prediction: Predicted mask.
        cells: Name of each grid to the height and width of its cells.
        kinds: Name of each grid to its kinds of cells, "TP", "FP", "FN" and "TN", and where they are.
        captions: Name of each grid to what stands below it.
    """
    figure, axes = plt.subplots(1, len(cells), figsize=(3.6 * len(cells), 4.1))
    for ax, (name, cell) in zip(axes, cells.items(), strict=True):
        title = f"{name}: cells of {cell[0]} × {cell[1]} pixels"
        grid_panel(ax, truth, prediction, cell, kinds[name], CELLS, title=title)
        ax.set_xlabel(captions[name])
    labels = {"TP": "both", "FP": "prediction only", "FN": "mass only", "TN": "neither"}
    kinds_legend(figure, {label: CELLS[kind] for kind, label in labels.items()})
    return figure


def two_curves(
    left: pd.DataFrame, right: pd.DataFrame, labels: tuple[str, str], titles: tuple[str, str]
) -> Figure:
    """The grid loss with a sigmoid around the ratios, and with the ratios, in two situations.

    Args:
        left: Columns x, sigmoid and raw.
        right: The same.
        labels: What x is, in either panel.
        titles: The two situations.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.1))
    for ax, table, label, title in zip(axes, (left, right), labels, titles, strict=True):
        ax.plot(table["x"], table["sigmoid"], ".-", color=PREDICTION, label="sigmoid")
        ax.plot(table["x"], table["raw"], ".--", color=INK, label="raw ratio")
        ax.set(xlabel=label, ylabel="grid loss $L_G$", title=title)
        ax.set_ylim(bottom=0)
        ax.legend(loc="upper left")
    return figure


def published_by_core(published: pd.DataFrame) -> Figure:
    """What was published for each core loss, a line a setting.

    Args:
        published: Columns setting, core and "published DSC in %".
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    sns.pointplot(
        published, x="core", y="published DSC in %", hue="setting", errorbar=None, ax=ax,
        palette="Dark2", markersize=4, linewidth=1,
    )  # fmt: skip
    ax.set(xlabel="core loss", title="published, one value each, no spread")
    sns.move_legend(ax, "center left", bbox_to_anchor=(1.02, 0.5), title=None)
    return figure


def empty_cells(curves: pd.DataFrame) -> Figure:
    """What a cell without a mass costs, over the probability that the network gives everywhere in it.

    Args:
        curves: Columns core, side, p and loss.
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.2))
    sns.lineplot(curves, x="p", y="loss", hue="core", style="side", ax=ax, palette="colorblind")
    ax.set(xscale="log", ylim=(0, 1.05), xlabel="$p$ in the whole cell", ylabel="loss of the cell")
    handles, texts = ax.get_legend_handles_labels()
    texts = [{"core": "core loss", "side": "side in px"}.get(text, text) for text in texts]
    ax.legend(handles, texts, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def density_weights(weights: pd.DataFrame, counts: pd.Series) -> Figure:
    """Weight of the region-level loss by ACR density, over the number of images.

    Args:
        weights: One column per vector theta, indexed by ACR density.
        counts: Number of images, indexed alike.
    """
    figure, ax = plt.subplots(figsize=(6, 3))
    bars = ax.twinx()
    bars.bar(counts.index, counts, width=0.5, color="#e8e8e8", zorder=0)
    bars.set(ylabel="images (bars)", ylim=(0, 2.2 * counts.max()))
    bars.spines["right"].set_visible(True)
    ax.set_zorder(bars.get_zorder() + 1)
    ax.patch.set_visible(False)
    styles = ("o-", "s--", "^:", "v-.")
    for (name, column), style, color in zip(
        weights.items(), styles, sns.color_palette("colorblind"), strict=False
    ):
        ax.plot(column.index, column, style, color=color, label=name)
    ax.set(xlabel="ACR density", ylabel="weight of the region-level term", ylim=(0, 1.3))
    ax.set_xticks(list(weights.index))
    ax.legend(loc="upper left", ncols=2)
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
