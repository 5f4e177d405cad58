"""Figures of networks that are averaged."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, wrapped


def networks_and_mean(table: pd.DataFrame, everything: Mapping[str, float], title: str) -> Figure:
    """The DSC of every single network and of their mean, a panel a data set.

    Args:
        table: Columns tested on, method, networks (1, or how many were averaged), and dsc with its _low and
            _high in 0..1.
        everything: For each data set the DSC in 0..1 of predicting every pixel.
        title: How the runs came about.
    """
    sets, methods = list(dict.fromkeys(table["tested on"])), list(dict.fromkeys(table["method"]))
    figure, axes = plt.subplots(
        1, len(sets), figsize=(4.4 * len(sets), 0.5 * len(methods) + 1.6), sharey=True, squeeze=False
    )
    for ax, name in zip(axes[0], sets, strict=True):
        own = table[table["tested on"] == name]
        for networks, color, marker, offset in ((1, MUTED, "o", -0.12), (None, PREDICTION, "D", 0.12)):
            part = own[(own["networks"] == 1) == (networks == 1)]
            y = part["method"].map(methods.index).to_numpy(float) + offset
            value, low, high = (100 * part[f"dsc{end}"].to_numpy(float) for end in ("", "_low", "_high"))
            if networks == 1:
                ax.plot(value, y, marker, color=color, ms=4, alpha=0.8, label="one network of a fold")
            else:
                reach = np.nan_to_num(np.vstack([value - low, high - value]))
                ax.errorbar(
                    value, y, xerr=reach, fmt=marker, ms=5, color=color, capsize=3, label="mean of the folds"
                )
        ax.axvline(100 * everything[name], color=MUTED, ls="--", lw=0.9, label="every pixel predicted")
        ax.set(
            xlabel="mean DSC over images in %", title=name, yticks=range(len(methods)), yticklabels=methods
        )
        ax.grid(axis="x", color="#e5e5e5")
        ax.set_axisbelow(True)
    axes[0, 0].set_ylim(len(methods) - 0.5, -0.5)
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.suptitle(wrapped(title), fontsize=9, color=INK)
    return figure
