"""What other systems do not have or do not allow, imitated on this one."""

from __future__ import annotations

import ast
import multiprocessing
import os
import re
import subprocess
from pathlib import Path

import pytest
import torch

from mammoseg_lib import paths
from mammoseg_lib.export import RESERVED
from mammoseg_lib.parallel import parallel_map
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.runs import Data, RunConfig, execute
from mammoseg_lib.training import Training, choose_device

CONFIG = RunConfig(
    loss={"name": "dice"},
    model={"name": "aunet", "base_width": 8},
    training=Training(epochs=1, precision="float32"),
    data=Data(source="busi", n_images=10, phantom_size=64, preprocessing=Preprocessing(size=32, crop="none")),
    fold=0,
    seed=0,
)
LONGEST = 260  # characters of a path on Windows
HOME = 100  # of them for the folder that the project lies in


def legal(name: str) -> bool:
    """Whether Windows can have a file of this name."""
    stem = name.partition(".")[0]
    return not re.search(r'[<>:"/\\|?*\x00-\x1f]|[. ]$', name) and not RESERVED.fullmatch(stem)


@pytest.fixture
def windows(monkeypatch, tmp_path):
    """Nothing is renamed while it is open, there are no forks, and some functions are not there."""
    moved = []

    def refusing(rename):
        def checked(source, target, **options):
            held = [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()]
            held += re.findall(r" (/\S.*)$", Path("/proc/self/maps").read_text(), re.MULTILINE)
            for name in (os.path.realpath(source), os.path.realpath(target)):
                if any(each == name or each.startswith(f"{name}/") for each in held):
                    raise PermissionError(13, "The process cannot access the file", name)
            moved.append(Path(source).name)
            return rename(source, target, **options)

        return checked

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    for name in ("fork", "sched_getaffinity", "posix_fallocate"):
        monkeypatch.delattr(os, name)
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    return moved


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs to know what is open")
def test_a_run_from_phantoms_to_its_metrics_as_on_windows(windows):
    CONFIG.data.prepare(jobs=1)
    run = execute(CONFIG, device="cpu")
    assert len(run.per_image) == 2
    assert len(windows) > 10
    written = [path for path in paths.home().rglob("*") if ".lock" not in path.name]
    names = {*windows, *(path.name for path in written)}
    assert [name for name in names if not legal(name)] == []
    longest = max(len(str(path.relative_to(paths.home()))) for path in written)
    assert HOME + longest + max(map(len, windows)) < LONGEST  # with what it is called while it is written


def test_the_imitation_refuses_what_windows_refuses(windows, tmp_path):
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "b").open("wb"), pytest.raises(PermissionError):
        (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "a").rename(tmp_path / "c")
    with parallel_map(2) as run_map:
        assert list(run_map(abs, [-1])) == [1]
    assert [legal(name) for name in ("a.txt", "a:b", "nul.txt", "a.", "com1", "comb")] == [
        True, False, False, False, False, True,
    ]  # fmt: skip


def test_names_in_the_repository_are_legal_everywhere():
    try:
        listing = subprocess.run(["git", "ls-files"], cwd=paths.PROJECT, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = listing.stdout.decode().splitlines()
    assert len(files) > 100
    assert [file for file in files if not all(map(legal, file.split("/")))] == []
    assert len({file.casefold() for file in files}) == len(files)
    assert max(map(len, files)) + HOME < LONGEST


def test_every_text_file_is_read_and_written_with_an_encoding_that_is_named():
    """Windows takes one of its own where none is."""
    unnamed = []
    for path in paths.LIBRARY.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(call, ast.Call)
                and _of_text(call)
                and "encoding" not in {k.arg for k in call.keywords}
            ):
                unnamed.append(f"{path.name}:{call.lineno}")
    assert unnamed == []


def _of_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a text file."""
    if not isinstance(call.func, ast.Attribute):
        return isinstance(call.func, ast.Name) and call.func.id == "open"
    if call.func.attr == "open":
        modes = [each.value for each in call.args if isinstance(each, ast.Constant)]
        return any(re.fullmatch(r"[rwax]\+?t?", str(mode)) for mode in modes)
    return call.func.attr in ("read_text", "write_text")


@pytest.mark.parametrize("name", ["mps", "mps:0"])
def test_the_accelerator_of_a_mac_is_refused_for_the_true_reason(name):
    with pytest.raises(ValueError, match="not supported: several losses compute in float64"):
        choose_device(name)
    # The reason: what is known of the target is float64 for at least these.
    from mammoseg_lib.losses import build_loss

    features = build_loss("rmi").target_features(torch.ones(32, 32).numpy() > 0)
    assert "float64" in {str(value.dtype) for value in features.values()}
