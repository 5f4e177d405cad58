"""Whether today's code gives the numbers that the shipped results were measured with.

Three tiny runs on phantoms, in float32 on one thread, are stored with their numbers. A test trains them: if
they move, the shipped results are of another code. Who moves them on purpose stores new ones (`mammoseg
results reference --store`), and all results shipped before then say so in every table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mammoseg_lib import paths
from mammoseg_lib.augmentation import build_augmentation
from mammoseg_lib.losses import build_loss
from mammoseg_lib.models import build_model
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.runs.trained import train_and_test
from mammoseg_lib.settings import Data, Training
from mammoseg_lib.splits import make_split
from mammoseg_lib.storage import digest, write_json

FILE = "reference.json"
TOLERANCE = 2e-3
"""Relative. Rounding differs by processor and grows with every step; a changed formula moves far more."""

RUNS = {
    "dice_bce on AU-Net": ({"name": "dice_bce"}, {"name": "aunet", "base_width": 8}, "inbreast"),
    "Spatial Matching SD, Tversky, on AU-Net": (
        {"name": "spatial_matching", "core": "tversky", "variant": "scale_distance"},
        {"name": "aunet", "base_width": 8},
        "inbreast",
    ),
    "boundary loss, rebalanced, on U-Net": (
        {"name": "boundary_strategy", "strategy": "rebalance"},
        {"name": "smp_unet", "encoder": "resnet18"},
        "busi",
    ),
}


def reference_state() -> str:
    """Digest of the stored numbers: shipped results name the one that they were measured under."""
    return digest(stored())


def stored() -> dict:
    """The stored numbers; empty where there are none yet."""
    path = paths.results() / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def reference_numbers() -> dict[str, dict[str, float]]:
    """Train the three runs now: losses and counts of each, rounded to six digits. Takes about ten seconds."""
    return {name: _numbers(*what) for name, what in RUNS.items()}


def compare_reference(now: dict[str, dict[str, float]]) -> list[str]:
    """What differs from the stored numbers by more than rounding."""
    before, moved = stored(), []
    for name, numbers in now.items():
        for what, value in numbers.items():
            old = before.get(name, {}).get(what)
            if old is None or abs(value - old) > TOLERANCE * max(abs(old), 1e-3):
                moved.append(f"{name}: {what} is {value}, was {old}")
    return moved


def store_reference() -> Path:
    """Store the numbers of today's code: all results shipped before are then of another code."""
    path = paths.results() / FILE
    write_json(path, reference_numbers())
    return path


def _numbers(loss: dict, model: dict, source: str) -> dict[str, float]:
    crop = "none" if source == "busi" else "breast"
    data = Data(source=source, n_images=24, phantom_size=64, preprocessing=Preprocessing(size=64, crop=crop))
    prepared = data.prepare(jobs=1)
    fold = make_split(prepared, "patient_folds", 0).folds[0]
    settings = Training(epochs=2, learning_rate=1e-3, precision="float32")
    with _one_thread():
        torch.manual_seed(0)
        trained = train_and_test(
            build_model(**model),
            build_loss(**loss),
            prepared,
            fold,
            settings,
            seed=0,
            device=torch.device("cpu"),
            precision="float32",
            augment=build_augmentation("none", 64),
        )
    row = trained.history.iloc[-1]
    values = {
        "training loss": row["train_loss"],
        "validation loss": row["val_loss"],
        "mean probability": trained.probability.mean(),
    }
    return {name: float(f"{value:.6g}") for name, value in values.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
