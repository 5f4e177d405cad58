"""What a transform drew, in words; gray values of a training set with and without augmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from mammoseg_lib.plots.augmentation import Picture
from mammoseg_lib.plots.images import Mask
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

State = Mapping[str, object]
"""What a transform of SOLT drew last, by name."""

_WORDS: Mapping[str, Callable[[State], tuple[float, str]]] = {
    "Rotation": lambda s: (s["rot"], f"{np.degrees(s['rot']):+.1f}°"),
    "Scale": lambda s: (s["scale_x"] * s["scale_y"], f"{s['scale_x']:.2f} wide, {s['scale_y']:.2f} high"),
    "Translation": lambda s: (s["translate_x"], f"{s['translate_x']:+.0f}, {s['translate_y']:+.0f} px"),
    "Random crop": lambda s: (s["x"] + s["y"], f"from ({s['x']}, {s['y']})"),
    "Flip": lambda s: (0, "flipped"),
    "Gamma correction": lambda s: (s["gamma"], f"$\\gamma$ = {s['gamma']:.2f}"),
    "Brightness and contrast": lambda s: (s["brightness_fact"], f"{s['brightness_fact']:+.0f} of 255"),
    "Salt and pepper noise": lambda s: (
        s["salt"].sum() + s["pepper"].sum(),
        f"{100 * (s['salt'] + s['pepper']).mean():.1f} % of pixels",
    ),
    "Gaussian noise": lambda s: (s["gain"], f"gain {s['gain']:.2f}"),
    "Gaussian blur": lambda s: (s["k_size"] + s["sigma"] / 100, f"{s['k_size']} px, sigma {s['sigma']:.1f}"),
    "Median blur": lambda s: (s["k_size"], f"{s['k_size']} px"),
    "Cutout": lambda s: (s["y"][0], f"at ({s['x'][0]}, {s['y'][0]})"),
}


def drawn(name: str, state: State) -> tuple[float | int, str]:
    """What the row of that name in Table 1 of 003 drew: a number to sort by, and words."""
    return _WORDS[name](state)


def close_up(image: Float[np.ndarray, "h w"], mask: Mask, around: Mask, times: int = 4) -> Picture:
    """An image and its mask around the middle of a mass, enlarged by repeating pixels to the size they had.

    Args:
        image: Gray values.
        mask: What is outlined in it.
        around: The mass to look at.
        times: How much larger.
    """
    corners = [
        int(np.clip(middle - side // times / 2, 0, side - side // times))
        for middle, side in zip(np.argwhere(around).mean(0), image.shape, strict=True)
    ]
    part = tuple(
        slice(first, first + side // times) for first, side in zip(corners, image.shape, strict=True)
    )
    return tuple(each[part].repeat(times, 0).repeat(times, 1) for each in (image, mask))


def histograms_figure(shares: pd.DataFrame, statistics: pd.DataFrame, lost: pd.Series, title: str) -> Figure:
    """Gray values of the training set with and without augmentation, and the draws that lose the mass.

    Args:
        shares: One column a version of the set: share of its pixels, by gray value in 0..1.
        statistics: One row a version of the set, with the columns mean and SD.
        lost: Share of the draws in percent, by what was drawn.
        title: What the images are.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.5), width_ratios=(1.5, 1))
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
