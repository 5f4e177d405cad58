"""From a network, a loss and images to what the trained network predicts: the code that decides a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from mammoseg_lib.augmentation import Augment
from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.losses import Loss
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.settings import Training
from mammoseg_lib.splits import Fold
from mammoseg_lib.training import Trainer, fit

SHOWN = 4
"""How many test images are predicted while the network learns, to look at."""


@dataclass(frozen=True)
class Trained:
    """A trained network and what it gave.

    Attributes:
        trainer: With the counts of the last epochs, and the weights of the best.
        history: One row per epoch.
        test: The test images.
        probability: Of the test images, with the weights of the best epoch.
        shown: Those test images that were predicted while it learned.
    """

    trainer: Trainer
    history: pd.DataFrame
    test: SegmentationDataset
    probability: Float[np.ndarray, "n h w"]
    shown: SegmentationDataset


def train_and_test(
    model: torch.nn.Module,
    loss: Loss,
    prepared: PreparedSet,
    fold: Fold,
    settings: Training,
    *,
    seed: int,
    device: torch.device,
    precision: str,
    augment: Augment | None = None,
    workers: int = 0,
    checkpoint: Path | None = None,
    deadline: float | None = None,
    progress: bool = False,
    label: str = "train",
) -> Trained:
    """Train on one part of the images, choose the best epoch by another, and predict the third.

    Args:
        model: The network, at its start.
        loss: What is minimized; what it fits to the training masks is fitted here.
        prepared: The images.
        fold: Which are for what.
        settings: How it is trained.
        seed: Of the order of the images, of dropout and of alterations.
        device: Where.
        precision: "float32" or "bfloat16".
        augment: How training images are altered.
        workers: Processes that alter them; they change nothing in the result.
        checkpoint: Where to keep what is needed to go on after an interruption.
        deadline: See `fit`.
        progress: Show a progress bar.
        label: Its name.
    """
    loss.fit_targets(prepared.masks[prepared.table["sample_id"].isin(fold.train).to_numpy()])
    train = SegmentationDataset(prepared, fold.train, loss, augment=augment, seed=seed)
    validation = SegmentationDataset(prepared, fold.validation, loss)
    test = SegmentationDataset(prepared, fold.test)
    shown = SegmentationDataset(prepared, _by_size(test))
    normalization = train.mean_and_deviation() if settings.normalize else (0.0, 1.0)
    trainer = Trainer(
        model,
        loss,
        settings,
        seed=seed,
        device=device,
        precision=precision,
        normalization=normalization,
        workers=workers,
    )
    history = fit(
        trainer,
        train,
        validation,
        test,
        shown=shown,
        checkpoint=checkpoint,
        deadline=deadline,
        progress=progress,
        label=label,
    )
    return Trained(trainer, history, test, trainer.predict(test), shown)


def _by_size(test: SegmentationDataset) -> tuple[str, ...]:
    """A few test images, from the smallest mass to the largest."""
    order = np.argsort(test.masks.sum((1, 2)), kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, SHOWN).round().astype(int))]
    return tuple(test.table["sample_id"].iloc[chosen])
