"""Figures of notebook 12: what region-level losses see, and a prediction to spoil."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mammoseg_lib.plots.explore import Control, Explorer, starts
from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Map = Float[np.ndarray, "h w"]
Placed = tuple[Float[np.ndarray, "mh mw"], float, float]
"""A map, the center of its first element and the step from element to element, both in pixels."""


def loss_maps(
    truth: Mask,
    probs: Mapping[str, Map],
    maps: Mapping[str, Mapping[str, Placed]],
    values: pd.DataFrame,
    box: tuple[int, int, int, int],
) -> Figure:
    """One column a prediction: the prediction itself, and one map a loss, all cut to a box.

    Args:
        truth: Ground truth.
        probs: Name of each prediction to its probabilities.
        maps: Name of each loss to name of each prediction to its map.
        values: Loss values, to be printed below the maps; losses as rows, predictions as columns.
        box: Top, bottom, left and right of what is shown, in pixels.
    """
    figure, axes = plt.subplots(1 + len(maps), len(probs), figsize=(1.7 * len(probs), 1.9 * (1 + len(maps))))
    for column, (name, p) in enumerate(probs.items()):
        axes[0, column].imshow(p, cmap="Blues", vmin=0, vmax=1.25)
        axes[0, column].set_title(name)
        for row, (loss, cases) in enumerate(maps.items(), start=1):
            values_of, first, step = cases[name]
            top = max(float(each.max()) for each, _, _ in cases.values())
            extent = _extent(values_of.shape, first, step)
            axes[row, column].imshow(values_of, cmap="magma_r", vmin=0, vmax=top, extent=extent)
            axes[row, column].set_xlabel(f"{loss} {values.loc[loss, name]:.3f}")
    for ax in axes.flat:
        outline(ax, truth, TRUTH, 1.0)
        ax.set(xticks=[], yticks=[], xlim=(box[2], box[3]), ylim=(box[1], box[0]))
        ax.spines[:].set(visible=True, color=MUTED)
    axes[0, 0].set_ylabel("prediction")
    for row, loss in enumerate(maps, start=1):
        axes[row, 0].set_ylabel(loss)
    return figure


def blind_spots(inverting: pd.DataFrame, growth: pd.DataFrame) -> Figure:
    """RMI from a perfect to an inverted prediction, and over the size of the image.

    Args:
        inverting: RMI by share of inversion (index) and pooling (columns).
        growth: RMI by side of the image in pixels (index) and prediction (columns).
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.1))
    for (name, values), color in zip(inverting.items(), (MUTED, PREDICTION, INK), strict=False):
        axes[0].plot(values.index, values, color=color, label=name)
    axes[0].set(xlabel="$t$ in $p = (1-t)\\,y + t\\,(1-y)$", ylabel="RMI", title="From perfect to inverted")
    axes[0].set_xticks([0, 0.5, 1], ["perfect", "1/2 everywhere", "inverted"])
    axes[0].legend(loc="upper right", title="pooling")
    styles = (("-", INK), ("--", PREDICTION), ("-.", MUTED), (":", TRUTH))
    for (name, values), (style, color) in zip(growth.items(), styles, strict=False):
        axes[1].plot(values.index, values, style, marker="o", ms=3, color=color, label=name)
    axes[1].set(xscale="log", xlabel="side of the image in px", title="The same scene, at more resolution")
    axes[1].xaxis.set_major_locator(FixedLocator(growth.index))
    axes[1].xaxis.set_minor_locator(NullLocator())
    axes[1].set_xticklabels([str(side) for side in growth.index])
    axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _extent(shape: tuple[int, ...], first: float, step: float) -> tuple[float, float, float, float]:
    left, bottom, right = (first - step / 2 + step * n for n in (0, *shape))
    return left, right, bottom, left


def spoiling_explorer(
    truth: Mask,
    respond: Callable[..., tuple[Map, Mapping[str, Placed], Mapping[str, float]]],
    tops: Mapping[str, float | int],
    box: tuple[int, int, int, int],
    controls: Mapping[str, Control],
) -> Explorer:
    """A prediction and the map of each loss, behind sliders that spoil it.

    Args:
        truth: Ground truth.
        respond: Takes the values of the controls by name; gives the probabilities, the map and the value of
            each loss.
        tops: The largest value on the color scale of each loss.
        box: Top, bottom, left and right of what is shown, in pixels.
        controls: See `Explorer`.
    """
    probs, maps, _ = respond(**starts(controls))
    figure, axes = plt.subplots(1, 1 + len(maps), figsize=(8.4, 2.5))
    pictures = [axes[0].imshow(probs, cmap="Blues", vmin=0, vmax=1.25)]
    for ax, (loss, (values, first, step)) in zip(axes[1:], maps.items(), strict=True):
        extent = _extent(values.shape, first, step)
        pictures.append(ax.imshow(values, cmap="magma_r", vmin=0, vmax=tops[loss], extent=extent))
    labels = []
    for ax, name in zip(axes, ("prediction", *maps), strict=True):
        outline(ax, truth, TRUTH, 1.0)
        ax.set(xticks=[], yticks=[], title=name, xlim=(box[2], box[3]), ylim=(box[1], box[0]))
        ax.spines[:].set(visible=True, color=MUTED)
        labels.append(ax.text(0.5, -0.04, " ", transform=ax.transAxes, ha="center", va="top", color=INK))

    def update(**values: float | int | str) -> None:
        probs, maps, costs = respond(**values)
        pictures[0].set_data(probs)
        for picture, label, (name, (data, _, _)) in zip(pictures[1:], labels[1:], maps.items(), strict=True):
            picture.set_data(data)
            label.set_text(f"{costs[name]:.4f}")

    outlines = [collection for ax in axes for collection in ax.collections]
    return Explorer(figure, [*pictures, *outlines, *labels], update, controls)
