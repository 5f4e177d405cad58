"""An export that is killed in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from mammoseg_lib.datasets import folder
from mammoseg_lib.export import export
from mammoseg_lib.sources import Source
from tests.faults.processes import kill, start
from tests.faults.sources import write_busi

# Stops where it is told to, so that the kill hits the middle.
EXPORT = """
import sys, time
from pathlib import Path
from mammoseg_lib import export
from mammoseg_lib.sources import Source
root, out, jobs, where = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def stopped(*args):
    print("stopped", flush=True)
    time.sleep(600)
write = export.write_png
def third(path, pixels):
    stopped() if path.name.startswith("malignant") else write(path, pixels)
if where == "image":
    export.write_png = third
else:
    export.write_table = stopped
export.export(Source("busi", root, real=True), out, jobs=jobs)
"""


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(("where", "jobs", "written"), [("image", 1, 2), ("table", 2, 4)])
def test_a_killed_export_leaves_no_folder_and_the_next_one_begins_anew(
    tmp_path, monkeypatch, where, jobs, written
):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    write_busi(tmp_path / "busi")
    place = tmp_path / "exports"
    process = start(EXPORT, tmp_path / "busi", place / "own", jobs, where)
    assert process.stdout.readline() == "stopped\n"
    kill(process)  # its workers end too
    (partial,) = place.iterdir()
    assert partial.name.startswith(".own.")
    assert len(list((partial / "images").iterdir())) == written
    source = Source("busi", tmp_path / "busi", real=True)
    export(source, place / "own", jobs=1)
    assert [path.name for path in place.iterdir()] == ["own"]
    assert len(folder.index(place / "own")) == 4
    export(source, tmp_path / "undisturbed", jobs=1)
    assert _files(place / "own") == _files(tmp_path / "undisturbed")
