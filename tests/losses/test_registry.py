from __future__ import annotations

import numpy as np
import pytest
import torch

from mammoseg_lib.losses import (
    BCE,
    BalancedBCE,
    Batch,
    Dice,
    Focal,
    FocalTversky,
    Jaccard,
    Loss,
    SpatialMatching,
    Tversky,
    WeightedBCE,
    WeightedSum,
    bce_jaccard,
    build_loss,
    combo,
    dice_bce,
    two_phase,
)


def case() -> tuple[torch.Tensor, np.ndarray, Batch]:
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 16, 16), dtype=bool)
    masks[0, 2:6, 3:11] = masks[1, 9:11, 1:3] = True
    logits = torch.from_numpy(rng.normal(-1, 2, (2, 1, 16, 16)))
    return logits, masks, Batch(torch.from_numpy(masks).double()[:, None])


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("bce", {}, BCE),
        ("weighted_bce", {"positive_weight": 3, "negative_weight": 0.5}, WeightedBCE),
        ("balanced_bce", {}, BalancedBCE),
        ("focal", {"gamma": 1, "alpha": None}, Focal),
        ("dice", {"dice_factor": 1, "smooth": 0.5}, Dice),
        ("tversky", {"alpha": 0.5, "beta": 0.5}, Tversky),
        ("focal_tversky", {"alpha": 0.6, "exponent": 0.5, "smooth": 2}, FocalTversky),
        ("jaccard", {"smooth": 0.5, "per": "pixel", "log": True}, Jaccard),
        ("dice_bce", {"bce_weight": 3}, dice_bce),
        ("bce_jaccard", {"omega": 0.3}, bce_jaccard),
        ("bce_jaccard_then_focal_tversky", {"combination_epochs": 3, "omega": 0.3}, two_phase),
        ("combo", {"alpha": 0.3, "beta": 0.4}, combo),
        ("spatial_matching", {"core": "dice", "variant": "scale", "aggregation": "nonzero"}, SpatialMatching),
    ],
)
def test_options_arrive(name, options, kind):
    logits, _, batch = case()
    loss = build_loss(name, **options)
    assert isinstance(loss, Loss)
    assert torch.equal(loss(logits, batch), kind(**options)(logits, batch))


def test_a_mapping_is_a_weighted_sum():
    logits, _, batch = case()
    loss = build_loss({"dice": {"weight": 0.5, "dice_factor": 1}, "bce": 2, "tversky": {"alpha": 0.9}})
    assert isinstance(loss, WeightedSum)
    want = (
        0.5 * Dice(dice_factor=1)(logits, batch)
        + 2 * BCE()(logits, batch)
        + Tversky(alpha=0.9)(logits, batch)
    )
    torch.testing.assert_close(loss(logits, batch), want, rtol=1e-12, atol=0)


def test_a_sum_hands_every_term_its_own_cached_features():
    logits, masks, batch = case()
    loss = build_loss({"bce": 1, "spatial_matching": {"weight": 0.5, "variant": "distance"}})
    rows = [loss.target_features(mask) for mask in masks]
    assert set(rows[0]) == {f"spatial_matching/{key}" for key in ("cell_size", "cell_mass", "cell_distance")}
    features = {k: torch.from_numpy(np.stack([row[k] for row in rows])) for k in rows[0]}
    assert torch.equal(loss(logits, Batch(batch.target, features)), loss(logits, batch))
    # That they are read, not computed again: other features, another value.
    features["spatial_matching/cell_distance"] = features["spatial_matching/cell_distance"] * 0
    assert not torch.equal(loss(logits, Batch(batch.target, features)), loss(logits, batch))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "jacard",
            {},
            r"no loss is called 'jacard'; there are 'bce', 'weighted_bce', .*'jaccard', .*'spatial_matching'",
        ),
        ("dice", {"alpha": 1}, r"loss 'dice' has no option 'alpha'; it takes 'dice_factor', 'smooth'"),
        ("bce", {"smooth": 1}, r"loss 'bce' has no option 'smooth'; it takes no options"),
        (
            "spatial_matching",
            {"grid": 8},
            r"no option 'grid'; it takes 'core', 'variant', 'aggregation', 'alpha'",
        ),
        ({"dice": 1, "fokal": 1}, {}, r"no loss is called 'fokal'"),
        ({"dice": {"weight": 1, "beta": 2}}, {}, r"loss 'dice' has no option 'beta'"),
        ({"dice": 1}, {"smooth": 1}, r"give 'smooth' to one of the losses"),
        ({}, {}, r"a sum needs at least one of 'bce'"),
        ({"dice": "one"}, {}, r"the weight of 'dice' must be a finite number from 0, not 'one'"),
    ],
)
def test_mistakes_are_told_what_is_valid(name, options, says):
    with pytest.raises(ValueError, match=says):
        build_loss(name, **options)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("weighted_bce", r"loss 'weighted_bce' needs 'positive_weight'"),
        ({"bce": {"weight": {"start": 1}}}, r"the weight of 'bce' needs 'end'"),
        ({"bce": {"weight": {"start": 1, "stop": 0}}}, r"the weight of 'bce' has no option 'stop'"),
    ],
)
def test_what_has_no_default_is_asked_for(name, says):
    with pytest.raises(ValueError, match=says):
        build_loss(name)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ({"dice": float("nan")}, {}, "the weight of 'dice' must be a finite number from 0, not nan"),
        ({"dice": -1}, {}, "the weight of 'dice' must be a finite number from 0, not -1"),
        ({"dice": True}, {}, "the weight of 'dice' must be a finite number from 0, not True"),
        ({"dice": {"weight": {"start": -1, "end": 1}}}, {}, "start must be a finite number from 0, not -1"),
        ("dice_bce", {"dice_weight": -3}, "the weight of 'dice' must be a finite number from 0, not -3"),
    ],
)
def test_weights_are_numbers_from_0(name, options, says):
    with pytest.raises(ValueError, match=says):
        build_loss(name, **options)
