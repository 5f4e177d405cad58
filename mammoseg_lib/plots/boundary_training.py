"""Figures of training with the boundary loss: gradients, its minimum, the weights of three strategies."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mammoseg_lib.plots.boundary import Map, signed_panel
from mammoseg_lib.plots.explore import Explorer
from mammoseg_lib.plots.images import Mask, masks_panel, outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION


def gradients_figure(truth: Mask, prediction: Mask, gradients: Mapping[str, Map], free: set[str]) -> Figure:
    """Two masks, and for each loss the gradient of every pixel.

    Args:
        truth: Ground truth.
        prediction: Predicted mask.
        gradients: Title to gradients.
        free: The titles whose colors have a scale of their own and no unit; the others share one, in px.
    """
    figure, axes = plt.subplots(1, 1 + len(gradients), figsize=(2.15 * (1 + len(gradients)), 3.0))
    masks_panel(axes[0], truth, prediction, "ground truth, prediction")
    shared = max(float(np.abs(g).max()) for title, g in gradients.items() if title not in free)
    for ax, (title, gradient) in zip(axes[1:], gradients.items(), strict=True):
        limit = float(np.abs(gradient).max()) if title in free else shared
        picture = signed_panel(ax, gradient, limit, title, truth)
        outline(ax, prediction, PREDICTION)
        label = r"$N\,\partial L/\partial x$" + ("" if title in free else " in px")
        figure.colorbar(picture, ax=ax, label=label, location="bottom", shrink=0.9, aspect=25)
    room = figure.colorbar(picture, ax=axes[0], label=label, location="bottom", aspect=25)
    room.ax.set_visible(False)  # it aligns the first panel with the others
    axes[0].spines[:].set_visible(False)
    return figure


def confidence_figure(table: pd.DataFrame) -> Figure:
    """Value and gradient of both losses along the line from the inverted to the perfect prediction.

    Args:
        table: Columns logit, loss (boundary or cross-entropy), value, gradient.
    """
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 3), sharex=True)
    colors = {"cross-entropy": MUTED, "boundary": PREDICTION}
    for ax, (name, color) in zip(axes, colors.items(), strict=False):
        rows = table[table["loss"] == name]
        ax.plot(rows["logit"], rows["value"], color=color)
        ax.set_title(f"Value, {name}")
        ax.axhline(0, color=MUTED, lw=0.6)
        axes[2].plot(rows["logit"], rows["gradient"], color=color, label=name)
    near = axes[1].inset_axes((0.66, 0.5, 0.34, 0.34))
    rows = table[(table["loss"] == "boundary") & (table["logit"] >= 4)]
    near.plot(rows["logit"], 1000 * rows["value"], color=PREDICTION)
    near.axhline(0, color=MUTED, lw=0.6)
    near.set_title("end, × 1000", fontsize=7, fontweight="normal")
    near.tick_params(labelsize=7)
    near.set_xticks([4, 8])
    axes[2].set(title="Mean |gradient| of a pixel", yscale="log", ylim=(None, 8))
    axes[2].legend(loc="lower center")
    for ax in axes:
        ax.set_xlabel("logit of the true class, in every pixel")
        ax.set_xticks([-8, -4, 0, 4, 8], ["−8\ninverted", "−4", "0", "4", "8\nperfect"])
    return figure


def weights_figure(weights: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """The weight of each term over the epochs.

    Args:
        weights: Strategy to schedule to a table with the columns epoch, bce, boundary. The first schedule is
            drawn with lines, the second with dashes.
    """
    figure, axes = plt.subplots(1, len(weights), figsize=(8.4, 2.7), sharey=True)
    for ax, (strategy, schedules) in zip(axes, weights.items(), strict=True):
        for (schedule, table), style in zip(schedules.items(), ("-", "--"), strict=True):
            ax.plot(
                table["epoch"],
                table["bce"],
                style,
                color=MUTED,
                lw=4,
                alpha=0.6,
                label=f"$L_{{CE}}$, {schedule}",
            )
            ax.plot(table["epoch"], table["boundary"], style, color=PREDICTION, label=f"$L_B$, {schedule}")
        ax.set(title=strategy, xlabel="epoch", ylim=(-0.05, 1.1))
    axes[0].set_ylabel("weight")
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def magnitudes_figure(table: pd.DataFrame, title: str) -> Figure:
    """The gradient of each weighted term over the epochs. Columns: epoch, then one per term."""
    figure, ax = plt.subplots(figsize=(5.6, 3.3))
    styles = (("-", MUTED), ("--", MUTED), ("-", PREDICTION), ("--", PREDICTION))
    for (name, values), (style, color) in zip(table.drop(columns="epoch").items(), styles, strict=False):
        shown = values.where(values > 0)  # a weight of 0 has no place on a log axis
        ax.plot(table["epoch"], shown, style, color=color, marker="o", ms=2.5, label=name)
    ax.set(xlabel="epoch", ylabel="mean |gradient| of a pixel", yscale="log", title=title)
    ax.set_xticks(range(2, int(table["epoch"].max()) + 1, 2))
    figure.legend(loc="outside right center")
    return figure


def explorer(
    truth: Mask, prediction: Mask, terms: Mapping[str, Map], weights: Mapping[str, pd.DataFrame]
) -> Explorer:
    """The gradient of every pixel while the epochs pass.

    Args:
        truth: Ground truth.
        prediction: Predicted mask.
        terms: bce and boundary to the gradient of each pixel.
        weights: Strategy to a table with the columns epoch, bce, boundary.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3), width_ratios=(1, 1.5))
    first = next(iter(weights.values()))
    picture = signed_panel(axes[0], terms["bce"], 1, "Red lowers $p$, blue raises it", truth)
    outline(axes[0], prediction, PREDICTION)
    lines = [
        axes[1].plot(first["epoch"], first["bce"], color=color, label=label)[0]
        for color, label in ((MUTED, "cross-entropy"), (PREDICTION, "boundary"))
    ]
    now = axes[1].axvline(1, color=INK, lw=0.9)
    top = max(
        float((table[name] * np.abs(terms[name]).mean()).max())
        for table in weights.values()
        for name in terms
    )
    axes[1].set(xlabel="epoch", title="Mean |gradient| of a pixel", ylim=(0, 1.05 * top))
    axes[1].legend(loc="upper center")
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))

    def update(strategy: str, epoch: int) -> None:
        table = weights[strategy]
        row = table[table["epoch"] == epoch].iloc[0]
        mixed = sum(row[name] * terms[name] for name in terms)
        picture.set_data(mixed / max(float(np.abs(mixed).max()), 1e-12))
        for line, name in zip(lines, terms, strict=True):
            line.set_ydata(table[name] * np.abs(terms[name]).mean())
        now.set_xdata([epoch, epoch])

    epochs = int(first["epoch"].max())
    controls = {"strategy": list(weights), "epoch": (1, epochs, min(4, epochs))}
    return Explorer(figure, [picture, *axes[0].collections, *lines, now], update, controls)
