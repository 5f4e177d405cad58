"""One look for every figure: ground truth green, prediction blue, everywhere."""

from __future__ import annotations

from textwrap import wrap

import matplotlib.pyplot as plt

TRUTH = "#1b9e5a"
PREDICTION = "#2f6fdb"
CELLS = {"TP": "#f3d34a", "FP": "#f29a4a", "FN": "#8fd3ae", "TN": "#f4f4f4"}
INK = "#333333"
MUTED = "#9a9a9a"


def use_style() -> None:
    """Set matplotlib's defaults. Call once, at the top of a notebook."""
    plt.rcParams.update(
        {
            "figure.dpi": 90,
            "savefig.dpi": 150,
            "figure.constrained_layout.use": True,
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "legend.frameon": False,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
            # Ids and text in SVG files that do not change from one run to the next.
            "svg.hashsalt": "mammoseg",
            "svg.fonttype": "none",
        }
    )


def wrapped(text: str, width: int = 110) -> str:
    """A long title in lines that fit over two panels."""
    return "\n".join(wrap(text, width))
