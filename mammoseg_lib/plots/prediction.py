"""A prediction that a reader drags over a true mass, with what losses, gradients and metrics say to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from mammoseg_lib.plots.explore import Control, Explorer, starts
from mammoseg_lib.plots.images import Mask, outline
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH
from mammoseg_lib.scenes import Response

LOW, HIGH = -40.0, 160.0  # ends of the axis of costs, in percent


def pushes(gradient: Float[np.ndarray, "h w"], largest: float) -> Float[np.ndarray, "h w"]:
    """Where gradient descent pushes, from -1 to 1: the root of the size, so that faint pushes show too."""
    return -np.sign(gradient) * np.sqrt(np.abs(gradient) / max(largest, 1e-30))


def prediction_explorer(
    truth: Mask, respond: Callable[..., Response], controls: Mapping[str, Control]
) -> Explorer:
    """The prediction, where the chosen loss pushes, and what every loss charges, behind sliders.

    Args:
        truth: Ground truth.
        respond: Takes the values of the controls by name.
        controls: See `Explorer`.
    """
    names = list(respond(**starts(controls)).values)
    height = max(3.2, 0.19 * len(names) + 0.6)
    figure, (masks, push, bars) = plt.subplots(1, 3, figsize=(8.4, height), width_ratios=(1, 1, 0.9))
    blank = np.zeros(truth.shape)
    shown = masks.imshow(blank, cmap="Blues", vmin=0, vmax=1.25)
    pushed = push.imshow(blank, cmap="PRGn", vmin=-1, vmax=1)
    for ax, title in ((masks, "prediction"), (push, "push: more mass, or less")):
        outline(ax, truth, TRUTH, 1.5)
        ax.set(xticks=[], yticks=[], title=title)
        ax.spines[:].set(visible=True, color=MUTED)
    metrics = masks.text(0, -0.03, "\n\n", transform=masks.transAxes, va="top", color=INK)
    lengths, texts = _cost_bars(bars, names)

    def update(**values: float | int | str) -> None:
        response = respond(**values)
        shown.set_data(response.probs)
        pushed.set_data(pushes(response.gradient, float(np.abs(response.gradient).max())))
        found = response.metrics
        metrics.set_text(
            f"DSC {found['DSC']:.2f}, sensitivity {found['sensitivity']:.2f}\n"
            f"Hausdorff distance {found['HD']:.1f} px"
        )
        for bar, text, name in zip(lengths, texts, names, strict=True):
            end = float(np.clip(response.costs[name], LOW, HIGH))
            bar.set_width(end)
            text.set_x(max(end, 0.0) + 4)
            cut = "" if end == response.costs[name] else "... "  # the bar goes on
            text.set_text(f"{cut}{response.costs[name]:+.0f} %")

    outlines = [*masks.collections, *push.collections]
    return Explorer(figure, [shown, pushed, *outlines, *lengths, *texts, metrics], update, controls)


def _cost_bars(ax: Axes, names: list[str]) -> tuple[list, list]:
    heights = np.arange(len(names))
    lengths = list(ax.barh(heights, np.zeros(len(names)), color=PREDICTION, height=0.65))
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # of the line at 100
    texts = [ax.text(0, y, "", va="center", fontsize=8, color=INK, bbox=clear) for y in heights]
    ax.set(xlim=(LOW, HIGH + 45), ylim=(len(names) - 0.4, -0.6), yticks=heights)
    ax.set_xticks([0, 100], ["perfect", "missed"])
    ax.set_yticklabels(names)
    for x in (0, 100):
        ax.axvline(x, color=MUTED, lw=0.8, zorder=0)
    ax.tick_params(length=0)
    ax.set_title("what it costs")
    return lengths, texts
