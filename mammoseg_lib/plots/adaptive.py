"""Figures of losses that weigh their terms sample by sample, in training."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED


def area_difference(table: pd.DataFrame) -> Figure:
    """The printed ΔA of every row, and the one that DSC and sensitivity of the same row force.

    Args:
        table: Columns table (its title), row, printed and forced, in percent.
    """
    titles = list(dict.fromkeys(table["table"]))
    rows = table["table"].value_counts().max()
    figure, axes = plt.subplots(1, len(titles), figsize=(9, 0.32 * rows + 1.4), sharey=True)
    for ax, title in zip(axes, titles, strict=True):
        part = table[table["table"] == title]
        y = np.arange(len(part))
        ax.hlines(y, part["forced"], part["printed"], color=MUTED, lw=1.5)
        ax.plot(part["forced"], y, "o", color=INK, mfc="white", ms=8, label="forced by DSC and SEN")
        ax.plot(part["printed"], y, "D", color=INK, ms=4, label="printed")
        ax.set(title=title, xlabel="ΔA in %", xlim=(0, 34), yticks=y, yticklabels=part["row"])
        ax.grid(axis="x", color="#e5e5e5")
        ax.set_axisbelow(True)
    axes[0].invert_yaxis()
    axes[0].margins(y=0.12)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def dice_weights(curves: pd.DataFrame, ratios: Mapping[str, Float[np.ndarray, " n"]], title: str) -> Figure:
    """The weight of the Dice term over the mass ratio, and the mass ratios that there are.

    Args:
        curves: Columns data, grouping, ratio (mass pixels over all pixels) and weight (of 2 in all).
        ratios: Mass ratio of every image, by data.
        title: Whose weights they are.
    """
    figure, axes = plt.subplots(1, len(ratios), figsize=(9, 3.1), sharey=True, squeeze=False)
    for ax, (data, values) in zip(axes[0], ratios.items(), strict=True):
        part = curves[curves["data"] == data]
        sns.lineplot(
            part.assign(percent=100 * part["ratio"]), x="percent", y="weight", hue="grouping", ax=ax,
            style="grouping", palette="colorblind", lw=1.6, errorbar=None, estimator=None,
        )  # fmt: skip
        ax.plot(100 * values, np.full(len(values), 0.04), "|", color=MUTED, ms=7, alpha=0.6)
        ax.axhline(1, color=MUTED, lw=0.8, zorder=0)
        low, high = 100 * values.min(), 100 * values.max()
        ticks = [t for t in (0.03, 0.1, 0.3, 1, 3, 10, 30) if low / 1.5 < t < 1.5 * high]
        ax.set(xscale="log", xlabel="mass ratio in %", ylabel="weight of Dice, of 2", ylim=(0, 2))
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
        ax.set_title(f"{data}, {len(values)} images")
        if ax is not axes[0, -1]:
            ax.get_legend().remove()
    sns.move_legend(axes[0, -1], "center left", bbox_to_anchor=(1.02, 0.5), title=None)
    figure.suptitle(title, fontsize=9, color=INK)
    return figure
