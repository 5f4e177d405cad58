"""A complete run on disk, and finding it: without its images, and without what its network started from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mammoseg_lib import metrics, paths
from mammoseg_lib.losses.base import known_spacing
from mammoseg_lib.runs.identity import run_code, same_start, settings_digest
from mammoseg_lib.settings import RunConfig
from mammoseg_lib.source_code import code_digest
from mammoseg_lib.splits import check_checksum, read_split
from mammoseg_lib.storage import atomic_file

TEXT = {"sample_id": str, "patient_id": str}


@dataclass(frozen=True)
class Run:
    """A complete run on disk."""

    folder: Path

    @cached_property
    def config(self) -> dict:
        """What was asked for, as plain values, with `identity` and what it is made of."""
        return json.loads((self.folder / "config.json").read_text(encoding="utf-8"))

    @cached_property
    def environment(self) -> dict:
        """Versions, commit, device, precision, threads, minutes."""
        return json.loads((self.folder / "environment.json").read_text(encoding="utf-8"))

    @property
    def start(self) -> dict:
        """What the network started from; see `models.start_of`."""
        return self.config["start"]

    @property
    def normalization(self) -> tuple[float, float]:
        """What is subtracted from an image and what it is divided by."""
        return tuple(self.config["normalization"])

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch."""
        return pd.read_csv(self.folder / "history.csv")

    @property
    def last(self) -> pd.DataFrame:
        """One row per epoch (of the last ten) and test image: `tp, fp, fn, tn`."""
        table = pd.read_csv(self.folder / "last.csv", dtype=TEXT, keep_default_na=False)
        patient = dict(zip(*(self._predicted[key] for key in ("sample_id", "patient_id")), strict=True))
        return table.assign(patient_id=table["sample_id"].map(patient).replace("", pd.NA))

    @property
    def per_image(self) -> pd.DataFrame:
        """One row of metrics per test image, of the best epoch, computed from the predictions.

        What was computed is kept beside them for as long as the code of the metrics stays the same.
        """
        store = self.folder / f"per_image-{code_digest(metrics.per_image)}.csv"
        if not store.exists():
            data = self._predicted
            rows = [
                {
                    "sample_id": sample,
                    "patient_id": patient,
                    **metrics.per_image(probability > 0.5, mask, spacing_mm=known_spacing(spacing)),
                }
                for sample, patient, probability, mask, spacing in zip(
                    data["sample_id"],
                    data["patient_id"],
                    data["probability"],
                    self.masks().values(),
                    data["spacing_mm"],
                    strict=True,
                )
            ]
            with atomic_file(store) as file:
                pd.DataFrame(rows).to_csv(file, index=False)
        table = pd.read_csv(store, dtype=TEXT, keep_default_na=False, na_values={"hd": [""]})
        numbers = [name for name in table if name not in TEXT]
        table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
        return table.assign(patient_id=table["patient_id"].replace("", pd.NA))

    def predictions(self) -> dict[str, Float[np.ndarray, "h w"]]:
        """Probability maps (float16) of the best epoch by sample id."""
        data = self._predicted
        return dict(zip(data["sample_id"].tolist(), data["probability"], strict=True))

    def masks(self) -> dict[str, Bool[np.ndarray, "h w"]]:
        """The true masks of the test images by sample id."""
        data = self._predicted
        n, height, width = data["probability"].shape
        bits = np.unpackbits(data["mask_bits"], axis=1, count=height * width)
        return dict(zip(data["sample_id"].tolist(), bits.reshape(n, height, width).astype(bool), strict=True))

    def learning(self) -> dict[str, np.ndarray]:
        """Some test images while the network learned: `epochs`, `sample_id`, `probability` [epoch n h w]."""
        with np.load(self.folder / "learning.npz") as file:
            return dict(file)

    @cached_property
    def _predicted(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "predictions.npz") as file:
            return dict(file)


def find(config: RunConfig) -> Run | None:
    """The complete run that a configuration asks for, or None.

    Told by settings and code. Where the images (or the weights that the network started from) are not at
    hand, those that the run saw are taken for the right ones; where they are, they must be the same.

    Raises:
        DataError: The split beside the run is not the one that it was made with.
    """
    runs = [
        run
        for run in _index().get(settings_digest(config), ())
        if run.config["code"] == run_code(config)
        and config.training.precision in ("auto", run.config["precision"])
    ]
    if not runs:
        return None
    key = config.data.key()
    same = [run for run in runs if key in (None, run.config["data_key"]) and same_start(config, run.start)]
    if not same:
        return None
    # The newest, where several differ in what cannot be told here.
    run = max(same, key=lambda run: run.folder.stat().st_mtime_ns)
    check_checksum(read_split(run.folder / "split.json"), run.config["split_checksum"], run.folder)
    return run


def complete(configs: Iterable[RunConfig]) -> list[Run]:
    """Those of the runs that are complete. Trains nothing."""
    return [run for config in configs if (run := find(config)) is not None]


def _index() -> dict[str, list[Run]]:
    """The complete runs on this machine by the digest of their settings."""
    folder = paths.runs()
    return _index_of(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}


@lru_cache(maxsize=4)
def _index_of(folder: Path, _modified: int) -> dict[str, list[Run]]:
    index: dict[str, list[Run]] = {}
    for path in folder.glob("[!.]*"):
        if settings := _settings(path):
            index.setdefault(settings, []).append(Run(path))
    return index


@lru_cache(maxsize=4096)
def _settings(folder: Path) -> str | None:
    """The digest of a run's settings; complete runs never change. None for what is no run of this layout."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return config["settings"] if "code" in config else None
    except (OSError, ValueError, KeyError):
        return None
