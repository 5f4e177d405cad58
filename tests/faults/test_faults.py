"""Every fault gives one error or problem that names the file; every other sample comes out bit by bit."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from mammoseg_lib import paths
from mammoseg_lib.cli import app as cli
from mammoseg_lib.datasets import DataError, Problem
from tests.faults.generate import Fault, all_faults
from tests.faults.sources import SMALL_SOURCES, read

COMMAND = get_command(cli.app)  # built once, which takes as long as a check
FAULTS = {str(fault): fault for fault in all_faults()}
WITHOUT_MASS = frozenset({"c"})  # of "folder"; not among the images that are prepared
# A quarter of them is a quick check of all kinds, sources and files; the rest follows in `make test-all`.
SOME = [
    pytest.param(name, marks=pytest.mark.slow if number % 4 else ()) for number, name in enumerate(FAULTS)
]
PREPARED = [name for number, name in enumerate(FAULTS) if number % 16 == 0]


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
    fault = FAULTS[request.param]
    if fault.name.endswith("may not be read") and os.geteuid() == 0:
        pytest.skip("the superuser may read every file")
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    root = shutil.copytree(whole[fault.source], tmp_path / "source")
    return fault, fault.apply(root) or root


def test_there_are_enough_faults_and_none_twice():
    assert len(FAULTS) == len(all_faults()) >= 300


@pytest.mark.parametrize("broken", SOME, indirect=True)
def test_fault(broken, expected, capsys, monkeypatch):
    """Through the reader, and through the command that reports what the reader found."""
    fault, root = broken
    everything = expected[fault.source]
    hit = set(everything) if fault.hit is None else fault.hit
    refused = None
    try:
        samples, problems = read(fault.source, root)
    except DataError as error:  # the source as a whole
        refused, samples, problems = error, {}, [Problem.broken(error)]
    named = {Path(problem.path).name for problem in problems}
    if fault.file is None:
        assert named == set()
    else:
        assert _named(fault, root) in named
        assert {p.kind for p in problems if Path(p.path).name == _named(fault, root)} == {fault.kind}
    # A sample that the fault hits may be missing, but never comes out as another one.
    assert samples.items() <= everything.items()
    assert everything.keys() - samples.keys() <= hit

    as_json = list(FAULTS).index(str(fault)) % 2 == 0
    status, out, err = _check(capsys, monkeypatch, fault, root, *(["--json"] if as_json else []))
    assert status == _status(fault)
    if refused is not None:
        assert (out, err) == ("", f"error: {refused}\n")
    elif as_json:
        report = json.loads(out)
        assert report["ok"] == (status == 0)
        assert [(p["kind"], p["reason"]) for p in report["problems"]] == [
            (p.kind, p.reason) for p in problems
        ]
    else:
        assert all(f"{problem.kind}: " in out and problem.reason in out for problem in problems)


def _status(fault: Fault) -> int:
    return int(fault.file is not None and fault.kind == "broken")


def _named(fault: Fault, root: Path) -> str:
    name = root.name if fault.file == "root" else Path(fault.file or "").name
    return name.replace("\udcff", "\\udcff").replace("\n", "\\n")


def _command(capsys, monkeypatch, *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the real entry point; anything it raises fails the test."""
    monkeypatch.setattr(cli, "app", COMMAND)
    monkeypatch.setattr(sys, "argv", ["mammoseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cli.main()
    out, err = capsys.readouterr()
    return int(exit_.value.code or 0), out, err


def _check(capsys, monkeypatch, fault: Fault, root: Path, *options: str) -> tuple[int, str, str]:
    source = SMALL_SOURCES[fault.source].source
    return _command(capsys, monkeypatch, "data", "check", source, "--root", root, "--jobs", 1, *options)


# Preparing reads the same files by the same readers: some of each kind.
@pytest.mark.parametrize("broken", PREPARED, indirect=True)
def test_prepare(broken, capsys, monkeypatch):
    fault, root = broken
    source = (SMALL_SOURCES[fault.source].source, "--root", root, "--jobs", 1, "--size", 8)
    status, out, err = _command(capsys, monkeypatch, "data", "prepare", *source)
    assert "Traceback" not in err
    assert status == _status(fault) or (status == 0 and fault.hit == WITHOUT_MASS)
    folders = [path for path in paths.cache().glob("*") if path.is_dir() and path.name != "fingerprints"]
    assert len(folders) == ("cache key" in out)  # complete, or not there; nothing half-written beside it
    for folder in folders:
        assert not folder.name.startswith(".")
        assert np.isfinite(np.load(folder / "images.npy")).all()
