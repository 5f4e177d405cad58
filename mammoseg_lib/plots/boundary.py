"""Maps with a sign: distances to a contour, gradients."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.style import TRUTH

Map = Float[np.ndarray, "h w"]


def signed_panel(ax: Axes, values: Map, limit: float, title: str, truth: Mask | None = None) -> AxesImage:
    """A map in red where it is positive and blue where it is negative, white at 0."""
    picture = ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    outline(ax, truth, TRUTH)
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    return picture
