from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.datasets import sample_table
from mammoseg_lib.losses import build_loss
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.training import Trainer, Training, TrainingError, fit

SIZE = 16
CPU = torch.device("cpu")


class TinyNet(nn.Module):
    """A few convolutions with what makes resuming hard: batch statistics and dropout."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout2d(0.3),
            nn.Conv2d(8, 1, 3, padding=1),
        )

    def forward(self, x):
        return self.layers(x)


@pytest.fixture
def prepared():
    random = np.random.default_rng(0)
    masks = np.zeros((12, SIZE, SIZE), bool)
    for mask in masks:
        row, column = random.integers(0, 10, 2)
        mask[row : row + 5, column : column + 5] = True
    images = (masks * 0.5 + random.random(masks.shape) * 0.5).astype(np.float32)
    table = sample_table(
        [{"sample_id": f"{i:02d}", "patient_id": f"p{i}", "acr_density": i % 4 + 1} for i in range(12)]
    )
    return PreparedSet(table, images, masks, np.full((12, 2), 0.5, np.float32), "key", False, ())


@pytest.fixture
def parts(prepared):
    ids = prepared.table["sample_id"].tolist()
    loss = build_loss("spatial_matching")
    return SegmentationDataset(prepared, tuple(ids[:8]), loss), SegmentationDataset(
        prepared, tuple(ids[8:]), loss
    )


def _trainer(seed=0, **settings):
    torch.manual_seed(seed)
    settings = {"epochs": 5, "batch_size": 3, "learning_rate": 0.01, **settings}
    return Trainer(TinyNet(), build_loss("spatial_matching"), Training(**settings), seed=seed, device=CPU)


def test_a_batch_holds_images_targets_densities_and_cached_features(prepared, parts):
    images, batch = parts[0][[2, 0]]
    np.testing.assert_array_equal(images[:, 0], prepared.images[[2, 0]])
    np.testing.assert_array_equal(batch.target[:, 0], prepared.masks[[2, 0]])
    assert batch.acr_density.tolist() == [3, 1]
    fresh = build_loss("spatial_matching").target_features(prepared.masks[2])
    assert set(batch.features) == set(fresh)
    for name, value in fresh.items():
        np.testing.assert_array_equal(batch.features[name][0], value)


def test_the_order_of_an_epoch_follows_from_its_seed(parts):
    def order(seed):
        return torch.cat([images for images, _ in parts[0].batches(3, shuffle_seed=seed)])

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))
    assert torch.equal(torch.cat([images for images, _ in parts[0].batches(3)]), parts[0].images)


def test_training_learns_and_reports_every_epoch(parts):
    trainer = _trainer(epochs=15)
    history = fit(trainer, *parts)
    assert history["epoch"].tolist() == list(range(1, 16))
    assert history["train_loss"].iloc[-1] < 0.7 * history["train_loss"].iloc[0]
    assert history["val_dsc"].max() > 0.8


def test_the_weights_of_the_best_epoch_are_kept(parts):
    trainer = _trainer(epochs=8)
    history = fit(trainer, *parts)
    trainer.predict(parts[1])
    assert trainer.best_epoch == history["val_dsc"].idxmax() + 1
    assert trainer.validate(parts[1])["val_dsc"] == history["val_dsc"].max()
    by_loss = _trainer(epochs=8, monitor="loss")
    losses = fit(by_loss, *parts)["val_loss"]
    assert by_loss.best_epoch == losses.idxmin() + 1


def test_the_validation_dsc_is_pooled(parts):
    trainer = _trainer(epochs=2)
    fit(trainer, *parts)
    predicted = trainer.predict(parts[1]) > 0.5
    target = parts[1].masks
    expected = 2 * (predicted & target).sum() / (predicted.sum() + target.sum())
    assert trainer.validate(parts[1])["val_dsc"] == pytest.approx(expected)


def test_step_decay_of_the_learning_rate(parts):
    history = fit(_trainer(epochs=5, decay_every=2, decay=0.5), *parts)
    np.testing.assert_allclose(history["learning_rate"], [0.01, 0.01, 0.005, 0.005, 0.0025])


def test_milestones_of_the_learning_rate(parts, prepared):
    history = fit(_trainer(epochs=5, milestones=[1, 3, 4], decay=0.1), *parts)
    np.testing.assert_allclose(history["learning_rate"], [1e-2, 1e-3, 1e-3, 1e-4, 1e-5])
    for per_phase, expected in (
        (False, [1e-2, 1e-2, 1e-3, 1e-3, 1e-3, 1e-4]),
        (True, [1e-2, 1e-2, 1e-3, 1e-2, 1e-2, 1e-3]),  # the second loss begins with epoch 4
    ):
        settings = {"milestones": (2, 5), "milestones_per_phase": per_phase, "decay": 0.1}
        trainer, both = _changing(prepared, PHASES, **settings)
        np.testing.assert_allclose(fit(trainer, *both)["learning_rate"], expected)
    with pytest.raises(ValueError, match="two schedules"):
        Training(decay_every=3, milestones=(4,))


class EncoderNet(TinyNet):
    """The same network with its first half called the encoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.rest = self.layers[:3], self.layers[3:]
        del self.layers

    def forward(self, x):
        return self.rest(self.encoder(x))


def _frozen(parts, **settings):
    torch.manual_seed(0)
    settings = Training(
        epochs=4, batch_size=3, learning_rate=0.01, weight_decay=0.1, freeze_encoder=2, **settings
    )
    return Trainer(EncoderNet(), parts[0].loss, settings, seed=0, device=CPU)


def test_the_encoder_is_frozen_with_its_batch_statistics_and_then_is_not(parts):
    trainer = _frozen(parts)

    def state():
        return {k: v.clone() for k, v in trainer.model.state_dict().items()}

    states = [state()]
    for _ in range(4):
        trainer.run_epoch(*parts)
        states.append(state())
    for name in states[0]:
        changed = [not torch.equal(a[name], b[name]) for a, b in pairwise(states)]
        assert changed == ([False, False, True, True] if name.startswith("encoder") else [True] * 4), name


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_frozen_encoder_survives_a_restart(parts, tmp_path, stop):
    whole, first = _frozen(parts), _frozen(parts)
    fit(whole, *parts)
    for _ in range(stop):
        first.run_epoch(*parts)
    first.save(tmp_path / "checkpoint.pt")
    second = _frozen(parts)
    fit(second, *parts, checkpoint=tmp_path / "checkpoint.pt")
    assert _same_weights(whole, second)


def test_only_an_encoder_can_be_frozen():
    with pytest.raises(ValueError, match="freeze_encoder=1, but TinyNet has no encoder"):
        _trainer(freeze_encoder=1)


def test_images_are_normalized_for_training_and_for_prediction(parts, prepared):
    """The same as with images that were normalized beforehand."""
    mean, deviation = 0.4, 0.2
    torch.manual_seed(0)
    settings = Training(epochs=2, batch_size=3, learning_rate=0.01)
    inside = Trainer(TinyNet(), parts[0].loss, settings, seed=0, device=CPU, normalization=(mean, deviation))
    history = fit(inside, *parts)
    outside = _trainer(epochs=2)
    for part in parts:
        part.images = (part.images - mean) / deviation
    pd.testing.assert_frame_equal(
        fit(outside, *parts).drop(columns="seconds"), history.drop(columns="seconds")
    )
    expected = outside.predict(parts[1])
    parts[1].images = parts[1].images * deviation + mean
    np.testing.assert_allclose(inside.predict(parts[1]), expected, atol=1e-6)


def test_patience_ends_training(parts):
    trainer = _trainer(epochs=50, patience=2, learning_rate=0.0)
    assert len(fit(trainer, *parts)) == trainer.best_epoch + 2


def _same_weights(a: Trainer, b: Trainer) -> bool:
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_resuming_after_any_epoch_changes_nothing(parts, tmp_path, stop):
    whole = _trainer()
    expected = fit(whole, *parts).drop(columns="seconds")

    interrupted = _trainer()
    for _ in range(stop):
        interrupted.run_epoch(*parts)
    interrupted.save(tmp_path / "checkpoint.pt")
    resumed = _trainer(seed=0)
    torch.manual_seed(99)  # whatever else drew random numbers in between
    history = fit(resumed, *parts, checkpoint=tmp_path / "checkpoint.pt").drop(columns="seconds")
    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    assert _same_weights(whole, resumed)
    np.testing.assert_array_equal(whole.predict(parts[1]), resumed.predict(parts[1]))


def test_a_checkpoint_loads_with_weights_only(parts, tmp_path):
    fit(_trainer(epochs=2), *parts, checkpoint=tmp_path / "c.pt")
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    assert json.dumps(state["history"])
    assert len(state["history"]) == 2


def test_a_loss_that_is_not_finite_stops_with_its_epoch(parts):
    trainer = _trainer()
    with torch.no_grad():
        trainer.model.layers[0].weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="nan in epoch 1"):
        fit(trainer, *parts)
    assert not trainer.history


def test_a_validation_loss_that_is_not_finite_stops_too(parts, monkeypatch):
    trainer = _trainer()
    monkeypatch.setattr(trainer, "validate", lambda _: {"val_loss": float("nan"), "val_dsc": 0.5})
    with pytest.raises(TrainingError, match="the validation loss became nan in epoch 1"):
        fit(trainer, *parts)


def test_patience_waits_for_the_last_phase(prepared):
    trainer, parts = _changing(prepared, PHASES, epochs=12, patience=1, learning_rate=0.0)
    assert len(fit(trainer, *parts)) == 4  # the first epoch of the second phase is the first that counts


def test_channels_last_changes_the_layout_not_the_result(parts):
    plain, last = _trainer(channels_last=False, epochs=2), _trainer(channels_last=True, epochs=2)
    a, b = fit(plain, *parts), fit(last, *parts)
    np.testing.assert_allclose(a["train_loss"], b["train_loss"], rtol=1e-4)
    assert last.model.layers[0].weight.is_contiguous(memory_format=torch.channels_last)


# Losses that change, learn, or know about millimeters ---------------------------------------------------

PHASES = {"name": "bce_jaccard_then_focal_tversky", "combination_epochs": 3}
REBALANCE = {"name": "boundary_strategy", "strategy": "rebalance"}
LEARNED = {"name": "asp", "grouping": "learned"}


def _changing(prepared, config, **settings):
    ids = prepared.table["sample_id"].tolist()
    loss = build_loss(**config)
    loss.fit_targets(np.arange(SIZE * SIZE).reshape(SIZE, SIZE) < np.arange(5, 60, 5)[:, None, None])
    torch.manual_seed(0)
    trainer = Trainer(
        TinyNet(),
        loss,
        Training(**{"epochs": 6, "batch_size": 3, "learning_rate": 0.01, **settings}),
        seed=0,
        device=CPU,
    )
    return trainer, (
        SegmentationDataset(prepared, tuple(ids[:8]), loss),
        SegmentationDataset(prepared, tuple(ids[8:]), loss),
    )


def test_the_loss_is_told_the_epoch(prepared):
    trainer, parts = _changing(prepared, REBALANCE)
    seen = []
    for epoch in range(6):
        trainer.run_epoch(*parts)
        seen.append(trainer.loss.weights_at(trainer.loss.epoch, trainer.loss.epochs)["boundary"])
        assert (trainer.loss.epoch, trainer.loss.terms["boundary"].epoch) == (epoch, epoch)
    assert seen == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


def test_the_validation_loss_is_that_of_the_phase(prepared):
    trainer, parts = _changing(prepared, PHASES)
    for epoch in range(6):
        row = trainer.run_epoch(*parts)
        alone = build_loss("bce_jaccard" if epoch < 3 else "focal_tversky")
        want = torch.cat([alone(logits, batch) for logits, batch in trainer._logits(parts[1])]).mean()
        assert row["val_loss"] == pytest.approx(float(want.detach()), rel=1e-5)


@pytest.mark.parametrize("config", [PHASES, REBALANCE, LEARNED], ids=lambda config: config["name"])
@pytest.mark.parametrize("stop", [2, 4])
def test_a_changing_loss_goes_on_where_it_stopped(prepared, config, stop, tmp_path):
    whole, parts = _changing(prepared, config)
    history = fit(whole, *parts)
    first, parts = _changing(prepared, config)
    for _ in range(stop):
        first.run_epoch(*parts)
    first.save(tmp_path / "checkpoint.pt")
    second, parts = _changing(prepared, config)
    resumed = fit(second, *parts, checkpoint=tmp_path / "checkpoint.pt")
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), resumed.drop(columns="seconds"))
    for name in ("best", "best_loss"):
        ours, theirs = getattr(whole, name), getattr(second, name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_best_epoch_by_loss_is_one_of_the_last_phase(prepared):
    trainer, _ = _changing(prepared, PHASES, monitor="loss")
    for epoch, loss in enumerate([0.3, 0.1, 0.2, 0.9, 0.7, 0.8]):
        trainer.history.append({"epoch": epoch + 1, "val_loss": loss, "val_dsc": 0.0})
        assert trainer.best_epoch == [1, 2, 2, 4, 5, 5][epoch]
    changing, _ = _changing(prepared, REBALANCE, monitor="loss")
    for epoch in range(3):
        changing.history.append({"epoch": epoch + 1, "val_loss": 0.1 * epoch, "val_dsc": 0.0})
        assert changing.best_epoch == epoch + 1


def test_a_last_phase_that_would_never_begin_is_an_error(prepared):
    with pytest.raises(ValueError, match="the last loss begins after epoch 3, but there are 3"):
        _changing(prepared, PHASES, epochs=3)


def test_what_the_loss_learned_is_kept_from_the_best_epoch(prepared):
    trainer, parts = _changing(prepared, LEARNED, learning_rate=0.05, epochs=8)
    slopes = []
    for _ in range(8):
        trainer.run_epoch(*parts)
        slopes.append(trainer.loss.slopes.detach().clone())
    assert trainer.best_epoch < 8
    assert torch.equal(trainer.best_loss["slopes"], slopes[trainer.best_epoch - 1])
    assert not torch.equal(trainer.best_loss["slopes"], slopes[-1])


def test_weight_decay_leaves_the_loss_alone(prepared):
    trainer, _ = _changing(prepared, LEARNED, weight_decay=0.5)
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.5, 0.0]
    assert trainer.optimizer.param_groups[1]["params"] == list(trainer.loss.parameters())


def test_the_spacing_reaches_the_loss(prepared):
    """The spacing of the fixture is .5 mm: a map in mm is half of one in pixels, cached or computed."""
    ids = tuple(prepared.table["sample_id"])
    values = {}
    for unit in ("pixel", "mm"):
        loss = build_loss("boundary", unit=unit)
        cached, plain = (SegmentationDataset(prepared, ids, kept) for kept in (loss, None))
        logits = torch.randn(len(ids), 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
        for dataset in (cached, plain):
            _, batch = dataset[list(range(len(ids)))]
            values[unit, dataset is cached] = loss(logits, batch.to(CPU))
    for kept in (True, False):
        torch.testing.assert_close(values["mm", kept], values["pixel", kept] / 2)
    torch.testing.assert_close(values["mm", True], values["mm", False])


class Pooled(nn.Module):
    """Pools its maps to one pixel, where batch normalization has one value an image."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        maps = self.first(x)
        return self.last(maps + self.pooled(maps))


def test_a_last_batch_of_one_image_ends_no_training(prepared):
    loss = build_loss("dice")
    trainer = Trainer(Pooled(), loss, Training(epochs=2, batch_size=4), seed=0, device=CPU)
    five = SegmentationDataset(prepared, tuple(prepared.table["sample_id"][:5]), loss)
    history = fit(trainer, five, five)
    assert history["train_loss"].notna().all()
    assert all(part.training for part in trainer.model.train().modules())
    norms = [part for part in trainer.model.modules() if isinstance(part, nn.BatchNorm2d)]
    # Of the four batches two have one image: the first norm sees them all, the pooled one two.
    assert [int(norm.num_batches_tracked) for norm in norms] == [4, 2]


def test_one_image_where_there_is_a_spread_trains_as_ever(parts):
    """Of a batch of one nothing changes but what would have failed."""
    ours, bare = _trainer(), _trainer()
    images, batch = parts[0][[0]]
    ours.model.train()
    bare.model.train()
    torch.manual_seed(1)
    value = ours.step(images, batch)
    torch.manual_seed(1)
    expected = bare.loss(bare.model(images), batch).mean().detach()
    assert float(value) == float(expected)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"seed": 1}, "seed"),
        ({"learning_rate": 0.5}, "settings"),
        ({"loss": "dice"}, "loss"),
        ({"loss": {"name": "spatial_matching", "variant": "basic"}}, "loss"),
        ({"loss": {"name": "spatial_matching", "core": "dice"}}, "loss"),
    ],
)
def test_a_checkpoint_of_another_seed_loss_or_setting_is_not_gone_on_with(parts, tmp_path, changes, word):
    _trainer().save(tmp_path / "c.pt")
    loss = changes.get("loss", "spatial_matching")
    loss = build_loss(**loss) if isinstance(loss, dict) else build_loss(loss)
    settings = {"epochs": 5, "batch_size": 3, "learning_rate": changes.get("learning_rate", 0.01)}
    other = Trainer(TinyNet(), loss, Training(**settings), seed=changes.get("seed", 0), device=CPU)
    with pytest.raises(
        TrainingError, match=rf"c\.pt is of another run: its {word} differ; give another path"
    ):
        fit(other, *parts, checkpoint=tmp_path / "c.pt")


def test_a_loss_that_was_used_is_still_the_same_loss(prepared, tmp_path):
    trainer, parts = _changing(prepared, PHASES, epochs=5)
    trainer.run_epoch(*parts)
    trainer.save(tmp_path / "c.pt")
    again = Trainer(TinyNet(), trainer.loss, trainer.settings, seed=trainer.seed, device=CPU)
    again.load(tmp_path / "c.pt")
    assert again.epoch == 1


def test_predicting_before_training_says_to_train(parts):
    with pytest.raises(ValueError, match="train first"):
        _trainer().predict(parts[1])
