"""Figure of notebook 30: the same masses under two grids."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool
from matplotlib.figure import Figure

from mammoseg_lib.plots.grid import grid_panel, kinds_legend
from mammoseg_lib.plots.images import Mask
from mammoseg_lib.plots.style import CELLS


def grids_side_by_side(
    truth: Mask,
    prediction: Mask,
    cells: Mapping[str, tuple[int, int]],
    kinds: Mapping[str, Mapping[str, Bool[np.ndarray, "nh nw"]]],
    captions: Mapping[str, str],
) -> Figure:
    """The same two masks under several grids.

    Args:
        truth: Ground truth.
        prediction: Predicted mask.
        cells: Name of each grid to the height and width of its cells.
        kinds: Name of each grid to its kinds of cells, "TP", "FP", "FN" and "TN", and where they are.
        captions: Name of each grid to what stands below it.
    """
    figure, axes = plt.subplots(1, len(cells), figsize=(3.6 * len(cells), 4.1))
    for ax, (name, cell) in zip(axes, cells.items(), strict=True):
        title = f"{name}: cells of {cell[0]} × {cell[1]} pixels"
        grid_panel(ax, truth, prediction, cell, kinds[name], CELLS, title=title)
        ax.set_xlabel(captions[name])
    labels = {"TP": "both", "FP": "prediction only", "FN": "mass only", "TN": "neither"}
    kinds_legend(figure, {label: CELLS[kind] for kind, label in labels.items()})
    return figure
