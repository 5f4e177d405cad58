"""Many runs, several at a time: one process and one thread each, in the order given, until the time is up."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from mammoseg_lib.runs.run import Run
from mammoseg_lib.settings import RunConfig

ON_ONE_ACCELERATOR = 8
"""Runs side by side on one accelerator, if there are as many cores: a small network leaves most idle."""

# Interrupted while it imports, it ends without a word.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "from mammoseg_lib.runs.worker import main; main()"
)


@dataclass
class Outcome:
    """What became of some runs.

    Attributes:
        done: The complete runs, by the place of their configuration.
        failed: Why a run failed, likewise.
        unfinished: Places of the configurations that the time did not suffice for.
    """

    done: dict[int, Run] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    unfinished: list[int] = field(default_factory=list)


def train_all(
    configs: Sequence[RunConfig],
    *,
    minutes: float | None = None,
    jobs: int | None = None,
    device: str = "auto",
    workers: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Train what is not complete yet.

    A run that fails, or whose process dies, does not end the others. What the time does not suffice for is
    kept after its last epoch and goes on the next time.

    Args:
        configs: What is to be trained, in this order.
        minutes: After how long to stop.
        jobs: Processes; by default one a core, and some on an accelerator.
        device: As in `execute`.
        workers: As in `execute`.
        report: Is told one line for each run that ended.
    """
    end = None if minutes is None else time.time() + 60 * minutes
    for config in {repr(config.data): config for config in configs}.values():
        config.data.prepare()  # once, here, and not by all processes at the same time
    outcome, waiting, lock = Outcome(), deque(range(len(configs))), threading.Lock()
    interrupted = threading.Event()
    processes = [_Worker() for _ in range(min(jobs or default_jobs(device), len(configs)))]

    def work(worker: _Worker) -> None:
        while True:
            with lock:
                if not waiting:
                    break
                number = waiting.popleft()
            if end is not None and time.time() > end:
                kind, answer = "unfinished", ""
            else:
                kind, answer = worker.ask((configs[number], device, workers, end))
            if interrupted.is_set():
                break
            with lock:
                if kind == "unfinished":
                    outcome.unfinished.append(number)
                    continue
                getattr(outcome, kind)[number] = answer
                counted = len(outcome.done) + len(outcome.failed)
                report(
                    f"[{counted}/{len(configs)}] {configs[number]}: {answer if kind == 'failed' else kind}"
                )
        worker.close()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in processes]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:  # else the threads would go on to the last run
        interrupted.set()
        waiting.clear()
        for worker in processes:
            worker.interrupt()
        raise
    return outcome


def default_jobs(device: str = "auto") -> int:
    """One process a core; on an accelerator as many as one takes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    accelerated = device != "cpu" and torch.cuda.is_available()
    return min(cores, ON_ONE_ACCELERATOR) if accelerated else cores


class _Worker:
    """A process that executes one run after the other; started anew when it has died.

    A program of its own, not a copy of the one that asks: what asks may be a script without a guard.
    """

    def __init__(self):
        self.process: subprocess.Popen | None = None

    def ask(self, task: tuple) -> tuple[str, object]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
            )
        try:
            pickle.dump(task, self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            status = self.process.wait()
            self._forget()
            return "failed", f"its process ended with status {status}" + (" (killed)" if status == -9 else "")

    def interrupt(self) -> None:
        """End the run in progress, which goes on from its last epoch the next time."""
        if (process := self.process) is not None:
            with contextlib.suppress(OSError):
                process.send_signal(signal.SIGINT)

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self._forget()

    def _forget(self) -> None:
        """Close both pipes; what was not written to a process that died is dropped."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process = None
