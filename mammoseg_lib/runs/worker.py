"""The process behind `train_all`: reads tasks from its standard input and answers each on its output."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time

import torch

from mammoseg_lib.runs.work import execute
from mammoseg_lib.training import OutOfTimeError


def main() -> None:
    """Execute one run after the other until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get among the answers
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while True:
        try:
            config, device, workers, end = pickle.load(sys.stdin.buffer)
        except (EOFError, KeyboardInterrupt):
            return
        deadline = None if end is None else time.monotonic() + end - time.time()
        try:
            run = execute(config, device=device, workers=workers, deadline=deadline)
            _ = run.per_image  # computed here, side by side with other runs, and kept
            answer = "done", run
        except OutOfTimeError:
            answer = "unfinished", ""
        except KeyboardInterrupt:
            return
        except Exception as error:  # whatever it was, the other runs are still worth having
            answer = "failed", f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers)
        answers.flush()
