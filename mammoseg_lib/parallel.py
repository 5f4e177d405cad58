"""A `map` that shares its work among processes, none of which outlives the one that asked for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from types import ModuleType

CHUNK = 4  # tasks sent at once: what they share, as the table of a release, is sent once for all of them
RunMap = Callable[[Callable, Iterable], Iterable]


@contextmanager
def parallel_map(jobs: int, *preload: str) -> Iterator[RunMap]:
    """The built-in `map`, or for more than one job one that shares the work among processes, in order.

    Args:
        jobs: Processes.
        preload: Modules with the work, imported once, where processes are forked, and not by each of them.
    """
    if jobs == 1:
        yield map
        return
    # Forked from a small server process: a plain fork of a process that runs threads can hang.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(list(preload))
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker) as pool:

        def run_map(work: Callable, *tasks: Iterable) -> Iterable:
            with without_script():
                return pool.map(work, *tasks, chunksize=CHUNK)

        yield run_map


@contextmanager
def without_script() -> Iterator[None]:
    """Processes that are started in this block do not run the script that asks for them.

    They would import it, as if they needed it, and so run it again where nothing in it stands below
    `if __name__ == "__main__":`; and then wait for the locks of the one that waits for them.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _start_worker() -> None:
    # An interruption is told once, by the process that asked; these end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    # A worker waits for work at a pipe whose other end it holds itself: it would wait for ever for a parent
    # that was killed.
    multiprocessing.parent_process().join()
    os._exit(1)
