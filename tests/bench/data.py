"""Filling the cache with one process and with two, and opening it again."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from mammoseg_lib.datasets import Source, open_source
from mammoseg_lib.preprocessing import Preprocessing, prepare
from tests.bench.timing import Row

PHANTOM_SIZE = 3072  # about the resolution of the release, so that reading costs what it costs there


def _seconds(source: Source, jobs: int) -> tuple[float, float]:
    """Seconds to fill an empty cache, and to open the full one."""
    home = Path(tempfile.mkdtemp())
    os.environ["MAMMOSEG_HOME"] = str(home)
    try:
        source.fingerprint()  # reads every file once, so that both find them in memory
        times = []
        for _ in range(2):
            start = time.perf_counter()
            prepare(source, Preprocessing(), jobs=jobs, with_masses=True)
            times.append(time.perf_counter() - start)
    finally:
        shutil.rmtree(home)
        del os.environ["MAMMOSEG_HOME"]
    return times[0], times[1]


def _rows(source: Source, what: str, rounds: int) -> list[Row]:
    _seconds(source, 2)  # starts the server that the worker processes are forked from
    times = [(*_seconds(source, 1), *_seconds(source, 2)) for _ in range(rounds)]
    one, _, two, again = (statistics.median(column) for column in zip(*times, strict=True))
    return [
        Row(f"{what} to cache, 1 process / 2", one / two, 1.7, False, f"{one:.2f} s, {two:.2f} s"),
        Row(f"{what}, second start in s", again, 1.0, True, "opening the cache"),
    ]


def rows() -> list[Row]:
    """Full-resolution phantoms, and real INbreast where it is present."""
    with tempfile.TemporaryDirectory() as folder:
        from mammoseg_lib.datasets.phantoms import write_inbreast

        root = Path(folder) / "INbreast Release 1.0"
        write_inbreast(root, n_images=20, size=PHANTOM_SIZE)
        result = _rows(Source("inbreast", root, real=False), f"20 phantoms of {PHANTOM_SIZE} px", 3)
    if os.environ.get("MAMMOSEG_DATA"):
        result += _rows(open_source("inbreast", phantoms=False), "INbreast, 107 images", 5)
    return result
