"""Figures of altered training images."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from mammoseg_lib.plots.images import outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Picture = tuple[Float[np.ndarray, "_ _"], Bool[np.ndarray, "_ _"]]


def gallery_figure(rows: Mapping[str, Mapping[str, Picture]], cell: float = 1.4) -> Figure:
    """Rows of images on one scale, black to white as 0 to 1, with the outline of the mass.

    All frames are drawn in the same scale and centered, so that a frame that grew or shrank is seen as such.

    Args:
        rows: Title of a row to its pictures (image, mask) by their titles.
        cell: Width of a picture in inches.
    """
    columns = max(map(len, rows.values()))
    side = max(max(image.shape) for row in rows.values() for image, _ in row.values())
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(cell * columns, 1.15 * cell * len(rows)), squeeze=False
    )
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for ax in line[len(pictures) :]:
            ax.axis("off")
        for ax, (title, (image, mask)) in zip(line, pictures.items(), strict=False):
            height, wide = image.shape
            ax.imshow(image, cmap="gray", vmin=0, vmax=1)
            outline(ax, mask, TRUTH, 1.0)
            middle = (wide - 1) / 2, (height - 1) / 2
            ax.set(
                xticks=[], yticks=[], xlim=(middle[0] - side / 2, middle[0] + side / 2),
                ylim=(middle[1] + side / 2, middle[1] - side / 2),
            )  # fmt: skip
            ax.spines[:].set_visible(False)
            ax.set_title(title, fontsize=7.5, fontweight="normal")
        line[0].set_ylabel(fill(name, 16), fontsize=8, fontweight="bold")
    return figure


def histograms_figure(shares: pd.DataFrame, statistics: pd.DataFrame, lost: pd.Series, title: str) -> Figure:
    """Gray values of the training set with and without augmentation, and the draws that lose the mass.

    Args:
        shares: One column a version of the set: share of its pixels, by gray value in 0..1.
        statistics: One row a version of the set, with the columns mean and SD.
        lost: Share of the draws in percent, by what was drawn.
        title: What the images are.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.5), width_ratios=(1.5, 1))
    for (name, values), color in zip(shares.items(), (INK, PREDICTION, MUTED), strict=False):
        mean, deviation = statistics.loc[name, ["mean", "SD"]]
        axes[0].step(
            shares.index, 100 * values, where="mid", color=color,
            label=f"{name}: mean {mean:.3f}, SD {deviation:.3f}",
        )  # fmt: skip
        axes[0].axvline(mean, color=color, ls="--", lw=1)
    axes[0].set(
        xlabel="gray value, mean dashed", ylabel="share of pixels in %", xlim=(0, 1), ylim=(0.05, 100),
        yscale="log", title=f"Gray values of {title}",
    )  # fmt: skip
    axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=8)
    bars = axes[1].barh(lost.index, lost, color=TRUTH, height=0.6)
    axes[1].bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes[1].invert_yaxis()
    axes[1].set(
        xlabel="draws in %", xlim=(0, 1.2 * max(float(lost.max()), 1.0)), title="Mass lost altogether"
    )
    return figure
