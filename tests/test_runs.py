from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from mammoseg_lib import paths, runs
from mammoseg_lib.papers import load_paper
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.runs import Data, RunConfig, complete, execute, results, work
from mammoseg_lib.training import Trainer, Training

CONFIG = RunConfig(
    paper="spatial_matching",
    method="sm_sd_bce_all",
    loss={"name": "spatial_matching", "core": "bce"},
    model={"name": "aunet", "base_width": 8},
    training=Training(epochs=3, learning_rate=0.01),
    data=Data(n_images=20, phantom_size=64, preprocessing=Preprocessing(size=32)),
    fold=1,
    seed=0,
    profile="test",
)
# The same run, started from outside so that it can be killed; epochs are slowed down to be hit.
SCRIPT = """
import time
from dataclasses import asdict, replace
from mammoseg_lib import training
from mammoseg_lib.runs import execute
from tests.test_runs import CONFIG

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


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_run_holds_everything_that_is_needed_to_judge_it():
    run = execute(CONFIG, device="cpu")
    assert {p.name for p in run.folder.iterdir()} == {
        "config.json", "environment.json", "start.json", "split.json", "normalization.json", "history.csv",
        "per_image.csv", "weights.pt", "predictions.npz",
    }  # fmt: skip
    assert run.config["loss"] == CONFIG.loss
    assert run.config["training"]["epochs"] == 3
    assert json.loads((run.folder / "start.json").read_text())["weights"] == "none"
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment["device"] == "cpu"
    assert {"commit", "diff", "packages", "threads"} <= set(environment)
    split = json.loads((run.folder / "split.json").read_text())
    tested = split["folds"][1]["test"]
    assert run.per_image["sample_id"].tolist() == tested
    assert run.history["epoch"].tolist() == [1, 2, 3]
    assert run.config["split_checksum"] == split["checksum"]


def test_predictions_give_the_metrics():
    run = execute(CONFIG, device="cpu")
    prepared = CONFIG.data.prepare()
    masks = dict(zip(prepared.table["sample_id"], prepared.masks, strict=True))
    for row in run.per_image.itertuples():
        predicted = run.predictions()[row.sample_id] > 0.5
        assert (predicted & masks[row.sample_id]).sum() == row.tp
        assert (predicted & ~masks[row.sample_id]).sum() == row.fp


def test_storing_a_prediction_does_not_change_it():
    close = 0.5 + np.array([[[-1e-3, -1e-4, -1e-6, 0.0, 1e-7, 1e-5, 1e-4, 2e-4, 1e-3]]], np.float32)
    half = work._half(close)
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half > 0.5, close > 0.5)
    np.testing.assert_allclose(half, close, atol=6e-4)


def test_a_complete_run_is_never_trained_again(monkeypatch):
    first = execute(CONFIG, device="cpu")
    monkeypatch.setattr(work, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    assert execute(CONFIG, device="cpu") == first


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"fold": 0},
        {"method": "dice_bce"},
        {"loss": {"name": "dice_bce"}},
        {"training": replace(CONFIG.training, epochs=4)},
        {"data": replace(CONFIG.data, n_images=21)},
    ],
)
def test_whatever_decides_the_outcome_is_in_the_name(change, monkeypatch):
    names = []
    monkeypatch.setattr(work, "_work", lambda config, prepared, folder, *rest: names.append(folder.name))
    execute(CONFIG)
    execute(replace(CONFIG, **change))
    assert len(set(names)) == 2


def test_results_carry_the_settings_of_their_run(monkeypatch):
    assert complete([CONFIG]) == []
    run = execute(CONFIG, device="cpu")
    assert complete([replace(CONFIG, seed=1), CONFIG]) == [run]
    table = results([run])
    assert table["source"].unique().tolist() == ["inbreast phantoms"]
    assert table["differs"].unique().tolist() == ["learning rate 0.01"]
    settings = table.iloc[0][["method", "fold", "seed", "profile", "image_size", "base_width", "epochs"]]
    assert settings.tolist() == ["sm_sd_bce_all", 1, 0, "test", 32, 8, 3]


def test_an_interrupted_run_is_not_read_as_complete(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work, "fit", interrupted)
        execute(CONFIG)
    assert complete([CONFIG]) == []
    assert len(execute(CONFIG, device="cpu").history) == 3


def _start(script, home) -> subprocess.Popen:
    environment = {**os.environ, "MAMMOSEG_HOME": str(home), "PYTHONPATH": str(paths.PROJECT)}
    command = [sys.executable, str(script)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


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

    pd.testing.assert_frame_equal(
        read("killed", "per_image.csv"), read("whole", "per_image.csv"), check_exact=True
    )
    pd.testing.assert_frame_equal(
        read("killed", "history.csv").drop(columns="seconds"),
        read("whole", "history.csv").drop(columns="seconds"),
        check_exact=True,
    )


def test_variants_are_runs_of_their_own_and_are_told_apart():
    settings = {
        "profile": "test", "methods": ["sm_sd_bce_all"], "folds": [0], "seeds": [0], "phantoms": True,
        "n_images": 20, "image_size": 32, "protocol": "patient_folds",
        "model": {"base_width": 8}, "training": {"epochs": 1},
    }  # fmt: skip
    paper = load_paper("spatial_matching")
    configs = runs.plan(paper, **settings, variants=[{}, {"reduce": "mean", "core": "dice"}])
    assert configs[0] == runs.plan(paper, **settings)[0]
    assert configs[1].loss == {**configs[0].loss, "reduce": "mean", "core": "dice"}
    done = [execute(config, device="cpu") for config in configs]
    assert done[0].folder != done[1].folder
    assert results(done).groupby("run", sort=False)["variant"].first().tolist() == [
        "",
        "core=dice, reduce=mean",
    ]


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
        if self.epoch == 2:
            raise Stopped

    monkeypatch.setenv("MAMMOSEG_HOME", str(paths.home()) + "-second")
    monkeypatch.setattr(Trainer, "save", save_and_stop)
    with pytest.raises(Stopped):
        execute(config, device="cpu")
    monkeypatch.setattr(Trainer, "save", save)
    assert json.loads((execute(config, device="cpu").folder / "loss.json").read_text()) == whole


def test_the_start_of_a_network_is_part_of_the_run_by_its_content_and_not_its_path(tmp_path):
    first = execute(CONFIG, device="cpu")
    start = tmp_path / "start.pt"
    start.write_bytes((first.folder / "weights.pt").read_bytes())
    moved = tmp_path / "elsewhere" / "start.pt"
    moved.parent.mkdir()
    moved.write_bytes(start.read_bytes())
    settings = {"training": replace(CONFIG.training, epochs=1)}
    here, there = (
        replace(CONFIG, model={**CONFIG.model, "weights": str(path)}, **settings) for path in (start, moved)
    )
    run = execute(here, device="cpu")
    record = json.loads((run.folder / "start.json").read_text())
    assert (record["weights"], record["file"]) == ("file", "start.pt")
    assert record["sha256"] == hashlib.sha256(start.read_bytes()).hexdigest()
    assert complete([there]) == [run]
    assert complete([replace(CONFIG, **settings)]) == []
    with pytest.raises(ValueError, match=r"nowhere\.pt"):
        execute(replace(here, model={**here.model, "weights": "nowhere.pt"}), device="cpu")


def test_the_paper_decides_which_images_and_how_they_are_prepared():
    settings = {
        "profile": "test", "folds": [0], "seeds": [0], "phantoms": True, "n_images": 20, "image_size": 32,
        "training": {},
    }  # fmt: skip
    (config,) = runs.plan(
        load_paper("boundary_ultrasound"), methods=["ce"], protocol="random_validation", model={}, **settings
    )
    assert config.data.source == "busi"
    assert config.data.filters == {"with_masses": True, "max_area": 0.1}
    assert config.data.preprocessing == Preprocessing(32, "none", "stretch", None)
    assert Data.read(json.loads(json.dumps(asdict(config.data)))) == config.data
    (config,) = runs.plan(
        load_paper("encoder_decoders"),
        methods=["resnet22_fpn"],
        protocol="holdout_folds",
        model={},
        **settings,
    )
    assert config.data.preprocessing == Preprocessing(32, "none", "pad", "sigmoid")
    assert config.training.milestones == (40, 50, 60)
    (own,) = runs.plan(
        load_paper("encoder_decoders"), methods=["resnet22_fpn"], protocol="holdout_folds", model={},
        preprocessing={"window": None}, **settings,
    )  # fmt: skip
    assert own.data == replace(config.data, preprocessing=Preprocessing(32, "none", "pad", None))
    assert config.training.freeze_encoder == 2
    (config,) = runs.plan(
        load_paper("density_asp"), methods=["density_asp"], protocol="patient_folds", model={}, **settings
    )
    assert config.data.preprocessing == Preprocessing(32)
    assert config.data == Data(n_images=20, preprocessing=Preprocessing(32))


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
