"""Filling the cache with one process and with two, and opening it again."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.sources import Source, open_source
from tests.bench.timing import Row
from tests.release import write_phantoms

PHANTOM_SIZE = 3072  # about the resolution of the release, so that reading costs what it costs there
LARGEST = 4084  # the longest side in the release
# What a worker does to one image, in a process of its own: its peak memory is that of the process.
WORKER = """
import re, sys
from pathlib import Path
from mammoseg_lib import preprocessing
from mammoseg_lib.sources import Source
source = Source("inbreast", Path(sys.argv[1]), real=False)
for _, row in source.index().iterrows():
    preprocessing.prepare_sample(source.load(row), preprocessing.Preprocessing())
# Not getrusage: that begins with the memory of the process that started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 2**10)
"""


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


def _memory() -> Row:
    """Peak memory of a worker at the full size of the release."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_phantoms("inbreast", Path(folder) / "INbreast Release 1.0", 2, LARGEST)
        command = [sys.executable, "-c", WORKER, str(root)]
        used = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Row(f"memory of a worker in MB, images of {LARGEST} px", used, 500, True, "peak of the process")


def _sample() -> Row:
    """Reading one prepared sample from the open cache."""
    home = Path(tempfile.mkdtemp())
    os.environ["MAMMOSEG_HOME"] = str(home)
    try:
        prepared = prepare(open_source("busi", phantoms=True), Preprocessing(crop="none"), jobs=1)
        start = time.perf_counter()
        for i in range(len(prepared)):
            np.array(prepared.images[i]), np.array(prepared.masks[i])
        took = (time.perf_counter() - start) / len(prepared)
    finally:
        shutil.rmtree(home)
        del os.environ["MAMMOSEG_HOME"]
    return Row("a prepared sample from the cache in ms", took * 1000, 1.0, True, "image and mask of 256 px")


def rows() -> list[Row]:
    """Full-resolution phantoms, and real INbreast where it is present."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "INbreast Release 1.0"
        write_phantoms("inbreast", root, 20, PHANTOM_SIZE)
        result = _rows(Source("inbreast", root, real=False), f"20 phantoms of {PHANTOM_SIZE} px", 3)
    if os.environ.get("MAMMOSEG_DATA"):
        result += _rows(open_source("inbreast", phantoms=False), "INbreast, 107 images", 5)
        result += _rows(open_source("busi", phantoms=False), "BUSI, 647 pictures", 3)
    return [*result, _memory(), _sample()]
