"""Prepared images as batches for training: in what order, altered how, with what a loss wants to know."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from mammoseg_lib.augmentation import Augment
from mammoseg_lib.losses import Batch, Loss
from mammoseg_lib.losses.base import known_spacing, stack_features
from mammoseg_lib.preprocessing import PreparedSet


class SegmentationDataset(Dataset):
    """Some rows of a prepared set as batches: indexed with a list of positions, it gives (images, `Batch`).

    What a loss computes from the target alone (`target_features`) is computed here: once per image, or, for
    images that are altered, for every draw. A draw follows from `seed`, `epoch` and the image's position
    only, so that the number of worker processes and an interruption change nothing.

    Args:
        prepared: The images.
        sample_ids: Which of them, in this order.
        loss: Whose features the batches carry.
        augment: How an image and its mask are altered when they are drawn; see `augmentation`.
        seed: Of the alterations.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        sample_ids: tuple[str, ...],
        loss: Loss | None = None,
        *,
        augment: Augment | None = None,
        seed: int = 0,
    ):
        position = {sample_id: i for i, sample_id in enumerate(prepared.table["sample_id"])}
        rows = [position[sample_id] for sample_id in sample_ids]
        self.table = prepared.table.iloc[rows].reset_index(drop=True)
        self.spacing_mm = np.asarray(prepared.spacing_mm[rows])
        self.images = torch.from_numpy(prepared.images[rows])[:, None]
        self.masks = prepared.masks[rows]
        self.targets = torch.from_numpy(self.masks.astype(np.float32))[:, None]
        density = self.table["acr_density"].astype("Float32").to_numpy(np.float32, na_value=np.nan)
        self.acr_density = torch.from_numpy(density)
        self.loss, self.augment, self.seed, self.epoch = loss, augment, seed, 0
        self._shared: tuple[int, _Order, DataLoader] | None = None
        self.features = {} if augment else self._features(self.masks, self.spacing_mm)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, positions: list[int]) -> tuple[Tensor, Batch]:
        if self.augment is None:
            images, targets = self.images[positions], self.targets[positions]
            features = {key: value[positions] for key, value in self.features.items()}
        else:
            images, masks = self.draw(positions)
            features = self._features(masks, self.spacing_mm[positions])
            images, targets = (torch.from_numpy(a.astype(np.float32))[:, None] for a in (images, masks))
        spacing_mm = torch.from_numpy(self.spacing_mm[positions])
        return images, Batch(targets, features, self.acr_density[positions], spacing_mm)

    def draw(self, positions: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Images and masks as they are altered in this epoch, `[n h w]` each."""
        drawn = []
        for i in positions:
            seed = int(np.random.SeedSequence([self.seed, self.epoch, i]).generate_state(1)[0])
            drawn.append(self.augment(self.images[i, 0].numpy(), self.masks[i], seed))
        images, masks = zip(*drawn, strict=True)
        return np.stack(images), np.stack(masks)

    def mean_and_deviation(self) -> tuple[float, float]:
        """Mean and standard deviation over the pixels of all images, each altered once where they are."""
        count, total, squares = 0, 0.0, 0.0
        for i in range(len(self)):
            image = self.images[i, 0].numpy() if self.augment is None else self.draw([i])[0]
            count += image.size
            total += float(image.sum(dtype=np.float64))
            squares += float(np.square(image, dtype=np.float64).sum())
        mean = total / count
        return mean, max(squares / count - mean**2, 0.0) ** 0.5

    def batches(self, size: int, *, shuffle_seed: int | None = None, workers: int = 0) -> DataLoader:
        """Batches in order, or in the order that a seed gives; altered by some worker processes, or here."""
        if shuffle_seed is None:
            order = SequentialSampler(self)
        else:
            order = RandomSampler(self, generator=torch.Generator().manual_seed(shuffle_seed))
        batches = BatchSampler(order, size, drop_last=False)
        # Without alterations there is nothing to do but to index a tensor.
        if not (workers and self.augment):
            return DataLoader(self, sampler=batches, batch_size=None)
        return self._by_workers(batches, workers)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_shared": None}

    def _by_workers(self, batches: BatchSampler, workers: int) -> DataLoader:
        """The loader whose processes live as long as this data set: starting them takes many seconds."""
        if self._shared is None or self._shared[0] != workers:
            order = _Order()
            loader = DataLoader(
                _OfEpoch(self),
                sampler=order,
                batch_size=None,
                num_workers=workers,
                # A plain fork of a process that runs threads can hang.
                multiprocessing_context=multiprocessing.get_context("spawn"),
                worker_init_fn=_one_thread,
                persistent_workers=True,
                generator=torch.Generator(),
            )
            self._shared = workers, order, loader
        _, order, loader = self._shared
        order.batches, order.epoch = batches, self.epoch
        # A loader without processes draws one number each time; so that dropout goes on alike, here as well.
        torch.empty((), dtype=torch.int64).random_()
        return loader

    def _features(self, masks: np.ndarray, spacings: np.ndarray) -> dict[str, Tensor]:
        if self.loss is None or not len(masks):
            return {}
        rows = zip(masks, map(known_spacing, spacings), strict=True)
        return stack_features([self.loss.target_features(mask, spacing) for mask, spacing in rows])


class _Order:
    """The batches of an epoch, each with its number, for processes that have the data set of the first."""

    batches: BatchSampler
    epoch: int

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        return ((self.epoch, batch) for batch in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _OfEpoch(Dataset):
    """A data set that is told the epoch with the positions."""

    def __init__(self, data: SegmentationDataset):
        self.data = data

    def __getitem__(self, item: tuple[int, list[int]]) -> tuple[Tensor, Batch]:
        self.data.epoch, positions = item
        return self.data[positions]


def _one_thread(worker: int) -> None:
    """The processes are as many as there shall be: OpenCV need not add threads of its own."""
    cv2.setNumThreads(1)
