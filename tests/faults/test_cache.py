"""The cache while several processes fill it, while the disk is full, and after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mammoseg_lib import paths
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.preprocessing.cache import ARRAYS
from mammoseg_lib.sources import Source
from tests.faults.processes import kill, session, start, wait_for
from tests.release import write_phantoms

N_IMAGES = 12
PREPARE = """
import sys
from pathlib import Path
from mammoseg_lib import preprocessing
from mammoseg_lib.preprocessing import cache
from mammoseg_lib.sources import Source
root, jobs = Path(sys.argv[1]), int(sys.argv[2])
fill = cache._fill
def told(*args):
    print("filling", flush=True)
    fill(*args)
    print("filled", flush=True)
cache._fill = told
source, settings = Source("busi", root, real=True), preprocessing.Preprocessing(size=16)
prepared = preprocessing.prepare(source, settings, jobs=jobs)
print(prepared.key, len(prepared), prepared.images.sum(), prepared.masks.sum())
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_phantoms("busi", tmp_path_factory.mktemp("busi") / "release", n_images=N_IMAGES, size=64)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _start(root: Path, jobs: int = 1, **options: object) -> subprocess.Popen:
    return start(PREPARE, root, jobs, **options)


def _prepared(root: Path):
    return prepare(Source("busi", root, real=True), Preprocessing(size=16), jobs=1)


def _leftovers() -> list[str]:
    return [path.name for path in paths.cache().iterdir() if path.name.startswith(".")]


def test_processes_that_start_at_once_fill_the_cache_once(root):
    started = [_start(root) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].splitlines() for process in started]
    assert [process.returncode for process in started] == [0] * 2
    assert sum(output.count("filled") for output in outputs) == 1
    assert len({output[-1] for output in outputs}) == 1
    assert _leftovers() == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space is set aside on POSIX systems only")
def test_a_full_disk_is_an_error_and_leaves_nothing(root):
    import resource

    def small_files() -> None:  # no file may exceed 4 KiB, a third of what the images need
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    process = _start(root, preexec_fn=small_files)
    output, error = process.communicate(timeout=120)
    assert output == "filling\n"
    assert process.returncode == 1  # an error that Python raised, no signal
    assert "OSError" in error
    assert [path.name for path in paths.cache().glob("busi-*") if path.is_dir()] == []
    assert _leftovers() == []
    assert len(_prepared(root)) == N_IMAGES


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_process_leaves_no_worker_and_the_next_start_begins_anew(root, jobs, home):
    process = _start(root, jobs)
    assert process.stdout.readline() == "filling\n"
    if jobs == 2:
        wait_for(lambda: len(session(process.pid)) >= 4)  # with the tracker, the server and a worker
    kill(process)
    complete = [path for path in paths.cache().glob("busi-*") if path.is_dir()]
    prepared = _prepared(root)
    assert len(prepared) == N_IMAGES
    assert _leftovers() == []
    assert complete in ([], [paths.cache() / f"busi-{prepared.key}"])
    os.environ["MAMMOSEG_HOME"] = str(home / "undisturbed")
    other = _prepared(root)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(prepared, name), getattr(other, name))
