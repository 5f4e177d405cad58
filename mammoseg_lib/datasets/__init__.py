"""One module a data source; `open_source` finds the data and says where it came from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
from filelock import FileLock

from mammoseg_lib import paths
from mammoseg_lib.datasets import busi, cbis_ddsm, folder, inbreast, phantom_cbis, phantom_own, phantoms
from mammoseg_lib.datasets.base import (
    COLUMNS,
    DataError,
    Problem,
    Sample,
    check_file,
    printable,
    sample_table,
)
from mammoseg_lib.storage import write_json

__all__ = ["COLUMNS", "SOURCES", "DataError", "Problem", "Sample", "Source", "open_source", "sample_table"]

SOURCES: dict[str, ModuleType] = {
    "inbreast": inbreast,
    "cbis_ddsm": cbis_ddsm,
    "busi": busi,
    "folder": folder,
}
PHANTOM_WRITERS = {
    "inbreast": phantoms.write_inbreast,
    "cbis_ddsm": phantom_cbis.write_cbis_ddsm,
    "busi": phantoms.write_busi,
    "folder": phantom_own.write_folder,
}


@dataclass(frozen=True)
class Source:
    """A data set that was found on disk.

    Attributes:
        name: Key of `SOURCES`.
        root: The release folder.
        real: False for phantoms.
    """

    name: str
    root: Path
    real: bool

    @property
    def reader(self) -> ModuleType:
        """The module that reads this source."""
        return SOURCES[self.name]

    def scan(
        self, run_map: Callable[[Callable, Iterable], Iterable] = map
    ) -> tuple[pd.DataFrame, list[Problem]]:
        """The table of what can be used and the list of what cannot; see the source's own `scan`."""
        return self.reader.scan(self.root, run_map)

    def index(self, **filters: object) -> pd.DataFrame:
        """The sample table; the filters are those of the source's own `index`."""
        return self.reader.index(self.root, **filters)

    def load(self, row: pd.Series) -> Sample:
        """The image and mask of one row of the table."""
        return self.reader.load(row)

    def fingerprint(self) -> str:
        """A digest of the content of every file of the source; see `fingerprint`."""
        return fingerprint(self.root, self.reader.files(self.root))

    def __str__(self) -> str:
        return f"{self.name}: {'real images' if self.real else 'phantoms'} in {paths.shown(self.root)}"


def open_source(
    name: str,
    root: Path | str | None = None,
    *,
    phantoms: bool | None = None,
    n_images: int = 120,
    size: int = 256,
) -> Source:
    """Find a data set: the folder given, else `MAMMOSEG_DATA`, else phantoms, which are written if need be.

    Args:
        name: "inbreast", "cbis_ddsm", "busi" or "folder" (images of one's own).
        root: A release folder; its content counts as real data, unless it lies in data/phantoms.
        phantoms: True takes phantoms even where real data is present, False makes its absence an error.
        n_images: Phantom images to write (INbreast: with a mass; others: in all).
        size: Longest side of a phantom image in pixels.

    Raises:
        ValueError: If the name is unknown.
        DataError: If a folder was asked for and is not there, or real data is required and absent.
    """
    if name not in SOURCES:
        raise ValueError(f"unknown source {name!r}; known: {', '.join(SOURCES)}")
    if root is not None:
        if not Path(root).is_dir():
            raise DataError(root, "no such folder")
        folder = Path(root).resolve()
        return Source(name, folder, real=not folder.is_relative_to(paths.phantoms()))
    data = paths.real_data()
    if data is not None and not data.is_dir():
        raise DataError(data, "MAMMOSEG_DATA names a folder that does not exist")
    folder = SOURCES[name].FOLDER
    if not phantoms and data is not None and (data / folder).is_dir():
        return Source(name, data / folder, real=True)
    if phantoms is False:
        raise DataError(
            data or "MAMMOSEG_DATA", f"no folder {folder!r} here; see data/README.md for where to get it"
        )
    return Source(name, phantom_folder(name, n_images, size), real=False)


def phantom_folder(name: str, n_images: int = 120, size: int = 256, seed: int = 0) -> Path:
    """The folder of a phantom data set, written now unless it is there already."""
    folder = f"{name}-{n_images}x{size}-seed{seed}-v{phantoms.VERSION}"
    root = paths.phantoms() / folder / SOURCES[name].FOLDER
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / ".lock"):
        if not root.is_dir():
            PHANTOM_WRITERS[name](root, n_images=n_images, size=size, seed=seed)
    return root


def fingerprint(root: Path, files: Sequence[Path]) -> str:
    """A digest of names and contents of files.

    Reading 8 GB at every start would take a minute, so the digest of each file is kept beside the cache and
    trusted for as long as the file's size and modification time stay as they were.
    """
    store = paths.cache() / "fingerprints" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"
    store.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(store.with_suffix(".lock")):
        known = json.loads(store.read_text()) if store.exists() else {}
        seen = {}
        for path in files:
            name = printable(path.relative_to(root).as_posix())
            try:
                check_file(path)
            except DataError as error:  # what cannot be read is a part of what the data is
                seen[name] = [0, 0, error.reason]
                continue
            stat = path.stat()
            stamp = [stat.st_size, stat.st_mtime_ns]
            old = known.get(name)
            seen[name] = old if old and old[:2] == stamp else [*stamp, _file_digest(path)]
        if seen != known:
            write_json(store, seen)
    return hashlib.sha256(json.dumps({n: v[2] for n, v in sorted(seen.items())}).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
