"""Figures of notebook 15: every loss on the same cases, as small multiples."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.prediction import pushes
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

ROOM = 17  # letters of a row's label in a line


def gradient_atlas(
    cases: Mapping[str, tuple[Mask, Mask]],
    gradients: Mapping[str, Mapping[str, Float[np.ndarray, "h w"]]],
    values: Mapping[str, Mapping[str, float]],
) -> Figure:
    """A row a loss, a column a case: where the loss wants more mass (green) and where less (purple).

    Args:
        cases: Name to ground truth and predicted mask.
        gradients: Loss to case to the derivative of the loss with respect to each logit.
        values: Loss to case to its value.
    """
    rows = len(gradients) + 1
    figure, axes = plt.subplots(rows, len(cases), figsize=(8.6, 1.06 * rows + 0.35))
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, hspace=0.01, wspace=0.01)
    for ax, (name, (truth, prediction)) in zip(axes[0], cases.items(), strict=True):
        ax.imshow(np.zeros(truth.shape), cmap="Greys", vmin=0, vmax=1)
        outline(ax, truth, TRUTH)
        outline(ax, prediction, PREDICTION)
        ax.set_title(name, fontsize=8)
    _label(axes[0, 0], "truth green,\nprediction blue")
    for row, (loss, maps) in zip(axes[1:], gradients.items(), strict=True):
        largest = max(float(np.abs(gradient).max()) for gradient in maps.values())
        for ax, (name, (truth, _)) in zip(row, cases.items(), strict=True):
            ax.imshow(pushes(maps[name], largest), cmap="PRGn", vmin=-1, vmax=1)
            outline(ax, truth, INK, 0.5)
            ax.set_xlabel(f"{values[loss][name]:.3g}", fontsize=7, labelpad=1)
        # Names are long, and break at underscores.
        lines = wrap(loss.replace("_", "_ "), ROOM, break_long_words=False)
        _label(row[0], "\n".join(line.replace("_ ", "_") for line in lines))
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=MUTED, lw=0.5)
    return figure


def _label(ax: Axes, text: str) -> None:
    ax.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=7.5)


def ranking_heatmap(shares: pd.DataFrame) -> Figure:
    """How dear each error is to each loss, in percent of its dearest.

    Args:
        shares: Losses in rows, errors in columns.
    """
    figure, ax = plt.subplots(figsize=(8.4, 0.26 * len(shares) + 0.6))
    sns.heatmap(
        shares, ax=ax, annot=True, fmt=".1f", cmap="Blues", vmin=0, vmax=130, cbar=False, linewidths=0.5,
        annot_kws={"size": 8},
    )  # fmt: skip
    ax.set(xlabel="", ylabel="")
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    return figure
