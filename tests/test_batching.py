from __future__ import annotations

import numpy as np
import pytest
import torch

from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.datasets import sample_table
from mammoseg_lib.losses import build_loss
from mammoseg_lib.preprocessing import PreparedSet

N, SIZE = 7, 16
EVERYTHING = tuple(f"{i:02d}" for i in range(N))


def shift(image, mask, seed):
    """An alteration that can be told apart from every other draw: rolled, and brighter by the seed."""
    random = np.random.default_rng(seed)
    by = int(random.integers(1, SIZE))
    brighter = (image + np.float32(random.random() / 4)).clip(0, 1)
    return np.roll(brighter, by, 1), np.roll(mask, by, 1)


@pytest.fixture
def prepared():
    random = np.random.default_rng(0)
    masks = np.zeros((N, SIZE, SIZE), bool)
    for i, mask in enumerate(masks):
        mask[4 : 8 + i % 3, 2:6] = True
    images = (random.random(masks.shape) / 2).astype(np.float32)
    table = sample_table([{"sample_id": i} for i in EVERYTHING])
    return PreparedSet(table, images, masks, np.full((N, 2), 0.5, np.float32), "key", False, ())


def epoch(dataset, number=0, workers=0):
    dataset.epoch = number
    batches = list(dataset.batches(3, shuffle_seed=5, workers=workers))
    images = torch.cat([images for images, _ in batches])
    return images, torch.cat([batch.target for _, batch in batches])


def test_draws_differ_between_images_epochs_and_seeds_and_repeat(prepared):
    dataset = SegmentationDataset(prepared, EVERYTHING, augment=shift, seed=1)
    images, targets = epoch(dataset)
    assert not torch.equal(images, epoch(dataset, 1)[0])
    assert not torch.equal(images, epoch(SegmentationDataset(prepared, EVERYTHING, augment=shift, seed=2))[0])
    again = SegmentationDataset(prepared, EVERYTHING, augment=shift, seed=1)
    epoch(again, 3)
    for value, repeated in zip((images, targets), epoch(again), strict=True):
        assert torch.equal(value, repeated)
    # No image is altered like another one.
    plain = SegmentationDataset(prepared, EVERYTHING)
    moved = [int(dataset.draw([i])[1][0].any(0).argmax() - plain.masks[i].any(0).argmax()) for i in range(N)]
    assert len(set(moved)) > 3


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(prepared, workers):
    dataset = SegmentationDataset(prepared, EVERYTHING, build_loss("boundary"), augment=shift, seed=1)
    dataset.epoch = 4
    alone, shared = (list(dataset.batches(3, shuffle_seed=5, workers=n)) for n in (0, workers))
    for (images, batch), (others, other) in zip(alone, shared, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(batch.target, other.target)
        assert torch.equal(batch.features["distance_map"], other.features["distance_map"])


def test_features_are_those_of_the_altered_mask(prepared):
    loss = build_loss("boundary")
    dataset = SegmentationDataset(prepared, EVERYTHING, loss, augment=shift, seed=1)
    _, batch = dataset[[2, 0]]
    for target, given in zip(batch.target, batch.features["distance_map"], strict=True):
        fresh = loss.target_features(target[0].numpy() > 0.5)["distance_map"]
        np.testing.assert_array_equal(given, fresh)
    assert not np.array_equal(batch.target[0, 0] > 0.5, prepared.masks[2])


def test_mean_and_deviation_are_those_of_all_pixels(prepared):
    plain = SegmentationDataset(prepared, EVERYTHING[:5])
    pixels = prepared.images[:5].astype(np.float64)
    assert plain.mean_and_deviation() == pytest.approx((pixels.mean(), pixels.std()), rel=1e-9)
    altered = SegmentationDataset(prepared, EVERYTHING, augment=shift, seed=1)
    pixels = altered.draw(list(range(N)))[0].astype(np.float64)
    assert altered.mean_and_deviation() == pytest.approx((pixels.mean(), pixels.std()), rel=1e-9)
    assert altered.mean_and_deviation()[0] > plain.mean_and_deviation()[0] + 0.05


def test_an_alteration_may_crop(prepared):
    dataset = SegmentationDataset(
        prepared, EVERYTHING, build_loss("boundary"), augment=lambda x, y, _: (x[:8, :8], y[:8, :8])
    )
    images, batch = dataset[[0, 1, 2]]
    assert images.shape == batch.target.shape == (3, 1, 8, 8)
    assert batch.features["distance_map"].shape == (3, 8, 8)


@pytest.mark.slow
def test_processes_live_through_epochs_and_change_nothing(prepared):
    alone, shared = (SegmentationDataset(prepared, EVERYTHING, augment=shift, seed=2) for _ in range(2))
    identities = []
    for number in (0, 1, 5):
        torch.manual_seed(number)
        expected = epoch(alone, number)
        drawn = torch.rand(2)
        torch.manual_seed(number)
        found = epoch(shared, number, workers=1)
        # The random numbers of the step, as of dropout, go on alike as well.
        assert torch.equal(torch.rand(2), drawn)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        identities.append([worker.pid for worker in shared._shared[2]._iterator._workers])
    assert identities[0] == identities[1] == identities[2]
