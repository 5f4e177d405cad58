"""Figures of the boundary loss: contours, signed distance maps, gradients, schedules."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from mammoseg_lib.plots.images import Mask, masks_panel, outline, show_image
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Map = Float[np.ndarray, "h w"]
Points = Float[np.ndarray, "n 2"]
SIGNED = "RdBu_r"


def signed_panel(ax: Axes, values: Map, limit: float, title: str, truth: Mask | None = None) -> AxesImage:
    """A map in red where it is positive and blue where it is negative, white at 0."""
    picture = ax.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)
    outline(ax, truth, TRUTH)
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    return picture


def two_views(
    truth: Points, other: Points, pairs: list[int], distance: Map, extent: float, example: tuple[Points, int]
) -> Figure:
    """The distance between two contours, along normals and as an integral: Figure 1 of 002.

    Args:
        truth: Points (x, y) along the closed contour of the ground truth.
        other: For each of them, where its normal meets the other contour.
        pairs: Which of the points to draw with their normals; the first is labeled.
        distance: D_G on a grid over the square, NaN outside of the region between the contours.
        extent: Half the side of the square.
        example: A point q `[1 2]` in the region, and the number of the contour point closest to it.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.4))
    picture = axes[1].imshow(
        distance, origin="lower", extent=(-extent, extent, -extent, extent), cmap="YlOrRd", vmin=0
    )
    figure.colorbar(picture, ax=axes[1], label="$D_G(q)$ in px", shrink=0.8)
    both = np.concatenate([truth, other])
    low, high = both.min(0) - 2, both.max(0) + 2
    for ax in axes:
        for contour, color in ((truth, TRUTH), (other, PREDICTION)):
            ax.plot(*np.vstack([contour, contour[:1]]).T, color=color, lw=1.8)
        ax.set(xticks=[], yticks=[], aspect="equal", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        ax.spines[:].set_visible(False)
    for p, y in zip(truth[pairs], other[pairs], strict=True):
        axes[0].annotate("", y, p, arrowprops={"arrowstyle": "->", "color": INK, "shrinkA": 0, "shrinkB": 0})
    axes[0].plot(*truth[pairs].T, "o", color=TRUTH, ms=3.5)
    axes[0].plot(*other[pairs].T, "o", color=PREDICTION, ms=3.5)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
    _label(axes[0], "$p$", truth[pairs[0]], (-16, -4), box)
    _label(axes[0], r"$y_{\partial S}(p)$", other[pairs[0]], (6, 2), box)
    q, foot = example[0][0], truth[example[1]]
    axes[1].plot(*np.stack([q, foot]).T, "o-", color=INK, ms=3.5, lw=1)
    _label(axes[1], "$q$", q, (16, 4), box)
    _label(axes[1], r"$z_{\partial G}(q)$", foot, (-40, -10), box)
    axes[0].set_title("(a) differential: along the normals of $\\partial G$")
    axes[1].set_title("(b) integral: over the region $\\Delta S$ between")
    handles = [
        plt.Line2D([], [], color=TRUTH, label=r"$\partial G$, ground truth"),
        plt.Line2D([], [], color=PREDICTION, label=r"$\partial S$, segmentation"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _label(ax: Axes, text: str, at: np.ndarray, offset: tuple[float, float], box: dict) -> None:
    ax.annotate(text, at, offset, textcoords="offset points", bbox=box, color=INK)


def orders_figure(table: pd.DataFrame) -> Figure:
    """How the sides of Eq. 2 grow with the shift.

    Args:
        table: Columns shift, the right-hand side, and two readings of the left-hand side.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.1))
    reference, *others = table.columns[1:]
    axes[0].plot(table["shift"], table[reference], "o", color=INK, ms=5, label=reference)
    for name, color, style in zip(others, (TRUTH, "#c2452d"), ("-", "--"), strict=True):
        axes[0].plot(table["shift"], table[name], style, color=color, label=name)
        axes[1].plot(table["shift"], table[name] / table[reference], style, color=color, label=name)
    axes[1].axhline(1, color=MUTED, lw=0.8)
    for ax in axes:
        ax.set(xscale="log", yscale="log", xlabel="shift of the disc in px")
        ticks = [1, 2, 4, 8, 16]
        ax.set_xticks(ticks, [str(t) for t in ticks])
        ax.minorticks_off()
    axes[0].set(title="Distance between the contours", ylabel="px² or px³, see the legend")
    axes[1].set(title="Left-hand over right-hand side of Eq. 2", ylabel="ratio")
    ratios = [0.1, 0.2, 0.5, 1, 2]
    axes[1].set_yticks(ratios, [str(r) for r in ratios])
    axes[0].legend()
    return figure


def maps_figure(
    image: Map, mask: Mask, lost: Map, corner: tuple[int, int], side: int, maps: Mapping[str, Map]
) -> Figure:
    """An image, its map, what truncation loses, and a few pixels at the rim under every reading.

    Args:
        image: Gray values in 0..1.
        mask: The target.
        lost: Absolute difference between the map and the truncated one.
        corner: Upper left (row, column) of the square of pixels that is shown enlarged.
        side: Its side in pixels.
        maps: Title to map; the first is shown as a whole, all are shown enlarged.
    """
    figure, axes = plt.subplots(2, 3, figsize=(8.4, 6.4))
    top, left = corner
    phi = next(iter(maps.values()))
    show_image(axes[0, 0], image, mask, title="image and mass")
    picture = signed_panel(axes[0, 1], phi, float(np.abs(phi).max()), r"$\Phi_G$", mask)
    figure.colorbar(picture, ax=axes[0, 1], label="px", location="bottom", aspect=30)
    picture = axes[0, 2].imshow(lost, cmap="YlOrRd", vmin=0, vmax=1)
    axes[0, 2].set(title="lost by truncation")
    axes[0, 2].set_axis_off()
    figure.colorbar(picture, ax=axes[0, 2], label="px", location="bottom", aspect=30)
    for ax in axes[0, 1:]:
        ax.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, color=INK, lw=1))
    part = np.s_[top : top + side, left : left + side]
    limit = 2 * max(float(np.abs(one[part]).max()) for one in maps.values())
    for ax, (title, one) in zip(axes[1], maps.items(), strict=True):
        signed_panel(ax, one, limit, title, mask)
        ax.set(xlim=(left - 0.5, left + side - 0.5), ylim=(top + side - 0.5, top - 0.5))
        for (row, column), value in np.ndenumerate(one[part]):
            ax.text(left + column, top + row, f"{value:.2g}", ha="center", va="center", fontsize=7, color=INK)
    return figure


def gradients_figure(truth: Mask, prediction: Mask, gradients: Mapping[str, Map], free: set[str]) -> Figure:
    """Two masks, and for each loss the gradient of every pixel.

    Args:
        truth: Ground truth.
        prediction: Predicted mask.
        gradients: Title to gradients.
        free: The titles whose colors have a scale of their own; the others share one.
    """
    figure, axes = plt.subplots(1, 1 + len(gradients), figsize=(2.6 * (1 + len(gradients)), 2.6))
    masks_panel(axes[0], truth, prediction, "ground truth, prediction")
    shared = max(float(np.abs(g).max()) for title, g in gradients.items() if title not in free)
    for ax, (title, gradient) in zip(axes[1:], gradients.items(), strict=True):
        limit = float(np.abs(gradient).max()) if title in free else shared
        picture = signed_panel(ax, gradient, limit, title, truth)
        outline(ax, prediction, PREDICTION)
        figure.colorbar(picture, ax=ax, shrink=0.75)
    return figure


def confidence_figure(table: pd.DataFrame) -> Figure:
    """Value and gradient of losses along the line from the inverted to the perfect prediction.

    Args:
        table: Columns logit, loss, value, gradient.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.1), sharex=True)
    styles = dict(zip(table["loss"].unique(), ("-", "--", ":"), strict=False))
    colors = dict(zip(styles, (PREDICTION, MUTED, INK), strict=False))
    for name, rows in table.groupby("loss", sort=False):
        for ax, column in zip(axes, ("value", "gradient"), strict=True):
            ax.plot(rows["logit"], rows[column], styles[name], color=colors[name], label=name)
    for ax in axes:
        ax.axvline(0, color=MUTED, lw=0.6)
        ax.set_xlabel("logit of the true class, in every pixel")
    axes[0].axhline(0, color=MUTED, lw=0.6)
    axes[0].set_yscale("symlog", linthresh=1e-3)
    axes[0].set_ylim(bottom=-5e-3)
    axes[0].set(title="Value", ylabel="loss, linear between −0.001 and 0.001")
    axes[1].set(title="Gradient", ylabel="mean |gradient| of a pixel", yscale="log")
    axes[0].legend()
    left, right = table["logit"].min(), table["logit"].max()
    for x, text, side in ((left, "inverted", "left"), (right, "perfect", "right")):
        axes[1].text(x, 1.02, text, ha=side, color=MUTED, fontsize=8, transform=axes[1].get_xaxis_transform())
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


def regions_figure(regions: Int[np.ndarray, "h w"], names: list[str], maps: Mapping[str, Map]) -> Figure:
    """Regions by color, and the signed distance map of each.

    Args:
        regions: Number of the class of each pixel.
        names: Of all classes, the background first.
        maps: Title to map.
    """
    figure, axes = plt.subplots(1, 1 + len(maps), figsize=(2.8 * (1 + len(maps)), 2.7))
    colors = ["#eeeeee", "#8fd3ae", TRUTH][: len(names)]
    axes[0].imshow(regions, cmap=plt.matplotlib.colors.ListedColormap(colors), vmin=0, vmax=len(names) - 1)
    axes[0].set(xticks=[], yticks=[], title="regions")
    axes[0].spines[:].set_visible(False)
    handles = [Rectangle((0, 0), 1, 1, fc=c, ec=MUTED, label=n) for c, n in zip(colors, names, strict=True)]
    axes[0].legend(handles=handles, loc="upper left", fontsize=7)
    limit = max(float(np.abs(phi).max()) for phi in maps.values())
    for number, (ax, (title, phi)) in enumerate(zip(axes[1:], maps.items(), strict=True), start=1):
        picture = signed_panel(ax, phi, limit, title, regions == number)
    figure.colorbar(picture, ax=axes[1:], label="px", shrink=0.8)
    return figure
