from __future__ import annotations

import errno
import os
import sys

import pytest

from mammoseg_lib.storage import atomic_file, atomic_folder, digest, write_json


def test_digest_ignores_order_but_not_values():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})


def test_a_file_appears_only_when_complete(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), atomic_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [path]
    assert "old" in path.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="imitates Windows")
def test_only_what_may_be_written_is_synced_as_windows_wants_it(tmp_path, monkeypatch):
    import fcntl

    synced = []

    def fsync(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        synced.append(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_json(tmp_path / "a.json", {"a": "ä"})
    assert len(synced) == 1
    assert (tmp_path / "a.json").read_bytes() == '{\n  "a": "ä"\n}\n'.encode()


def test_a_folder_appears_only_when_complete(tmp_path):
    target = tmp_path / "folder"
    with pytest.raises(RuntimeError), atomic_folder(target) as partial:
        (partial / "a").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as partial:
        (partial / "a").write_text("whole")
    assert [p.name for p in target.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".folder.killed").mkdir()
    with atomic_folder(tmp_path / "folder"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
