"""Figures of networks: their maps and how they are connected, what the maps show, what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

ROLES = {"image": MUTED, "encoder": PREDICTION, "decoder": TRUTH, "logits": INK}

Arrow = tuple[str, str]
Part = tuple[str, str, float, float]
"""Where a map comes from (a module, and a number if it gives several), its role, column and row."""

_ENCODER: dict[str, Part] = {"image": ("image", "image", 0.0, 0)}
_ENCODER |= {f"c{k}": (f"encoder {k}", "encoder", 0.0, k) for k in range(1, 6)}

UNET: dict[str, Part] = {
    **_ENCODER,
    "pooled c5": ("decoder.pool", "encoder", 0.0, 6),
    **{f"d{5 - i}": (f"decoder.levels.{i}", "decoder", 1.4, 5 - i) for i in range(6)},
    "logits": ("enlarge", "logits", 2.5, 0),
}
FPN: dict[str, Part] = {
    **_ENCODER,
    **{f"lateral {k}": (f"decoder.laterals.{k - 2}", "decoder", 1.15, k) for k in range(2, 6)},
    **{f"head {k}": (f"decoder.heads.{k - 2}", "decoder", 2.3, k) for k in range(2, 6)},
    "joined": ("decoder.fuse", "decoder", 3.4, 3.5),
    "logits": ("enlarge", "logits", 3.4, 0),
}
AUNET: dict[str, Part] = {
    "image": ("image", "image", -1.2, 0),
    **{f"ResUnit {k + 1}": (f"encoder.{k}", "encoder", 0.0, k) for k in range(5)},
    **{f"AU {4 - i}": (f"decoder.{i}", "decoder", 1.4, 3 - i) for i in range(4)},
    "logits": ("head", "logits", 2.6, 0),
}
AU_BLOCK: dict[str, Part] = {
    "deeper map": ("encoder.4", "encoder", 0.6, 3),
    "skip": ("encoder.3", "encoder", -0.6, 1),
    "b: shuffled": ("decoder.0.dense_up", "decoder", 0.0, 2),
    "c: skip + b": ("decoder.0.fuse", "decoder", 0.6, 1),
    "a: enlarged": ("decoder.0.up", "decoder", 1.8, 1),
    "attention": ("decoder.0.attention", "decoder", 1.2, 0),
    "output": ("decoder.0.out", "decoder", 2.5, 0),
}


def _chains(*chains: Iterable[str]) -> list[Arrow]:
    return [arrow for chain in chains for arrow in pairwise(chain)]


ARROWS: dict[str, list[Arrow]] = {
    "UNET": _chains(UNET, *((f"c{k}", f"d{k}") for k in range(1, 6))),
    "FPN": _chains(
        _ENCODER,
        *((f"c{k}", f"lateral {k}", f"head {k}", "joined") for k in range(2, 6)),
        ("lateral 5", "lateral 4", "lateral 3", "lateral 2"),
        ("joined", "logits"),
    ),
    "AUNET": _chains(AUNET, *((f"ResUnit {k}", f"AU {k}") for k in range(1, 5))),
    "AU_BLOCK": _chains(
        ("deeper map", "b: shuffled", "c: skip + b", "attention", "output"),
        ("skip", "c: skip + b"),
        ("deeper map", "a: enlarged", "attention"),
    ),
}


def network_panel(ax: Axes, maps: pd.DataFrame, arrows: Sequence[Arrow], title: str = "") -> None:
    """Maps as boxes, as wide as the logarithm of their channels, the largest on top, and arrows between them.

    Args:
        ax: Where to draw.
        maps: One row a map, by name, with the columns role (see `ROLES`), column, row (where it stands),
            channels, height, width.
        arrows: Names of the maps that an arrow leaves and reaches. Those that reach the decoder along a row
            are skip connections, and dashed.
        title: Of the panel.
    """
    boxes = {}
    for name, box in maps.iterrows():
        color = ROLES[box["role"]]
        wide = 0.76 + 0.018 * np.log2(box["channels"])
        patch = FancyBboxPatch(
            (box["column"] - wide / 2, -box["row"] - 0.23), wide, 0.46, edgecolor=color,
            boxstyle="round,pad=0,rounding_size=0.05", facecolor=(*to_rgb(color), 0.25),
        )  # fmt: skip
        boxes[name] = ax.add_patch(patch)
        ax.text(
            box["column"], -box["row"] + 0.005, f"{name}\n{box['channels']} @ {box['height']}x{box['width']}",
            ha="center", va="center", fontsize=7, color=INK, linespacing=1.15, zorder=5,
        )  # fmt: skip
    for start, end in arrows:
        skip = (
            maps["row"][start] == maps["row"][end] and maps["role"][start] != maps["role"][end] == "decoder"
        )
        ax.annotate(
            "",
            (maps["column"][end], -maps["row"][end]),
            (maps["column"][start], -maps["row"][start]),
            arrowprops={
                "arrowstyle": "-|>", "color": MUTED if skip else INK, "linestyle": "--" if skip else "-",
                "patchA": boxes[start], "patchB": boxes[end], "shrinkA": 1, "shrinkB": 1, "lw": 0.9,
            },
        )  # fmt: skip
    ax.set(
        xlim=(maps["column"].min() - 0.5, maps["column"].max() + 0.5),
        ylim=(-maps["row"].max() - 0.4, 0.4),
        title=title,
    )
    ax.axis("off")


def networks_figure(panels: Mapping[str, tuple[pd.DataFrame, Sequence[Arrow]]], width: float = 9.5) -> Figure:
    """One `network_panel` beside the other: title to its maps and arrows."""
    columns = [maps["column"].max() - maps["column"].min() + 1 for maps, _ in panels.values()]
    rows = max(maps["row"].max() for maps, _ in panels.values()) + 1
    figure, axes = plt.subplots(
        1, len(panels), figsize=(width, 0.66 * rows + 0.3), width_ratios=columns, squeeze=False
    )
    for ax, (title, (maps, arrows)) in zip(axes[0], panels.items(), strict=True):
        network_panel(ax, maps, arrows, title)
        ax.set_ylim(0.6 - rows, 0.4)  # boxes of one height
    return figure


def maps_figure(rows: Mapping[str, Mapping[str, Float[np.ndarray, "_ _"]]]) -> Figure:
    """Rows of maps, each between its own smallest and largest value.

    Args:
        rows: Title of a row to its maps by their titles.
    """
    columns = max(map(len, rows.values()))
    figure, axes = plt.subplots(len(rows), columns, figsize=(1.35 * columns, 1.65 * len(rows)), squeeze=False)
    for line, (title, maps) in zip(axes, rows.items(), strict=True):
        for ax in line:
            ax.axis("off")
        for ax, (name, values) in zip(line, maps.items(), strict=False):
            ax.axis("on")
            ax.imshow(values, cmap="gray" if name == "image" else "viridis")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_title(f"{name}\n{values.shape[0]} px", fontsize=7.5, fontweight="normal")
        line[0].set_ylabel(title, fontweight="bold")
    return figure


def cost_figure(table: pd.DataFrame, titles: tuple[str, str]) -> Figure:
    """Horizontal bars of two costs for each network, in the order of the table.

    Args:
        table: One row a network, two columns.
        titles: What the columns are, with their units.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8, 0.3 * len(table) + 0.8), sharey=True)
    for ax, (_, values), title, color in zip(axes, table.items(), titles, (PREDICTION, TRUTH), strict=True):
        bars = ax.barh(table.index, values, color=color, height=0.65)
        ax.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        ax.set(xlabel=title, xlim=(0, 1.15 * values.max()))
    axes[0].invert_yaxis()
    return figure
