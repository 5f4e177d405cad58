"""A loss of one's own from its file to a paired interval, and what is said of one that is broken."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from mammoseg_lib import own_loss
from mammoseg_lib.cli.app import app
from mammoseg_lib.losses import build_loss
from mammoseg_lib.losses.properties import EMPTY, FINITE, OWN, SIZE, UNTOUCHED, properties
from mammoseg_lib.results.shipped import missing
from mammoseg_lib.studies import load_study
from tests.measured import make_results

FILE = """
import torch
from mammoseg_lib.losses import Loss


class Good(Loss):
    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = weight

    def forward(self, logits, batch):
        x = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        return self.weight * (x.sigmoid() - batch.target).square().mean((1, 2, 3))


class InPlace(Good):
    def forward(self, logits, batch):
        return super().forward(logits.mul_(2), batch)


class OverTheBatch(Good):
    def forward(self, logits, batch):
        values = super().forward(logits, batch)
        return values / values.sum()


def good(logits, target):
    return (logits.sigmoid() - target).abs().mean((1, 2, 3))


def nan_without_mass(logits, target):
    return good(logits, target) * target.sum((1, 2, 3)) / target.sum((1, 2, 3))


def map_of_pixels(logits, target):
    return logits - target


def thresholded(logits, target):
    return ((logits > 0) != target).float().mean((1, 2, 3))


def flat(logits, target):
    return 0 * logits.mean((1, 2, 3)) + ((logits > 0) != target).float().mean((1, 2, 3))
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "area.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def tried(*arguments: object):
    return CliRunner().invoke(app, ["try", *map(str, arguments)])


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("mammoseg_lib.losses.properties.SPEED_SHAPE", (1, 1, 64, 64))


@pytest.mark.parametrize("what", ["Good", "good"])
def test_a_good_loss_is_told_with_all_its_properties(file, what, quick):
    done = tried(f"{file}:{what}")
    assert done.exit_code == 0, done.output
    assert " NO " not in done.output
    assert re.search(r"yes  empty target: .* at p = 0, ", done.output)
    assert re.search(r" -   time, forward and backward: .* times that of BCE", done.output)
    assert "moved blob: blind" in done.output
    assert "--train" in done.output


def test_options_are_given_by_name(file, quick):
    done = tried(f"{file}:Good", "--set", "weight=1000")
    assert re.search(r"range on the cases: 0\.006\d+ \(perfect\) to 995\.\d \(inverted\)", done.output)
    refused = tried(f"{file}:Good", "--set", "wieght=2")
    assert refused.exit_code == 1
    assert "did you mean 'weight'?" in str(refused.exception)


@pytest.mark.parametrize(
    ("what", "question", "result"),
    [
        ("InPlace", UNTOUCHED, "it changes its logits in place"),
        ("OverTheBatch", OWN, "values change with the rest of the batch, by "),
        ("nan_without_mass", EMPTY, "nan at p = 0, nan at p = 1/2, nan at p = 1"),
        ("nan_without_mass", FINITE, "not in float64, float32, bfloat16, float16"),
        ("flat", SIZE, "zero everywhere"),
    ],
)
def test_what_is_broken_is_told_with_what_to_do(file, what, question, result):
    answers = {each.what: each for each in properties(build_loss(f"{file}:{what}"), speed=False)}
    assert answers[question].holds is False
    assert answers[question].result.startswith(result)
    assert answers[question].advice
    assert not any(each.advice for each in answers.values() if each.holds)


def test_the_command_fails_where_a_property_does(file, quick):
    done = tried(f"{file}:OverTheBatch")
    assert done.exit_code == 1
    assert re.search(r" NO  a sample's value is its own: .*\n +-> sum and average over", done.output)
    assert "properties that a loss must keep do not hold" in done.output


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("map_of_pixels", r"must give one value per sample, \(2,\), or one in all, not \(2, 1, 64, 64\)"),
        ("thresholded", "gives values without a gradient: no network can be trained with it"),
        ("Goood", "has no 'Goood'; it has .*'Good'.*; did you mean '"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_a_sentence(file, what, says):
    done = tried(f"{file}:{what}")
    assert done.exit_code == 1
    assert isinstance(done.exception, ValueError)
    assert re.search(says, str(done.exception))


def test_a_file_that_cannot_be_imported_is_refused_in_a_sentence(file):
    file.write_text("import no_such_module\n")
    done = tried(f"{file}:Good")
    assert re.search(r"area\.py cannot be imported: ModuleNotFoundError", str(done.exception))


def test_its_study_is_a_file_to_change(file):
    study = own_loss.study_of(f"{file}:Good", {"weight": 2.0})
    path = file.with_name("area.Good-weight-2.0.yaml")
    content = yaml.safe_load(path.read_text())
    assert content["own"]["mine"] == {
        "label": "Good, weight 2.0",
        "loss": {"name": "area.py:Good", "weight": 2.0},
    }
    assert study.arms("demo") == [("dice_bce", ""), ("bce", ""), ("mine", "")]
    assert {"demo", "reduced", "paper"} == set(study.file.profiles)
    mine = study.plan("demo", arms=["mine"], folds=[0])[0]
    assert build_loss(**mine.loss).weight == 2.0
    path.write_text(path.read_text().replace("Good, weight 2.0", "Better"))
    assert own_loss.study_of(f"{file}:Good", {"weight": 2.0}).method("mine").label == "Better"
    path.write_text(path.read_text().replace("2.0", "3.0"))
    with pytest.raises(
        ValueError, match=r"weight-2\.0\.yaml has another loss, .*: change it, or move it away"
    ):
        own_loss.study_of(f"{file}:Good", {"weight": 2.0})


def test_a_loss_of_the_library_is_studied_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = own_loss.study_of("tversky", {"alpha": 0.3})
    assert (tmp_path / "tversky-alpha-0.3.yaml").exists()
    assert study.method("mine").loss == {"name": "tversky", "alpha": 0.3}


def test_the_plain_losses_on_real_images_are_there_already(file):
    study = own_loss.study_of(f"{file}:Good")
    configs = study.plan("reduced")
    assert {config.arm for config in configs} == {"dice_bce", "bce", "mine"}
    plain = {
        arm: sum(config.arm == arm for config in missing(study, "reduced")) for arm in ("dice_bce", "bce")
    }
    there = missing(load_study("spatial_matching"), "reduced")
    assert plain == {arm: sum(config.arm == arm for config in there) for arm in plain}
    assert sum(plain.values()) < len(configs) / 2


def test_differences_are_those_of_pairs():
    results = make_results({"dice_bce": 0.6, "bce": 0.5, "mine": 0.7}, equal_sizes=True)
    found = own_loss.differences(results).set_index("label")
    assert found["difference"].tolist() == pytest.approx([10, 20])
    assert (found["difference_low"] <= found["difference"]).all()
    assert (found["difference"] <= found["difference_high"]).all()
    assert found["common"].tolist() == ["5 folds, 2 seeds"] * 2
    assert own_loss.differences(make_results({"bce": 0.5})).empty


@pytest.mark.parametrize("failed", [{}, {1: "its process ended"}])
def test_the_command_trains_it_beside_the_plain_ones(file, quick, monkeypatch, failed):
    """With runs and results made up: that runs of such losses train is tested with the runs."""
    planned = []

    def train_all(configs, report):
        planned.extend(configs)
        return SimpleNamespace(done={}, failed=failed)

    results = make_results({"dice_bce": 0.6, "bce": 0.5, "mine": 0.7}, equal_sizes=True)
    monkeypatch.setattr("mammoseg_lib.runs.train_all", train_all)
    monkeypatch.setattr("mammoseg_lib.results.results_of", lambda configs, runs: results)
    done = tried(f"{file}:Good", "--train")
    assert {config.arm for config in planned} == {"dice_bce", "bce", "mine"}
    assert all(config.data.phantoms for config in planned)
    assert re.search(r"\+10\.0 \[.*\]  dice_bce \(5 folds, 2 seeds\)", done.output)
    assert f"mammoseg train {file.with_name('area.Good.yaml')} --profile reduced --missing" in done.output
    assert done.exit_code == bool(failed)
    assert (f"1 of {len(planned)} runs failed" in done.output) == bool(failed)
