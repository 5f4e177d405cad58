"""Figures of notebook 33: weights by density, and what they change in which density."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED


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


def gains_by_density(gains: pd.DataFrame) -> Figure:
    """What one vector of weights gains over others, in each class of density.

    Args:
        gains: Columns class (ACR 1 to 4), images, against, and difference, low and high in points.
    """
    controls = list(dict.fromkeys(gains["against"]))
    figure, axes = plt.subplots(1, len(controls), figsize=(8.4, 2.9), sharey=True, squeeze=False)
    for ax, control in zip(axes[0], controls, strict=True):
        own = gains[gains["against"] == control]
        ax.axhspan(-2, 2, color="#ececec", lw=0, zorder=0)
        ax.axhline(0, color=MUTED, lw=0.8, zorder=1)
        reach = np.nan_to_num([own["difference"] - own["low"], own["high"] - own["difference"]])
        ax.errorbar(own["class"], own["difference"], yerr=reach, fmt="D", ms=5, color=INK, capsize=3, lw=1.5)
        names = [f"{acr}\n({n})" for acr, n in zip(own["class"], own["images"], strict=True)]
        ax.set_xticks(own["class"], names)
        ax.set(title=f"published θ minus {control}", xlim=(0.5, 4.5))
        ax.set_xlabel("ACR density (images)")
    axes[0, 0].set_ylabel("gain in points of DSC\n(mean over images)")
    return figure
