from __future__ import annotations

import numpy as np
import pytest
import torch

from mammoseg_lib import scenes
from mammoseg_lib.losses import build_loss


@pytest.mark.parametrize("area", [0, 1, 7, 300, 1024])
def test_a_disc_of_an_area_has_that_area_and_its_closest_pixels(area):
    mask = scenes.disc_of_area(32, (11.3, 20), area)
    assert mask.sum() == area
    rows, columns = np.indices(mask.shape)
    distance = np.hypot(rows - 11.3, columns - 20)
    if 0 < area < mask.size:
        assert distance[mask].max() <= distance[~mask].min() + 1e-9


def test_an_ellipse_is_as_high_and_as_wide_as_its_axes_say():
    mask = scenes.ellipse(64, (30, 20), (17, 9))
    box = np.argwhere(mask)
    assert (np.ptp(box, axis=0) + 1).tolist() == [33, 17]
    np.testing.assert_array_equal(box.mean(0), [30, 20])
    assert (scenes.disc(64, (30, 20), 9) == scenes.ellipse(64, (30, 20), (9, 9))).all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_disc_that_is_spread_keeps_its_area_and_comes_in_parts(count):
    from scipy import ndimage

    mask = scenes.spread(256, (128, 120), 40, count)
    assert ndimage.label(mask)[1] == count
    assert mask.sum() == pytest.approx(np.pi * 40**2, rel=0.02)


def test_logits_fade_at_the_outline_and_stop_at_the_confidence():
    mask = scenes.disc(64, (32, 32), 20)
    logits = scenes.fading(mask, 0.95)
    assert ((logits > 0) == mask).all()
    assert logits.max() == pytest.approx(np.log(19))
    assert logits.min() == pytest.approx(-np.log(19))
    assert logits[32, 32 + 19] == 0.5
    assert logits[32, 32 + 20] == -0.5
    np.testing.assert_allclose(scenes.fading(mask, 0.95, softness=2)[32, 32 + 19], 0.25)
    assert (scenes.fading(np.zeros_like(mask), 0.95) == -scenes.logit(0.95)).all()
    np.testing.assert_allclose(1 / (1 + np.exp(-scenes.two_valued(mask, 0.9))), np.where(mask, 0.9, 0.1))


def test_the_value_and_the_gradient_of_bce_are_those_of_its_formula():
    truth = scenes.disc(16, (8, 6), 4)
    logits = np.random.default_rng(0).normal(size=truth.shape)
    p = 1 / (1 + np.exp(-logits))
    expected = -np.where(truth, np.log(p), np.log(1 - p)).mean()
    loss = build_loss("bce")
    assert scenes.evaluate(loss, logits, truth) == pytest.approx(expected, rel=1e-12)
    value, gradient = scenes.gradient(loss, logits, truth)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, (p - truth) / truth.size, atol=1e-15)


def test_the_density_reaches_the_loss():
    truth = scenes.disc(64, (30, 30), 10)
    logits = scenes.fading(np.roll(truth, 3), 0.9)
    loss = build_loss("density_asp")
    values = [scenes.evaluate(loss, logits, truth, density) for density in (1, 3)]
    region = scenes.evaluate(build_loss("hybrid_region"), logits, truth)
    assert values[1] - values[0] == pytest.approx((0.85 - 0.5) * region, rel=1e-6)
    assert scenes.as_batch(logits, truth)[0].dtype == torch.float64


def test_the_responder_puts_the_perfect_prediction_at_0_and_the_missed_mass_at_100():
    truth = scenes.disc(64, (30, 30), 10)
    losses = {"bce": build_loss("bce"), "rmi": build_loss("rmi")}
    respond = scenes.Responder(losses, truth, 0.9)
    perfect = respond("bce", 30, 30, 10, 1, 1.0)
    assert perfect.costs == pytest.approx({"bce": 0, "rmi": 0}, abs=1e-9)
    assert perfect.metrics == {"DSC": 1, "sensitivity": 1, "HD": 0}
    missed = {
        name: scenes.evaluate(loss, scenes.fading(np.zeros_like(truth), 0.9), truth)
        for name, loss in losses.items()
    }
    away = respond("rmi", 30, 50, 5, 2, 1.0)
    for name in losses:
        share = (away.values[name] - perfect.values[name]) / (missed[name] - perfect.values[name])
        assert away.costs[name] == pytest.approx(100 * share)
    assert away.metrics["DSC"] == 0
    assert away.metrics["HD"] > 10


def test_a_mask_is_spoiled_in_four_ways_with_as_many_wrong_pixels():
    from scipy import ndimage

    truth = scenes.disc(128, (60, 60), 22)
    spoiled = scenes.spoiled(truth)
    assert list(spoiled) == ["moved", "holes", "ragged", "strewn"]
    wrong = {name: mask != truth for name, mask in spoiled.items()}
    assert len({int(each.sum()) for each in wrong.values()}) == 1
    assert (spoiled["holes"] <= truth).all()
    inside, outside = ndimage.distance_transform_edt(truth), ndimage.distance_transform_edt(~truth)
    border = np.maximum(inside, outside)
    assert inside[wrong["holes"]].min() > 2
    assert border[wrong["ragged"]].mean() < border[wrong["holes"]].mean() < border[wrong["strewn"]].mean()
    assert (scenes.spoiled(truth)["ragged"] == spoiled["ragged"]).all(), "the same seed, the same mask"
