"""Every fault gives one error or problem that names the file; every other sample comes out bit by bit."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from mammoseg_lib import paths
from mammoseg_lib.cli import main
from mammoseg_lib.datasets import DataError, Problem
from tests.faults.generate import Fault, all_faults
from tests.faults.sources import SMALL_SOURCES, read

FAULTS = all_faults()
# Not found yet: the reader of own folders takes a picture of any type under the name of a PNG file, and one
# that lacks its end; a table cut between two rows is a shorter table, and a dangling link is no table.
OPEN = {
    *(
        f"folder: picture {what}"
        for what in ("cut at 99 %", "cut at 100 %", "is JPEG", "is GIF", "is BMP", "is TIFF")
    ),
    *(f"folder: table {what}" for what in ("cut at 72 %", "is a link to itself", "is a link to nothing")),
}
KNOWN = pytest.mark.xfail(strict=True, reason="an open fault of the reader")
MARKED = [pytest.param(fault, marks=KNOWN if str(fault) in OPEN else ()) for fault in FAULTS]


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> dict[str, Path]:
    """Every small source, written once."""
    folder = tmp_path_factory.mktemp("whole")
    for name, small in SMALL_SOURCES.items():
        small.write(folder / name)
    return {name: folder / name for name in SMALL_SOURCES}


@pytest.fixture(scope="session")
def expected(whole) -> dict[str, dict[str, tuple]]:
    """The samples of the whole sources."""
    found = {name: read(name, root) for name, root in whole.items()}
    assert all(not problems for _, problems in found.values())
    return {name: samples for name, (samples, _) in found.items()}


@pytest.fixture
def broken(request, whole, tmp_path, monkeypatch) -> tuple[Fault, Path]:
    """A fault and the source in which it was made."""
    fault: Fault = request.param
    if fault.name.endswith("may not be read") and os.geteuid() == 0:
        pytest.skip("the superuser may read every file")
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    root = shutil.copytree(whole[fault.source], tmp_path / "source")
    return fault, fault.apply(root) or root


def test_there_are_enough_faults_and_none_twice():
    assert len(FAULTS) >= 300
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("broken", MARKED, ids=map(str, FAULTS), indirect=True)
def test_reader(broken, expected):
    fault, root = broken
    everything = expected[fault.source]
    hit = set(everything) if fault.hit is None else fault.hit
    try:
        samples, problems = read(fault.source, root)
    except DataError as refused:  # the source as a whole
        samples, problems = {}, [Problem.broken(refused)]
    named = {Path(problem.path).name for problem in problems}
    if fault.file is None:
        assert named == set()
    elif fault.file:
        assert _named(fault, root) in named
    for name, sample in everything.items():
        assert samples.get(name) == sample or name in hit
    assert samples.keys() <= everything.keys()


def _named(fault: Fault, root: Path) -> str:
    name = root.name if fault.file == "root" else Path(fault.file or "").name
    return name.replace("\udcff", "\\udcff").replace("\n", "\\n")


def _command(capsys, monkeypatch, *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the real entry point; anything it raises fails the test."""
    monkeypatch.setattr(sys, "argv", ["mammoseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    out, err = capsys.readouterr()
    return int(exit_.value.code or 0), out, err


@pytest.mark.parametrize("broken", FAULTS, ids=str, indirect=True)
def test_check(broken, capsys, monkeypatch):
    fault, root = broken
    source = (fault.source, "--root", root, "--jobs", 1)
    status, out, err = _command(capsys, monkeypatch, "data", "check", *source, "--json")
    if out:
        report = json.loads(out)
        assert report["ok"] == all(problem["kind"] != "broken" for problem in report["problems"])
        assert status == (0 if report["ok"] else 1)
        again, text, _ = _command(capsys, monkeypatch, "data", "check", *source)
        assert again == status
        assert all(problem["reason"] in text for problem in report["problems"])
    else:
        assert status == 1
        assert err.startswith("error: ")
    assert status == 0 or fault.file is not None


# Preparing reads the same files by the same readers: the faults that it meets first, and some of each kind.
@pytest.mark.parametrize("broken", FAULTS[::5] + FAULTS[1:110:5], ids=str, indirect=True)
def test_prepare(broken, capsys, monkeypatch):
    fault, root = broken
    source = (fault.source, "--root", root, "--jobs", 1, "--size", 8)
    status, out, err = _command(capsys, monkeypatch, "data", "prepare", *source)
    assert "Traceback" not in err
    assert status == (0 if "error: " not in err and "broken: " not in err else 1)
    assert status == 0 or fault.file is not None
    folders = [path for path in paths.cache().glob("*") if path.is_dir() and path.name != "fingerprints"]
    assert len(folders) == ("cache key" in out)  # complete, or not there; nothing half-written beside it
    for folder in folders:
        assert not folder.name.startswith(".")
        assert np.isfinite(np.load(folder / "images.npy")).all()
