from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from mammoseg_lib.losses import ASPReconstruction, Batch, DensityASP, build_loss

SIDE = 32  # what RMI with its pooling needs at least is less


def case(
    seed: int = 0, ratios: tuple[float, ...] = (0.02, 0.1, 0.3)
) -> tuple[torch.Tensor, Batch, np.ndarray]:
    """Logits and squares of the given shares of the image."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((len(ratios), SIDE, SIDE), dtype=bool)
    for mask, ratio in zip(masks, ratios, strict=True):
        length = round(SIDE * math.sqrt(ratio))
        mask[4 : 4 + length, 5 : 5 + length] = True
    logits = torch.from_numpy(rng.normal(np.where(masks, 1, -2), 1))[:, None]
    density = torch.tensor([1.0, 3.0, 4.0])[: len(ratios)]
    return logits, Batch(torch.from_numpy(masks).double()[:, None], acr_density=density), masks


def terms(logits: torch.Tensor, batch: Batch, **dice) -> dict[str, torch.Tensor]:
    built = {"bce": {}, "dice": dice, "rmi": {}, "ssim": {}}
    return {name: build_loss(name, **options)(logits, batch) for name, options in built.items()}


# Density-ASP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theta", "by_class", "alpha"),
    [
        ("inbreast", (0.5, 0.5, 0.85, 0.95), 2.0),
        ("cbis_ddsm", (0.25, 0.25, 0.85, 0.95), 2.5),
        ((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4), 2.0),
    ],
)
def test_density_asp_is_eq_7(theta, by_class, alpha):
    logits, batch, _ = case()
    t = terms(logits, batch, dice_factor=1)
    weight = torch.tensor([by_class[int(d) - 1] for d in batch.acr_density.tolist()])
    want = weight * (t["rmi"] + t["ssim"]) + alpha * t["dice"] + t["bce"]
    torch.testing.assert_close(DensityASP(theta)(logits, batch), want, rtol=1e-6, atol=1e-7)


def test_every_coefficient_weighs_its_own_term():
    logits, batch, _ = case()
    t = terms(logits, batch, dice_factor=2)
    weight = torch.tensor([0.5, 0.85, 0.95])
    loss = DensityASP(dice_weight=3, bce_weight=0.7, rmi_weight=0.2, ssim_weight=5, dice_factor=2)
    want = weight * (0.2 * t["rmi"] + 5 * t["ssim"]) + 3 * t["dice"] + 0.7 * t["bce"]
    torch.testing.assert_close(loss(logits, batch), want, rtol=1e-6, atol=1e-7)


def test_rmi_options_reach_the_rmi_term():
    logits, batch, _ = case()
    plain = DensityASP()(logits, batch)
    for options, rmi in (
        ({"pooling": "max3"}, build_loss("rmi", pooling="max3")),
        ({"rmi_include_bce": True}, build_loss("rmi", bce_weight=0.5)),
    ):
        change = rmi(logits, batch) - build_loss("rmi")(logits, batch)
        weight = torch.tensor([0.5, 0.85, 0.95])
        torch.testing.assert_close(
            DensityASP(**options)(logits, batch), plain + weight * change, rtol=1e-6, atol=1e-7
        )
        assert (change.abs() > 1e-3).all()


def test_only_the_density_of_the_sample_itself_counts():
    logits, batch, _ = case()
    loss = DensityASP()
    before = loss(logits, batch)
    other = Batch(batch.target, acr_density=torch.tensor([1.0, 3.0, 1.0]))
    after = loss(logits, other)
    assert torch.equal(before[:2], after[:2])
    assert before[2] != after[2]


@pytest.mark.parametrize("unknown", [math.nan, 0.0, 5.0, 2.5])
def test_an_unknown_density_is_an_error_unless_a_class_is_given_for_it(unknown):
    logits, batch, _ = case()
    strange = Batch(batch.target, acr_density=torch.tensor([1.0, unknown, 4.0]))
    with pytest.raises(ValueError, match=f"of 1, 2, 3 or 4 for every sample, not {unknown:g}"):
        DensityASP()(logits, strange)
    known = Batch(batch.target, acr_density=torch.tensor([1.0, 2.0, 4.0]))
    assert torch.equal(DensityASP(missing=2)(logits, strange), DensityASP()(logits, known))


def test_a_source_without_densities_is_an_error_unless_a_class_is_given_for_it():
    logits, batch, _ = case()
    without = Batch(batch.target)
    with pytest.raises(ValueError, match="this source has none"):
        DensityASP()(logits, without)
    all_dense = Batch(batch.target, acr_density=torch.full((3,), 4.0))
    assert torch.equal(DensityASP(missing=4)(logits, without), DensityASP()(logits, all_dense))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"theta": "ddsm"}, "theta='ddsm' is not one of 'inbreast', 'cbis_ddsm'"),
        ({"theta": (0.5, 0.5, 0.85)}, "theta must be 4 finite numbers from 0"),
        ({"theta": (0.5, 0.5, 0.85, -1)}, "theta must be 4 finite numbers from 0"),
        ({"missing": 5}, "missing=5 is not one of 1, 2, 3, 4"),
    ],
)
def test_wrong_options_of_density_asp(options, says):
    with pytest.raises(ValueError, match=says):
        DensityASP(**options)


def test_gradient_of_density_asp():
    logits, batch, _ = case(ratios=(0.3,))
    loss, small = DensityASP(pooling="avg2"), slice(4, 18)
    logits = logits[..., small, small].clone().requires_grad_()
    batch = Batch(batch.target[..., small, small], acr_density=batch.acr_density)
    assert torch.autograd.gradcheck(lambda x: loss(x, batch), logits)


# ASP, reconstructed -----------------------------------------------------------------------------------

FOUR = {"dice_weights": (1.6, 1.2, 0.8, 0.4), "bce_weights": (0.3, 0.8, 1.2, 1.7)}


def masks_of(areas: list[int]) -> np.ndarray:
    masks = np.zeros((len(areas), SIDE * SIDE), dtype=bool)
    for mask, area in zip(masks, areas, strict=True):
        mask[:area] = True
    return masks.reshape(-1, SIDE, SIDE)


def test_quantiles_hold_equally_many_training_masks():
    areas = [*range(10, 50)]
    loss = ASPReconstruction("quantile", **FOUR)
    loss.fit_targets(masks_of(areas)[np.random.default_rng(0).permutation(40)])
    groups = loss.groups(torch.tensor(areas) / SIDE**2)
    assert groups.bincount().tolist() == [10, 10, 10, 10]
    assert groups.tolist() == sorted(groups.tolist())


def test_a_mask_at_an_edge_is_in_the_upper_group_whatever_the_precision():
    areas = [10, 21, 33, 47, 59, 71, 83, 97, 109]  # the quartiles are areas of the list
    masks = masks_of(areas)
    loss = ASPReconstruction("quantile", **FOUR)
    loss.fit_targets(masks)
    for dtype in (torch.float32, torch.float64):
        target = torch.from_numpy(masks).to(dtype)[:, None]
        got = loss.groups(target.sum((1, 2, 3)).double() / SIDE**2)
        assert got.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3]


def test_clusters_are_those_of_the_smallest_sum_of_squares():
    areas = [10, 11, 12, 100, 105, 300, 310, 320, 600]
    loss = ASPReconstruction("cluster", **FOUR)
    loss.fit_targets(masks_of(areas[::-1]))
    got = loss.groups(torch.tensor(areas) / SIDE**2).tolist()

    def cost(cuts):
        parts = np.split(np.array(areas), cuts)
        return sum(((part - part.mean()) ** 2).sum() for part in parts)

    best = min(itertools.combinations(range(1, len(areas)), 3), key=cost)
    want = np.searchsorted(best, np.arange(len(areas)), side="right").tolist()
    assert got == want


def test_a_sample_is_weighed_by_its_group():
    logits, batch, masks = case(ratios=(0.02, 0.1, 0.3))
    loss = ASPReconstruction("quantile", dice_weights=(2, 1, 0), bce_weights=(0, 0.5, 3))
    loss.fit_targets(masks)
    t = terms(logits, batch)
    want = torch.stack([2 * t["dice"][0], t["dice"][1] + 0.5 * t["bce"][1], 3 * t["bce"][2]])
    torch.testing.assert_close(loss(logits, batch), want, rtol=1e-6, atol=1e-9)


def test_dice_factor_reaches_the_dice_term():
    logits, batch, masks = case()
    loss = ASPReconstruction("quantile", (1, 1, 1), (0, 0, 0), dice_factor=1)
    loss.fit_targets(masks)
    torch.testing.assert_close(loss(logits, batch), terms(logits, batch, dice_factor=1)["dice"])


def test_learned_weights_start_as_the_plain_hybrid():
    logits, batch, masks = case()
    loss = ASPReconstruction("learned")
    loss.fit_targets(masks)
    torch.testing.assert_close(loss(logits, batch), build_loss("dice_bce")(logits, batch))


def test_learned_weights_are_the_softmax_of_the_standardized_log_ratio():
    logits, batch, masks = case()
    loss = ASPReconstruction("learned")
    loss.fit_targets(masks)
    slopes = np.array([[0.5, -0.2], [-1.0, 0.3]])
    loss.slopes.data = torch.from_numpy(slopes).float()
    logs = np.log(masks.mean((1, 2)))
    t = terms(logits, batch)
    for i, z in enumerate((logs - logs.mean()) / logs.std()):
        a = slopes @ [z, 1]
        dice_weight, bce_weight = 2 * np.exp(a) / np.exp(a).sum()
        want = dice_weight * float(t["dice"][i]) + bce_weight * float(t["bce"][i])
        assert float(loss(logits, batch)[i].detach()) == pytest.approx(want, rel=1e-5)


def test_what_is_learned_moves_weight_to_the_smaller_term():
    """Nothing in the sentences about it prevents that; the docstring says so."""
    logits, batch, masks = case()
    loss = ASPReconstruction("learned")
    loss.fit_targets(masks)
    t = terms(logits, batch)
    smaller = "dice" if t["dice"].sum() < t["bce"].sum() else "bce"
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        loss(logits, batch).mean().backward()
        optimizer.step()
    mean = loss.weights(batch.target.mean((1, 2, 3)), SIDE**2).mean(0)
    assert mean[0 if smaller == "dice" else 1] > 1.5


def test_an_empty_target_counts_as_the_smallest():
    logits, _, masks = case()
    empty = Batch(torch.zeros_like(logits))
    t = terms(logits, empty)
    grouped = ASPReconstruction("quantile", (2, 1, 1), (0.5, 1, 1))
    grouped.fit_targets(masks)
    torch.testing.assert_close(grouped(logits, empty), 2 * t["dice"] + 0.5 * t["bce"])
    learned = ASPReconstruction("learned")
    learned.fit_targets(masks)
    learned.slopes.data = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    one_pixel = learned.weights(torch.tensor([1 / SIDE**2]), SIDE**2)
    torch.testing.assert_close(learned.weights(torch.zeros(1), SIDE**2), one_pixel)
    assert learned(logits, empty).isfinite().all()


@pytest.mark.parametrize("grouping", ["quantile", "cluster", "learned"])
def test_what_was_fitted_is_saved_and_nothing_else_is(grouping):
    logits, batch, masks = case()
    options = {} if grouping == "learned" else {"dice_weights": (2, 1, 0), "bce_weights": (0, 1, 2)}
    first, second = (ASPReconstruction(grouping, **options) for _ in range(2))
    with pytest.raises(RuntimeError, match="has not seen the training masks: call fit_targets first"):
        second(logits, batch)
    first.fit_targets(masks)
    # Inside a sum, as a checkpoint has it.
    nn.ModuleList([second]).load_state_dict(nn.ModuleList([first]).state_dict())
    assert torch.equal(first(logits, batch), second(logits, batch))
    assert set(first.state_dict()) == (
        {"log_ratio_mean", "log_ratio_sd", "slopes"} if grouping == "learned" else {"edges"}
    )
    unfitted = ASPReconstruction(grouping, **options)
    unfitted.load_state_dict(ASPReconstruction(grouping, **options).state_dict())
    with pytest.raises(RuntimeError, match="call fit_targets first"):
        unfitted(logits, batch)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"grouping": "size"}, "grouping='size' is not one of 'quantile', 'cluster', 'learned'"),
        ({}, "needs dice_weights and bce_weights, one of each for every group"),
        ({"dice_weights": (1, 2), "bce_weights": (1, 2, 3)}, "one of each for every group"),
        ({"dice_weights": (1,), "bce_weights": (1,)}, "one of each for every group"),
        ({"dice_weights": (1, -2), "bce_weights": (1, 2)}, "dice_weights must be 2 finite numbers from 0"),
        ({"grouping": "learned", **FOUR}, "learns its weights; it takes none"),
    ],
)
def test_wrong_options_of_asp(options, says):
    with pytest.raises(ValueError, match=says):
        ASPReconstruction(**options)


def test_too_few_sizes_of_mass():
    with pytest.raises(ValueError, match="4 groups need as many sizes of mass; the training masks have 2"):
        ASPReconstruction("cluster", **FOUR).fit_targets(masks_of([10, 10, 20, 20, 20]))
    with pytest.raises(ValueError, match="too many training masks are of one size to form 4 groups"):
        ASPReconstruction("quantile", **FOUR).fit_targets(masks_of([10, 10, 10, 10, 10, 20, 30, 40]))
    with pytest.raises(ValueError, match="all of one size"):
        ASPReconstruction("learned").fit_targets(masks_of([10, 10]))
