"""Starting Python processes and killing them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def start(script: str, *arguments: object, **options: object) -> subprocess.Popen:
    """A Python process in a session of its own, so that all that it starts can be listed."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def kill(process: subprocess.Popen) -> None:
    """Kill a process by the signal that it cannot handle, and wait until all that it started has ended."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    wait_for(lambda: not session(process.pid))


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds; fail if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def session(leader: int) -> list[int]:
    """The living processes of a session; those that ended and are not yet collected do not count."""
    if not Path("/proc").is_dir():
        pytest.skip("processes are listed by /proc")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(folder.name))
    return found
