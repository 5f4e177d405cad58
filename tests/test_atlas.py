from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mammoseg_lib import atlas
from mammoseg_lib.losses import LOSSES, Dice, build_loss


def test_every_loss_has_a_family_and_a_row():
    families = atlas.families()
    assert sorted(name for names in families.values() for name in names) == sorted(LOSSES)
    assert families["pixel"] == ["bce", "weighted_bce", "balanced_bce", "focal"]
    assert atlas.left_out() == {}
    assert list(atlas.members("spatial_matching", 32)) == [
        "spatial_matching",
        "spatial_matching (tversky, scale)",
    ]


def test_a_loss_that_is_added_appears_and_one_that_asks_for_options_is_named(monkeypatch):
    class Mine(Dice):
        """A loss of one's own, in this module."""

    class Asking(Dice):
        """One with an option that has no default."""

        def __init__(self, *, urgent: float):
            super().__init__(smooth=urgent)

    monkeypatch.setitem(LOSSES, "mine", Mine)
    monkeypatch.setitem(LOSSES, "asking", Asking)
    assert list(atlas.members("test_atlas", 32)) == ["mine"]
    assert atlas.left_out().keys() == {"asking"}
    assert "urgent" in atlas.left_out()["asking"]
    monkeypatch.setitem(atlas.NEEDED, "asking", {"urgent": 2.0})
    assert list(atlas.members("test_atlas", 32)) == ["mine", "asking"]


@pytest.mark.parametrize("side", [32, 64, 100])
def test_the_cases_are_what_their_names_say(side):
    cases = atlas.cases(side)
    mass = cases["perfect"][0]
    assert (cases["perfect"][1] == mass).all()
    assert ((cases["dilation"][1] & mass) == mass).all()
    assert ((cases["erosion"][1] & mass) == cases["erosion"][1]).all()
    assert ndimage.label(cases["split"][1])[1] == 2
    assert ndimage.label(cases["extra blob"][1])[1] == 2
    assert not cases["missed mass"][1].any()
    assert not cases["empty target"][0].any()
    assert len({prediction.tobytes() for _, prediction in cases.values()}) == len(cases)


@pytest.mark.parametrize("side", [32, 64])
def test_the_scene_of_the_blob_differs_in_the_blob_alone(side):
    mass, without, near, far, scattered = atlas._blob_scene(side, 0.98)
    counts = [int((each != without).sum()) for each in (near, far, scattered)]
    assert len(set(counts)) == 1
    assert counts[0] >= 9
    for each in (near, far, scattered):
        assert not (each != without)[mass].any()
        np.testing.assert_allclose(np.sort(each, axis=None), np.sort(near, axis=None))
    assert ndimage.label(scattered != without)[1] == counts[0], "no two scattered pixels touch"


def test_properties_are_computed():
    blind = atlas.properties(build_loss("bce"), 64, 0.98)
    assert (blind["moved blob"], blind["scattered"], blind["density"], blind["epoch"]) == (
        "blind",
        "blind",
        "",
        "",
    )
    p = 1 / (1 + np.exp(-np.log(0.98 / 0.02)))
    assert blind["right and empty"] == f"{-np.log(p):.3f}"
    sees = atlas.properties(atlas.ready(build_loss("boundary_strategy"), 64), 64, 0.98)
    assert (sees["moved blob"], sees["epoch"], sees["cached"]) == ("dearer", "yes", "distance_map")
    assert atlas.properties(build_loss("density_asp"), 64, 0.98)["density"] == "yes"


def test_a_row_holds_values_and_their_derivatives():
    loss, cases = build_loss("dice"), atlas.cases(32)
    row = atlas.row(loss, {"shift": cases["shift"]}, 0.9)
    truth, prediction = cases["shift"]
    logits = atlas.fading(prediction, 0.9)
    i, step = (14, 12), 1e-5
    moved = [logits.copy() for _ in range(2)]
    moved[0][i] += step
    moved[1][i] -= step
    up, down = (atlas.evaluate(loss, each, truth) for each in moved)
    assert row.gradients["shift"][i] == pytest.approx((up - down) / (2 * step), rel=1e-5)
    assert row.values["shift"] == pytest.approx(atlas.evaluate(loss, logits, truth))
