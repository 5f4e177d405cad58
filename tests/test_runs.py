from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mammoseg_lib import paths, runs
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.runs import Data, RunConfig, complete, execute, results
from mammoseg_lib.training import Training

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
from dataclasses import replace
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
        "config.json", "environment.json", "split.json", "history.csv",
        "per_image.csv", "weights.pt", "predictions.npz",
    }  # fmt: skip
    assert run.config["loss"] == CONFIG.loss
    assert run.config["training"]["epochs"] == 3
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


def test_a_complete_run_is_never_trained_again(monkeypatch):
    first = execute(CONFIG, device="cpu")
    monkeypatch.setattr(runs, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
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
    monkeypatch.setattr(runs, "_work", lambda config, prepared, folder, *rest: names.append(folder.name))
    execute(CONFIG)
    execute(replace(CONFIG, **change))
    assert len(set(names)) == 2


def test_results_carry_the_settings_of_their_run(monkeypatch):
    assert complete([CONFIG]) == []
    run = execute(CONFIG, device="cpu")
    assert complete([replace(CONFIG, seed=1), CONFIG]) == [run]
    table = results([run])
    assert table["source"].unique().tolist() == ["inbreast phantoms"]
    settings = table.iloc[0][["method", "fold", "seed", "profile", "image_size", "base_width", "epochs"]]
    assert settings.tolist() == ["sm_sd_bce_all", 1, 0, "test", 32, 8, 3]


def test_an_interrupted_run_is_not_read_as_complete(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs, "fit", interrupted)
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
