"""Speed as a ratio: two computations timed in turn in one process, so that a noisy host hits both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One line of the bench table: a measured ratio and the bound that it answers to."""

    what: str
    ratio: float
    bound: float
    at_most: bool
    detail: str = ""

    @property
    def met(self) -> bool:
        return self.ratio <= self.bound if self.at_most else self.ratio >= self.bound


def seconds(run: Callable[[], object], calls: int) -> float:
    """Mean seconds of one call over `calls` calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def paired(
    a: Callable[[], object], b: Callable[[], object], *, rounds: int = 7, calls: int = 5
) -> tuple[float, float]:
    """Median seconds of `a` and of `b`, timed A B A B ... after one warm-up of each."""
    a(), b()
    times = [(seconds(a, calls), seconds(b, calls)) for _ in range(rounds)]
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times)


@contextmanager
def one_thread() -> Iterator[None]:
    """For steps of about 1 ms, in which a second thread is mostly waited for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def devices() -> list[str]:
    """The CPU, and an accelerator where there is one."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def loss_step(value: Callable[[Tensor], Tensor], logits: Tensor) -> Callable[[], Tensor]:
    """Forward and backward of a loss of the logits, with one value per sample or one in all."""

    def step() -> Tensor:
        logits.grad = None
        values = value(logits)
        values.mean().backward()
        if logits.is_cuda:
            torch.cuda.synchronize()
        return values.detach()

    return step


def peak_mib(step: Callable[[], object]) -> float:
    """What a step on the accelerator holds at its peak, above what was held before."""
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    return (torch.cuda.max_memory_allocated() - before) / 2**20
