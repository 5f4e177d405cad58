from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mammoseg_lib import paths
from mammoseg_lib.datasets.sample import DataError
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.runs import Data, RunConfig, complete, execute, find, work
from mammoseg_lib.runs.identity import run_code
from mammoseg_lib.splits import read_split, write_split
from mammoseg_lib.training import LAST, Trainer, Training

CONFIG = RunConfig(
    loss={"name": "spatial_matching", "core": "bce"},
    model={"name": "aunet", "base_width": 8},
    training=Training(epochs=3, learning_rate=0.01, precision="float32"),
    data=Data(n_images=20, phantom_size=64, preprocessing=Preprocessing(size=32)),
    fold=1,
    seed=0,
    study="test",
    method="sm_sd_bce_all",
)
# The same run, started from outside so that it can be killed; epochs are slowed down to be hit.
SCRIPT = """
import time
from dataclasses import replace
from mammoseg_lib import training
from mammoseg_lib.runs import execute
from tests.runs.test_runs import CONFIG

if __name__ == "__main__":
    save = training.Trainer.save
    def slowly(self, path):
        save(self, path)
        print(self.epoch, flush=True)
        time.sleep(0.15)
    training.Trainer.save = slowly
    execute(replace(CONFIG, training=replace(CONFIG.training, epochs=8)), device="cpu")
    print("complete", flush=True)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A home with phantoms, prepared images and one run: made once, and copied for every test."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMOSEG_HOME", str(home))
        execute(CONFIG, device="cpu")
    return home


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, trained):
    """A home with phantoms and prepared images, and no run."""
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    return shutil.copytree(trained, tmp_path / "home", ignore=shutil.ignore_patterns("runs"))


@pytest.fixture
def run(home, trained):
    """The run of `CONFIG`, in the home of this test."""
    assert complete([CONFIG]) == []
    shutil.copytree(trained / "data" / "runs", home / "data" / "runs")
    return find(CONFIG)


def test_a_run_holds_everything_that_is_needed_to_judge_it(run):
    assert {p.name for p in run.folder.iterdir()} == {
        "config.json", "environment.json", "split.json", "history.csv", "last.csv", "predictions.npz",
        "learning.npz", "weights.pt",
    }  # fmt: skip
    assert run.folder.name.startswith("inbreast-aunet-spatial_matching-fold1-seed0-")
    assert run.folder.name.endswith(run.config["identity"][:12])
    assert run.config["loss"] == CONFIG.loss
    assert run.config["training"]["epochs"] == 3
    assert run.start["weights"] == "none"
    assert {"commit", "diff", "packages", "threads", "minutes"} <= set(run.environment)
    assert (run.environment["device"], run.config["precision"]) == ("cpu", "float32")
    split = json.loads((run.folder / "split.json").read_text())
    assert run.per_image["sample_id"].tolist() == split["folds"][1]["test"]
    assert run.history["epoch"].tolist() == [1, 2, 3]
    assert run.config["split_checksum"] == split["checksum"]


def test_predictions_give_the_metrics_and_hold_the_masks(run):
    prepared = CONFIG.data.prepare()
    masks = dict(zip(prepared.table["sample_id"], prepared.masks, strict=True))
    patients = dict(zip(prepared.table["sample_id"], prepared.table["patient_id"], strict=True))
    for name, mask in run.masks().items():
        np.testing.assert_array_equal(mask, masks[name])
    for row in run.per_image.itertuples():
        predicted = run.predictions()[row.sample_id] > 0.5
        assert (predicted & masks[row.sample_id]).sum() == row.tp
        assert (predicted & ~masks[row.sample_id]).sum() == row.fp
        assert row.patient_id == patients[row.sample_id]


def test_metrics_are_computed_once_for_as_long_as_their_code_is_the_same(run, monkeypatch):
    first = run.per_image
    monkeypatch.setattr("mammoseg_lib.metrics.per_image", lambda *_, **__: pytest.fail("computed again"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mammoseg_lib.runs.run.code_digest", lambda _: next(run.folder.glob("per_image-*")).stem[10:]
        )
        pd.testing.assert_frame_equal(run.per_image, first)
        patch.setattr("mammoseg_lib.runs.run.code_digest", lambda _: "changed")
        with pytest.raises(pytest.fail.Exception, match="computed again"):
            _ = run.per_image


def test_the_counts_of_the_last_ten_epochs_are_kept():
    config = replace(CONFIG, training=replace(CONFIG.training, epochs=12))
    run = execute(config, device="cpu")
    last = run.last
    assert sorted(last["epoch"].unique()) == list(range(12 - LAST + 1, 13))
    assert (last[["tp", "fp", "fn", "tn"]].sum(axis=1) == 32 * 32).all()
    # Those of the best epoch, if it is among the last, are those of the predictions that are kept.
    best = int(run.history["val_dsc"].to_numpy().argmax()) + 1
    if best > 12 - LAST:
        counted = last[last["epoch"] == best].set_index("sample_id")[["tp", "fp", "fn", "tn"]]
        stored = run.per_image.set_index("sample_id")[["tp", "fp", "fn", "tn"]]
        pd.testing.assert_frame_equal(counted, stored)


def test_some_images_are_predicted_while_the_network_learns():
    config = replace(CONFIG, training=replace(CONFIG.training, epochs=6))
    seen = execute(config, device="cpu").learning()
    assert seen["epochs"].tolist() == [1, 2, 4, 6]
    assert seen["probability"].shape == (4, len(seen["sample_id"]), 32, 32)
    prepared = config.data.prepare()
    areas = dict(zip(prepared.table["sample_id"], prepared.masks.sum((1, 2)), strict=True))
    shown = [areas[each] for each in seen["sample_id"]]
    assert shown == sorted(shown)


def test_storing_a_prediction_does_not_change_it():
    close = 0.5 + np.array([[[-1e-3, -1e-4, -1e-6, 0.0, 1e-7, 1e-5, 1e-4, 2e-4, 1e-3]]], np.float32)
    half = work._half(close)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half > 0.5, close > 0.5)
    np.testing.assert_allclose(half, close, atol=6e-4)


def test_a_complete_run_is_never_trained_again(run, monkeypatch):
    monkeypatch.setattr(work, "_train", lambda *args: pytest.fail("trained again"))
    assert execute(CONFIG, device="cpu") == run


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"fold": 0},
        {"loss": {"name": "dice_bce"}},
        {"loss": {**CONFIG.loss, "smooth": 0.5, "core": "tversky"}},
        {"model": {**CONFIG.model, "upsampling": "transposed"}},
        {"training": replace(CONFIG.training, epochs=4)},
        {"training": replace(CONFIG.training, precision="bfloat16")},
        {"data": replace(CONFIG.data, n_images=21)},
        {"data": replace(CONFIG.data, preprocessing=Preprocessing(size=48))},
        {"data": replace(CONFIG.data, protocol="repeated_holdout")},
        {"data": replace(CONFIG.data, split_seed=1)},
    ],
)
def test_whatever_decides_the_outcome_is_in_the_identity(change, names):
    assert len({names(CONFIG), names(replace(CONFIG, **change))}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"study": "another"},
        {"profile": "another"},
        {"paper": "spatial_matching"},
        {"method": "another"},
        {"variant": "another"},
        {"label": "another"},
    ],
)
def test_labels_are_not(change, names):
    assert names(CONFIG) == names(replace(CONFIG, **change))


@pytest.fixture
def names(monkeypatch):
    """The name of the folder that a run would get."""
    found = []

    def note(config, prepared, folder, *rest):
        found.append(folder.name)
        raise InterruptedError

    monkeypatch.setattr(work, "_train", note)

    def of(config):
        with pytest.raises(InterruptedError):
            execute(config, device="cpu")
        return found[-1]

    return of


def test_a_run_is_found_under_any_label_and_without_its_images(run, monkeypatch):
    assert complete([replace(CONFIG, seed=1), replace(CONFIG, study="another")]) == [run]
    # As on a machine that has the run and no image: the folder of runs alone is copied.
    other = paths.home().with_name("other")
    shutil.copytree(paths.runs(), other / "data" / "runs")
    monkeypatch.setenv("MAMMOSEG_HOME", str(other))
    monkeypatch.setattr("mammoseg_lib.settings.Data.open", _absent)
    found = find(CONFIG)
    assert found.folder.is_relative_to(other)
    assert len(found.per_image) == len(run.per_image)
    assert execute(CONFIG, device="cpu") == found


def _absent(self):
    raise DataError("here", "no images")


def test_a_run_on_other_images_is_not_taken_for_it(home, trained):
    shutil.copytree(trained / "data" / "runs", home / "data" / "runs")
    (file,) = (home / "data" / "runs").glob("[!.]*/config.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "data_key": "of other images"}))
    assert find(CONFIG) is None


@pytest.mark.slow
def test_a_changed_line_of_the_loss_makes_another_run_and_a_changed_comment_does_not(tmp_path):
    """In a copy of the library, as somebody would edit it."""
    shutil.copytree(paths.LIBRARY, tmp_path / "mammoseg_lib", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "mammoseg_lib" / "losses" / "overlap.py"
    text = source.read_text()

    def digests():
        script = (
            "from mammoseg_lib.runs.identity import run_code\n"
            "from mammoseg_lib.studies import load_study\n"
            "for c in load_study('spatial_matching').plan('reduced', folds=[0], seeds=[0],"
            " arms=['dice_bce', 'bce', 'sm_d_dice_nonzero', 'sm_sd_bce_all']): print(run_code(c))"
        )
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", script]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.split()

    before = digests()
    source.write_text(text.replace("predicted + mass\n", "predicted + mass  # a comment\n", 1))
    assert source.read_text() != text
    assert digests() == before
    source.write_text(text.replace("total + self.smooth", "total + 2 * self.smooth", 1))
    changed = digests()
    assert [a == b for a, b in zip(before, changed, strict=True)] == [False, True, True, False]


def test_a_run_with_another_split_is_neither_resumed_nor_read(home, monkeypatch):
    def interrupt(self, *_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            execute(CONFIG, device="cpu")
    (store,) = (home / "data" / "runs").glob(".partial-*/split.json")
    split = read_split(store)
    other = replace(split, folds=split.folds[::-1])
    write_split(other, store)
    with pytest.raises(DataError, match="was made with another split"):
        execute(CONFIG, device="cpu")
    write_split(split, store)
    run = execute(CONFIG, device="cpu")
    assert find(CONFIG) == run
    write_split(other, run.folder / "split.json")
    with pytest.raises(DataError, match="was made with another split"):
        find(CONFIG)


def test_a_loss_of_ones_own_that_is_edited_makes_another_run_in_the_same_process(tmp_path):
    file = tmp_path / "mine.py"
    text = "def distance(logits, target):\n    return ((logits.sigmoid() - target) ** 2).mean((1, 2, 3))\n"
    config, codes = replace(CONFIG, loss={"name": f"{file}:distance"}), []
    for each in (text, text.replace("** 2", ".abs()"), f"# A comment.\n{text}"):
        file.write_text(each)
        codes.append(run_code(config))
    assert codes[0] == codes[2] != codes[1]


def test_an_interrupted_run_is_not_read_as_complete(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mammoseg_lib.runs.trained.fit", interrupted)
        execute(CONFIG)
    assert complete([CONFIG]) == []
    assert len(execute(CONFIG, device="cpu").history) == 3


def _start(script, home) -> subprocess.Popen:
    environment = {**os.environ, "MAMMOSEG_HOME": str(home), "PYTHONPATH": str(paths.PROJECT)}
    command = [sys.executable, str(script)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_at_three_random_moments_ends_with_the_same_numbers(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    start = time.perf_counter()
    with _start(script, tmp_path / "whole") as process:
        assert process.stdout.read().split()[-1] == "complete"
    duration = time.perf_counter() - start

    # Any moment must do: while phantoms are drawn, the cache is filled, an epoch runs or is saved.
    random = np.random.default_rng()
    for _ in range(3):
        with _start(script, tmp_path / "killed") as process:
            time.sleep(random.uniform(0.3, 0.9) * duration)
            process.send_signal(signal.SIGKILL)
    with _start(script, tmp_path / "killed") as process:
        assert process.stdout.read().split()[-1] == "complete"

    def read(home, name):
        (file,) = (tmp_path / home / "data" / "runs").glob(f"[!.]*/{name}")
        return pd.read_csv(file)

    pd.testing.assert_frame_equal(read("killed", "last.csv"), read("whole", "last.csv"), check_exact=True)
    killed, whole = (
        np.load(next((tmp_path / home / "data" / "runs").glob("[!.]*/predictions.npz")))["probability"]
        for home in ("killed", "whole")
    )
    np.testing.assert_array_equal(killed, whole)
    pd.testing.assert_frame_equal(
        read("killed", "history.csv").drop(columns="seconds"),
        read("whole", "history.csv").drop(columns="seconds"),
        check_exact=True,
    )


def test_what_a_loss_learns_from_the_training_masks_is_kept_with_the_run():
    loss = {
        "name": "asp",
        "grouping": "quantile",
        "dice_weights": [1.5, 1, 0.5],
        "bce_weights": [0.5, 1, 1.5],
    }
    config = replace(CONFIG, method="asp_q", loss=loss, training=replace(CONFIG.training, epochs=1))
    run = execute(config, device="cpu")
    edges = json.loads((run.folder / "loss.json").read_text())["edges"]
    prepared = config.data.prepare()
    split = json.loads((run.folder / "split.json").read_text())
    train = split["folds"][config.fold]["train"]
    ratios = prepared.masks[prepared.table["sample_id"].isin(train)].mean((1, 2))
    assert edges == pytest.approx(np.quantile(ratios, [1 / 3, 2 / 3]), rel=1e-5)
    # The masks of all images have other quantiles: validation and test were not looked at.
    assert edges != pytest.approx(np.quantile(prepared.masks.mean((1, 2)), [1 / 3, 2 / 3]), rel=1e-3)


def test_learned_weights_are_trained_with_the_network_and_survive_a_restart(monkeypatch):
    loss = {"name": "asp", "grouping": "learned"}
    config = replace(CONFIG, method="asp_l", loss=loss, training=replace(CONFIG.training, epochs=4))
    whole = json.loads((execute(config, device="cpu").folder / "loss.json").read_text())
    assert np.abs(whole["slopes"]).max() > 0.001

    class Stopped(BaseException):
        pass

    save = Trainer.save

    def save_and_stop(self, path):
        save(self, path)
        if self.epoch >= 2:
            raise Stopped

    monkeypatch.setenv("MAMMOSEG_HOME", str(paths.home()) + "-second")
    monkeypatch.setattr(Trainer, "save", save_and_stop)
    with pytest.raises(Stopped):
        execute(config, device="cpu")
    monkeypatch.setattr(Trainer, "save", save)
    assert json.loads((execute(config, device="cpu").folder / "loss.json").read_text()) == whole


def test_the_start_of_a_network_is_part_of_the_run_by_its_content_and_not_its_path(run, tmp_path):
    start = tmp_path / "start.pt"
    start.write_bytes((run.folder / "weights.pt").read_bytes())
    moved = tmp_path / "elsewhere" / "start.pt"
    moved.parent.mkdir()
    moved.write_bytes(start.read_bytes())
    settings = {"training": replace(CONFIG.training, epochs=1)}
    here, there = (
        replace(CONFIG, model={**CONFIG.model, "weights": str(path)}, **settings) for path in (start, moved)
    )
    started = execute(here, device="cpu")
    record = started.start
    assert (record["weights"], record["file"]) == ("file", "start.pt")
    assert record["sha256"] == hashlib.sha256(start.read_bytes()).hexdigest()
    assert complete([there]) == [started]
    assert complete([replace(CONFIG, **settings)]) == []
    with pytest.raises(ValueError, match=r"nowhere\.pt"):
        execute(replace(here, model={**here.model, "weights": "nowhere.pt"}, seed=1), device="cpu")


@pytest.mark.slow
def test_altered_images_make_the_same_run_with_and_without_workers(monkeypatch):
    settings = replace(CONFIG.training, epochs=2, augmentation="encoder_decoders", normalize=True)
    data = replace(CONFIG.data, preprocessing=Preprocessing(size=64))
    config = replace(CONFIG, training=settings, data=data)
    alone = execute(config, device="cpu")
    monkeypatch.setenv("MAMMOSEG_HOME", str(paths.home()) + "-second")
    shared = execute(config, device="cpu", workers=2)
    assert alone.folder.name == shared.folder.name
    assert alone.normalization == shared.normalization
    pd.testing.assert_frame_equal(
        alone.history.drop(columns="seconds"), shared.history.drop(columns="seconds"), check_exact=True
    )
    plain = data.prepare()
    assert alone.normalization[1] != pytest.approx(plain.images.std(), rel=0.02)
