"""Figures of notebook 17: a weight by breast density, and groups by mass ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mammoseg_lib.plots.explore import Control, Explorer
from mammoseg_lib.plots.images import Mask, outline, show_image
from mammoseg_lib.plots.prediction import pushes
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Map = Float[np.ndarray, "h w"]
PIXEL, REGION = "#f4d58d", "#bcd4f6"
DENSITIES = ("#dfe8f5", "#a9c1e6", "#6a92d0", "#2f5fa8")


def density_asp_diagram(image: Map, probs: Map, truth: Mask, density: int, theta: Sequence[float]) -> Figure:
    """The parts of Density-ASP and how they are joined, drawn after Fig. 1 of 001.

    Args:
        image: An image, for its thumbnail.
        probs: A prediction of it.
        truth: Its ground truth.
        density: Its ACR density, 1 to 4.
        theta: Weight of the region-level loss of each density.
    """
    figure, ax = plt.subplots(figsize=(9.6, 4.3))
    ax.set(xlim=(0, 100), ylim=(-1, 46), aspect="equal")
    ax.set_axis_off()

    def box(x: float, y: float, w: float, h: float, text: str, color: str = "white", size: float = 9) -> None:
        style = "round,pad=0,rounding_size=1"
        ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle=style, facecolor=color, edgecolor=INK, lw=1))
        ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=size, color=INK)

    def thumbnail(x: float, y: float, side: float, picture: Map, cmap: str, label: str) -> None:
        ax.imshow(
            picture, cmap=cmap, vmin=0, vmax=1, extent=(x, x + side, y, y + side), aspect="equal", zorder=2
        )
        ax.text(x + side / 2, y - 0.8, label, ha="center", va="top", fontsize=8.5, color=INK)

    def arrow(*points: tuple[float, float]) -> None:
        ax.plot(*np.array(points[:-1]).T, color=INK, lw=1, solid_capstyle="butt")
        ax.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1})

    thumbnail(1, 30, 11, image, "gray", "image")
    box(16, 31, 11, 9, "AU-Net")
    thumbnail(31, 30, 11, probs, "Blues", "prediction $p$")
    thumbnail(31, 14, 11, truth.astype(float), "Greens", "ground truth $y$")
    arrow((12.5, 35.5), (15.7, 35.5))
    arrow((27.3, 35.5), (30.5, 35.5))
    box(50, 28, 25, 15, "", PIXEL)
    ax.text(62.5, 40.6, "pixel level, $L_{HP}$", ha="center", va="center", fontsize=9, color=INK)
    box(52, 30, 9.5, 7.5, "$\\alpha\\,L_{Dice}$")
    box(63.5, 30, 9.5, 7.5, "$\\beta\\,L_{BCE}$")
    box(50, 10, 25, 15, "", REGION)
    ax.text(62.5, 22.6, "region level, $L_{HR}$", ha="center", va="center", fontsize=9, color=INK)
    box(52, 12, 9.5, 7.5, "$\\gamma\\,L_{SSIM}$")
    box(63.5, 12, 9.5, 7.5, "$\\eta\\,L_{RMI}$")
    for start in (35.5, 19.5):  # both masks go to both terms, along one vertical line
        ax.plot([42.5, 46], [start, start], color=INK, lw=1)
    ax.plot([46, 46], [17.5, 35.5], color=INK, lw=1)
    arrow((46, 35.5), (49.7, 35.5))
    arrow((46, 17.5), (49.7, 17.5))

    for k in range(4):  # the one-hot density, and theta below it
        x, chosen = 31 + 4.2 * k, k == density - 1
        box(x, 3.6, 4.0, 4.0, str(int(chosen)), PREDICTION + "55" if chosen else "white", 8.5)
        box(x, -0.8, 4.0, 4.0, f"{theta[k]:g}", PREDICTION + "55" if chosen else "white", 7.5)
    ax.text(30, 5.6, f"ACR density {density}, one-hot $e$", ha="right", va="center", fontsize=8.5, color=INK)
    ax.text(30, 1.2, r"priorities $\theta$", ha="right", va="center", fontsize=8.5, color=INK)
    ax.text(
        58, 3.4, rf"$e\,\theta^T = {theta[density - 1]:g}$", ha="center", va="center", fontsize=9, color=INK
    )
    ax.plot([48, 52.4], [3.4, 3.4], color=INK, lw=1)
    arrow((63.6, 3.4), (81, 3.4), (81, 15))
    for y, sign in ((17.5, "×"), (35.5, "+")):
        ax.text(
            81, y, sign, ha="center", va="center", fontsize=13, color=INK,
            bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": INK},
        )  # fmt: skip
    arrow((75.3, 17.5), (78.6, 17.5))
    arrow((75.3, 35.5), (78.6, 35.5))
    arrow((81, 20), (81, 33))
    arrow((83.4, 35.5), (87.5, 35.5))
    box(87.8, 31.5, 11.8, 8, r"$L_{\mathrm{Density\text{-}ASP}}$", size=9)
    return figure


def density_weights(theta: pd.DataFrame, share: pd.DataFrame) -> Figure:
    """Weights of the region-level loss by density, and its share of the gradient.

    Args:
        theta: ACR density (rows) by data set (columns).
        share: Percent of the gradient; prediction (rows) by ACR density (columns).
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3), width_ratios=(1, 1.6))
    theta.plot.bar(ax=axes[0], color=[PREDICTION, MUTED], width=0.75, rot=0)
    axes[0].set(xlabel="ACR density", ylabel=r"weight $e\,\theta^T$ of $L_{HR}$", ylim=(0, 1.25))
    axes[0].legend(loc="upper left", ncols=2)
    share.plot.bar(ax=axes[1], color=DENSITIES, width=0.8, rot=0, edgecolor=INK, linewidth=0.5)
    axes[1].set(xlabel="", ylabel="share of the gradient in %", ylim=(0, 100))
    axes[1].legend(title="ACR density", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8)
    return figure


def mass_ratio_groups(
    ratios: Float[np.ndarray, " n"],
    edges: Mapping[str, Float[np.ndarray, " k"]],
    centers: Float[np.ndarray, " g"],
    weights: pd.DataFrame,
    label: str,
) -> Figure:
    """Mass ratios with the borders of their groups, and what each group weighs.

    Args:
        ratios: Mass pixels over all pixels, one an image.
        edges: Borders between groups, under `"quantile"` and `"cluster"`.
        centers: Means of the clusters.
        weights: Weight by group (rows) and term (columns).
        label: What the images are: phantoms or real.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3), width_ratios=(2.2, 1))
    percent = 100 * ratios
    low, high = percent[percent > 0].min(), percent.max()
    bins = np.geomspace(low, high * 1.0001, 25)
    axes[0].hist(percent, bins=bins, color="#dcdcdc", edgecolor="white")
    for (name, borders), (color, style) in zip(
        edges.items(), ((TRUTH, "--"), (PREDICTION, "-")), strict=True
    ):
        for i, border in enumerate(100 * borders):
            axes[0].axvline(border, color=color, ls=style, lw=1.4, label=f"{name} borders" if not i else None)
    axes[0].plot(
        100 * centers, np.zeros(len(centers)), "^", color=PREDICTION, ms=8, clip_on=False, zorder=3,
        label="cluster means",
    )  # fmt: skip
    axes[0].set(
        xscale="log", xlabel="mass ratio in %", ylabel="images", title=f"{label}, {len(ratios)} images"
    )
    ticks = [t for t in (0.03, 0.1, 0.3, 1, 3, 10, 30) if low / 1.5 < t < 1.5 * high]
    axes[0].set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes[0].minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    weights.plot.bar(ax=axes[1], color=[REGION, PIXEL], edgecolor=INK, linewidth=0.5, width=0.75, rot=0)
    axes[1].set(xlabel="group, from small masses to large", ylabel="weight", ylim=(0, 2.3))
    axes[1].set_title("our weights (reconstruction)")
    axes[1].legend(loc="upper center", ncols=2)
    return figure


def density_examples(images: Sequence[Map], truths: Sequence[Mask]) -> Figure:
    """One image of each ACR density, 1 to 4, with its outline; below, the mass enlarged, without it."""
    figure, axes = plt.subplots(2, 4, figsize=(8.4, 4.3))
    for density, (column, image, truth) in enumerate(zip(axes.T, images, truths, strict=True), start=1):
        show_image(column[0], image, truth, title=f"ACR {density}", vmax=1)
        rows, columns = np.argwhere(truth).T
        half = 1.3 * max(np.ptp(rows), np.ptp(columns)) / 2 + 8
        top, left = (  # of a square around the mass, moved into the image where it would leave it
            float(np.clip((n.min() + n.max()) / 2 - half, -0.5, size - 0.5 - 2 * half))
            for n, size in zip((rows, columns), truth.shape, strict=True)
        )
        # On a scale of its own, as one would set the window to look at it.
        box = np.zeros_like(truth)
        box[tuple(slice(max(int(low), 0), int(low + 2 * half) + 1) for low in (top, left))] = True
        low, high = np.quantile(image[box], (0.02, 0.998))
        column[1].imshow(image, cmap="gray", vmin=low, vmax=high)
        column[1].set(xticks=[], yticks=[])
        column[1].set(xlim=(left, left + 2 * half), ylim=(top + 2 * half, top))
        for ax in column:
            ax.spines[:].set(visible=True, color=MUTED)
    axes[1, 0].set_ylabel("the mass, enlarged")
    return figure


@dataclass(frozen=True)
class Shares:
    """How a prediction divides the gradient between the two halves of Density-ASP.

    Attributes:
        probs: The prediction.
        region: Derivative of the region-level loss with respect to each logit.
        pixel: That of the pixel-level loss.
        percent: Share of the weighed region-level loss in the length of the gradient, for ACR 1 to 4.
    """

    probs: Map
    region: Map
    pixel: Map
    percent: Sequence[float]


def share_explorer(truth: Mask, respond: Callable[..., Shares], controls: Mapping[str, Control]) -> Explorer:
    """A prediction, where each half of the loss pushes, and the share of the region-level one by density.

    Args:
        truth: Ground truth.
        respond: Takes the values of the controls by name.
        controls: See `Explorer`.
    """
    figure, axes = plt.subplots(1, 4, figsize=(8.4, 2.5), width_ratios=(1, 1, 1, 0.9))
    blank = np.zeros(truth.shape)
    pictures = [axes[0].imshow(blank, cmap="Blues", vmin=0, vmax=1.25)]
    pictures += [ax.imshow(blank, cmap="PRGn", vmin=-1, vmax=1) for ax in axes[1:3]]
    for ax, title in zip(axes, ("prediction", "push, region level", "push, pixel level"), strict=False):
        outline(ax, truth, TRUTH, 1.0)
        ax.set(xticks=[], yticks=[], title=title)
        ax.spines[:].set(visible=True, color=MUTED)
    bars = list(axes[3].bar(range(1, 5), [0] * 4, color=DENSITIES, edgecolor=INK, linewidth=0.5))
    numbers = [axes[3].text(k, 0, "", ha="center", va="bottom", fontsize=8, color=INK) for k in range(1, 5)]
    axes[3].set(
        ylim=(0, 112), xticks=range(1, 5), yticks=[], xlabel="ACR density", title="share of region, %"
    )

    def update(**values: float | int | str) -> None:
        now = respond(**values)
        pictures[0].set_data(now.probs)
        for picture, gradient in zip(pictures[1:], (now.region, now.pixel), strict=True):
            picture.set_data(pushes(gradient, float(np.abs(gradient).max())))
        for bar, number, percent in zip(bars, numbers, now.percent, strict=True):
            bar.set_height(percent)
            number.set(y=percent + 1, text=f"{percent:.0f}")

    outlines = [collection for ax in axes[:3] for collection in ax.collections]
    return Explorer(figure, [*pictures, *outlines, *bars, *numbers], update, controls)
