"""Any source as a folder of one's own: windowed 16-bit PNG images as 003 kept them, masks, `samples.csv`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mammoseg_lib import paths
from mammoseg_lib.checks import check_choice
from mammoseg_lib.datasets import COLUMNS, DataError, Problem, Sample
from mammoseg_lib.datasets.folder.layout import IMAGES, MASKS, write_png, write_table
from mammoseg_lib.parallel import parallel_map
from mammoseg_lib.preprocessing import Preprocessing, crop_and_window, prepare_sample
from mammoseg_lib.preprocessing.cache import EXPORTED, none_usable
from mammoseg_lib.sources import Source
from mammoseg_lib.storage import atomic_folder, digest, locked, write_json

RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)
"""What no file may be called on Windows, whatever its suffix."""
WINDOWS = {"sigmoid": "sigmoid", "percentiles": (0.5, 99.5), "none": None}


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        folder: Where.
        n_images: How many images.
        problems: What the source holds that could not be exported.
    """

    folder: Path
    n_images: int
    problems: tuple[Problem, ...]


def export(
    source: Source,
    folder: Path,
    *,
    window: str = "sigmoid",
    size: int | None = None,
    jobs: int = 2,
    progress: bool = False,
    **filters: object,
) -> Export:
    """Write the images of a source in the layout that `datasets.folder` reads.

    The whole frame is kept. An image is read back as it is after windowing, to 1/131070; a mask as it is. The
    table has the columns of the sample table, with the ids of the source, and nothing else of a DICOM header
    but the pixel spacing. What cannot be read is left out and listed in `problems`.

    Args:
        source: What `open_source` found.
        folder: A new folder; it appears when it is complete.
        window: "sigmoid" as 003 (see `Preprocessing`), "percentiles" (the 0.5th and the 99.5th of the gray
            values of the whole frame, since nothing is cropped, become 0 and 1), or "none".
        size: Side of the square that images are resized and padded to, keeping their aspect, as 003 did with
            512; None leaves them as large as they are.
        jobs: Processes.
        progress: Show a progress bar.
        filters: Those of the source's `select`, for example `with_masses=True`.

    Raises:
        ValueError: If the window is unknown.
        DataError: If the folder exists, or nothing can be exported.
    """
    check_choice("window", window, tuple(WINDOWS))
    settings = Preprocessing(size=size or 1, crop="none", resize="pad", window=WINDOWS[window])
    folder = folder.resolve()
    lock = paths.cache() / f"export-{digest(str(folder))}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock):
        if folder.exists():
            raise DataError(folder, "exists already; an export is written to a new folder")
        with (
            atomic_folder(folder) as partial_folder,
            parallel_map(jobs, __name__, source.reader.load.__module__) as run_map,
        ):
            for name in (IMAGES, MASKS):
                (partial_folder / name).mkdir()
            table, problems = source.scan(run_map)
            table = source.reader.select(table, **filters)
            if table["sample_id"].map(_file_name).str.casefold().duplicated().any():
                raise DataError(
                    source.root,
                    "some sample ids differ in capitals or special characters alone; files cannot",
                )
            work = partial(_export_row, partial_folder, source, settings, size is not None)
            bar = partial(tqdm, desc=f"export {source.name}", unit="image", disable=not progress)
            found = list(bar(run_map(work, table.iterrows()), total=len(table)))
            rows = [item for item in found if isinstance(item, dict)]
            problems += [item for item in found if isinstance(item, Problem)]
            if not rows:
                raise DataError(source.root, none_usable(problems, filters))
            write_table(partial_folder, rows)
            recipe = {"source": source.name, "real": source.real, "window": window, "size": size, **filters}
            write_json(partial_folder / EXPORTED, recipe)
    return Export(folder, len(rows), tuple(problems))


def _export_row(
    folder: Path, source: Source, settings: Preprocessing, resized: bool, item: tuple[int, pd.Series]
) -> dict | Problem:
    """The line of one image, whose files are written; or why there is none."""
    _, row = item
    try:
        sample = source.load(row)
    except DataError as error:
        return Problem.broken(error)
    sample = _resized(sample, settings) if resized else crop_and_window(sample, settings)
    name = _file_name(row["sample_id"])
    write_png(folder / IMAGES / name, np.rint(sample.image * 65535).astype(np.uint16))
    has_mass = bool(sample.mask.any())
    if has_mass:
        write_png(folder / MASKS / name, sample.mask.astype(np.uint8) * 255)
    return {column: "" if pd.isna(row[column]) else row[column] for column in COLUMNS} | {
        "image_path": f"{IMAGES}/{name}",
        "n_masses": row["n_masses"] if has_mass else 0,
        "mass_fraction": float(sample.mask.mean()),
        "mask_path": f"{MASKS}/{name}" if has_mass else "",
        "spacing_mm": "" if sample.spacing_mm is None else f"{sample.spacing_mm:.10g}",
    }


def _file_name(sample_id: str) -> str:
    """One that every system can have: not CON or a:b, which are devices on Windows."""
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", sample_id)
    return f"_{name}.png" if RESERVED.fullmatch(name.partition(".")[0]) else f"{name}.png"


def _resized(sample: Sample, settings: Preprocessing) -> Sample:
    prepared = prepare_sample(sample, settings)
    # The longest side is resized exactly, the other to whole pixels.
    spacing = sample.spacing_mm and sample.spacing_mm * max(sample.image.shape) / settings.size
    return Sample(prepared.image, prepared.mask, spacing)
