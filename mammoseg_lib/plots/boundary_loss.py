"""Figures of the boundary loss as geometry: two contours, what lies between, distance maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from mammoseg_lib.plots.boundary import Map, signed_panel
from mammoseg_lib.plots.explore import Explorer
from mammoseg_lib.plots.images import Mask, show_image
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Points = Float[np.ndarray, "n 2"]


def two_views(
    truth: Points, other: Points, h: Float[np.ndarray, " n"], distance: Map, extent: float
) -> Figure:
    """The distance between two contours, along normals and as an integral: Figure 1 of 002.

    Args:
        truth: Points (x, y) along the closed contour of the ground truth.
        other: For each of them, where its normal meets the other contour.
        h: How far from it, outwards positive.
        distance: D_G on a grid over the square, NaN outside of the region between the contours.
        extent: Half the side of the square.
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
    n = len(truth)
    drawn = [i for i in range(int(0.09 * n), n, n // 16) if abs(h[i]) > 0.2 * np.abs(h).max()]
    for p, y in zip(truth[drawn], other[drawn], strict=True):
        axes[0].annotate("", y, p, arrowprops={"arrowstyle": "->", "color": INK, "shrinkA": 0, "shrinkB": 0})
    axes[0].plot(*truth[drawn].T, "o", color=TRUTH, ms=3.5)
    axes[0].plot(*other[drawn].T, "o", color=PREDICTION, ms=3.5)
    _label(axes[0], "$p$", truth[drawn[0]], (-12, -8))
    _label(axes[0], r"$y_{\partial S}(p)$", other[drawn[0]], (6, 2))
    at = int(0.01 * n)  # the foot of the example
    foot, q = truth[at], truth[at] + 0.7 * (other[at] - truth[at])
    axes[1].plot(*np.stack([q, foot]).T, "o-", color=INK, ms=3.5, lw=1)
    _label(axes[1], "$q$", q, (-3, 7))
    _label(axes[1], r"$z_{\partial G}(q)$", foot, (-34, -10))
    axes[0].set_title("(a) differential: along the normals of $\\partial G$")
    axes[1].set_title("(b) integral: over the region $\\Delta S$ between")
    handles = [
        plt.Line2D([], [], color=TRUTH, label=r"$\partial G$, ground truth"),
        plt.Line2D([], [], color=PREDICTION, label=r"$\partial S$, segmentation"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _label(ax: Axes, text: str, at: np.ndarray, offset: tuple[float, float]) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
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
    figure, axes = plt.subplots(2, 3, figsize=(8.4, 6.7))
    figure.get_layout_engine().set(hspace=0.06)
    top, left = corner
    phi = next(iter(maps.values()))
    show_image(axes[0, 0], image, mask, title="image and mass")
    picture = signed_panel(axes[0, 1], phi, float(np.abs(phi).max()), r"$\Phi_G$", mask)
    figure.colorbar(picture, ax=axes[0, 1], label="px", location="bottom", aspect=30)
    picture = axes[0, 2].imshow(lost, cmap="YlOrRd", vmin=0, vmax=1)
    axes[0, 2].set(title="lost by truncation")
    axes[0, 2].set_axis_off()
    figure.colorbar(picture, ax=axes[0, 2], label="px", location="bottom", aspect=30)
    room = figure.colorbar(picture, ax=axes[0, 0], label="px", location="bottom", aspect=30)
    room.ax.set_visible(False)  # it aligns the first panel with the others
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


Rulers = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]


def rulers_figure(shift: Float[np.ndarray, " n"], rulers: Rulers, apart: float) -> Figure:
    """Two ways to measure how wrong a shifted mask is.

    Args:
        shift: In px.
        rulers: The Dice loss, and the distance between the contours as the boundary loss counts it, in px³.
        apart: The shift from which the two masks have no pixel in common.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.9))
    _rulers(axes, shift, rulers)
    for ax in axes:
        ax.axvline(apart, color=MUTED, lw=0.8, ls="--")
    axes[0].annotate("no pixel in common", (apart, 0.05), (4, 0), textcoords="offset points", color=MUTED)
    return figure


def _rulers(axes: np.ndarray, shift: Float[np.ndarray, " n"], rulers: Rulers) -> list[plt.Line2D]:
    lines = []
    for ax, values, title in zip(
        axes, rulers, ("Overlap: the Dice loss", "Distance: $N (L_B(S) - L_B(G))$"), strict=True
    ):
        lines += ax.plot(shift, values, color=PREDICTION)
        if values.max() > 1000:
            ax.yaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}")
            ax.set_ylabel("thousand px³")
        ax.set(xlabel="shift in px", title=title, xlim=(0, shift[-1]), ylim=(0, 1.05 * values.max()))
    return lines


def explorer(
    phi: Callable[[int], tuple[Mask, Map]], measured: Callable[[int], Rulers], shift: Float[np.ndarray, " n"]
) -> Explorer:
    """A disc that is moved away from the true one: what lies between them, and what two losses say.

    Args:
        phi: Takes the radius, gives the true disc and its distance map.
        measured: Takes the radius, gives the Dice loss and the distance for every shift.
        shift: In px, whole numbers from 0.
    """
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 2.6), width_ratios=(1.5, 1, 1))
    radius = 20
    mask, distance = phi(radius)
    side = len(mask)
    region = axes[0].imshow(np.abs(distance), cmap="YlOrRd", vmin=0, vmax=side / 2)
    center = (side - 1) / 4, (side - 1) / 2
    outlines = [
        axes[0].add_patch(Circle(center, radius, fill=False, ec=color, lw=1.8))
        for color in (TRUTH, PREDICTION)
    ]
    axes[0].set(title="$D_G$ between the two", xlim=(0, side - 1), ylim=(0.78 * side, 0.22 * side))
    axes[0].set(xticks=[], yticks=[])
    axes[0].spines[:].set_visible(True)
    lines = _rulers(axes[1:], shift, measured(radius))
    largest = measured(30)[1].max()
    axes[2].set_ylim(0, 1.05 * largest)
    dots = [ax.plot([0], [0], "o", color=PREDICTION)[0] for ax in axes[1:]]

    def update(shift_px: int, radius: int) -> None:
        mask, distance = phi(radius)
        moved = np.zeros_like(mask)
        moved[:, shift_px:] = mask[:, : side - shift_px]
        region.set_data(np.where(mask ^ moved, np.abs(distance), np.nan))
        for circle, at in zip(outlines, (0, shift_px), strict=True):
            circle.set(radius=radius, center=(center[0] + at, center[1]))
        for line, dot, values in zip(lines, dots, measured(radius), strict=True):
            line.set_ydata(values)
            dot.set_data([shift_px], [values[list(shift).index(shift_px)]])

    controls = {"shift_px": (0, int(shift[-1]), 12), "radius": (6, 30, radius)}
    return Explorer(
        figure,
        [region, *outlines, *lines, *dots],
        update,
        controls,
        {"shift_px": "shift in px", "radius": "radius in px"},
    )
