"""Writing files so that a half-written one is never read as complete."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
log = logging.getLogger(__name__)


def digest(value: object) -> str:
    """A short name for a value made of plain Python types: equal values, equal names, on every machine."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        with _named_errors(path):
            yield partial
        partial.chmod(0o644)
        _to_disk(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` when the block ends without an error.

    What a killed process left behind is removed first, so callers that may run at the same time hold a lock.
    It is told by its name, which nobody gives to a folder of one's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.mammoseg-partial-"
    for leftover in path.parent.iterdir():
        if leftover.name.startswith(prefix):
            shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
    try:
        with _named_errors(path):
            yield partial
        partial.chmod(0o755)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file; who has to wait for another process is told so.

    On a shared disk without locks (some NFS and Lustre) one in this machine's own temporary folder takes its
    place, with a warning: it keeps out the processes of this machine only.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        _acquire(lock)
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        log.warning("%s: there are no locks on this disk; start nothing twice on two machines", path.parent)
        lock = FileLock(Path(tempfile.gettempdir()) / f"mammoseg-{digest(str(path.resolve()))}.lock")
        _acquire(lock)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock) -> None:
    try:
        lock.acquire(timeout=1)
    except Timeout:
        log.warning("waiting for another process that works on the same (%s)", lock.lock_file)
        lock.acquire()


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Name the file in an error of the disk that names none, as that of a full one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or type(error) is not OSError:
            raise
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, f"cannot be written ({reason})", str(path)) from error


def write_tensors(path: Path, value: object) -> None:
    """Write tensors with `torch.save`, atomically; its own error of a full disk names neither."""
    import torch

    with atomic_file(path) as partial:
        try:
            torch.save(value, partial)
        except RuntimeError as error:
            raise OSError(errno.EIO, str(error).splitlines()[0]) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")  # the same file on every system


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically, indented for people."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _to_disk(path: Path) -> None:
    with path.open("r+b") as file:  # Windows does not sync what was opened for reading only
        os.fsync(file.fileno())
