from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mammoseg_lib.cli import main
from mammoseg_lib.cli.app import app
from mammoseg_lib.datasets import DataError
from mammoseg_lib.sources import open_source, phantom_folder
from tests.faults.of_folder import IMAGE_FILES
from tests.faults.sources import SMALL_SOURCES, write_busi
from tests.release import SQUARE, write_inbreast


@pytest.fixture
def release(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    images = {f"{100 + i}_{i:02x}": [("Mass", SQUARE)] if i else [] for i in range(4)}
    return write_inbreast(tmp_path / "release", images)


def _run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["phantoms", "data", "train", "run-notebooks", "tables", "MAMMOSEG_DATA"]),
        (["data"], ["check", "prepare"]),
        (["phantoms"], ["--n-images", "--size", "--seed", "--out"]),
        (["data", "check"], ["inbreast", "busi", "--root"]),
        (["data", "prepare"], ["--size", "--crop", "--resize", "--jobs"]),
        (["train"], ["--profile", "--arm", "--fold", "--seed", "--missing", "--minutes", "--jobs", "--list"]),
        (["run-notebooks"], ["--profile", "--set", "--in-place"]),
        (["tables"], ["--profile"]),
        (["try"], ["--set", "--train", "file.py:Class"]),
    ],
)
def test_help_names_everything(command, words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    result = _run(*command, "--help")
    assert result.exit_code == 0
    assert [word for word in words if word not in result.output] == []


@pytest.mark.parametrize("more", [["--set", "side=1"], ["--profile", "reduced"]])
def test_outputs_are_renewed_with_the_committed_defaults_only(more):
    result = _run("run-notebooks", "10_bce_failure_cases", "--in-place", *more)
    assert result.exit_code == 1
    assert "takes neither --profile nor --set" in result.output


def test_check_counts_and_succeeds_on_whole_data(release):
    result = _run("data", "check", "inbreast", "--root", release, "--jobs", 1)
    assert result.exit_code == 0
    assert "with a mass                  3" in result.output
    assert "without                      1" in result.output
    assert "broken                         0" in result.output


def test_check_names_what_is_broken_and_fails(release):
    path = release / "AllDICOMs" / "101_01_MG_L_ML_ANON.dcm"
    path.write_bytes(path.read_bytes()[:-50])
    result = _run("data", "check", "inbreast", "--root", release, "--jobs", 1)
    assert result.exit_code == 1
    assert "broken: AllDICOMs/101_01_MG_L_ML_ANON.dcm: " in result.output
    assert "with a mass                  2" in result.output


def test_prepare_goes_on_past_a_broken_file_and_fails_at_the_end(release):
    path = release / "AllDICOMs" / "101_01_MG_L_ML_ANON.dcm"
    path.write_bytes(path.read_bytes()[:-50])
    result = _run("data", "prepare", "inbreast", "--root", release, "--size", 16, "--jobs", 1)
    assert result.exit_code == 1
    assert "2 images with masses" in result.output
    assert "101_01_MG_L_ML_ANON.dcm" in result.output


def test_phantoms_never_overwrite(tmp_path):
    out = tmp_path / "INbreast Release 1.0"
    assert _run("phantoms", "inbreast", "--out", out, "--n-images", 3, "--size", 64).exit_code == 0
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    result = _run("phantoms", "inbreast", "--out", out, "--n-images", 3, "--size", 64)
    assert result.exit_code == 1
    assert "exists already" in result.output
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_train_list_says_what_a_profile_would_do():
    result = _run("train", "spatial_matching", "--profile", "reduced", "--list")
    assert result.exit_code == 0
    assert "[120/120]" in result.output  # twelve settings, five folds, two seeds
    assert "sm_sd_bce_all, fold 4, seed 0" in result.output


def test_an_ablation_is_trained_by_its_name_and_an_arm_by_its_own():
    result = _run(
        *("train", "spatial_matching.grid_size", "--profile", "paper", "--list"),
        *("--arm", "sm_sd_tversky_all/mean size", "--fold", "1", "--seed", "0"),
    )
    assert result.exit_code == 0
    assert result.output == "[1/1] sm_sd_tversky_all/mean size, fold 1, seed 0\n"


def test_the_version_is_told():
    assert _run("--version").output.startswith("mammoseg ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "check", "inbreast", "--root", "nowhere"], "nowhere: no such folder"),
        (
            ["train", "spatial_matching", "--profile", "slow"],
            "study spatial_matching has no profile 'slow'; known: demo, reduced, paper",
        ),
        (["train", "spatial_matching", "--arm", "magic"], "no arm 'magic'"),
        (["train", "density"], "no study is called 'density'; did you mean 'density_asp'?"),
        (["train", "absent.yaml"], "absent.yaml: no such file"),
        (["train", "spatial_matching", "--fold", "7"], "no fold 7; folds are numbered 0 to 4"),
        (["run-notebooks", "99_none"], "no notebook '99_none'; there are: 00_start_here"),
        (
            ["run-notebooks", "10_bce_failure_cases", "--set", "sidee=2"],
            "no parameter 'sidee'; did you mean 'side'?",
        ),
    ],
)
def test_mistakes_are_one_line_never_a_traceback(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mammoseg", *arguments])
    with pytest.raises(SystemExit) as end:  # anything else would be a traceback
        main()
    assert end.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1]
    assert [line for line in said if "error" in line] == said[-1:]


@pytest.mark.slow
def test_a_process_of_its_own_ends_with_one_line_too(tmp_path):
    command = [sys.executable, "-m", "mammoseg_lib.cli", "train", "absent.yaml"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith("absent.yaml: no such file\n")


# --- phantoms in place of real data


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        (".", "data: set MAMMOSEG_DATA to that"),  # one folder too high
        ("data/Dataset_BUSI_with_GT", "data: set MAMMOSEG_DATA to that"),  # the release itself
        ("data/renamed", "give it with --root, or call it 'Dataset_BUSI_with_GT'"),
        ("empty/below", "there is no 'Dataset_BUSI_with_GT' in MAMMOSEG_DATA"),
    ],
)
def test_phantoms_that_were_taken_are_told_in_the_last_line(tmp_path, monkeypatch, place, advice):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    name = "renamed" if place.endswith("renamed") else "Dataset_BUSI_with_GT"
    write_busi(tmp_path / "data" / name)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("MAMMOSEG_DATA", str(tmp_path / place))
    out = tmp_path / "out"
    options = ("--root", phantom_folder("busi", 6, 32), "--jobs", 1)
    for command in (
        ["check", "busi"],
        ["check", "busi", "--json"],
        ["prepare", "busi", "--size", 16],
        ["export", "busi", "--out", out],
    ):
        result = _run("data", *command, *options)
        assert result.exit_code == 0
        last = result.output.strip().splitlines()[-1]
        assert last.startswith("these were PHANTOMS, no images of patients")
        assert advice in last
        assert "PHANTOMS" not in (result.stdout if "--json" in command else "")
    with pytest.raises(DataError, match=advice if "there is no" not in advice else "no folder"):
        open_source("busi", phantoms=False)


def test_nothing_is_said_of_real_data_that_is_there(tmp_path, monkeypatch):
    """Where phantoms are given with --root although it is."""
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    write_busi(tmp_path / "data" / "Dataset_BUSI_with_GT")
    monkeypatch.setenv("MAMMOSEG_DATA", str(tmp_path / "data"))
    result = _run("data", "check", "busi", "--root", phantom_folder("busi", 6, 32), "--jobs", 1)
    assert result.output.splitlines()[-1] == "these were PHANTOMS, no images of patients"


def test_nothing_is_said_where_the_data_is_real(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    write_busi(tmp_path / "data" / "Dataset_BUSI_with_GT")
    monkeypatch.setenv("MAMMOSEG_DATA", str(tmp_path / "data"))
    assert "PHANTOM" not in _run("data", "prepare", "busi", "--size", 16, "--jobs", 1).output


# --- nothing that can be used


@pytest.mark.parametrize("name", SMALL_SOURCES)
def test_where_nothing_can_be_used_every_command_names_the_files_and_fails(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    small, root = SMALL_SOURCES[name], tmp_path / "source"
    small.write(root)
    for path in root.glob(IMAGE_FILES[name]):
        path.write_bytes(b"no picture")
    first = Path(next(iter(small.files.values()))[0]).name
    for command in (
        ["check", small.source],
        ["check", small.source, "--json"],
        ["prepare", small.source, "--size", 16],
        ["export", small.source, "--out", tmp_path / "export"],
    ):
        result = _run("data", *command, "--root", root, "--jobs", 1)
        assert result.exit_code == 1
        # What is known ends in one line, see `main`; anything else would be a traceback.
        assert isinstance(result.exception, SystemExit | DataError), result.exception
        said = result.output + str(result.exception)
        assert first in said
        if "--json" in command:
            assert json.loads(result.stdout)["counts"]["images"] == 0
    assert not (tmp_path / "export").exists()


# --- a study of one's own, from training to its table

OWN = {
    "title": "Mine",
    "question": "Does it matter?",
    "own": {"mine": {"label": "Mine", "loss": "mine.py:Mine", "model": {"name": "aunet", "base_width": 8}}},
    "methods": ["mine"],
    "variants": {"plain": {}, "doubled": {"loss": {"factor": 2.0}}},
    "plain": False,
    "data": {"source": "busi", "n_images": 10, "phantom_size": 32, "image_size": 16, "crop": "none"},
    "training": {"epochs": 1},
    "profiles": {"demo": {}},
}
LOSS = """
from mammoseg_lib.losses.pixel import BCE

class Mine(BCE):
    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.factor = factor

    def forward(self, logits, batch):
        return self.factor * super().forward(logits, batch)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A study and its loss, in files of one's own."""
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAMMOSEG_DATA", raising=False)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(OWN))
    (tmp_path / "mine.py").write_text(LOSS)
    return tmp_path / "mine.yaml"


def _train(study, arm: str):
    record = study.with_name("record.json")
    result = _run("train", study, "--arm", arm, "--device", "cpu", "--record", record)
    assert result.exit_code == 0, result.exception
    (folder,) = json.loads(record.read_text())
    return folder, result


def test_what_is_varied_has_a_table_of_its_own(own):
    for arm in ("mine/doubled", "mine/plain"):
        _train(own, arm)
    result = _run("tables", own)
    assert result.exit_code == 0
    assert "2 of the 2 runs" in result.output
    rows = [line.split(" | ")[0] for line in result.output.splitlines() if line.startswith("| Mine")]
    assert sorted(rows[:2]) == ["| Mine, doubled", "| Mine, plain"]


def test_what_two_studies_ask_for_under_different_names_is_trained_once(own):
    twin = own.with_name("twin.yaml")
    twin.write_text(yaml.safe_dump(OWN | {"variants": {"as it is": {}}}))
    record = own.with_name("record.json")
    result = _run("train", own, twin, "--device", "cpu", "--jobs", 1, "--record", record)
    assert result.exit_code == 0, result.exception
    assert len(json.loads(record.read_text())) == 2
    assert "[2/2]" in result.output
    assert "2 of the 2 runs" in _run("tables", own).output
    assert "1 of the 1 runs" in _run("tables", twin).output


def test_a_loss_that_was_edited_is_trained_anew_by_the_same_command(own):
    first, _ = _train(own, "mine/doubled")
    assert _train(own, "mine/doubled")[0] == first
    (own.parent / "mine.py").write_text(LOSS.replace("self.factor * super", "3 * self.factor * super"))
    second, _ = _train(own, "mine/doubled")
    assert second != first
    histories = [(own.parent / "home" / "data" / "runs" / run / "history.csv") for run in (first, second)]
    assert histories[0].read_text() != histories[1].read_text()


def test_who_has_real_images_is_told_that_a_profile_trains_on_phantoms(own, monkeypatch):
    told = "these were PHANTOMS, as profile 'demo' asks for"
    assert told not in _train(own, "mine/doubled")[1].output
    monkeypatch.setenv("MAMMOSEG_DATA", str(own.parent))
    assert _train(own, "mine/doubled")[1].output.splitlines()[-1] == told


# --- what training refuses is not listed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": {"name": "dice", "smoth": 1}}, "no option 'smoth'"),
        ({"loss": {"name": "dicee"}}, "did you mean 'dice'"),
        ({"model": {"name": "aunett"}}, "did you mean 'aunet'"),
        ({"model": {"name": "aunet", "base_width": 0}}, "base_width"),
        ({"data": {"protocol": "patient_fold"}}, "did you mean 'patient_folds'"),
        ({"data": {"source": "inbrest"}}, "did you mean 'inbreast'"),
        ({"data": {"image_size": 36}}, "not divisible"),
        ({"training": {"augmentation": "flips"}}, "flips"),
        (
            {"loss": {"name": "bce_jaccard_then_focal_tversky"}},
            r"begins after epoch 20.*combination_epochs\) 1 at most",
        ),
    ],
)
def test_what_training_refuses_is_not_listed(tmp_path, changes, words):
    loss = changes.pop("loss", {"name": "dice"})
    model = changes.pop("model", {"name": "aunet", "base_width": 8})
    study = {
        "title": "Mine",
        "own": {"mine": {"label": "Mine", "loss": loss, "model": model}},
        "methods": ["mine"],
        "training": {"epochs": 2, **changes.pop("training", {})},
        "data": {"image_size": 32, **changes.pop("data", {})},
        "profiles": {"demo": {}},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(study))
    for options in (["--list"], []):
        result = _run("train", path, *options)
        assert result.exit_code == 1
        assert re.search(words, str(result.exception)), result.exception
        assert result.output == ""


def test_an_interruption_is_one_line_from_the_first_import_on(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mammoseg_lib.cli.app.app", interrupted)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    monkeypatch.setitem(sys.modules, "mammoseg_lib.cli.app", None)
    monkeypatch.setattr("builtins.__import__", interrupted)
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        monkeypatch.undo()
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted; what was finished is kept\n" * 2


def test_typers_own_end_of_an_interrupted_command_is_told_too(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mammoseg_lib.sources.open_source", interrupted)
    monkeypatch.setattr(sys, "argv", ["mammoseg", "data", "check", "busi"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr().err.endswith("interrupted; what was finished is kept\n")
