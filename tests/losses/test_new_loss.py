"""A loss of one's own in the library costs a class and a line: what is asked of every loss is asked of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mammoseg_lib
from mammoseg_lib.losses import BCE, LOSSES, Batch, Loss, build_loss

PLUGIN = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    from mammoseg_lib.losses import LOSSES
    from tests.losses.test_new_loss import Careless, Toy
    LOSSES.update(toy=Toy, careless=Careless)
"""


class Toy(Loss):
    """Brier score, `w/N sum_j (p_j - y_j)^2`. Range [0, w]; empty and full targets need no special case.

    Source: Brier, 1950.
    """

    def __init__(self, *, weight: float | int = 1.0):
        super().__init__()
        self.weight = weight

    def forward(self, logits, batch):
        x = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        return self.weight * (x.sigmoid() - batch.target.to(x.dtype)).square().mean((1, 2, 3))


class Careless(Toy):
    """Divides by the mass of the batch: `toy / sum y`. Range [0, inf); not for empty or full ones. 000"""

    def forward(self, logits, batch):
        return super().forward(logits, batch) / batch.target.sum()


def test_a_class_and_a_line(monkeypatch):
    monkeypatch.setitem(LOSSES, "toy", Toy)
    logits, batch = torch.zeros(2, 1, 4, 4), Batch(torch.ones(2, 1, 4, 4))
    assert build_loss("toy", weight=2)(logits, batch).tolist() == [0.5, 0.5]
    both = build_loss({"toy": {"weight": 3}, "bce": 1})
    torch.testing.assert_close(both(logits, batch), 3 * 0.25 + BCE()(logits, batch))
    turns = build_loss([{"name": "bce", "epochs": 1}, {"name": "toy"}])
    turns.at_epoch(1, 2)
    assert turns(logits, batch).tolist() == [0.25, 0.25]
    with pytest.raises(ValueError, match=r"there are .*'asp', 'toy'; did you mean 'toy'\?"):
        build_loss("toi")
    with pytest.raises(ValueError, match=r"loss 'toy' has no option 'wieght'; it takes 'weight'"):
        build_loss("toy", wieght=2)


@pytest.mark.slow
def test_what_is_asked_of_every_loss_is_asked_of_a_new_one(tmp_path):
    """Two losses are added while the tests of all losses run: one that is right, and one that is not."""
    (tmp_path / "add_losses.py").write_text(PLUGIN, encoding="utf-8")
    root = Path(mammoseg_lib.__file__).parents[1]
    files = ("tests/losses/test_contract.py", "tests/test_masks.py", "tests/losses/test_properties.py")
    chosen = "(toy or careless) and not one_graph"  # compiling takes most of the time
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rf",
            "-p",
            "add_losses",
            "-p",
            "no:cacheprovider",
            "-k",
            chosen,
        ]
        + [str(root / file) for file in files],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])},
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"^FAILED \S+::(\w+)\[(toy|careless)", done.stdout, re.MULTILINE)
    assert ("test_a_sample_does_not_depend_on_its_batch_mates", "careless") in failed, done.stdout
    assert ("test_losses_of_the_library_keep_all_they_must", "careless") in failed, done.stdout
    assert not [test for test, loss in failed if loss == "toy"], done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 20, done.stdout
