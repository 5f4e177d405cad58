"""What a network predicts as the epochs pass."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mammoseg_lib.plots.images import note, shade, show_image
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH, wrapped


def predictions_over_epochs(
    images: Float[np.ndarray, "n h w"],
    truth: Bool[np.ndarray, "n h w"],
    probability: Float[np.ndarray, "epochs n h w"],
    epochs: Sequence[int],
    curve: pd.DataFrame,
    names: Sequence[str],
    title: str = "",
    ylabel: str = "DSC",
) -> Figure:
    """A row an image, a column an epoch, and below them the DSC of every epoch.

    Args:
        images: Gray values.
        truth: Their masses.
        probability: What was predicted for them after each of `epochs`.
        epochs: From 1, rising.
        curve: Columns epoch and dsc (0..1), a row for every epoch of the training.
        names: Of the images, for the left edge.
        title: How the run came about.
        ylabel: Whose DSC the curve shows.
    """
    rows, columns = len(images), len(epochs)
    figure = plt.figure(figsize=(1.35 * columns + 1.0, 1.4 * rows + 2.6))
    above, below = figure.subfigures(2, 1, height_ratios=(1.4 * rows + 0.6, 2.0))
    axes = above.subplots(rows, columns, squeeze=False)
    for i, row in enumerate(axes):
        for j, ax in enumerate(row):
            predicted = probability[j, i] > 0.5
            show_image(ax, images[i], truth[i], predicted)
            shade(ax, predicted)
            if not predicted.any():
                note(ax, "nothing")
            elif predicted.all():
                note(ax, "everything")
            ax.set_title(f"DSC {_dsc(predicted, truth[i]):.2f}", fontsize=7, fontweight="normal", pad=2)
        row[0].annotate(
            fill(names[i], 14), (0, 0.5), (-6, 0), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="center", fontsize=8, color=INK,
        )  # fmt: skip
    for ax, epoch in zip(axes[0], epochs, strict=True):
        ax.annotate(
            f"epoch {epoch}", (0.5, 1), (0, 12), xycoords="axes fraction", textcoords="offset points",
            ha="center", va="bottom", fontsize=8, fontweight="bold", color=INK,
        )  # fmt: skip
    _draw_curve(below.subplots(), curve, epochs, ylabel)
    legend = [
        Line2D([], [], color=TRUTH, label="truth"),
        Line2D([], [], color=PREDICTION, label="prediction"),
    ]
    above.legend(handles=legend, loc="outside lower right", ncols=2, fontsize=8)
    if title:
        figure.suptitle(wrapped(title, 16 * columns), fontsize=9, color=INK)
    return figure


def _draw_curve(ax: Axes, curve: pd.DataFrame, epochs: Sequence[int], ylabel: str) -> None:
    """The DSC of every epoch; the epochs whose predictions are drawn are marked."""
    dsc = curve.set_index("epoch")["dsc"]
    ax.plot(dsc.index, dsc, color=PREDICTION, lw=1.2)
    ax.plot(epochs, dsc.loc[list(epochs)], "o", color=PREDICTION, ms=5)
    for epoch in epochs:
        ax.axvline(epoch, color=MUTED, lw=0.6, ls=":", zorder=0)
    ax.set(xlabel="epoch (dots: drawn above)", ylabel=ylabel, ylim=(0, 1), xticks=list(epochs))
    ax.set_xlim(0.5, dsc.index.max() + 0.5)
    ax.grid(axis="y", color="#e5e5e5")
    ax.set_axisbelow(True)


def _dsc(predicted: Bool[np.ndarray, "h w"], truth: Bool[np.ndarray, "h w"]) -> float:
    """2 TP / (|P| + |Y|); 1 where both are empty."""
    total = predicted.sum() + truth.sum()
    return 2 * (predicted & truth).sum() / total if total else 1.0
