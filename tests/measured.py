"""Tables of measured numbers as `results.load_results` gives them, made up from effects that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd

PIXELS = 128 * 128
RUN = {
    "current": True, "differs": "", "source": "inbreast (real)", "image_size": 128, "base_width": 8,
    "epochs": 60, "protocol": "patient_folds", "start": "none",
    "device": "cpu", "precision": "float32", "minutes": 3.0,
}  # fmt: skip
"""What is said of every run; see `results.Results.runs`."""


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
            ids = {
                "sample_id": [f"i{p:03}_{i}" for p in tested for i in range(images_each)],
                "patient_id": [f"p{p:03}" for p in tested for _ in range(images_each)],
            }
            masses = size[tested].ravel()
            for seed in seeds:
                key = {"study": study, "arm": name, "method": method, "variant": variant, "label": name}
                key |= {"fold": fold, "seed": seed}
                network = network_sd * random.standard_normal() + training[fold]
                level = np.repeat(mean + patient[tested] + own[tested] + network, images_each)
                level = level + noise_sd * random.standard_normal(len(level))
                for epoch, shift in enumerate(epoch_sd * random.standard_normal(n_epochs)):
                    last.append({**key, "epoch": 50 + epoch, **ids, **counts_of(level + shift, masses)})
                best.append({**key, **ids, **counts_of(level, masses), "dsc": level, "hd": 40 * (1 - level)})
                runs.append(
                    {**key, **RUN, "profile": profile, "paper": study.partition(".")[0], "origin": origin}
                )
    best = _table(best).assign(components=1.0)
    return SimpleNamespace(runs=pd.DataFrame(runs), last=_table(last), best=best)


def _table(parts: list[dict]) -> pd.DataFrame:
    """One table of many parts, each a number or text for all its rows or one for each."""
    columns = {}
    for name in parts[0]:
        columns[name] = np.concatenate(
            [np.broadcast_to(np.asarray(p[name]), len(p["sample_id"])) for p in parts]
        )
    return pd.DataFrame(columns)
