"""Prepared data sets, kept on disk: arrays that are filled once and memory-mapped after that."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from tqdm import tqdm

from mammoseg_lib import paths
from mammoseg_lib.datasets import DataError, Problem
from mammoseg_lib.datasets.sample import read_table, write_table
from mammoseg_lib.parallel import parallel_map
from mammoseg_lib.preprocessing.duplicates import SIDE, groups, near_duplicates, structure
from mammoseg_lib.preprocessing.steps import Preprocessing, prepare_sample
from mammoseg_lib.source_code import code_digest
from mammoseg_lib.sources import Source, advice
from mammoseg_lib.storage import atomic_folder, digest, locked, write_json

ARRAYS = ("images", "masks", "spacing_mm")
RECIPE = "recipe.json"
EXPORTED = "export.json"  # in a folder that `export` wrote: how
log = logging.getLogger(__name__)


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
        duplicates: The ids of images that are one picture, by group; see `duplicates.near_duplicates`.
    """

    table: pd.DataFrame
    images: Float[np.ndarray, "n s s"]
    masks: Bool[np.ndarray, "n s s"]
    spacing_mm: Float[np.ndarray, "n 2"]
    key: str
    real: bool
    problems: tuple[Problem, ...]
    duplicates: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.table)


def prepare(
    source: Source,
    settings: Preprocessing,
    *,
    jobs: int | None = None,
    progress: bool = False,
    **filters: object,
) -> PreparedSet:
    """The prepared data set from the cache, which is filled first if need be.

    A file that cannot be read is left out and listed in `problems`; the rest is prepared. Of a source whose
    images are not here the cache is read, by its recipe: source, settings, filters and code; of several, that
    are of other images then, the newest.

    Args:
        source: What `open_source` found.
        settings: How to prepare; images that `export` has windowed are not windowed again.
        jobs: Processes that fill the cache. By default two; for phantoms one, for they are prepared before
            another has started.
        progress: Show a progress bar.
        filters: Those of the source's `index`, for example `with_masses=True`.

    Raises:
        DataError: If the source as a whole cannot be used, or neither images nor prepared ones are here.
    """
    if source.root is None:
        folder = _without_images(source, settings, filters)
        log.warning(
            "the images of %s are not here: what was prepared from them is read from %s",
            source.name,
            paths.shown(folder),
        )
        return _open(folder, source)
    key = prepared_key(source, settings, **filters)
    folder = paths.cache() / f"{source.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Complete folders appear by renaming, so whoever waited at the lock finds the work done.
    with locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            with atomic_folder(folder) as partial_folder:
                _fill(partial_folder, source, settings, filters, jobs or (2 if source.real else 1), progress)
                recipe = _recipe(source, settings, filters)
                write_json(partial_folder / RECIPE, {**recipe, "key": key, "real": source.real})
    return _open(folder, source)


def prepared_key(source: Source, settings: Preprocessing, **filters: object) -> str:
    """The key of a prepared set, whether or not it is prepared already: see `PreparedSet.key`.

    Raises:
        DataError: As `prepare` does.
    """
    if source.root is None:
        return _key(_without_images(source, settings, filters))
    return digest({**_recipe(source, settings, filters), "data": source.fingerprint()})


def _recipe(source: Source, settings: Preprocessing, filters: dict) -> dict:
    reader = source.reader
    reading = (reader.scan, reader.select, reader.load)
    return {
        "code": code_digest(*reading, prepare_sample, structure, near_duplicates, groups, _once),
        "source": source.name,
        "settings": asdict(settings),
        "filters": filters,
    }


def _without_images(source: Source, settings: Preprocessing, filters: dict) -> Path:
    """The newest folder of the cache that was filled by this recipe."""
    wanted = json.loads(json.dumps(_recipe(source, settings, filters)))
    found = [path.parent for path in paths.cache().glob(f"{source.name}-*/{RECIPE}")]
    same = [folder for folder in found if _of_real_images(_json(folder / RECIPE), wanted)]
    if not same:
        others = f"; of the {len(found)} sets in it none has these settings and this code" if found else ""
        hint = advice(source.name) or "see data/README.md for where to get it"
        raise DataError(
            source.reader.FOLDER,
            f"is not here, and {paths.shown(paths.cache())} holds none of it{others}; {hint}",
        )
    return max(same, key=lambda folder: folder.stat().st_mtime_ns)


def _of_real_images(recipe: dict, wanted: dict) -> bool:
    """Whether a set was prepared as is wanted, and from no phantoms, which the same settings may prepare."""
    # What was prepared before this stood in recipes counts as real: away from its images nothing tells.
    return {"real": True, **recipe, "key": None} == {**wanted, "real": True, "key": None}


def _key(folder: Path) -> str:
    return _json(folder / RECIPE)["key"]


def _json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


def _open(folder: Path, source: Source) -> PreparedSet:
    table = read_table(folder / "table.csv")
    if source.root is not None:
        table["image_path"] = str(source.root) + "/" + table["image_path"]
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS]
    return PreparedSet(
        table,
        *arrays,
        key=_key(folder),
        real=source.real,
        problems=tuple(Problem(**problem) for problem in _json(folder / "problems.json")),
        duplicates=tuple(tuple(group) for group in _json(folder / "duplicates.json")),
    )


def _fill(
    folder: Path, source: Source, settings: Preprocessing, filters: dict, jobs: int, progress: bool
) -> None:
    with parallel_map(jobs, __name__, source.reader.load.__module__) as run_map:
        table, problems = source.scan(run_map)
        table = source.reader.select(table, **filters)
        if table.empty:
            raise DataError(source.root, none_usable(problems, filters))
        shape = (len(table), settings.size, settings.size)
        for name, dtype, array_shape in (
            ("images", np.float32, shape),
            ("masks", np.bool_, shape),
            ("spacing_mm", np.float32, (len(table), 2)),
        ):
            _new_array(folder / f"{name}.npy", dtype, array_shape)
        work = partial(_prepare_row, folder, source, _once(source, settings))
        outcomes = run_map(work, table.iterrows())
        bar = tqdm(
            outcomes, total=len(table), desc=f"prepare {source.name}", unit="image", disable=not progress
        )
        found = list(bar)
    failed = [outcome for outcome in found if isinstance(outcome, Problem)]
    if failed:
        keep = [row for row, outcome in enumerate(found) if not isinstance(outcome, Problem)]
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[keep])
        table, found = table.iloc[keep], [found[row] for row in keep]
        if table.empty:
            raise DataError(source.root, none_usable(problems + failed, filters))
    relative = table["image_path"].map(lambda path: Path(path).relative_to(source.root).as_posix())
    write_table(folder / "table.csv", table.assign(image_path=relative))
    write_json(folder / "problems.json", [asdict(problem) for problem in problems + failed])
    details = np.array(found, np.float32).reshape(len(found), 2, SIDE, SIDE)
    pairs = [(i, j) for i, j, _ in near_duplicates(details)]
    write_json(folder / "duplicates.json", groups(table["sample_id"].tolist(), pairs))


def _once(source: Source, settings: Preprocessing) -> Preprocessing:
    """The settings, without a window for images that `export` wrote through one: two would press out gray."""
    record = source.root / EXPORTED
    if settings.window is None or not record.is_file():
        return settings
    try:
        window = _json(record)["window"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(record, f"does not say how these images were exported ({error!r})") from error
    if window == "none":
        return settings
    log.warning("%s: these images were windowed when they were exported, and are not again", source.name)
    return replace(settings, window=None)


def none_usable(problems: list[Problem], filters: dict) -> str:
    """Why no image of a source can be used, file by file."""
    asked = f" ({', '.join(f'{name}={value}' for name, value in filters.items())})" if filters else ""
    first = "".join(f"\n{each.kind}: {each.path}: {each.reason}" for each in problems)
    return f"no image that is asked for{asked} can be used; {len(problems)} problems{first}"


def _new_array(path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    """An array on disk with its space set aside: where that ran out later, writing would kill the process."""
    np.lib.format.open_memmap(path, "w+", dtype, shape).flush()
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _prepare_row(
    folder: Path, source: Source, settings: Preprocessing, item: tuple[int, pd.Series]
) -> Problem | Float[np.ndarray, "2 t t"]:
    """Prepare one row straight into the arrays on disk; its `structure`, or why it cannot be prepared."""
    position, row = item
    try:
        sample = source.load(row)
        prepared = prepare_sample(sample, settings)
    except DataError as error:
        return Problem(error.path, "broken", error.reason)
    values = (prepared.image, prepared.mask, prepared.spacing_mm)
    for name, value in zip(ARRAYS, values, strict=True):
        np.load(folder / f"{name}.npy", mmap_mode="r+")[position] = value
    return structure(sample.image)
