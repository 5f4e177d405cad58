"""Mutated files through the readers: each gives valid samples or an error that names a file, nothing else.

2,000 files by default, with a fixed seed. `MAMMOSEG_FUZZ=100000` makes a longer run of other files; a failure
names the source, the kind of file and the seed, and `MAMMOSEG_FUZZ_SEED` starts from that one.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import xlwt
from pydicom import uid

from mammoseg_lib.datasets import DataError
from mammoseg_lib.datasets.files.dicom import read_image
from mammoseg_lib.datasets.files.excel import read_sheet
from tests.faults.fuzz import mutate
from tests.faults.sources import SHAPE, SMALL_SOURCES, read
from tests.release import HEADER, write_any_dicom

pytestmark = pytest.mark.slow

N_FILES = int(os.environ.get("MAMMOSEG_FUZZ", "2000"))
FIRST = int(os.environ.get("MAMMOSEG_FUZZ_SEED", "0" if N_FILES == 2000 else "1000000"))
HANG_S = 60  # for one file; a reader that waits for ever ends the run with the stacks of all threads
MEMORY = 2**28  # bytes that one run may add; a header may claim 60000x60000 pixels

KINDS = [(name, kind) for name, small in SMALL_SOURCES.items() for kind in small.files]
GAMMA = np.rint((np.arange(3000) / 2999) ** 0.6 * 1023).astype(int).tolist()
WINDOW = {"WindowCenter": 900, "WindowWidth": 1500}
DICOM = {  # what may be in a file beside plain pixels
    "a window": WINDOW,
    "a sigmoid": {**WINDOW, "VOILUTFunction": "SIGMOID", "RescaleSlope": 2.5, "RescaleIntercept": -300},
    "a VOI LUT": {"lut": ("VOILUTSequence", [3000, 500, 10], GAMMA)},
    "a VOI LUT in words": {"lut": ("VOILUTSequence", [3000, 0, 10], np.array(GAMMA, "<u2").tobytes())},
    "a modality LUT": {"lut": ("ModalityLUTSequence", [3000, 0, 16], GAMMA), **WINDOW},
    "no explicit VR": {"syntax": uid.ImplicitVRLittleEndian, **WINDOW},
    "deflate": {"syntax": uid.DeflatedExplicitVRLittleEndian, **WINDOW},
    "big endian": {"syntax": uid.ExplicitVRBigEndian, "stored": 14},
    "8 bits": {"stored": 8, "PhotometricInterpretation": "MONOCHROME1"},
    "overlay bits": {"signed": True},
    "RLE": {"stored": 16},
}
# By weight: the sources get most of the files, an Excel file takes a process each.
SHARE = {"source": 0.78 / len(KINDS), "dicom": 0.21 / len(DICOM), "excel": 0.01}


def _fuzz(path: Path, what: str, share: float, others: list[bytes], use: Callable[[], None]) -> None:
    """Mutate a file again and again, and use it; what `use` raises is told with the seed."""
    data = path.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(FIRST, FIRST + int(N_FILES * share) + 1):
        path.write_bytes(mutate(seed, data, others[seed % len(others)]))
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            # Commands ignore them too; raised, they would stand in for errors.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                use()
        except BaseException as error:
            raise AssertionError(f"{what} seed {seed}: {error!r}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"{what}: the readers took {grown / 2**20:.0f} MiB"


def test_there_are_enough_files():
    counts = {"source": len(KINDS), "dicom": len(DICOM), "excel": 1}
    assert sum(n * (int(N_FILES * SHARE[what]) + 1) for what, n in counts.items()) >= N_FILES


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_sources(tmp_path, name, kind):
    for other, small in SMALL_SOURCES.items():
        small.write(tmp_path / other)
    others = [path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    root = tmp_path / name
    file, hit = SMALL_SOURCES[name].files[kind]
    everything, _ = read(name, root)

    def use() -> None:
        try:
            samples, _ = read(name, root)
        except DataError:
            assert hit is None, f"a broken {kind} is no fault of the whole source"
            return
        for sample, value in everything.items():
            untouched = hit is None or sample not in hit
            assert not untouched or samples.get(sample, value if hit is None else None) == value, (
                f"changes sample {sample}"
            )

    _fuzz(root / file, f"{name} {kind}", SHARE["source"], others, use)


@pytest.mark.parametrize("kind", DICOM)
def test_dicom(tmp_path, kind):
    values = np.random.default_rng(0).integers(0, 128 if kind == "8 bits" else 2048, SHAPE)
    if kind == "overlay bits":
        values = (values | (values % 2 << 12)).astype(np.int16)
    path = write_any_dicom(tmp_path / "a.dcm", values, **DICOM[kind])
    if kind == "RLE":
        dataset = pydicom.dcmread(path)
        dataset.compress(uid.RLELossless, encoding_plugin="pydicom")
        dataset.save_as(path)

    def use() -> None:
        try:
            image, _ = read_image(path, voi=True)
        except DataError:
            return
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert 0 <= image.min() <= image.max() <= 1

    assert read_image(path, voi=True)[0].std() > 0
    _fuzz(path, kind, SHARE["dicom"], [path.read_bytes()], use)


def test_excel(tmp_path):
    book, path = xlwt.Workbook(), tmp_path / "INbreast.xls"
    sheet = book.add_sheet("INbreast")
    for row in range(30):
        for column, name in enumerate(HEADER.split(";")):
            sheet.write(row, column, float(row) if row and column > 4 else name)
    book.save(str(path))
    assert read_sheet(path)[:2] == [HEADER.split(";"), [*HEADER.split(";")[:5], "1", "1", "1"]]

    def use() -> None:
        try:
            rows = read_sheet(path)
        except DataError:
            return
        assert all(isinstance(cell, str) for row in rows for cell in row)

    _fuzz(path, "Excel", SHARE["excel"], [path.read_bytes()], use)
