"""What was measured on real images, beside what papers print: one row a setting."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, wrapped


def measured_beside_printed(table: pd.DataFrame, unit: str = "DSC in %", title: str = "") -> Figure:
    """Two panels that share their rows: numbers as printed, and what was measured with its 95 % interval.

    Args:
        table: Columns `label`, `printed` (NaN where the paper has no such row), `value`, `low`, `high`, and
            `best`, that of the epoch that validation liked best.
        unit: Of all numbers.
        title: What was measured.
    """
    y = np.arange(len(table))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 0.34 * len(table) + 1.5), sharey=True)
    left.plot(table["printed"], y, "D", color=MUTED)
    left.set(title="as printed", yticks=y, yticklabels=table["label"])
    error = np.vstack([table["value"] - table["low"], table["high"] - table["value"]])
    right.errorbar(
        table["value"], y, xerr=error, fmt="o", color=PREDICTION, capsize=3, label="last ten epochs"
    )
    right.plot(table["best"], y, "|", color=INK, ms=9, label="best epoch by validation")
    right.set_title("measured here")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=8)
    for ax in (left, right):
        ax.set(xlabel=unit, xlim=(0, 100 if "%" in unit else 1))
        ax.grid(axis="x", color="#e5e5e5")
        ax.set_axisbelow(True)
    left.invert_yaxis()
    left.margins(y=0.08)
    if title:
        figure.suptitle(wrapped(title, 100), fontsize=9, color=INK)
    return figure


def differences(
    table: pd.DataFrame, against: str, unit: str = "points of DSC", margin: float = 2.0
) -> Figure:
    """One row a setting: its difference to one of them with a 95 % interval, and the margin of no difference.

    Args:
        table: Columns `label`, `difference`, `difference_low`, `difference_high`, in `unit`.
        against: What they are compared with.
        unit: Of all numbers.
        margin: Half the width of the band inside which a difference counts as none.
    """
    shown = table.dropna(subset=["difference"]).reset_index(drop=True)
    y = np.arange(len(shown))
    figure, ax = plt.subplots(figsize=(7.6, 0.34 * max(len(shown), 1) + 1.2))
    ax.axvspan(-margin, margin, color="#eeeeee", zorder=0)
    ax.axvline(0, color=MUTED, lw=0.8)
    error = [shown["difference"] - shown["difference_low"], shown["difference_high"] - shown["difference"]]
    ax.errorbar(shown["difference"], y, xerr=error, fmt="o", color=PREDICTION, capsize=3)
    ax.set(yticks=y, yticklabels=shown["label"], xlabel=f"{unit}, against {against}")
    ax.set_ylim(len(shown) - 0.5, -0.5)
    return figure
