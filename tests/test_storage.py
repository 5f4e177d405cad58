from __future__ import annotations

import errno
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from mammoseg_lib.storage import atomic_file, atomic_folder, digest, locked, write_json, write_tensors


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
    with atomic_folder(tmp_path / "folder") as partial:
        name = partial.name
    (tmp_path / "folder").rmdir()
    (tmp_path / name).mkdir()
    (tmp_path / f"{name}2").mkdir()
    with atomic_folder(tmp_path / "folder"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("name", [".folder.old", ".folder.bak", ".folder.1", "folder.old"])
def test_a_folder_of_ones_own_beside_it_stays(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("two years")
    with atomic_folder(tmp_path / "folder"):
        pass
    assert (tmp_path / name / "thesis.txt").read_text() == "two years"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("8 requested, 0 written")]
)
@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_an_error_of_the_disk_names_what_was_written(tmp_path, write, error):
    with (
        pytest.raises(OSError, match=rf"cannot be written \({error.strerror or error}\).*data") as raised,
        write(tmp_path / "data"),
    ):
        raise error
    assert raised.value.filename == str(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_names_a_file_already_stays_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"), atomic_file(tmp_path / "data"):
        (tmp_path / "absent").read_bytes()


def test_tensors_that_find_no_space_are_an_error_that_names_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match=r"cannot be written.*w\.pt"):
        write_tensors(tmp_path / "w.pt", {})
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_a_lock_is_told(tmp_path, caplog):
    path = tmp_path / "a.lock"
    held = threading.Event()

    def hold() -> None:
        with FileLock(path):
            held.set()
            while "waiting" not in caplog.text:
                time.sleep(0.01)

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    with locked(path):
        assert "waiting for another process" in caplog.text
        assert str(path) in caplog.text
    with locked(path):
        assert caplog.text.count("waiting") == 1
    other.join()


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOLCK, "No locks available"), OSError(errno.ENOTSUP, "no"), NotImplementedError("flock")],
)
def test_a_disk_without_locks_is_locked_on_this_machine(tmp_path, monkeypatch, caplog, error):
    acquire, local = FileLock.acquire, tmp_path / "local"
    local.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(local))

    def acquired(lock, *args, **options):
        if not Path(lock.lock_file).is_relative_to(local):
            raise error
        return acquire(lock, *args, **options)

    monkeypatch.setattr(FileLock, "acquire", acquired)
    with locked(tmp_path / "shared" / "a.lock"):
        (lock,) = local.iterdir()
        assert "no locks on this disk" in caplog.text
        with pytest.raises(Timeout):
            acquire(FileLock(lock), timeout=0)
    acquire(FileLock(lock), timeout=0)


def test_another_error_of_a_lock_is_an_error(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "a.lock")

    monkeypatch.setattr(FileLock, "acquire", refused)
    with pytest.raises(PermissionError), locked(tmp_path / "a.lock"):
        pass
