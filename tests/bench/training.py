"""The library's training step against the same step written out, and the same network in both layouts."""

from __future__ import annotations

import numpy as np
import torch

from mammoseg_lib.batching import SegmentationDataset
from mammoseg_lib.datasets import sample_table
from mammoseg_lib.losses import build_loss
from mammoseg_lib.models import build_model
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.training import Trainer, Training
from tests.bench.timing import Row, paired

N, SIZE, BATCH = 8, 128, 4


def rows() -> list[Row]:
    """Epochs of two steps each: AU-Net, base width 16, Dice + BCE."""
    random = np.random.default_rng(0)
    masks = random.random((N, SIZE, SIZE)) > 0.9
    table = sample_table([{"sample_id": str(i), "patient_id": str(i)} for i in range(N)])
    images = random.random((N, SIZE, SIZE)).astype(np.float32)
    prepared = PreparedSet(table, images, masks, np.ones((N, 2), np.float32), "bench", False, ())
    ids = tuple(table["sample_id"])
    loss = build_loss("dice_bce")
    dataset = SegmentationDataset(prepared, ids, loss)

    torch.manual_seed(0)
    trainer = Trainer(
        build_model("aunet", base_width=16),
        loss,
        Training(batch_size=BATCH),
        seed=0,
        device=torch.device("cpu"),
    )

    def library() -> None:
        trainer.model.train()
        for x, batch in dataset.batches(BATCH, shuffle_seed=0):
            trainer.step(x, batch)

    model = build_model("aunet", base_width=16).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    x = torch.from_numpy(images)[:, None].to(memory_format=torch.channels_last)
    y = torch.from_numpy(masks.astype(np.float32))[:, None]

    def bare() -> None:
        model.train()
        for start in range(0, N, BATCH):
            logits, target = model(x[start : start + BATCH]), y[start : start + BATCH]
            probs = logits.sigmoid()
            overlap = 2 * (probs * target).sum((1, 2, 3)) + 1
            dice = 1 - overlap / (probs.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1)
            bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
            optimizer.zero_grad(set_to_none=True)
            (dice.mean() + bce).backward()
            optimizer.step()

    ours, theirs = paired(library, bare, rounds=9, calls=2)
    detail = f"{1e3 * ours / 2:.0f} ms against {1e3 * theirs / 2:.0f} ms a step"
    return [
        Row(
            "training step, library loop / bare loop (AU-Net width 16, 4x1x128x128)",
            ours / theirs,
            1.03,
            True,
            detail,
        )
    ]
