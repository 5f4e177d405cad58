"""Figures of training runs and of what they reproduce."""

from __future__ import annotations

from textwrap import wrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mammoseg_lib.plots.style import MUTED, PREDICTION


def learning_curves(history: pd.DataFrame, note: str = "the losses have different scales") -> Figure:
    """Training loss and validation DSC over epochs, a color a method.

    Args:
        history: Columns method, epoch, train_loss, val_dsc, and fold and seed, over which the band is drawn.
        note: What to know of the training losses.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for ax, column, label in zip(
        axes, ("train_loss", "val_dsc"), ("training loss", "validation DSC, pooled"), strict=True
    ):
        sns.lineplot(
            history, x="epoch", y=column, hue="method", errorbar=("pi", 100), ax=ax, palette="colorblind"
        )
        ax.set(xlabel="epoch", ylabel=label)
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[1].set_ylim(0, 1)
    axes[0].get_legend().remove()
    sns.move_legend(axes[1], "center left", bbox_to_anchor=(1.02, 0.5), title=None)
    axes[0].set_title(note)
    return figure


def published_and_reproduced(
    comparison: pd.DataFrame, label: str, published: str = "INbreast, 5-fold cross-validation"
) -> Figure:
    """DSC of each method: what was published, in one panel, and what was reproduced, in the other.

    Args:
        comparison: Columns method, published, and reproduced with its _low and _high, in percent.
        label: How the reproduced numbers came about.
        published: How the published ones did.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.42 * len(comparison) + 1.3), sharey=True)
    y = np.arange(len(comparison))
    axes[0].plot(comparison["published"], y, "D", color=MUTED)
    axes[0].set(title=f"published\n{published}", yticks=y, yticklabels=comparison["method"])
    value, low, high = (comparison[f"reproduced{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    axes[1].errorbar(
        value, y, xerr=np.vstack([value - low, high - value]), fmt="o", color=PREDICTION, capsize=3
    )
    axes[1].set(title="\n".join(line for part in label.split("\n") for line in wrap(part, 46)))
    for ax in axes:
        ax.set(xlim=(0, 100), xlabel="DSC in %")
        ax.grid(axis="x", color="#e5e5e5")
        ax.set_axisbelow(True)
    axes[0].invert_yaxis()
    axes[0].margins(y=0.15)
    return figure
