"""Figures of the strategies that combine cross entropy and boundary loss."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, wrapped


def weights_over_epochs(weights: pd.DataFrame) -> Figure:
    """The weight of either term in every epoch, a color a strategy, a line style a reading.

    Args:
        weights: Columns strategy, reading, epoch, bce and boundary.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for ax, term, label in zip(
        axes, ("bce", "boundary"), ("weight of the cross entropy", "weight of the boundary loss"), strict=True
    ):
        sns.lineplot(
            weights, x="epoch", y=term, hue="strategy", style="reading", ax=ax, palette="colorblind",
            markers=["o", "s"], markersize=5, alpha=0.8,
        )  # fmt: skip
        ax.set(xlabel="epoch", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_yscale("symlog", linthresh=1)
    axes[0].set_yticks([0, 1, 10, 50.5], ["0", "1", "10", "50.5"])
    axes[0].set_ylim(-0.15, 80)
    axes[0].minorticks_off()
    axes[0].get_legend().remove()
    sns.move_legend(axes[1], "center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def readings(runs: pd.DataFrame, title: str) -> Figure:
    """The DSC of every run under both readings of the losses; a line joins runs of one fold and seed.

    Args:
        runs: Columns reading, fold, seed and value, a DSC in percent.
        title: How the runs came about.
    """
    names = list(dict.fromkeys(runs["reading"]))
    figure, ax = plt.subplots(figsize=(6.4, 0.5 * len(names) + 1.4))
    position = {name: i for i, name in enumerate(names)}
    strategy = runs["reading"].str.partition(",")[0]
    for _, group in runs.groupby(["fold", "seed", strategy], sort=False):
        ax.plot(group["value"], group["reading"].map(position), "o-", color=MUTED, ms=4, lw=0.7, alpha=0.8)
    means = runs.groupby("reading", sort=False)["value"].mean()
    ax.plot(means, means.index.map(position), "D", color=PREDICTION, ms=5)
    ax.set(xlabel="mean DSC over images in %", yticks=range(len(names)), yticklabels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", color="#e5e5e5")
    ax.set_axisbelow(True)
    figure.suptitle(wrapped(title), fontsize=9, color=INK)
    return figure
