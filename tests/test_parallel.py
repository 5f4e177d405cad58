from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mammoseg_lib.parallel import parallel_map, without_script

# As somebody writes them who has not read about processes: nothing stands below `if __name__ == ...`.
ONLY_SPAWN = "import multiprocessing; multiprocessing.get_all_start_methods = lambda: ['spawn']"  # as Windows
SQUARES = """
from mammoseg_lib.parallel import parallel_map
print("once")
with parallel_map(2) as run_map:
    print(sum(run_map(abs, range(-8, 0))))
"""
PREPARE = """
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.sources import open_source
print("once")
source = open_source("busi", phantoms=True, n_images=8, size=64)
print(len(prepare(source, Preprocessing(size=32, crop="none"), jobs=2)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "printed"), [(SQUARES, "36"), (f"{ONLY_SPAWN}\n{SQUARES}", "36"), (PREPARE, "8")]
)
def test_a_plain_script_is_run_once_and_comes_to_its_end(tmp_path, script, printed):
    (tmp_path / "plain.py").write_text(script)
    environment = {**os.environ, "MAMMOSEG_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "plain.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["once", printed]), done.stderr


def test_the_script_is_back_when_the_processes_have_started():
    script = sys.modules["__main__"]
    with without_script():
        assert not hasattr(sys.modules["__main__"], "__file__")
    assert sys.modules["__main__"] is script
    with pytest.raises(RuntimeError), without_script():
        raise RuntimeError
    assert sys.modules["__main__"] is script


def test_one_job_is_the_built_in_map():
    with parallel_map(1) as run_map:
        assert run_map is map
