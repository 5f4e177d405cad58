"""The figure of what a network predicts as the epochs pass."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mammoseg_lib.plots.learning import predictions_over_epochs


@pytest.fixture
def figure():
    """Two images with a mass of 4x4 pixels each; predicted: nothing, everything, half of the mass."""
    truth = np.zeros((2, 8, 8), dtype=bool)
    truth[0, 2:6, 2:6] = truth[1, 4:, 4:] = True
    half = truth.copy()
    half[0, 4:], half[1, 6:] = False, False
    probability = np.stack([np.zeros(truth.shape), np.ones(truth.shape), half.astype(float)])
    curve = pd.DataFrame({"epoch": [1, 2, 3, 4], "dsc": [0.0, 0.3, 0.5, 0.7]})
    yield predictions_over_epochs(truth * 0.5, truth, probability, [1, 2, 4], curve, ["small", "large"])
    plt.close("all")


def test_a_panel_for_every_image_and_epoch_says_its_dsc(figure):
    *panels, _ = figure.axes
    # Nothing, everything (2 * 16 / (64 + 16)), half of the mass (2 * 8 / (8 + 16)).
    assert [ax.get_title() for ax in panels] == ["DSC 0.00", "DSC 0.40", "DSC 0.67"] * 2
    heads = [text.get_text() for ax in panels for text in ax.texts]
    assert [head for head in heads if head.startswith("epoch")] == ["epoch 1", "epoch 2", "epoch 4"]
    assert (heads.count("nothing"), heads.count("everything")) == (2, 2)


def test_the_curve_has_every_epoch_and_a_dot_where_predictions_are_drawn(figure):
    line, dots = figure.axes[-1].get_lines()[:2]
    assert line.get_xydata().tolist() == [[1, 0.0], [2, 0.3], [3, 0.5], [4, 0.7]]
    assert dots.get_xydata().tolist() == [[1, 0.0], [2, 0.3], [4, 0.7]]
