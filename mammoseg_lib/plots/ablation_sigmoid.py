"""Figure of notebook 31: what a sigmoid around the ratios does to the grid loss."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, PREDICTION


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
