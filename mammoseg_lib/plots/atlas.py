"""The loss atlas: every loss on the same cases, as small multiples."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.figure import Figure

from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH


def gradient_atlas(
    cases: Mapping[str, tuple[Mask, Mask]],
    gradients: Mapping[str, Mapping[str, Float[np.ndarray, "h w"]]],
    values: pd.DataFrame,
) -> Figure:
    """A row a loss, a column a case: where the loss wants more mass (green) and where less (purple).

    Args:
        cases: Name to ground truth and predicted mask.
        gradients: Loss to case to the derivative of the loss with respect to each logit.
        values: The losses' values, losses in rows and cases in columns.
    """
    figure, axes = plt.subplots(
        len(gradients) + 1, len(cases), figsize=(1.12 * len(cases) + 1.5, 1.22 * (len(gradients) + 1)),
        layout="constrained",
    )  # fmt: skip
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, hspace=0.01, wspace=0.01)
    for ax, (name, (truth, prediction)) in zip(axes[0], cases.items(), strict=True):
        ax.imshow(np.zeros(truth.shape), cmap="Greys", vmin=0, vmax=1)
        outline(ax, truth, TRUTH)
        outline(ax, prediction, PREDICTION)
        ax.set_title(name, fontsize=8)
    axes[0, 0].set_ylabel(
        "truth (green),\nprediction (blue)", rotation=0, ha="right", va="center", fontsize=7
    )
    for row, (loss, maps) in zip(axes[1:], gradients.items(), strict=True):
        limit = max(float(np.abs(gradient).max()) for gradient in maps.values())
        for ax, (name, (truth, _)) in zip(row, cases.items(), strict=True):
            # Symmetric square root: faint gradients far from the boundary are part of the story.
            shown = -np.sign(maps[name]) * np.sqrt(np.abs(maps[name]) / limit)
            ax.imshow(shown, cmap="PRGn", vmin=-1, vmax=1)
            outline(ax, truth, INK, 0.5)
            ax.set_xlabel(f"{values.loc[loss, name]:.3g}", fontsize=7, labelpad=1)
        row[0].set_ylabel(loss, rotation=0, ha="right", va="center", fontsize=8)
    figure.suptitle("green: the loss wants more mass here; purple: less", fontsize=8, color=INK)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(visible=True, color=MUTED, lw=0.5)
    return figure


def ranking_heatmap(shares: pd.DataFrame) -> Figure:
    """How dear each error is to each loss, in percent of its dearest.

    Args:
        shares: Losses in rows, errors in columns.
    """
    figure, ax = plt.subplots(figsize=(0.95 * shares.shape[1] + 2.6, 0.27 * len(shares) + 1.1))
    sns.heatmap(
        shares, ax=ax, annot=True, fmt=".1f", cmap="Blues", vmin=0, vmax=130, cbar=False, linewidths=0.5,
        annot_kws={"size": 8},
    )  # fmt: skip
    ax.set(xlabel="", ylabel="")
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    return figure
