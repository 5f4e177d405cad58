"""Figures that explain the overlap losses: level sets, gradients, what their options do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from mammoseg_lib.plots.explore import Explorer
from mammoseg_lib.plots.style import INK, MUTED, PREDICTION, TRUTH

Curve = Float[np.ndarray, " n"]
Plane = Float[np.ndarray, "m n"]


def shades(n: int) -> list[tuple[float, ...]]:
    """Colors for the values of an option, from light to dark."""
    return [plt.get_cmap("viridis_r")(0.15 + 0.8 * i / max(n - 1, 1)) for i in range(n)]


def dice_jaccard_figure(curve: pd.DataFrame, samples: Mapping[str, Curve]) -> Figure:
    """Jaccard over Dice, and two sets of images whose means the two rank differently.

    Args:
        curve: Columns D and J.
        samples: Name of a set of predictions to the Dice index of each image.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.1))
    axes[0].plot(curve["D"], curve["J"], color=INK, label="$J = D / (2 - D)$")
    axes[0].plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls="--", label="$J = D$")
    bins = np.linspace(0, 1, 41)
    for (name, dice), color in zip(samples.items(), (TRUTH, PREDICTION), strict=True):
        mean = dice.mean(), (dice / (2 - dice)).mean()
        axes[0].plot(*mean, "o", color=color, label=f"means, {name}")
        axes[1].hist(dice, bins, color=color, alpha=0.5, label=name)
        axes[1].axvline(mean[0], color=color, lw=1.2)
    axes[0].set(xlabel="Dice index $D$", ylabel="Jaccard index $J$", xlim=(0, 1), ylim=(0, 1))
    axes[0].set_title("An image lies on the curve, a mean above it")
    axes[1].set(xlabel="Dice index $D$", ylabel="images", title="Two sets of predictions, and their means")
    for ax in axes:
        ax.legend(loc="upper left")
    return figure


def published_figure(table: pd.DataFrame) -> Figure:
    """Published means against what a pooled index and what a distribution over images would give.

    Args:
        table: Columns label, published (an IoU), pooled (the same from the mean Dice), simulated.
    """
    figure, ax = plt.subplots(figsize=(6.2, 2.9))
    rows = np.arange(len(table))
    ax.hlines(rows, table["pooled"], table["simulated"], color=MUTED, lw=0.8)
    ax.plot(table["pooled"], rows, "|", ms=11, mew=2, color=MUTED, label="$D / (2 - D)$ of the mean Dice")
    ax.plot(table["simulated"], rows, "o", mfc="none", color=PREDICTION, label="simulated: mean over images")
    ax.plot(table["published"], rows, "D", ms=4, color=INK, label="published")
    ax.set_yticks(rows, table["label"])
    ax.invert_yaxis()
    ax.set(xlabel="mean IoU")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def level_sets_figure(fn: Curve, fp: Curve, losses: Mapping[str, Plane]) -> Figure:
    """The level sets of each loss over the two kinds of errors, as small multiples.

    Args:
        fn: False negatives as a share of the mass, the columns of each plane.
        fp: False positives, likewise, the rows; as many.
        losses: Title to the values of a loss.
    """
    figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), sharex=True, sharey=True)
    for ax, (title, values) in zip(axes.flat, losses.items(), strict=True):
        levels = [0.25, 0.5, 1, 1.5, 2, 2.5, 3] if values.max() > 1.01 else np.linspace(0.1, 0.9, 9)
        levels = [level for level in levels if level < np.diagonal(values).max()]
        top = 1.2 * levels[-1]
        ax.contourf(fn, fp, np.minimum(values, top), np.linspace(0, top, 40), cmap="Blues", vmax=1.5 * top)
        lines = ax.contour(fn, fp, values, levels=levels, colors=[INK], linewidths=0.9)
        # Labels where the lines cross the diagonal, clear of each other and, without those in the corner, of
        # the frame.
        places = np.interp(levels, np.diagonal(values), np.linspace(0, 1, len(values)))
        places = places[places > 0.04]
        ax.clabel(lines, fmt="%g", fontsize=7, manual=[(t, t * fp.max()) for t in places])
        ax.set(title=title, xlim=(0, 1), ylim=(0, float(fp.max())), xticks=[0, 0.5, 1])
    for ax in axes[-1]:
        ax.set_xlabel("false negatives / mass")
    for ax in axes[:, 0]:
        ax.set_ylabel("false positives / mass")
    return figure


def gradients_figure(table: pd.DataFrame) -> Figure:
    """Size of the gradient with respect to p of one pixel while a prediction gets better.

    Args:
        table: Columns loss, margin (logit of the right class), inside and outside (size of the gradient,
            times the number of mass pixels).
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), sharex=True, sharey=True)
    styles = dict(zip(table["loss"].unique(), ("-", "-", "--", "-.", "-", ":"), strict=True))
    colors = dict(zip(styles, (MUTED, TRUTH, "#d9822b", "#d9822b", PREDICTION, PREDICTION), strict=True))
    for ax, side, title in zip(
        axes, ("inside", "outside"), ("Pixel of the mass", "Pixel of the background"), strict=True
    ):
        for name, rows in table.groupby("loss", sort=False):
            ax.semilogy(rows["margin"], rows[side], styles[name], color=colors[name], label=name)
        ax.set(xlabel="logit of the right class, in every pixel", title=title)
    axes[0].set_ylabel("$|\\partial L / \\partial p|$ $\\times$ mass pixels")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def alpha_figure(
    fn: Curve,
    fp: Curve,
    planes: Mapping[float, Plane],
    level: float,
    expected: pd.DataFrame,
    best: pd.DataFrame,
) -> Figure:
    """What alpha does: one level set for each, the expected loss where the outline is uncertain, its minimum.

    Args:
        fn: False negatives as a share of the mass, the columns of each plane.
        fp: False positives, likewise, the rows.
        planes: Alpha to the loss.
        level: The level that is drawn.
        expected: Columns radius (predicted, over the mean true one), alpha and loss (expected).
        best: Columns alpha and radius (that of the smallest expected loss).
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.3))
    for (alpha, plane), color in zip(planes.items(), shades(len(planes)), strict=True):
        axes[0].contour(fn, fp, plane, levels=[level], colors=[color])
        rows = expected[expected["alpha"] == alpha]
        axes[1].plot(rows["radius"], rows["loss"], color=color, label=f"$\\alpha$ = {alpha:g}")
        lowest = rows.loc[rows["loss"].idxmin()]
        axes[1].plot(lowest["radius"], lowest["loss"], "o", color=color)
    axes[0].set(xlabel="false negatives / mass", ylabel="false positives / mass", title=f"Loss = {level:g}")
    axes[1].set(
        xlabel="predicted radius / mean radius", ylabel="expected Tversky loss", title="Uncertain outline"
    )
    axes[2].plot(best["alpha"], best["radius"], color=INK)
    axes[2].axhline(1, color=MUTED, lw=0.8, ls="--")
    axes[2].set(xlabel="$\\alpha$", ylabel="best radius / mean radius", title="The disc worth predicting")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=len(planes))
    return figure


def exponent_figure(
    ti: Curve, losses: Mapping[float, Curve], slopes: pd.DataFrame, exponent: float, clamp: float
) -> Figure:
    """The Focal Tversky loss over the Tversky index, and what its exponent makes of the gradient.

    Args:
        ti: Tversky index.
        losses: Exponent to the loss.
        slopes: Columns error (1 - TI), formula and clamped: what Tversky's gradient is multiplied by.
        exponent: The exponent that they belong to.
        clamp: Below this error the library's slope is 0.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2))
    for (power, values), color in zip(losses.items(), shades(len(losses)), strict=True):
        axes[0].plot(ti, values, color=color, label=f"exponent {power:.4g}")
    axes[0].set(xlabel="Tversky index", ylabel="loss", title="The loss", xlim=(0, 1), ylim=(0, 1))
    axes[0].legend(loc="upper right", fontsize=7.5)
    axes[1].loglog(slopes["error"], slopes["formula"], color=MUTED, ls="--", label="formula")
    axes[1].loglog(slopes["error"], slopes["clamped"], color=PREDICTION, label="here: 0 below the clamp")
    axes[1].axhline(1, color=MUTED, lw=0.8)
    axes[1].axvline(clamp, color=INK, lw=0.8, ls=":")
    axes[1].set(
        xlabel="$1 - TI$",
        ylabel="gradient / gradient of Tversky",
        title=f"Its gradient, exponent {exponent:g}",
    )
    axes[1].invert_xaxis()
    axes[1].legend(loc="upper left")
    return figure


def per_pixel_figure(table: pd.DataFrame, bound: float) -> Figure:
    """The gradient of the Jaccard loss taken per pixel, for one background pixel.

    Args:
        table: Columns smooth, p, logit, by_p and by_logit (the two gradients).
        bound: The largest gradient with respect to the logit that there can be.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2))
    for (smooth, rows), color in zip(
        table.groupby("smooth", sort=False), shades(table["smooth"].nunique()), strict=True
    ):
        label = f"$\\epsilon$ = {smooth:g}"
        axes[0].loglog(rows["p"], rows["by_p"], color=color, label=label)
        axes[1].plot(rows["logit"], rows["by_logit"], color=color, label=label)
    axes[1].axhline(bound, color=MUTED, lw=0.8, ls="--", label="$1 / (4N)$")
    axes[0].set(xlabel="$p$", ylabel="$\\partial L / \\partial p$", title="With respect to $p$")
    axes[1].set(xlabel="logit", ylabel="$\\partial L / \\partial x$", title="With respect to the logit")
    axes[1].ticklabel_format(axis="y", scilimits=(0, 0))
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def smoothing_figure(empty: pd.DataFrame, missed: pd.DataFrame) -> Figure:
    """What the smoothing does where there is no mass, and where a mass is missed altogether.

    Args:
        empty: Columns predicted (in pixels), and one per smoothing: the loss of an empty target.
        missed: Columns mass (in pixels), and one per smoothing: the loss of an empty prediction.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3), sharey=True)
    for ax, table in zip(axes, (empty, missed), strict=True):
        x, *rest = table.columns
        for name, color in zip(rest, shades(len(rest)), strict=True):
            ax.semilogx(table[x], table[name], color=color, label=f"s = {name} px")
    axes[0].set(xlabel="sum of $p$ in px", ylabel="Dice loss", title="Empty target")
    axes[1].set(xlabel="size of the mass in px", title="Empty prediction")
    axes[1].legend(loc="lower right")
    return figure


def explorer(
    radius: Curve, expected_loss: Callable[[float, float], Curve], spread: float, start: tuple[float, float]
) -> Explorer:
    """Level sets of the Focal Tversky loss and the disc that it asks for, with sliders for alpha and gamma.

    Args:
        radius: Predicted radii, over the mean true one.
        expected_loss: Takes alpha and the exponent 1 / gamma, gives the expected loss of each radius.
        spread: Standard deviation of the true radius, over its mean.
        start: Alpha and gamma to begin with.
    """
    figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.1))
    levels = np.linspace(0.1, 0.9, 9)
    lines = axes[0].plot(np.zeros((2, 9)), np.zeros((2, 9)), lw=1.2)
    for line, color in zip(lines, shades(len(levels)), strict=True):
        line.set_color(color)
    axes[0].set(xlim=(0, 1), ylim=(0, 2), title="Loss of 0.1 (light) to 0.9 (dark)")
    axes[0].set(xlabel="false negatives / mass", ylabel="false positives / mass")
    (curve,) = axes[1].plot(radius, np.zeros_like(radius), color=PREDICTION)
    (lowest,) = axes[1].plot([1], [0], "o", color=PREDICTION)
    axes[1].axvline(1, color=TRUTH, lw=0.8, ls="--")
    axes[1].set(xlabel="predicted radius / mean radius", title="Expected loss", ylim=(0, 1))
    for r, style in ((1 - spread, ":"), (1, "-"), (1 + spread, ":")):
        axes[2].add_patch(Circle((0, 0), r, fill=False, ec=TRUTH, ls=style, lw=1.3))
    best = axes[2].add_patch(Circle((0, 0), 1, fc=PREDICTION, ec=PREDICTION, alpha=0.35))
    said = axes[2].text(0, 0, "", ha="center", va="center")
    axes[2].set(xlim=(-1.55, 1.55), ylim=(-1.55, 1.55), aspect="equal", title="The best disc to predict")
    axes[2].set_axis_off()

    def update(alpha: float, gamma: float) -> None:
        index = 1 - levels**gamma  # the Tversky index on each level set, which is straight in this plane
        for line, ti in zip(lines, index, strict=True):
            line.set_data([0, 1], [(1 / ti - 1) / (1 - alpha), -alpha / (1 - alpha)])
        loss = expected_loss(alpha, 1 / gamma)
        at = int(loss.argmin())
        curve.set_ydata(loss)
        lowest.set_data([radius[at]], [loss[at]])
        best.set_radius(radius[at])
        said.set_text(f"{radius[at]:.2f}")

    return Explorer(
        figure,
        [*lines, curve, lowest, best, said],
        update,
        {"alpha": (0.05, 0.95, start[0]), "gamma": (0.5, 3.0, start[1])},
        {"alpha": "α, price of a miss", "gamma": "γ"},
    )
