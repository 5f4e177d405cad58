"""Figure of notebook 51: what the columns of a printed table imply of each other."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

LOOKS = {"INbreast": ("o", PREDICTION), "CBIS-DDSM": ("^", TRUTH)}


def arithmetic_figure(rows: pd.DataFrame, measured: Mapping[str, float]) -> Figure:
    """Printed against implied area difference, and the share of mass pixels that a row implies.

    Args:
        rows: Columns dataset, da and implied (both in percent), accuracy (percent) and fraction (percent of
            the pixels).
        measured: Mean mass fraction in percent of the images themselves, by how they were prepared.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4))
    for dataset, (marker, color) in LOOKS.items():
        own = rows[rows["dataset"] == dataset]
        style = {"marker": marker, "s": 26, "facecolor": color, "edgecolor": "white", "lw": 0.5}
        left.scatter(own["implied"], own["da"], label=dataset, **style)
        right.scatter(own["accuracy"], own["fraction"], **style)
    end = 1.05 * rows[["da", "implied"]].max().max()
    left.plot([0, end], [0, end], color=MUTED, lw=0.8, zorder=0)
    left.text(0.8 * end, 0.76 * end, "equal", color=MUTED, ha="left", va="top")
    left.set(
        xlabel="ΔA that DSC and SEN imply, %",
        ylabel="ΔA as printed, %",
        title="area difference",
        xlim=(0, end),
        ylim=(0, end),
    )
    left.legend(loc="lower right")
    for name, value in measured.items():
        right.axhline(value, color=MUTED, lw=0.8, ls="--", zorder=0)
        right.annotate(
            f"INbreast, {name}: measured", (0.02, value), (0, -3), xycoords=("axes fraction", "data"),
            textcoords="offset points", color=INK, ha="left", va="top", fontsize=8,
        )  # fmt: skip
    right.axvline(99, color=MUTED, lw=0.6, ls=":")
    right.set(
        xlabel="accuracy as printed, %",
        ylabel="implied share of mass pixels, %",
        title="mass fraction",
        ylim=(0, 1.15 * rows["fraction"].max()),
    )
    return figure
