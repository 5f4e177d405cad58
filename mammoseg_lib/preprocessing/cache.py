"""Prepared data sets, kept on disk: arrays that are filled once and memory-mapped after that."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from jaxtyping import Bool, Float
from tqdm import tqdm

from mammoseg_lib import paths
from mammoseg_lib.datasets import COLUMNS, DataError, Problem
from mammoseg_lib.parallel import parallel_map
from mammoseg_lib.preprocessing.steps import Preprocessing, prepare_sample
from mammoseg_lib.source_code import code_digest
from mammoseg_lib.sources import Source
from mammoseg_lib.storage import atomic_folder, digest, write_json

ARRAYS = ("images", "masks", "spacing_mm")


@dataclass(frozen=True)
class PreparedSet:
    """A prepared data set, memory-mapped from the cache.

    Attributes:
        table: The sample table of the prepared images, row i belonging to image i.
        images: Gray values in 0..1.
        masks: Masses.
        spacing_mm: Size of a pixel along rows and columns; NaN where unknown.
        key: Digest of the data's content, the settings, and the code that made it; the folder's name.
        real: Whether these are images of patients.
        problems: What the source holds that could not be prepared.
    """

    table: pd.DataFrame
    images: Float[np.ndarray, "n s s"]
    masks: Bool[np.ndarray, "n s s"]
    spacing_mm: Float[np.ndarray, "n 2"]
    key: str
    real: bool
    problems: tuple[Problem, ...]

    def __len__(self) -> int:
        return len(self.table)


def prepare(
    source: Source, settings: Preprocessing, *, jobs: int = 2, progress: bool = False, **filters: object
) -> PreparedSet:
    """The prepared data set from the cache, which is filled first if need be.

    A file that cannot be read is left out and listed in `problems`; the rest is prepared.

    Args:
        source: What `open_source` found.
        settings: How to prepare.
        jobs: Processes that fill the cache.
        progress: Show a progress bar.
        filters: Those of the source's `index`, for example `with_masses=True`.
    """
    reader = source.reader
    recipe = {
        "code": code_digest(reader.scan, reader.select, reader.load, prepare_sample),
        "source": source.name,
        "settings": asdict(settings),
        "filters": filters,
    }
    key = digest({**recipe, "data": source.fingerprint()})
    folder = paths.cache() / f"{source.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Complete folders appear by renaming, so whoever waited at the lock finds the work done.
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            with atomic_folder(folder) as partial_folder:
                _fill(partial_folder, source, settings, filters, jobs, progress)
                write_json(partial_folder / "recipe.json", recipe)
    return _open(folder, key, source)


def _open(folder: Path, key: str, source: Source) -> PreparedSet:
    table = pd.read_csv(folder / "table.csv", dtype=COLUMNS)
    table["image_path"] = str(source.root) + "/" + table["image_path"]
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS]
    problems = [Problem(**p) for p in json.loads((folder / "problems.json").read_text())]
    return PreparedSet(table, *arrays, key=key, real=source.real, problems=tuple(problems))


def _fill(
    folder: Path, source: Source, settings: Preprocessing, filters: dict, jobs: int, progress: bool
) -> None:
    with parallel_map(jobs, preload=__name__) as run_map:
        table, problems = source.scan(run_map)
        table = source.reader.select(table, **filters)
        shape = (len(table), settings.size, settings.size)
        for name, dtype, array_shape in (
            ("images", np.float32, shape),
            ("masks", np.bool_, shape),
            ("spacing_mm", np.float32, (len(table), 2)),
        ):
            _new_array(folder / f"{name}.npy", dtype, array_shape)
        work = partial(_prepare_row, folder, source, settings)
        outcomes = run_map(work, table.iterrows())
        bar = tqdm(
            outcomes, total=len(table), desc=f"prepare {source.name}", unit="image", disable=not progress
        )
        failed = {row: problem for row, problem in enumerate(bar) if problem is not None}
    if failed:
        keep = [row for row in range(len(table)) if row not in failed]
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[keep])
        table, problems = table.iloc[keep], problems + list(failed.values())
    relative = table["image_path"].map(lambda path: Path(path).relative_to(source.root).as_posix())
    table.assign(image_path=relative).to_csv(folder / "table.csv", index=False)
    write_json(folder / "problems.json", [asdict(problem) for problem in problems])


def _new_array(path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    """An array on disk with its space set aside: where that ran out later, writing would kill the process."""
    np.lib.format.open_memmap(path, "w+", dtype, shape).flush()
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _prepare_row(
    folder: Path, source: Source, settings: Preprocessing, item: tuple[int, pd.Series]
) -> Problem | None:
    """Prepare one row straight into the arrays on disk; returns why, if it cannot be."""
    position, row = item
    try:
        prepared = prepare_sample(source.load(row), settings)
    except DataError as error:
        return Problem(error.path, "broken", error.reason)
    values = (prepared.image, prepared.mask, prepared.spacing_mm)
    for name, value in zip(ARRAYS, values, strict=True):
        np.load(folder / f"{name}.npy", mmap_mode="r+")[position] = value
    return None
