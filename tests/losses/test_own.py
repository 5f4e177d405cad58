"""Losses of one's own: from a file, from a package, as a class or as a function; and what goes wrong."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mammoseg_lib.losses import BCE, LOSSES, Batch, FunctionLoss, Loss, WeightedSum, build_loss, source_files
from mammoseg_lib.losses.base import stack_features
from mammoseg_lib.losses.own import codes
from tests.losses.cases import random_case

FILE = '''
import numpy as np
import torch
from torch import nn
from mammoseg_lib.losses import BCE, Loss, WeightedSum


class AreaLoss(Loss):
    """Squared error of the area, times a weight; the area of the target is kept with it."""

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = weight
        self.register_buffer("mean_area", torch.zeros(()))

    def target_features(self, mask, spacing_mm=None):
        return {"area": np.array(mask.mean())}

    def fit_targets(self, masks):
        self.mean_area.fill_(float(masks.mean()))

    def forward(self, logits, batch):
        area = logits.sigmoid().mean((1, 2, 3))
        return self.weight * (area - self.features_of(batch)["area"]) ** 2


class Module(nn.Module):
    """As most published losses: called with logits and target, one number for all."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, logits, target):
        return self.factor * (logits.sigmoid() - target).abs().mean()


def per_sample(logits, target, power=2):
    return ((logits.sigmoid() - target).abs() ** power).mean((1, 2, 3))


def in_all(logits, target):
    return (logits.sigmoid() - target).abs().mean()


def kept_axes(logits, target):
    return (logits.sigmoid() - target).abs().mean((2, 3), keepdim=True)


def made(weight=2.0):
    return WeightedSum({"bce": (BCE(), weight)})


def makes_a_function(power=1):
    return lambda logits, target: per_sample(logits, target, power)


def map_of_pixels(logits, target):
    return (logits - target).abs()


def no_gradient(logits, target):
    return ((logits > 0) == target).float().mean((1, 2, 3))


def breaks(logits, target):
    return logits @ "oops"


def draws(logits, target):
    return (logits + torch.randn_like(logits)).mean((1, 2, 3))


NUMBER = 3
'''


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "my losses" / "area.py"
    path.parent.mkdir()
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.fixture
def case() -> tuple[torch.Tensor, Batch]:
    return random_case(3)


def absolute(logits: torch.Tensor, batch: Batch, power: int = 1) -> torch.Tensor:
    return ((logits.sigmoid() - batch.target).abs() ** power).mean((1, 2, 3))


def test_a_class_from_a_file(file, case):
    logits, batch = case
    loss = build_loss(f"{file}:AreaLoss", weight=3.0)
    assert isinstance(loss, Loss)
    assert type(loss).__name__ == "AreaLoss"
    want = 3 * (logits.sigmoid().mean((1, 2, 3)) - batch.target.mean((1, 2, 3))) ** 2
    torch.testing.assert_close(loss(logits, batch), want)
    masks = batch.target[:, 0].numpy() > 0
    features = stack_features([loss.target_features(mask) for mask in masks])
    torch.testing.assert_close(loss(logits, batch.with_features(features)), want)


def test_trying_it_leaves_no_trace(file):
    before = torch.random.get_rng_state()
    loss = build_loss(f"{file}:AreaLoss")
    build_loss(f"{file}:draws")
    assert loss.mean_area == 0
    assert (torch.random.get_rng_state() == before).all()
    assert list(file.parent.iterdir()) == [file]  # no byte code beside it


@pytest.mark.parametrize(
    ("what", "options", "power"),
    [
        ("per_sample", {}, 2),
        ("per_sample", {"power": 3}, 3),
        ("in_all", {}, 1),
        ("kept_axes", {}, 1),
        ("Module", {}, 1),
        ("makes_a_function", {}, 1),
        ("makes_a_function", {"power": 2}, 2),
    ],
)
def test_what_is_called_with_logits_and_target_is_wrapped(file, case, what, options, power):
    logits, batch = case
    loss = build_loss(f"{file}:{what}", **options)
    assert isinstance(loss, FunctionLoss)
    torch.testing.assert_close(loss(logits, batch), absolute(logits, batch, power))
    alone = [loss(logits[[i]], Batch(batch.target[[i]])) for i in range(len(logits))]
    torch.testing.assert_close(torch.cat(alone), loss(logits, batch))


def test_what_a_wrapped_module_learns_is_trained_and_saved(file):
    loss = build_loss(f"{file}:Module", factor=2)
    assert {name: value.item() for name, value in loss.named_parameters()} == {"function.factor": 2}
    assert set(loss.state_dict()) == {"function.factor"}


def test_a_function_that_makes_a_loss(file, case):
    logits, batch = case
    torch.testing.assert_close(build_loss(f"{file}:made", weight=3)(logits, batch), 3 * BCE()(logits, batch))


def test_from_a_package(case):
    logits, batch = case
    for name, want in (
        ("torch.nn.functional:binary_cross_entropy_with_logits", BCE()(logits, batch)),
        ("torch.nn:BCEWithLogitsLoss", BCE()(logits, batch)),
        ("mammoseg_lib.losses.pixel:BCE", BCE()(logits, batch)),
        ("torch.nn:L1Loss", (logits - batch.target).abs().mean((1, 2, 3))),
    ):
        torch.testing.assert_close(build_loss(name)(logits, batch), want)
    positive = torch.tensor(3.0, dtype=torch.float64)
    loss = build_loss("torch.nn.functional:binary_cross_entropy_with_logits", pos_weight=positive)
    want = F.binary_cross_entropy_with_logits(logits, batch.target, pos_weight=positive, reduction="none")
    torch.testing.assert_close(loss(logits, batch), want.mean((1, 2, 3)))


def test_half_precision_reaches_a_function_as_float32(file, case):
    logits, batch = case
    values = build_loss(f"{file}:per_sample")(logits.half(), batch)
    assert values.dtype == torch.float32


def test_in_sums_and_in_turns(file, case):
    logits, batch = case
    loss = build_loss(
        {f"{file}:per_sample": {"weight": 2, "power": 1}, "bce": 1, "torch.nn:BCEWithLogitsLoss": 1}
    )
    assert isinstance(loss, WeightedSum)
    assert list(loss.weights) == ["per_sample", "bce", "BCEWithLogitsLoss"]
    want = 2 * absolute(logits, batch) + 2 * BCE()(logits, batch)
    torch.testing.assert_close(loss(logits, batch), want)
    turns = build_loss([{"name": "bce", "epochs": 1}, {"name": f"{file}:per_sample", "power": 1}])
    turns.at_epoch(1, 2)
    torch.testing.assert_close(turns(logits, batch), absolute(logits, batch))


def test_two_of_one_name_in_a_sum_keep_apart(file, tmp_path, case):
    logits, batch = case
    other = tmp_path / "other.py"
    other.write_text(FILE, encoding="utf-8")
    loss = build_loss({f"{file}:in_all": 1, f"{other}:in_all": 2, f"{other}:AreaLoss": 0})
    assert len(loss.weights) == 3
    torch.testing.assert_close(loss(logits, batch), 3 * absolute(logits, batch))


def test_a_file_that_changed_is_read_anew(file, case):
    logits, batch = case
    name = f"{file}:in_all"
    before = build_loss(name)
    file.write_text(FILE.replace("abs().mean()", "abs().mean() * 5"), encoding="utf-8")
    after = build_loss(name)
    torch.testing.assert_close(after(logits, batch), 5 * absolute(logits, batch))
    torch.testing.assert_close(before(logits, batch), absolute(logits, batch))
    file.write_text(FILE, encoding="utf-8")
    torch.testing.assert_close(build_loss(name)(logits, batch), absolute(logits, batch))


def test_where_its_code_stands(file):
    loss = build_loss(f"{file}:AreaLoss")
    assert Path(inspect.getsourcefile(type(loss))) == file.resolve()
    assert "Squared error of the area" in inspect.getsource(type(loss))
    assert source_files(loss) == (file.resolve(),)
    assert source_files(build_loss(f"{file}:in_all")) == (file.resolve(),)
    assert source_files(build_loss(f"{file}:makes_a_function")) == (file.resolve(),)
    assert source_files(build_loss({f"{file}:Module": 1, "dice": 1})) == (file.resolve(),)
    assert source_files(build_loss("dice_bce")) == ()
    names = {
        each.__name__ for each in codes(build_loss({f"{file}:in_all": 1, f"{file}:Module": 1, "dice": 1}))
    }
    assert names == {"WeightedSum", "FunctionLoss", "Dice", "Module", "in_all"}
    assert source_files(build_loss("torch.nn:BCEWithLogitsLoss")) == ()


@pytest.mark.slow
def test_it_reaches_another_process(file, case, tmp_path):
    """As processes that alter images get it, which have not read the file."""
    logits, batch = case
    losses = {}
    for what in ("AreaLoss", "Module", "per_sample", "in_all", "makes_a_function"):
        loss = build_loss({f"{file}:{what}": 1})
        want = loss(logits, batch)
        torch.testing.assert_close(copy.deepcopy(loss)(logits, batch), want)
        losses[what] = pickle.dumps(loss), want.detach()
    torch.save((logits, batch.target, losses), tmp_path / "case.pt")
    code = f"""
import pickle, torch
from mammoseg_lib.losses import Batch
logits, target, losses = torch.load({str(tmp_path / "case.pt")!r})
for what, (loss, want) in losses.items():
    torch.testing.assert_close(pickle.loads(loss)(logits, Batch(target)).detach(), want)
    print(what)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    )
    assert said.stdout.split() == list(losses)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("no/such/file.py:Loss", {}, r"no/such/file\.py does not exist \(looked for in /"),
        (
            "{file}:AreaLos",
            {},
            r"area\.py has no 'AreaLos'; it has 'AreaLoss', 'Module', .*; did you mean 'AreaLoss'\?",
        ),
        ("{file}:", {}, r"area\.py has no ''; it has 'AreaLoss'"),
        ("{file}", {}, r"is a file: name the loss in it, '.*area\.py:Class'"),
        ("{file}:NUMBER", {}, r"area\.py:NUMBER is neither a class nor a function, but 3"),
        (
            "{file}:AreaLoss",
            {"wieght": 2},
            r"AreaLoss has no option 'wieght'; it takes 'weight'; did you mean 'weight'",
        ),
        ("{file}:per_sample", {"target": 2}, r"per_sample has no option 'target'; it takes 'power'"),
        (
            "{file}:map_of_pixels",
            {},
            r"must give one value per sample, \(2,\), or one in all, not \(2, 1, 64, 64\)",
        ),
        ("{file}:no_gradient", {}, r"no_gradient gives values without a gradient: no network can be trained"),
        ("{file}:breaks", {}, r"breaks fails on a small batch \[2, 1, 64, 64\]: TypeError: "),
        (
            "no_such_package.losses:Loss",
            {},
            r"no_such_package\.losses cannot be imported \(No module named .*PYTHONPATH",
        ),
        ("torch.nn:BCELos", {}, r"torch\.nn has no 'BCELos'; .*did you mean 'BCELoss'\?$"),
        ("jacard", {}, r"no loss is called 'jacard'; there are 'bce', .*; did you mean 'jaccard'\?"),
    ],
)
def test_what_goes_wrong_is_told(file, name, options, says):
    with pytest.raises(ValueError, match=says):
        build_loss(name.format(file=file), **options)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def loss(:\n", r"broken\.py cannot be imported: SyntaxError"),
        (
            "import no_such_module\n",
            r"broken\.py cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("1 / 0\n", r"broken\.py cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_file_that_cannot_be_imported(tmp_path, source, says):
    path = tmp_path / "broken.py"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        build_loss(f"{path}:loss")
    path.write_text(
        "def loss(logits, target):\n    return (logits - target).mean((1, 2, 3))\n", encoding="utf-8"
    )
    assert build_loss(f"{path}:loss")(torch.ones(1, 1, 2, 2), Batch(torch.zeros(1, 1, 2, 2))).item() == 1


def test_a_loss_class_that_gives_one_number_is_refused(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(
        "from mammoseg_lib.losses import Loss\n\n\nclass One(Loss):\n"
        "    def forward(self, logits, batch):\n        return logits.mean()\n",
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match=r"one\.py:One must give one value per sample, \(2,\) for two"):
        build_loss(f"{path}:One")


def test_no_name_of_the_library_looks_like_one_of_ones_own():
    assert not any(":" in name for name in LOSSES)


def test_its_own_features_are_cached_like_any_other(file, case):
    logits, batch = case
    loss = build_loss({f"{file}:AreaLoss": 1, "boundary": 1})
    rows = [loss.target_features(mask) for mask in batch.target[:, 0].numpy() > 0]
    assert set(rows[0]) == {"AreaLoss/area", "boundary/distance_map"}
    got = loss(
        logits, batch.with_features({k: torch.from_numpy(np.stack([r[k] for r in rows])) for k in rows[0]})
    )
    torch.testing.assert_close(got, loss(logits, batch))
