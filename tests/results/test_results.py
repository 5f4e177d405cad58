"""Results of tiny runs on a folder of images, which count as real, and as files that travel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from mammoseg_lib import paths, results
from mammoseg_lib.results import load_results, shipped
from mammoseg_lib.runs import execute, find, train_all
from mammoseg_lib.studies import load_study
from tests.release import write_phantoms

STUDY = {
    "title": "Mine",
    "own": {
        "dice": {"label": "Dice", "loss": {"name": "dice"}, "model": {"name": "aunet", "base_width": 8}},
        "bce": {"label": "BCE", "loss": {"name": "bce"}, "model": {"name": "aunet", "base_width": 8}},
    },
    "methods": ["dice", "bce"],
    "profiles": {
        "reduced": {
            "data": {"phantoms": False, "image_size": 32},
            "training": {"epochs": 2, "learning_rate": 0.01, "precision": "float32"},
            "folds": [0, 1],
        }
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A study of one's own with its four runs, on phantoms that stand in for real images."""
    root = tmp_path_factory.mktemp("results")
    release = write_phantoms("inbreast", root / "data" / "INbreast Release 1.0", n_images=20, size=64, seed=0)
    study = root / "mine.yaml"
    study.write_text(yaml.safe_dump({**STUDY, "data": {"root": str(release)}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMOSEG_HOME", str(root / "home"))
        patch.setattr(paths, "results", lambda: root / "shipped")
        outcome = train_all(load_study(study).plan("reduced"), jobs=2, device="cpu")
        assert sorted(outcome.done) == [0, 1, 2, 3], outcome.failed
        yield root, study


def test_runs_of_this_machine_as_tables(place):
    study = load_study(place[1])
    found = load_results(study, "reduced")
    assert found.complete
    assert found.runs["arm"].tolist() == ["dice", "dice", "bce", "bce"]
    assert set(found.runs["origin"]) == {"this machine"}
    assert found.runs["current"].all()
    runs = [find(config) for config in study.plan("reduced")]
    assert len(found.best) == sum(len(run.per_image) for run in runs)
    only = found.only(arm="bce", fold=1)
    # Patients have the names that shipped results give them: runs of both kinds can be paired.
    for found, own in ((only.best, runs[3].per_image), (only.last, runs[3].last)):
        known = own["patient_id"].map(shipped.pseudonym)
        pd.testing.assert_frame_equal(found[own.columns], own.assign(patient_id=known))
    assert sorted(only.last["epoch"].unique()) == [1, 2]


def test_shipped_results_are_the_same_numbers_without_runs_or_images(place, monkeypatch, tmp_path):
    study = load_study(place[1])
    here = load_results(study, "reduced")
    assert results.add(study, "reduced") == 4
    assert results.add(study, "reduced") == 0
    assert results.missing(study, "reduced") == []
    assert results.check(study, "reduced") == []
    text = "".join(path.read_text() for path in shipped.files(study.name, "reduced"))
    own = pd.concat([find(config).per_image for config in study.plan("reduced")])
    assert not any(str(patient) in text for patient in own["patient_id"].unique())

    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "bare"))
    there = load_results(study, "reduced")
    assert there.complete
    assert set(there.runs["origin"]) == {"shipped"}
    pd.testing.assert_frame_equal(there.last[list(here.last)], here.last, check_dtype=False)
    pd.testing.assert_frame_equal(there.best[list(here.best)], here.best, check_dtype=False, atol=1e-6)
    assert there.runs["minutes"].tolist() == here.runs["minutes"].tolist()


def test_what_another_study_shipped_is_the_same_run_under_another_name(place, monkeypatch, tmp_path):
    root, path = place
    results.add(load_study(path), "reduced")
    own = {"plain": {**STUDY["own"]["dice"], "label": "Plain"}, "bce": STUDY["own"]["bce"]}
    release = str(root / "data" / "INbreast Release 1.0")
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**STUDY, "own": own, "methods": ["plain"], "data": {"root": release}}))
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "bare"))
    study = load_study(other)
    assert not shipped.files(study.name, "reduced")[0].exists()
    assert results.missing(study, "reduced") == []
    there, first = load_results(study, "reduced"), load_results(load_study(path), "reduced").only(arm="dice")
    assert set(there.best["arm"]) == {"plain"}
    names = ["sample_id", "patient_id", "tp"]
    pd.testing.assert_frame_equal(there.best[names], first.best[names])


def test_results_of_other_settings_do_not_count_and_are_removed(place, monkeypatch, tmp_path):
    root, path = place
    results.add(load_study(path), "reduced")
    changed = {**STUDY, "data": {"root": str(root / "data" / "INbreast Release 1.0")}}
    changed["profiles"]["reduced"]["training"] = {**STUDY["profiles"]["reduced"]["training"], "batch_size": 2}
    other = tmp_path / "mine.yaml"
    other.write_text(yaml.safe_dump(changed))
    study = load_study(other)
    assert len(load_results(study, "reduced").absent) == len(results.missing(study, "reduced")) == 4
    assert "not of the settings" in results.check(study, "reduced")[0]


def test_results_measured_with_other_code_say_so(place, monkeypatch, tmp_path):
    study = load_study(place[1])
    results.add(study, "reduced")
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "bare"))
    monkeypatch.setattr("mammoseg_lib.results.shipped.reference_state", lambda: "another")
    assert not load_results(study, "reduced").runs["current"].any()
    assert any("other numbers" in line for line in results.check(study, "reduced"))


def test_what_is_missing_is_listed_with_its_minutes(place, monkeypatch, tmp_path):
    study = load_study(place[1])
    table = results.overview([study], "reduced")
    assert table.iloc[0].tolist()[:4] == ["mine", 4, 0, 0]
    monkeypatch.setattr(paths, "results", lambda: tmp_path)
    table = results.overview([study], "reduced")
    assert table.iloc[0].tolist() == ["mine", 0, 4, 0, 0]
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "bare"))
    assert results.overview([study], "reduced").iloc[0].tolist() == ["mine", 0, 0, 4, 4]


def test_what_phantoms_give_is_not_shipped():
    with pytest.raises(ValueError, match="phantoms"):
        results.add(load_study("spatial_matching"), "demo")


@pytest.mark.slow
def test_a_run_that_fails_or_whose_process_dies_does_not_end_the_others(place, tmp_path):
    root, _ = place
    (tmp_path / "losses.py").write_text(
        "import os\nimport torch\nfrom mammoseg_lib.losses import Loss\n\n\n"
        "class Kills(Loss):\n    def forward(self, logits, batch):\n        os._exit(9)\n\n\n"
        "class Fails(Loss):\n    def forward(self, logits, batch):\n"
        "        return logits.flatten(1).sum(1) * torch.nan\n"
    )
    model = {"model": {"name": "aunet", "base_width": 8}}
    own = {
        "kills": {"label": "a", "loss": "losses.py:Kills", **model},
        "fails": {"label": "b", "loss": "losses.py:Fails", **model},
        "dice": STUDY["own"]["dice"],
    }
    data = {"root": str(root / "data" / "INbreast Release 1.0")}
    content = {**STUDY, "own": own, "methods": list(own), "data": data}
    path = tmp_path / "three.yaml"
    path.write_text(yaml.safe_dump(content))
    outcome = train_all(load_study(path).plan("reduced", folds=[0]), jobs=1, device="cpu")
    assert list(outcome.done) == [2]
    assert "its process ended with status 9" in outcome.failed[0]
    assert "became nan" in outcome.failed[1]


@pytest.mark.slow
def test_training_stops_when_its_time_is_up_and_goes_on_to_the_same_numbers(place):
    study = load_study(place[1])
    configs = study.plan("reduced", folds=[0], training={"epochs": 30})[:1]
    first = train_all(configs, minutes=0.001, jobs=1, device="cpu")
    assert (first.done, first.unfinished) == ({}, [0])
    rest = train_all(configs, jobs=1, device="cpu")
    assert list(rest.done) == [0]
    history = rest.done[0].history
    assert history["epoch"].tolist() == list(range(1, 31))
    assert np.isfinite(history["train_loss"]).all()
    assert execute(configs[0]) == rest.done[0]
