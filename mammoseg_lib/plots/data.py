"""Figures of data sets: how an image is prepared, how much of it masses cover."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mammoseg_lib.plots.images import Mask, show_image
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Image = Float[np.ndarray, "h w"]


def preparation_steps(
    image: Image,
    mask: Mask,
    breast: Mask,
    prepared_image: Float[np.ndarray, "s s"],
    prepared_mask: Bool[np.ndarray, "s s"],
) -> Figure:
    """The released image, its mask, the breast with its box, and the prepared image."""
    figure, axes = plt.subplots(1, 4, figsize=(9, 3))
    show_image(axes[0], image, title="released")
    show_image(axes[1], image, mask, title="with outlines")
    axes[2].imshow(breast, cmap="Greys_r", vmin=-0.6, vmax=1.3)
    rows, columns = (np.flatnonzero(breast.any(axis)) for axis in (1, 0))
    corner, extent = (columns[0], rows[0]), (np.ptp(columns) + 1, np.ptp(rows) + 1)
    axes[2].add_patch(Rectangle(corner, *extent, fill=False, color=PREDICTION, lw=1.5))
    axes[2].set_title("breast and its box")
    axes[2].set_axis_off()
    show_image(axes[3], prepared_image, prepared_mask, title="cropped, windowed, resized")
    return figure


def window_histogram(
    gray: Float[np.ndarray, " n"], windowed: Float[np.ndarray, " m"], limits: tuple[float, float]
) -> Figure:
    """Gray values of the breast before and after windowing, with the two percentiles that were used."""
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.4))
    for ax, values, title in ((axes[0], gray, "released"), (axes[1], windowed, "windowed")):
        ax.hist(values, bins=80, range=(0, 1), density=True, color=MUTED)
        ax.set(title=title, xlabel="gray value in the breast", xlim=(0, 1), yticks=[])
        ax.spines["left"].set_visible(False)
    for limit in limits:
        axes[0].axvline(limit, color=PREDICTION, lw=1.3)
    axes[0].set_ylabel("density")
    return figure


def variants_row(variants: Mapping[str, tuple[Image, Mask]]) -> Figure:
    """Prepared images side by side: title to (image, mask)."""
    figure, axes = plt.subplots(1, len(variants), figsize=(2.9 * len(variants), 3.2), squeeze=False)
    for ax, (title, (image, mask)) in zip(axes[0], variants.items(), strict=True):
        show_image(ax, image, mask, title=title)
    return figure


def mass_fractions(
    fractions: pd.DataFrame, implied: tuple[float, float], label: str, measured: pd.Series
) -> Figure:
    """Distribution of mass fractions in percent, one curve a column, with the range that a paper implies.

    Args:
        fractions: Percent; one column per way of preparing.
        implied: Range of the mean, in percent, that the published tables imply.
        label: What the images are: phantoms or real.
        measured: Column to its mean on real images.
    """
    figure, ax = plt.subplots(figsize=(8.2, 3.2))
    ax.axvspan(*implied, color=TRUTH, alpha=0.3, lw=0, label="mean implied by the published tables")
    for (name, values), color in zip(fractions.items(), (MUTED, PREDICTION), strict=False):
        ordered = np.sort(values)
        ax.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", color=color, label=name)
        ax.axvline(values.mean(), color=color, ls="--", lw=1, label=f"its mean, {values.mean():.2f} %")
        if name in measured:
            ax.plot(
                measured[name], 0.94, "D", color=color, mec=INK, ms=8, zorder=5,
                label=f"mean of real INbreast, {measured[name]:.2f} %",
            )  # fmt: skip
    ax.set(
        xscale="log", xlabel="mass fraction in %", ylabel="share of images below", ylim=(0, 1.02),
        title=f"{label}, {len(fractions)} images",
    )  # fmt: skip
    ticks = [
        t
        for t in (0.03, 0.1, 0.3, 1, 3, 10, 30)
        if fractions.min(axis=None) / 2 < t < 2 * fractions.max(axis=None)
    ]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return figure
