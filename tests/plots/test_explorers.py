"""What the sliders of single notebooks move: every control changes the picture, and the right part of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text

from mammoseg_lib import scenes
from mammoseg_lib.losses import build_loss
from mammoseg_lib.plots import density_losses, prediction, region_losses, spatial_matching_loss, use_style

SIDE = 64


@pytest.fixture(autouse=True)
def _style():
    import matplotlib.pyplot as plt

    with plt.rc_context():
        use_style()
        yield


def _every_control_matters(explorer, others):
    start = explorer.png()
    for name, value in others.items():
        assert explorer.png(**{name: value}) != start, name
    assert explorer.png() == start


def test_a_prediction_is_dragged():
    truth = scenes.disc(SIDE, (30, 26), 10)
    losses = {name: build_loss(name) for name in ("bce", "dice")}
    respond = scenes.Responder(losses, truth, 0.95)
    controls = {"loss": list(losses), "row": (0, 63, 30), "column": (0, 63, 36), "radius": (2, 20, 9)}
    controls |= {"count": (1, 5, 1), "softness": (0.1, 5.0, 1.0)}
    explorer = prediction.prediction_explorer(truth, respond, controls)
    others = {"loss": "dice", "row": 10, "column": 10, "radius": 4, "count": 3, "softness": 3.0}
    _every_control_matters(explorer, others)
    explorer.png(loss="bce", row=30, column=26, radius=10)
    words = [artist.get_text() for artist in explorer.moving if isinstance(artist, Text)]
    assert "+0 %" in words
    assert any("DSC 1.00" in each for each in words)


def test_pushes_keep_the_sign_and_the_order():
    pushed = prediction.pushes(np.array([[-4.0, -1.0, 0.0, 1.0]]), 4.0)
    np.testing.assert_allclose(pushed, [[1, 0.5, 0, -0.5]])


def test_the_grid_snaps():
    def scene(size):
        mass, predicted = scenes.ellipse(SIDE, (30, 26), (size, size)), scenes.disc(SIDE, (30, 40), 8)
        x = torch.from_numpy(scenes.two_valued(predicted, 0.9))
        terms = build_loss("spatial_matching").explain(x, mass)
        kinds = {kind: where.numpy() for kind, where in terms.kinds().items()}
        cell = tuple(terms.cell_size.tolist())
        return spatial_matching_loss.GridScene(mass, predicted, cell, kinds, (2 * size - 1,) * 2, [f"{cell}"])

    curve = pd.DataFrame({"size": [6, 12, 24, 48], "cell": [8, 16, 32, 64]})
    explorer = spatial_matching_loss.grid_explorer(scene, curve, SIDE, {"size": (4, 20, 8)})
    lines = explorer.moving[1]
    drawn = {}
    for size in (8, 13):
        explorer.png(size=size)
        drawn[size] = len(lines.get_segments())
    assert drawn == {8: 2 * (64 // 16 + 1), 13: 2 * (64 // 32 + 1)}
    _every_control_matters(explorer, {"size": 13})


def test_a_prediction_is_spoiled():
    truth = scenes.disc(SIDE, (30, 26), 10)

    def respond(shift, level):
        p = np.where(np.roll(truth, shift, axis=1), level, 1 - level)
        return p, {"BCE": (-np.log(np.where(truth, p, 1 - p)), 0.0, 1.0)}, {"BCE": 1.25 * shift}

    controls = {"shift": (0, 9, 3), "level": (0.6, 0.99, 0.9)}
    explorer = region_losses.spoiling_explorer(truth, respond, {"BCE": 4}, (0, 64, 0, 64), controls)
    _every_control_matters(explorer, {"shift": 8, "level": 0.7})
    assert explorer.moving[-1].get_text() == "3.7500"


def test_shares_of_the_gradient_stand_on_their_bars():
    truth = scenes.disc(SIDE, (30, 26), 10)
    map_ = np.where(truth, 1.0, -1.0)

    def respond(percent):
        return density_losses.Shares(truth * 0.9, map_, -map_, [percent, 20.0, 30.0, 40.0])

    explorer = density_losses.share_explorer(truth, respond, {"percent": (0.0, 100.0, 10.0)})
    _every_control_matters(explorer, {"percent": 77.0})
    explorer.png(percent=77.0)
    assert "77" in [artist.get_text() for artist in explorer.moving if isinstance(artist, Text)]
