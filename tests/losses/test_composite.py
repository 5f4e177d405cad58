from __future__ import annotations

import numpy as np
import pytest
import torch

from mammoseg_lib.losses import BCE, Batch, Dice, Linear, Loss, Phases, Tversky, WeightedSum, build_loss
from mammoseg_lib.losses.base import stack_features
from tests.losses.cases import random_case


class Probe(Loss):
    """Its value is the one feature it caches, by default the area of the mass; it keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.register_buffer("areas", torch.zeros(2))

    def target_features(self, mask, spacing_mm=None):
        return {"area": np.array(float(mask.sum())), "spacing": np.array(spacing_mm or (0.0, 0.0))}

    def fit_targets(self, masks):
        self.areas = torch.from_numpy(masks.sum((1, 2))).float()

    def forward(self, logits, batch):
        features = self.features_of(batch)
        return features["area"] + features["spacing"].sum(1) + 0 * logits.sum((1, 2, 3))


def nested() -> tuple[WeightedSum, list[Probe]]:
    """A sum of a loss and of phases, of which the second is a sum in turn."""
    probes = [Probe(), Probe(), Probe()]
    inner = WeightedSum({"b": (probes[1], 10.0), "c": (probes[2], 100.0)})
    return WeightedSum({"phases": (Phases([(probes[0], 2), (inner, 0)]), 1.0), "bce": (BCE(), 0.0)}), probes


def masks() -> np.ndarray:
    result = np.zeros((2, 6, 7), dtype=bool)
    result[0, :2, :2] = result[1, 3:, :] = True
    return result


def features_of(loss: Loss, targets: np.ndarray) -> dict[str, torch.Tensor]:
    rows = [loss.target_features(target) for target in targets]
    return stack_features(rows)


@pytest.mark.parametrize(
    ("reach_end", "want"), [(True, [0, 0.25, 0.5, 0.75, 1]), (False, [0, 0.2, 0.4, 0.6, 0.8])]
)
def test_a_linear_weight_in_every_epoch(reach_end, want):
    assert [Linear(0.0, 1.0, reach_end).at(epoch, 5) for epoch in range(5)] == pytest.approx(want)
    down = [Linear(1.0, 0.0, reach_end).at(epoch, 5) for epoch in range(5)]
    assert down == pytest.approx([1 - w for w in want])


def test_20_epochs_end_at_95_hundredths_unless_the_end_is_reached():
    """The published schedule of 002."""
    assert Linear(0.0, 1.0, reach_end=False).at(19, 20) == pytest.approx(0.95)
    assert Linear(0.0, 1.0).at(19, 20) == 1


@pytest.mark.parametrize("reach_end", [True, False])
def test_one_epoch_has_the_first_weight(reach_end):
    assert Linear(0.25, 1.0, reach_end).at(0, 1) == 0.25


def test_a_sum_has_its_weights_in_every_epoch():
    logits, batch = random_case(0)
    dice, bce = Dice()(logits, batch), BCE()(logits, batch)
    loss = WeightedSum({"dice": (Dice(), 2.0), "bce": (BCE(), Linear(0.0, 1.0))})
    for epoch in range(5):
        loss.at_epoch(epoch, 5)
        assert loss.weights_at(epoch, 5) == {"dice": 2.0, "bce": epoch / 4}
        torch.testing.assert_close(loss(logits, batch), 2 * dice + epoch / 4 * bce, rtol=1e-12, atol=0)


def test_before_any_epoch_it_is_the_first_of_one():
    logits, batch = random_case(1)
    loss = WeightedSum({"dice": (Dice(), Linear(1.0, 0.0)), "bce": (BCE(), Linear(0.0, 1.0))})
    assert torch.equal(loss(logits, batch), Dice()(logits, batch))


def test_a_term_of_weight_0_is_not_computed():
    logits, batch = random_case(2)

    class Refuses(Loss):
        def forward(self, logits, batch):
            raise AssertionError

    loss = WeightedSum({"bce": (BCE(), 1.0), "refuses": (Refuses(), Linear(0.0, 1.0))})
    assert torch.equal(loss(logits, batch), BCE()(logits, batch))
    loss.at_epoch(1, 3)
    with pytest.raises(AssertionError):
        loss(logits, batch)


def test_a_sum_whose_weights_are_all_0_can_be_trained_with():
    logits, batch = random_case(3)
    logits.requires_grad_()
    values = WeightedSum({"bce": (BCE(), 0.0)})(logits, batch)
    assert values.tolist() == [0, 0, 0]
    values.sum().backward()
    assert (logits.grad == 0).all()


def test_phases_take_turns():
    logits, batch = random_case(4)
    losses = [BCE(), Dice(), Tversky()]
    values = [loss(logits, batch) for loss in losses]
    loss = Phases([(losses[0], 3), (losses[1], 1), (losses[2], 0)])
    turns = []
    for epoch in range(7):
        loss.at_epoch(epoch, 7)
        turns.append(loss.phase(epoch))
        assert torch.equal(loss(logits, batch), values[turns[-1]])
    assert turns == [0, 0, 0, 1, 2, 2, 2]


def rising(**more: object) -> dict:
    """Dice with a weight that goes from 0 to 1."""
    return {"dice": {"weight": {"start": 0.0, "end": 1.0, **more}}}


@pytest.mark.parametrize(("first", "epochs"), [(2, 5), (50, 100), (8, 10), (1, 3)])
def test_a_change_of_weights_inside_the_last_phase_begins_and_ends_with_it(first, epochs):
    """It began at .505 where the phase starts at epoch 50 of 100."""
    logits, batch = random_case(5)
    dice = Dice()(logits, batch)
    loss = build_loss([{"name": "bce", "epochs": first}, {"name": rising()}])
    for epoch in range(first, epochs):
        loss.at_epoch(epoch, epochs)
        want = (epoch - first) / (epochs - 1 - first)
        torch.testing.assert_close(loss(logits, batch), want * dice, rtol=1e-12, atol=0)


def test_a_change_of_weights_inside_a_phase_in_the_middle_begins_and_ends_with_it():
    logits, batch = random_case(5)
    dice = Dice()(logits, batch)
    phases = [{"name": "bce", "epochs": 3}, {"name": rising(), "epochs": 5}, {"name": "bce"}]
    loss = build_loss(phases)
    for epoch, want in zip(range(3, 8), (0, 0.25, 0.5, 0.75, 1), strict=True):
        loss.at_epoch(epoch, 20)
        torch.testing.assert_close(loss(logits, batch), want * dice, rtol=1e-12, atol=0)


def test_phases_inside_of_phases_count_from_their_own_start():
    logits, batch = random_case(5)
    bce, dice = BCE()(logits, batch), Dice()(logits, batch)
    inner = [{"name": "dice", "epochs": 2}, {"name": rising(reach_end=False)}]
    loss = build_loss([{"name": "bce", "epochs": 4}, {"name": inner}])
    wants = [bce] * 4 + [dice] * 2 + [share * dice for share in (0, 0.25, 0.5, 0.75)]
    stages = set()
    for epoch, want in enumerate(wants):
        loss.at_epoch(epoch, 10)
        torch.testing.assert_close(loss(logits, batch), want, rtol=1e-12, atol=0)
        stages.add(loss.stage(epoch, 10))
    assert len(stages) == 6  # two that stay the same, and four weights
    assert loss.phase_starts() == {0, 4, 6}


def test_a_phase_that_training_never_reaches_is_told_a_valid_epoch():
    loss = build_loss([{"name": "bce", "epochs": 4}, {"name": rising()}])
    loss.at_epoch(1, 3)
    inside = loss.terms["1"]
    assert (inside.epoch, inside.epochs) == (0, 1)


def test_where_phases_start():
    assert Dice().phase_starts() == {0}
    assert build_loss({"dice": 1, "bce": 1}).phase_starts() == {0}
    assert nested()[0].phase_starts() == {0, 2}
    assert build_loss("bce_jaccard_then_focal_tversky").phase_starts() == {0, 20}


def test_features_reach_the_losses_inside_of_composites():
    loss, _ = nested()
    targets = masks()
    features = features_of(loss, targets)
    paths = {f"phases/{path}" for path in ("0", "1/b", "1/c")}
    assert set(features) == {f"{path}/{key}" for path in paths for key in ("area", "spacing")}
    logits, target = torch.zeros(2, 1, 6, 7), torch.from_numpy(targets)[:, None].float()
    assert loss(logits, Batch(target, features)).tolist() == [4, 21]
    loss.at_epoch(2, 3)
    assert loss(logits, Batch(target, features)).tolist() == [440, 110 * 21]
    # Each reads its own: another value for one of them is seen there, and only there.
    features["phases/1/c/area"] = features["phases/1/c/area"] * 0 + 1
    assert loss(logits, Batch(target, features)).tolist() == [10 * 4 + 100, 10 * 21 + 100]


def test_features_are_computed_inside_of_composites_where_the_batch_carries_none():
    loss, _ = nested()
    loss.at_epoch(2, 3)
    target = torch.from_numpy(masks())[:, None].float()
    spacing = torch.tensor([[0.5, 0.25], [float("nan"), 0.25]])
    got = loss(torch.zeros(2, 1, 6, 7), Batch(target, spacing_mm=spacing))
    assert got.tolist() == [110 * 4.75, 110 * 21]


def test_a_sum_without_features_has_none():
    loss = WeightedSum({"dice": (Dice(), 1.0), "bce": (BCE(), 1.0)})
    assert loss.target_features(masks()[0]) == {}


def test_training_masks_and_epochs_reach_every_loss_inside():
    loss, probes = nested()
    loss.fit_targets(masks())
    loss.at_epoch(3, 8)
    for probe in probes:
        assert probe.areas.tolist() == [4, 21]
    first, *second = probes  # each counts the epochs of its turn: the first lasts two, the others the rest
    assert (first.epoch, first.epochs) == (1, 2)
    assert [(probe.epoch, probe.epochs) for probe in second] == [(1, 6), (1, 6)]
    assert (loss.epoch, loss.epochs) == (3, 8)
    assert "terms.phases.terms.1.terms.c.areas" in loss.state_dict()
