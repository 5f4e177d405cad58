"""Figures of notebook 10: pairs of cases that cost the same, and which losses tell them apart."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mammoseg_lib.plots.images import Mask, masks_panel
from mammoseg_lib.plots.style import PREDICTION, TRUTH


def pairs_figure(
    pairs: Mapping[str, tuple[tuple[Mask, Mask], tuple[Mask, Mask]]], bce: Mapping[str, tuple[float, float]]
) -> Figure:
    """Pairs of (truth, prediction) cases side by side, with the BCE of each: Figure 1 of 000.

    Args:
        pairs: Title of the pair to its left and right case, each (truth, prediction).
        bce: Title of the pair to the BCE of its left and right case.
    """
    figure, axes = plt.subplots(1, 2 * len(pairs), figsize=(8.6, 2.1))
    for i, (title, cases) in enumerate(pairs.items()):
        for ax, (truth, prediction), value, side in zip(
            axes[2 * i :], cases, bce[title], ("left", "right"), strict=False
        ):
            masks_panel(ax, truth, prediction, f"{title},\n{side}")
            ax.set_xlabel(f"BCE = {value:.6f}")
            ax.spines[:].set_visible(False)
    handles = [
        Patch(color=TRUTH, alpha=0.6, label="ground truth"),
        Patch(color=PREDICTION, alpha=0.6, label="prediction"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def difference_heatmaps(differences: Mapping[str, pd.DataFrame]) -> Figure:
    """How much more the left case of each pair costs than the right one, a heatmap for each group of losses.

    Args:
        differences: Title of the group to left minus right over their mean, in percent; losses in rows, pairs
            in columns.
    """
    rows = [len(table) for table in differences.values()]
    figure, axes = plt.subplots(
        len(rows), 1, figsize=(5.6, 0.25 * sum(rows) + 0.75 * len(rows)), height_ratios=rows
    )
    limit = max(float(np.abs(table.to_numpy()).max()) for table in differences.values()) ** 0.5
    for ax, (title, table) in zip(axes, differences.items(), strict=True):
        shade = np.sign(table) * table.abs() ** 0.5  # so that a few percent are seen beside a hundred
        sns.heatmap(
            shade, ax=ax, annot=table, fmt="+.1f", cmap="PiYG", center=0, vmin=-limit, vmax=limit,
            linewidths=0.5, cbar=False, annot_kws={"size": 8},
        )  # fmt: skip
        ax.set(xlabel="", ylabel="")
        ax.set_title(title, loc="left")
        ax.xaxis.tick_top()
        ax.tick_params(length=0, rotation=0)
    return figure
