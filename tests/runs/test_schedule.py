"""Several runs side by side, without training any."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import ClassVar

import pytest

from mammoseg_lib.runs import distinct, schedule
from mammoseg_lib.settings import Data, RunConfig, Training


class Busy:
    """A process that works until it is interrupted."""

    asked: ClassVar[list[int]] = []

    def __init__(self):
        self.ended = threading.Event()

    def ask(self, task: tuple) -> tuple[str, object]:
        self.asked.append(task[0].fold)
        self.ended.wait(60)
        return "failed", "its process ended with status -2"

    def interrupt(self) -> None:
        self.ended.set()

    def close(self) -> None:
        pass


def test_an_interruption_ends_the_runs_in_progress_and_begins_no_other(monkeypatch):
    monkeypatch.setattr(schedule, "_Worker", Busy)
    monkeypatch.setattr(Busy, "asked", [])
    join, reported = threading.Thread.join, []

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        while len(Busy.asked) < 2:
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    before = threading.enumerate()
    monkeypatch.setattr(Data, "prepare", lambda data: None)
    configs = [
        RunConfig({"name": "dice"}, {"name": "aunet"}, Training(), Data(), fold=n, seed=0) for n in range(6)
    ]
    with pytest.raises(KeyboardInterrupt):
        schedule.train_all(configs, jobs=2, report=reported.append)
    monkeypatch.setattr(threading.Thread, "join", join)
    for thread in set(threading.enumerate()) - set(before):
        thread.join(60)
    assert sorted(Busy.asked) == [0, 1]
    assert reported == []


def test_names_make_no_other_run_and_all_else_does():
    one = RunConfig({"name": "dice"}, {"name": "aunet"}, Training(), Data(), fold=0, seed=0)
    others = [
        replace(one, seed=1),
        replace(one, loss={"name": "bce"}),
        replace(one, model={"name": "aunet", "weights_file": "mine.pt"}),
        replace(one, data=Data(root="elsewhere")),
        replace(one, training=Training(precision="float32")),
    ]
    renamed = replace(one, study="twin", profile="demo", method="other", label="Other")
    assert distinct([one, *others, renamed]) == [one, *others]
