"""Figures of notebook 32: what was published for each core loss, and what a cell without a mass costs."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure


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
