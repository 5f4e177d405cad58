"""Figures of altered training images."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from mammoseg_lib.plots.images import outline
from mammoseg_lib.plots.style import TRUTH

Picture = tuple[Float[np.ndarray, "_ _"], Bool[np.ndarray, "_ _"]]


def gallery_figure(rows: Mapping[str, Mapping[str, Picture]], cell: float = 1.4) -> Figure:
    """Rows of images on one scale, black to white as 0 to 1, with the outline of the mass.

    All frames are drawn in the same scale and centered, so that a frame that grew or shrank is seen as such.

    Args:
        rows: Title of a row to its pictures (image, mask) by their titles.
        cell: The longer side of the largest picture in inches.
    """
    columns = max(map(len, rows.values()))
    shapes = np.array([image.shape for row in rows.values() for image, _ in row.values()])
    tall, wide = shapes.max(0)
    inch = cell / max(tall, wide)
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(inch * wide * columns + 0.3, (inch * tall + 0.2) * len(rows)),
        squeeze=False,
    )
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for ax in line[len(pictures) :]:
            ax.axis("off")
        for ax, (title, (image, mask)) in zip(line, pictures.items(), strict=False):
            height, width = image.shape
            ax.imshow(image, cmap="gray", vmin=0, vmax=1)
            outline(ax, mask, TRUTH, 1.0)
            x, y = (width - 1) / 2, (height - 1) / 2
            ax.set(xticks=[], yticks=[], xlim=(x - wide / 2, x + wide / 2), ylim=(y + tall / 2, y - tall / 2))
            ax.spines[:].set_visible(False)
            ax.set_title(title, fontsize=7.5, fontweight="normal")
        line[0].set_ylabel(fill(name, 16), fontsize=8, fontweight="bold")
    return figure
