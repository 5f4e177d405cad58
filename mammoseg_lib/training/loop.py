"""The training loop: epoch after epoch, resumable after each, until the last or until the time is up."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.training.trainer import Trainer

LAST = 10
"""The last epochs, whose mean is the value of a run: that of a single one is noise."""


class OutOfTimeError(RuntimeError):
    """Training stopped at its deadline; the next start goes on from there."""


def fit(
    trainer: Trainer,
    train: SegmentationDataset,
    validation: SegmentationDataset,
    test: SegmentationDataset | None = None,
    *,
    shown: SegmentationDataset | None = None,
    checkpoint: Path | None = None,
    deadline: float | None = None,
    progress: bool = False,
    label: str = "train",
) -> pd.DataFrame:
    """Train until the last epoch or until patience runs out, resuming from the checkpoint if there is one.

    Args:
        trainer: The network, its loss and settings.
        train: Images to train on.
        validation: Images that choose the best epoch.
        test: Images whose counts are kept for each of the last ten epochs, in `trainer.last`.
        shown: Images whose probabilities are kept after epoch 1, 2, 4, 8, ... and the last, in
            `trainer.seen`.
        checkpoint: Where to keep what is needed to go on. It is written after an epoch, but never so often
            that writing takes more than a tenth of the time.
        deadline: When to stop, as `time.monotonic()` counts: after the epoch in which it passes.
        progress: Show a progress bar.
        label: Its name.

    Returns:
        One row per epoch: learning rate, training and validation loss, validation DSC, seconds.

    Raises:
        OutOfTimeError: The deadline passed; what was trained is in the checkpoint.
    """
    if checkpoint is not None and checkpoint.exists():
        trainer.load(checkpoint)
    saved, cost = -math.inf, 0.0
    with tqdm(
        total=trainer.settings.epochs, initial=trainer.epoch, desc=label, unit="epoch", disable=not progress
    ) as bar:
        while not trainer.finished:
            row = trainer.run_epoch(train, validation)
            _observe(trainer, test, shown)
            late = deadline is not None and time.monotonic() > deadline and not trainer.finished
            rested = time.monotonic() - saved >= 10 * cost
            if checkpoint is not None and (rested or late or trainer.finished):
                start = time.monotonic()
                trainer.save(checkpoint)
                saved = time.monotonic()
                cost = saved - start
            if late:
                raise OutOfTimeError(f"{label}: the time is up after epoch {trainer.epoch}")
            bar.update()
            bar.set_postfix(loss=f"{row['train_loss']:.3f}", val_dsc=f"{row['val_dsc']:.3f}")
    return pd.DataFrame(trainer.history)


def _observe(trainer: Trainer, test: SegmentationDataset | None, shown: SegmentationDataset | None) -> None:
    """Keep what the epoch that has just ended predicts, where that is asked for."""
    epoch, epochs = trainer.epoch, trainer.settings.epochs
    # Where patience may end the training, any ten epochs may turn out to be the last.
    if test is not None and (epoch > epochs - LAST or trainer.settings.patience is not None):
        trainer.last[epoch] = trainer.count(test)
        trainer.last.pop(epoch - LAST, None)
    if shown is not None and (epoch == epochs or epoch & (epoch - 1) == 0):
        trainer.seen[epoch] = torch.from_numpy(trainer.probabilities(shown)).half()
