"""Tables of measured numbers as `results.load_results` gives them, made up from effects that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd

PIXELS = 128 * 128


def counts_of(dsc: np.ndarray, size: np.ndarray) -> dict[str, np.ndarray]:
    """Counts with that DSC for masses of that size, as many false positives as false negatives."""
    tp = dsc * size
    return {"tp": tp, "fp": size - tp, "fn": size - tp, "tn": PIXELS - 2 * size + tp}


def make_results(
    arms: Mapping[str, float],
    *,
    study: str = "spatial_matching",
    profile: str = "reduced",
    n_patients: int = 50,
    n_folds: int = 5,
    seeds: Sequence[int] = (0, 1),
    n_epochs: int = 3,
    images_each: int = 2,
    patient_sd: float = 0.2,
    arm_patient_sd: float = 0.0,
    network_sd: float = 0.0,
    fold_sd: float = 0.0,
    epoch_sd: float = 0.0,
    noise_sd: float = 0.0,
    equal_sizes: bool = False,
    origin: str = "shipped",
    rng: int = 0,
) -> SimpleNamespace:
    """Arms whose DSC per image is their own mean plus effects of patient, arm and patient, network and epoch.

    Every patient has `images_each` images (named after the patient) in the fold of the patient. Values are
    not cut at 0 and 1, so that their means are those given.
    """
    random = np.random.default_rng(rng)
    patient = patient_sd * random.standard_normal(n_patients)
    fold_of = random.permutation(np.arange(n_patients) % n_folds)
    size = np.full((n_patients, images_each), 400.0)
    if not equal_sizes:
        size = np.exp(random.normal(5.5, 0.8, size=(n_patients, images_each)))
    runs, last, best = [], [], []
    for name, mean in arms.items():
        own = arm_patient_sd * random.standard_normal(n_patients)
        training = fold_sd * random.standard_normal(n_folds)
        method, _, variant = name.partition("/")
        for fold in range(n_folds):
            tested = np.flatnonzero(fold_of == fold)
            for seed in seeds:
                key = {"study": study, "arm": name, "method": method, "variant": variant, "label": name}
                key |= {"fold": fold, "seed": seed}
                network = network_sd * random.standard_normal() + training[fold]
                per_epoch = epoch_sd * random.standard_normal(n_epochs)
                level = mean + patient[tested] + own[tested] + network
                level = level[:, None] + noise_sd * random.standard_normal((len(tested), images_each))
                ids = pd.DataFrame(
                    {
                        "sample_id": [f"i{p:03}_{i}" for p in tested for i in range(images_each)],
                        "patient_id": [f"p{p:03}" for p in tested for _ in range(images_each)],
                    }
                )
                for epoch in range(n_epochs):
                    counts = counts_of((level + per_epoch[epoch]).ravel(), size[tested].ravel())
                    last.append(ids.assign(**key, epoch=50 + epoch, **counts))
                counts = counts_of(level.ravel(), size[tested].ravel())
                dsc = 2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"])
                best.append(ids.assign(**key, **counts, dsc=dsc, hd=40 * (1 - dsc), components=1.0))
                runs.append(
                    {
                        **key,
                        "profile": profile,
                        "paper": study.partition(".")[0],
                        "origin": origin,
                        "current": True,
                        "differs": "",
                        "source": "inbreast (real)",
                        "image_size": 128,
                        "base_width": 8,
                        "epochs": 60,
                        "protocol": "patient_folds",
                        "start": "none",
                        "device": "cpu",
                        "precision": "float32",
                        "minutes": 3.0,
                    }
                )
    frames = {"runs": pd.DataFrame(runs)}
    for name, parts in (("last", last), ("best", best)):
        frames[name] = pd.concat(parts, ignore_index=True)
    return SimpleNamespace(**frames)
