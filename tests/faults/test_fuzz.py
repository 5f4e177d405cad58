"""Mutated files through the readers: each gives valid samples or an error that names a file, nothing else.

2,000 files by default, with a fixed seed. `MAMMOSEG_FUZZ=100000` makes a longer run of other files; a failure
names the source, the kind of file and the seed, and `MAMMOSEG_FUZZ_SEED` starts from that one. Excel files
are not among them: where the chain of sectors in one is damaged, calamine, which reads it, takes all memory.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import warnings

import pytest

from mammoseg_lib.datasets import DataError
from tests.faults.fuzz import mutate
from tests.faults.sources import SMALL_SOURCES, read

N_FILES = int(os.environ.get("MAMMOSEG_FUZZ", "2000"))
FIRST = int(os.environ.get("MAMMOSEG_FUZZ_SEED", "0" if N_FILES == 2000 else "1000000"))
HANG_S = 20  # for one file; a reader that waits for ever ends the run with the stacks of all threads
MEMORY = 2**28  # bytes that one run may add; a header may claim 60000x60000 pixels

KINDS = [(name, kind) for name, small in SMALL_SOURCES.items() for kind in small.files]


@pytest.fixture
def whole(tmp_path):
    """Every small source."""
    for name, small in SMALL_SOURCES.items():
        small.write(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_fuzz(whole, name, kind):
    root = whole / name
    file, hit = SMALL_SOURCES[name].files[kind]
    path = root / file
    data = path.read_bytes()
    others = [other.read_bytes() for other in sorted(whole.rglob("*")) if other.is_file()]
    everything, _ = read(name, root)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(FIRST, FIRST + -(-N_FILES // len(KINDS))):
        path.write_bytes(mutate(seed, data, others[seed % len(others)]))
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            # Warnings about odd values are for people; here they would hide what comes after them.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                samples, _ = read(name, root)
        except DataError:
            assert hit is None, f"{name}: a broken {kind} is no fault of the whole source; seed {seed}"
            continue
        except BaseException as error:
            raise AssertionError(f"{name} {kind} seed {seed}: {error!r}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        for sample, value in everything.items():
            untouched = hit is None or sample not in hit
            assert not untouched or samples.get(sample, value if hit is None else None) == value, (
                f"{name} {kind} seed {seed}: changes sample {sample}"
            )
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"{name} {kind}: the readers took {grown / 2**20:.0f} MiB"
