"""Speed as a ratio: two computations timed in turn in one process, so that a noisy host hits both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


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
