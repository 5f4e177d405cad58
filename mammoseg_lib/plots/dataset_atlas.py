"""Figures of what data sets hold, phantoms beside real images."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mammoseg_lib.plots.images import Mask, show_image
from mammoseg_lib.plots.style import INK, PREDICTION, TRUTH

COLORS = {"phantoms": PREDICTION, "real": INK}
Sides = Mapping[str, pd.DataFrame]  # phantoms and, where there are any, real


def mask_and_picture(image: Float[np.ndarray, "h w"], mask: Mask, title: str) -> Figure:
    """A mask and its picture, as in Figure 2 of 002, and the picture with the outline of the mask."""
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.6))
    show_image(axes[0], mask.astype(np.float32), title="ground truth")
    show_image(axes[1], image, title=title)
    show_image(axes[2], image, mask, title="the same, outlined")
    return figure


def area_histograms(areas: Sides, left: Mapping[str, Mapping[int, int]]) -> Figure:
    """How many pictures have a tumor of which area, with thresholds and what they leave, as Figure 3 of 002.

    Args:
        areas: For phantoms and real: low, high (in percent) and count of each bin.
        left: For phantoms and real: two thresholds in percent, edges of bins, to the pictures below.
    """
    figure, axes = plt.subplots(1, len(areas), figsize=(4.3 * len(areas), 3), squeeze=False)
    for ax, (side, bins) in zip(axes[0], areas.items(), strict=True):
        low, counts = bins["low"].to_numpy(), bins["count"].to_numpy()
        width = float(bins["high"].iloc[0] - low[0])
        ax.bar(low, counts, width=width, align="edge", color=COLORS[side], alpha=0.75, lw=0)
        for (threshold, n), style in zip(left[side].items(), ("--", "-"), strict=True):
            label = f"below {threshold:g} %: {n} of {counts.sum()}"
            ax.axvline(threshold, color=TRUTH, lw=1.5, ls=style, label=label)
        ax.set(xlabel="tumor in % of the picture", ylabel="pictures", title=side)
        ax.set_xlim(0, 1.1 * (low[counts > 0].max() + width))
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="upper right")
    return figure


def cumulative(panels: Mapping[str, Sides], title: str) -> Figure:
    """Cumulative distributions, one panel a quantity, phantoms and real in the same panel.

    Bins that do not start at 0 are taken for logarithmic.

    Args:
        panels: Label of an axis to the bins (low, high, count) of phantoms and real.
        title: Of the figure.
    """
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(2.85 * columns, 2.6 * lines), squeeze=False, sharey=True
    )
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (label, sides) in zip(axes.flat, panels.items(), strict=False):
        for side, bins in sides.items():
            share = bins["count"].cumsum() / bins["count"].sum()
            ax.plot(
                [bins["low"].iloc[0], *bins["high"]], [0, *share], color=COLORS[side],
                label=f"{side}, n = {bins['count'].sum()}",
            )  # fmt: skip
        used = pd.concat([bins[bins["count"] > 0] for bins in sides.values()])
        low, high = used["low"].min(), used["high"].max()
        ax.set(xlabel=label, xlim=(low, high), ylim=(0, 1.02))
        if next(iter(sides.values()))["low"].min() > 0:
            _logarithmic(ax, low, high)
        ax.legend(loc="best", fontsize=7.5)
    for ax in axes[:, 0]:
        ax.set_ylabel("share below")
    figure.suptitle(title, fontweight="bold")
    return figure


def _logarithmic(ax: Axes, low: float, high: float) -> None:
    ticks = [t for t in (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100) if low / 1.2 <= t <= 1.2 * high]
    ax.set(xscale="log", xlim=(low / 1.1, 1.1 * high))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def class_bars(panels: Mapping[str, Sides], title: str) -> Figure:
    """Shares of classes in percent, one panel a property, phantoms and real side by side.

    Args:
        panels: Name of a property to its classes (value, images) of phantoms and real.
        title: Of the figure.
    """
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(2.15 * columns, 2.3 * lines), squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax, (name, sides) in zip(axes.flat, panels.items(), strict=False):
        values = sorted(set().union(*(table["value"] for table in sides.values())))
        width = 0.8 / len(sides)
        for number, (side, table) in enumerate(sides.items()):
            share = (
                100 * table.set_index("value")["images"].reindex(values, fill_value=0) / table["images"].sum()
            )
            place = np.arange(len(values)) + (number - (len(sides) - 1) / 2) * width
            ax.bar(place, share, width=width, color=COLORS[side], label=side)
        ax.set_xticks(range(len(values)), values)
        ax.set_title(name)
    for ax in axes[:, 0]:
        ax.set_ylabel("share in %")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(title, fontweight="bold")
    return figure


def heat_maps(
    maps: Mapping[str, Mapping[str, Float[np.ndarray, "g g"]]], axes_labels: tuple[str, str]
) -> Figure:
    """How much of each cell masses cover on average, phantoms beside real, on one scale.

    Args:
        maps: Title of a row to phantoms and real, each a grid in percent.
        axes_labels: What x and y are.
    """
    columns = max(map(len, maps.values()))
    figure, axes = plt.subplots(
        len(maps), columns, figsize=(3.1 * columns + 0.6, 2.9 * len(maps)), squeeze=False
    )
    for line, (title, sides) in zip(axes, maps.items(), strict=True):
        for ax in line[len(sides) :]:
            ax.set_axis_off()
        top = max(grid.max() for grid in sides.values())
        for ax, (side, grid) in zip(line, sides.items(), strict=False):
            shown = ax.imshow(grid, cmap="viridis", vmin=0, vmax=top, extent=(0, 1, 1, 0), aspect="equal")
            ax.set(title=f"{title}, {side}", xlabel=axes_labels[0], xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        line[0].set_ylabel(axes_labels[1])
        figure.colorbar(shown, ax=line, label="covered by masses, %", shrink=0.85)
    return figure


def contrast_by_density(contrasts: Mapping[str, Sides]) -> Figure:
    """Mean and quartiles of how well gray values tell masses from their surroundings, by density.

    Args:
        contrasts: Title of a panel to the table (acr_density, images, mean, low, high) of phantoms and real.
    """
    figure, axes = plt.subplots(
        1, len(contrasts), figsize=(4 * len(contrasts), 3), squeeze=False, sharey=True
    )
    for ax, (title, sides) in zip(axes[0], contrasts.items(), strict=True):
        for number, (side, table) in enumerate(sides.items()):
            x = table["acr_density"].to_numpy(float) + 0.16 * (number - (len(sides) - 1) / 2)
            ax.vlines(x, table["low"], table["high"], color=COLORS[side], lw=5, alpha=0.35)
            ax.plot(x, table["mean"], "o", color=COLORS[side], label=side)
            for place, n, low in zip(x, table["images"], table["low"], strict=True):
                ax.annotate(
                    str(n), (place, low), xytext=(0, -10), textcoords="offset points", ha="center",
                    fontsize=7, color=COLORS[side],
                )  # fmt: skip
        ax.set(
            title=title, xlabel="ACR density; below each bar its images", xticks=[1, 2, 3, 4], xlim=(0.5, 4.5)
        )
        ax.margins(y=0.15)  # for the numbers of images
        ax.legend(loc="lower left", fontsize=8)
    axes[0, 0].set_ylabel("P(mass brighter)")
    return figure
