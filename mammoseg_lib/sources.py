"""Which data sets there are, and where their images are: `open_source` finds them and says what it took.

A data set is named here and nowhere else; with its reader, what writes phantoms of it, and its modality.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import pandas as pd

from mammoseg_lib import paths
from mammoseg_lib.checks import check_name
from mammoseg_lib.datasets.sample import DataError, Problem, Reader, Sample, check_file, printable
from mammoseg_lib.phantoms.population import named_population
from mammoseg_lib.phantoms.writer import Writer
from mammoseg_lib.source_code import code_digest
from mammoseg_lib.storage import locked, write_json


@dataclass(frozen=True)
class DataSet:
    """A data set that is known: `datasets.<name>` reads its release, `phantoms.<name>` writes phantoms.

    Attributes:
        name: Of both modules.
        modality: What took its images; "unknown" where that is for whoever owns them to say.
    """

    name: str
    modality: Literal["mammography", "ultrasound", "unknown"]

    # Imported when they are asked for: the names alone, which the command line needs, cost nothing.
    @property
    def reader(self) -> Reader:
        """The module that reads it."""
        return import_module(f"mammoseg_lib.datasets.{self.name}")

    @property
    def write_phantoms(self) -> Writer:
        """What writes phantoms in its layout."""
        return import_module(f"mammoseg_lib.phantoms.{self.name}").write

    @property
    def crop(self) -> Literal["breast", "none"]:
        """How its images are cropped by default: an ultrasound picture has no breast to crop to."""
        return "none" if self.modality == "ultrasound" else "breast"


SOURCES: dict[str, DataSet] = {
    known.name: known
    for known in (
        DataSet("inbreast", "mammography"),
        DataSet("cbis_ddsm", "mammography"),
        DataSet("busi", "ultrasound"),
        DataSet("folder", "unknown"),
    )
}


@dataclass(frozen=True)
class Source:
    """A data set that was found on disk.

    Attributes:
        name: Key of `SOURCES`.
        root: The release folder; None where the images are not on this machine, and only what was prepared
            from them can be read.
        real: False for phantoms.
    """

    name: str
    root: Path | None
    real: bool

    @property
    def reader(self) -> Reader:
        """The module that reads this source."""
        return SOURCES[self.name].reader

    @property
    def modality(self) -> str:
        """What took its images; see `DataSet`."""
        return SOURCES[self.name].modality

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
        if self.root is None:
            return f"{self.name}: real images that are not on this machine"
        return f"{self.name}: {'real images' if self.real else 'phantoms'} in {paths.shown(self.root)}"


def open_source(
    name: str,
    root: Path | str | None = None,
    *,
    phantoms: bool | None = None,
    n_images: int = 120,
    size: int = 256,
    population: str = "realistic",
    absent: bool = False,
) -> Source:
    """Find a data set: the folder given, else `MAMMOSEG_DATA`, else phantoms, which are written if need be.

    Args:
        name: "inbreast", "cbis_ddsm", "busi" or "folder" (images of one's own).
        root: A release folder; its content counts as real data, unless it lies in data/phantoms.
        phantoms: True takes phantoms even where real data is present, False makes its absence an error.
        n_images: Phantom images to write (INbreast: with a mass; others: in all).
        size: Longest side of a phantom image in pixels.
        population: Whose masses the phantoms show: "realistic", or "easy", which a small network learns to
            find in seconds; see `phantoms.population`.
        absent: Give a source without a root in place of an error where the real data that was asked for is
            absent: `prepare` reads what was prepared from it before.

    Raises:
        ValueError: If the name or the population is unknown.
        DataError: If a folder was asked for and is not there, or real data is required and absent.
    """
    check_name("source", name, SOURCES)
    if root is not None:
        if absent and not Path(root).is_dir():
            return Source(name, None, real=True)
        if not Path(root).is_dir():
            raise DataError(root, "no such folder")
        root = Path(root).resolve()
        return Source(name, root, real=not root.is_relative_to(paths.phantoms()))
    data = paths.real_data()
    absent = absent and phantoms is False
    if data is not None and not data.is_dir() and not absent:
        raise DataError(data, "MAMMOSEG_DATA names a folder that does not exist")
    release = SOURCES[name].reader.FOLDER
    if not phantoms and data is not None and (data / release).is_dir():
        return Source(name, data / release, real=True)
    if absent:
        return Source(name, None, real=True)
    if phantoms is False:
        hint = advice(name) or "see data/README.md for where to get it"
        raise DataError(data or "MAMMOSEG_DATA", f"no folder {release!r} here; {hint}")
    return Source(name, phantom_folder(name, n_images, size, population=population), real=False)


def advice(name: str) -> str:
    """Where real data lies one step from where MAMMOSEG_DATA points, and what to do; else an empty text."""
    data, release = paths.real_data(), SOURCES[name].reader.FOLDER
    if data is None or not data.is_dir() or (data / release).is_dir():
        return ""
    below = [each for each in sorted(data.iterdir()) if each.is_dir() and (each / release).is_dir()]
    for place in (data.parent, *below):
        if (place / release).is_dir():
            return f"it is in {printable(place)}: set MAMMOSEG_DATA to that"
    for place in (data, *(each for each in sorted(data.iterdir()) if each.is_dir())):
        if _holds(name, place):
            return f"{printable(place)} looks like it: give it with --root, or call it {release!r}"
    return ""


def _holds(name: str, folder: Path) -> bool:
    try:
        return bool(SOURCES[name].reader.files(folder))
    except (DataError, OSError):
        return False


def phantom_folder(
    name: str, n_images: int = 120, size: int = 256, seed: int = 0, *, population: str = "realistic"
) -> Path:
    """The folder of a phantom data set, written now unless it is there already.

    Its name holds a digest of the code that draws, so that phantoms of other code are never taken for these.
    """
    named_population(population)  # before a folder is made for it
    known = SOURCES[name]
    code = code_digest(known.write_phantoms)[:8]
    root = paths.phantoms() / f"{name}-{population}-{n_images}x{size}-seed{seed}-{code}" / known.reader.FOLDER
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked(root.parent / ".lock"):
        if not root.is_dir():
            known.write_phantoms(root, n_images=n_images, size=size, seed=seed, population=population)
    return root


def fingerprint(root: Path, files: Sequence[Path]) -> str:
    """A digest of names and contents of files.

    Reading 8 GB at every start would take a minute, so the digest of each file is kept beside the cache and
    trusted for as long as the file's size and modification time stay as they were.
    """
    store = paths.cache() / "fingerprints" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"
    store.parent.mkdir(parents=True, exist_ok=True)
    with locked(store.with_suffix(".lock")):
        known = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
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
