"""Predictions beside the ground truth: a row a case, a column a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from mammoseg_lib.plots.images import Mask, note, shade, show_image
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

BOX = "#f2c14e"


@dataclass(frozen=True)
class Case:
    """One test image and what was predicted for it.

    Attributes:
        sample_id: Of the image.
        rule: Why this image and no other.
        image: Gray values.
        target: Ground truth.
        box: Top, left and side in pixels of the square that is shown enlarged.
        predictions: Method to predicted mask.
        dsc: Method to DSC in 0..1.
    """

    sample_id: str
    rule: str
    image: Float[np.ndarray, "h w"]
    target: Mask
    box: tuple[int, int, int]
    predictions: Mapping[str, Mask]
    dsc: Mapping[str, float]


def qualitative(cases: Sequence[Case], caption: str) -> Figure:
    """Two rows of panels for each case, the whole image and the box around its masses enlarged.

    All panels of a case have the same gray window. Predictions are lightly shaded as well: the outline of one
    that covers most of an image does not tell its inside from its outside.

    Args:
        cases: With the same methods in all.
        caption: By what rule the cases were picked, and how the predictions came about.
    """
    methods = list(cases[0].predictions)
    width = 1.55 * (len(methods) + 1) + 1.3
    lines = fill(caption.replace(" %", "\N{NO-BREAK SPACE}%"), int(16 * width))
    figure, axes = plt.subplots(
        2 * len(cases), len(methods) + 1, figsize=(width, 3.2 * len(cases) + 0.9), squeeze=False
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, hspace=0.01, wspace=0.01)
    for case, whole, enlarged in zip(cases, axes[::2], axes[1::2], strict=True):
        for row in (whole, enlarged):
            show_image(row[0], case.image, case.target)
            for ax, method in zip(row[1:], methods, strict=True):
                show_image(ax, case.image, case.target, case.predictions[method])
                shade(ax, case.predictions[method])
        top, left, side = case.box
        for ax in whole:
            ax.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, ec=BOX, lw=0.8))
        for ax in enlarged:
            ax.set(xlim=(left - 0.5, left + side - 0.5), ylim=(top + side - 0.5, top - 0.5))
        for ax, below, method in zip(whole[1:], enlarged[1:], methods, strict=True):
            ax.set_title(f"DSC {case.dsc[method]:.2f}", fontsize=8, fontweight="normal", pad=2)
            prediction = case.predictions[method]
            inside = prediction[top : top + side, left : left + side]
            if not prediction.any():
                note(ax, "nothing predicted")
            elif prediction.all():
                note(ax, "all predicted")
            elif inside.all():
                note(below, "all predicted here")
            elif not inside.any():
                note(below, "nothing predicted here")
        _side_label(whole[0], f"{case.rule}\n\nimage {case.sample_id}")
        _side_label(enlarged[0], "the box,\nenlarged")
    for ax, name in zip(axes[0], ("image", *methods), strict=True):
        heading = fill(name, 17, break_on_hyphens=False, break_long_words=False)
        dsc = ax.get_title()
        ax.set_title("")
        ax.annotate(
            heading, (0.5, 1), (0, 13 if dsc else 3), xycoords="axes fraction", textcoords="offset points",
            ha="center", va="bottom", fontsize=8, fontweight="bold", color=INK,
        )  # fmt: skip
        ax.set_title(dsc, fontsize=8, fontweight="normal", pad=2)
    legend = [
        Line2D([], [], color=TRUTH, label="ground truth"),
        Line2D([], [], color=PREDICTION, label="prediction"),
        Line2D([], [], color=BOX, lw=0.8, label="box"),
    ]
    figure.legend(handles=legend, loc="outside upper right", ncols=3, fontsize=8)
    figure.supxlabel(lines, fontsize=8, color=INK, x=0.01, ha="left")
    return figure


def nothing(text: str) -> Figure:
    """A small figure that says why there is none."""
    figure = plt.figure(figsize=(5, 0.6))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def dsc_by_image(studies: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]) -> Figure:
    """The DSC of every test image, a row a method and a panel a study, with the picked cases as lines.

    Args:
        studies: Title to scores (a row an image, a column a method) and picked cases, with the columns
            sample_id and short.
    """
    rows = [scores.shape[1] for scores, _ in studies.values()]
    figure, axes = plt.subplots(
        len(studies), 1, figsize=(8.5, 0.34 * sum(rows) + 1.05 * len(rows)), sharex=True, squeeze=False,
        height_ratios=[n + 1 for n in rows],
    )  # fmt: skip
    for ax, (title, (scores, picked)) in zip(axes[:, 0], studies.items(), strict=True):
        y = np.arange(scores.shape[1])
        for column, position in zip(scores, y, strict=True):
            ax.plot(scores[column], np.full(len(scores), position), "|", color=MUTED, ms=9, mew=1)
        for _, case in picked.iterrows():
            dsc = scores.loc[case["sample_id"]].to_numpy(float)
            ax.plot(dsc, y, "o-", color=PREDICTION, ms=4, lw=0.8)
        for x, words in _labels(scores.iloc[:, 0].loc[picked["sample_id"]], picked["short"]):
            ax.annotate(words, (x, -0.25), va="bottom", fontsize=7, color=PREDICTION)
        ax.set(yticks=y, yticklabels=list(scores), xlim=(-0.02, 1.02), ylim=(len(y) - 0.5, -0.9))
        ax.set_title(title, loc="left")
    axes[-1, 0].set_xlabel("DSC of an image; lines: the cases of the figures above")
    return figure


def _labels(x: pd.Series, names: pd.Series, apart: float = 0.06) -> list[tuple[float, str]]:
    """Where labels begin; those of points that lie close together are one."""
    groups: list[tuple[float, list[str]]] = []
    for value, name in sorted(zip(x, names, strict=True), key=lambda pair: pair[0]):
        if groups and value - groups[-1][0] < apart * len(groups[-1][1]):
            groups[-1][1].append(name)
        else:
            groups.append((float(value), [name]))
    return [(value - 0.01, ", ".join(names)) for value, names in groups]


def component_differences(table: pd.DataFrame, against: str) -> Figure:
    """How many connected components each method predicts more, or fewer, than one of them.

    Args:
        table: Columns method, difference, low and high.
        against: The method that the others are compared with.
    """
    figure, ax = plt.subplots(figsize=(7, 0.4 * len(table) + 0.9))
    y = np.arange(len(table))
    difference, low, high = (table[name].to_numpy(float) for name in ("difference", "low", "high"))
    ax.axvline(0, color=MUTED, lw=0.8)
    reach = np.vstack([difference - low, high - difference])
    ax.errorbar(difference, y, xerr=reach, fmt="o", color=PREDICTION, capsize=3)
    ax.set(
        yticks=y,
        yticklabels=table["method"],
        xlabel=f"connected components per image, minus {against}; 95 % interval",
        ylim=(len(y) - 0.5, -0.5),
    )
    return figure


def _side_label(ax: Axes, words: str) -> None:
    ax.annotate(
        words, (0, 0.5), (-6, 0), xycoords="axes fraction", textcoords="offset points", ha="right",
        va="center", fontsize=8, color=INK,
    )  # fmt: skip
