from __future__ import annotations

import re

import pytest
import yaml

from mammoseg_lib import paths
from mammoseg_lib.losses import build_loss
from mammoseg_lib.models import MODELS
from mammoseg_lib.studies import PROFILES, StudyError, load_study, read_by, study_names

OWN = {
    "title": "Mine",
    "own": {
        "mine": {"label": "Mine", "loss": "my_loss.py:Mine", "model": {"name": "aunet", "base_width": 8}},
        "dice": {"label": "Dice", "loss": {"name": "dice"}, "model": {"name": "aunet", "base_width": 8}},
    },
    "methods": ["mine", "dice"],
    "data": {"source": "folder", "root": "images", "crop": "none", "window": None},
    "profiles": {"demo": {"data": {"phantoms": False}, "training": {"epochs": 2}, "folds": [0, 1]}},
}


def write(folder, content=None, name="mine.yaml", **changes):
    path = folder / name
    text = content if isinstance(content, str) else yaml.safe_dump({**(content or OWN), **changes})
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", study_names())
def test_every_study_can_be_planned_and_every_loss_and_network_exists(name):
    study = load_study(name)
    for profile in study.file.profiles:
        configs = study.plan(profile)
        assert configs
        assert len({(c.arm, c.fold, c.seed) for c in configs}) == len(configs)
        for config in {c.arm: c for c in configs}.values():
            build_loss(**config.loss)
            assert config.model["name"] in MODELS
            assert config.data.phantoms is (profile == "demo")


def test_notebooks_that_studies_name_exist():
    known = {path.stem for path in paths.NOTEBOOKS.glob("*.ipynb")}
    named = {notebook for name in study_names() for notebook in load_study(name).file.notebooks}
    assert named <= known
    assert "spatial_matching" in [study.name for study in read_by("20_train_spatial_matching", "demo")]
    assert read_by("10_bce_failure_cases", "demo") == []


def test_the_first_seed_of_everything_comes_first():
    configs = load_study("spatial_matching").plan("reduced")
    assert [c.seed for c in configs] == sorted(c.seed for c in configs)
    assert [c.arm for c in configs[:6]] == ["dice_bce"] * 5 + ["bce"]
    assert [c.fold for c in configs[:5]] == [0, 1, 2, 3, 4]


def test_settings_are_the_papers_but_for_what_study_profile_variant_and_caller_change_in_this_order():
    study = load_study("density_asp")
    paper = study.plan("paper")[0]
    assert (paper.training.epochs, paper.training.decay_every, paper.model["base_width"]) == (100, 25, 64)
    assert paper.data.preprocessing.size == 256
    reduced = {c.arm: c for c in study.plan("reduced", folds=[0], seeds=[0])}
    assert (reduced["dice_bce"].training.epochs, reduced["dice_bce"].model["base_width"]) == (60, 8)
    assert reduced["arf_net"].model == {"name": "arfnet", "base_width": 8, "weights": "none"}
    assert reduced["density_asp/no region term"].loss["theta"] == [0, 0, 0, 0]
    assert reduced["density_asp"].loss["theta"] == "inbreast"
    own = study.plan("reduced", folds=[0], seeds=[0], training={"epochs": 3}, data={"image_size": 32})
    assert {(c.training.epochs, c.data.preprocessing.size) for c in own} == {(3, 32)}


def test_like_takes_over_what_is_not_said_and_only_the_profiles_that_are_named():
    base, readings = load_study("spatial_matching"), load_study("spatial_matching.readings")
    assert list(readings.file.profiles) == ["reduced", "paper"]
    assert readings.plan("reduced")[0].training == base.plan("reduced")[0].training
    assert {c.seed for c in readings.plan("reduced")} == {0}


def test_arms_are_methods_and_their_variants():
    study = load_study("spatial_matching.readings")
    only = study.plan("reduced", arms=["sm_sd_bce_all/eq9"], folds=[0])
    assert [c.arm for c in only] == ["sm_sd_bce_all/eq9"]
    method = study.plan("reduced", arms=["sm_b_tversky_nonzero"], folds=[0])
    assert [c.variant for c in method] == ["", "smooth 1e-6", "mask numerator"]


def test_a_study_of_ones_own_from_a_file_anywhere(tmp_path):
    (tmp_path / "images").mkdir()
    study = load_study(write(tmp_path))
    configs = study.plan("demo")
    assert [c.arm for c in configs] == ["mine", "mine", "dice", "dice"]
    assert configs[0].loss["name"] == f"{tmp_path / 'my_loss.py'}:Mine"
    assert configs[0].data.source == "folder"
    assert configs[0].data.root == str(tmp_path / "images")
    assert configs[0].data.preprocessing.window is None
    assert configs[0].paper is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profiles": {"demo": {"epochs": 3}}}, "profiles.demo.epochs is not known"),
        ({"profiles": {"demo": {"training": {"epoch": 3}}}}, "did you mean 'epochs'"),
        ({"methods": ["mine", "dise"]}, "did you mean 'dice'"),
        ({"metods": ["mine"]}, "did you mean 'methods'"),
        ({"title": None}, "title is None"),
        ({"profiles": {"demo": {"folds": [7]}}}, "no fold 7"),
        ({"profiles": {"demo": {"folds": "one"}}}, "folds is 'one'"),
        ({"paper": "spatial_machting"}, "spatial_matching"),
        ({"data": {"image_siz": 3}}, "did you mean 'image_size'"),
        ({"data": {"source": "folder", "window": [3, 1]}}, "window"),
        ({"variants": {"a": {"of": ["mine"], "los": {}}}}, "did you mean 'loss'"),
        ({"profiles": {"demo": {"folds": 0}}}, "profiles.demo.folds is 0"),
        ({"profiles": {"demo": {"data": {"phantom": True}}}}, "did you mean 'phantoms'"),
        ({"profiles": {}}, "profiles"),
    ],
)
def test_a_slip_is_an_error_that_names_file_and_nearest_word(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(StudyError, match=re.escape(message)) as caught:
        load_study(path)
    assert "mine.yaml" in str(caught.value) or "study mine" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no mapping"),
        ("- mine\n", "holds no mapping"),
        ("title: a\n\tmethods: [dice]\n", "mine.yaml: "),
        ("title: [a\n", "mine.yaml: "),
        ("title: a\n", "methods is missing"),
        ("like: spatial_machting\n", "did you mean 'spatial_matching'"),
    ],
)
def test_a_file_that_is_no_study_is_an_error_that_names_it(tmp_path, text, message):
    with pytest.raises(StudyError, match=f"^mine.yaml: .*{message}|{message}"):
        load_study(write(tmp_path, text))


def test_a_key_given_twice_and_a_number_as_yaml_does_not_know_it(tmp_path):
    text = yaml.safe_dump(OWN)
    with pytest.raises(StudyError, match="title stands twice"):
        load_study(write(tmp_path, text + "title: again\n"))
    study = load_study(write(tmp_path, text.replace("epochs: 2", "epochs: 2\n      learning_rate: 1e-3")))
    assert study.plan("demo")[0].training.learning_rate == 0.001


def test_unknown_names_are_errors_with_the_nearest_word(tmp_path):
    with pytest.raises(StudyError, match="did you mean 'spatial_matching'"):
        load_study("spatial_machting")
    with pytest.raises(StudyError, match="no such file"):
        load_study(tmp_path / "absent.yaml")
    study = load_study("spatial_matching")
    with pytest.raises(StudyError, match="did you mean 'reduced'"):
        study.plan("redced")
    with pytest.raises(StudyError, match="did you mean 'dice_bce'"):
        study.plan("demo", arms=["dice_bcee"])
    with pytest.raises(StudyError, match="did you mean 'training'"):
        study.plan("demo", trainig={"epochs": 1})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profiles": {"demo": {"training": {"epochs": 0}}}}, "epochs must be a whole number from 1, not 0"),
        ({"training": {"batch_size": 0}}, "batch_size must be a whole number from 1"),
        ({"training": {"learning_rate": -1}}, "learning_rate must be a finite number from 0"),
        ({"training": {"decay": -2}}, "decay must be"),
        ({"training": {"decay_every": 0}}, "decay_every must be"),
        ({"training": {"freeze_encoder": -1}}, "freeze_encoder must be"),
        ({"methods": []}, "methods is"),
        ({"profiles": {"demo": {"seeds": []}}}, "profiles.demo.seeds is"),
        ({"profiles": {"demo": {"folds": []}}}, "profiles.demo.folds is"),
        (
            {"training": {"patience": 0}},
            "^mine.yaml: training: patience must be a whole number from 1, not 0$",
        ),
        ({"training": {"milestones": [5, 0]}}, "training: milestones must be a whole number from 1, not 0"),
        ({"profiles": {"demo": {"seeds": [-1]}}}, "^mine.yaml: profiles.demo.seeds.0 is -1: "),
        ({"profiles": {"demo": {"minutes": 0}}}, "profiles.demo.minutes is 0: "),
    ],
)
def test_a_number_that_cannot_be_is_a_slip(tmp_path, changes, words):
    (tmp_path / "my_loss.py").write_text("class Mine: pass\n")
    with pytest.raises(StudyError, match=words):
        load_study(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"seeds": [True]}, "profiles.demo.seeds.0 is True: input should be a valid integer"),
        ({"folds": [False]}, "profiles.demo.folds.0 is False: "),
        ({"minutes": True}, "profiles.demo.minutes is True: "),
        ({"data": {"n_images": True}}, "profiles.demo.data.n_images is True: "),
        ({"data": {"split_seed": False}}, "profiles.demo.data.split_seed is False: "),
        ({"data": {"window": [0, True]}}, "is True: "),
        ({"training": {"patience": True}}, "patience must be a whole number from 1, not True"),
        ({"training": {"epochs": True}}, "profiles.demo.training: epochs must be a number, not True"),
        ({"training": {"decay_every": True}}, "decay_every must be a number, not True"),
        ({"training": {"learning_rate": False}}, "learning_rate must be a number, not False"),
    ],
)
def test_yes_and_no_are_no_numbers(tmp_path, block, words):
    with pytest.raises(StudyError, match=words) as caught:
        load_study(write(tmp_path, profiles={"demo": block}))
    assert str(caught.value).startswith("mine.yaml: ")
    data = {"phantoms": True, "n_images": 10, "split_seed": 1}
    block = {"folds": [0], "training": {"patience": 5, "milestones": [3], "normalize": True}, "data": data}
    (config, _) = load_study(write(tmp_path, profiles={"demo": block})).plan("demo")
    assert (config.training.patience, config.training.milestones, config.training.normalize) == (
        5,
        (3,),
        True,
    )


def test_who_names_a_folder_or_a_profile_on_real_images_means_no_phantoms(tmp_path):
    """But where it asks for them."""
    for phantoms, expected in (({}, False), ({"phantoms": None}, False), ({"phantoms": True}, True)):
        data = {"source": "folder", "root": "images", "window": None}
        path = write(tmp_path, data=data, profiles={"demo": {"data": phantoms}})
        assert {config.data.phantoms for config in load_study(path).plan("demo")} == {expected}
    study = load_study(write(tmp_path, data={"source": "folder"}, profiles={name: {} for name in PROFILES}))
    found = {name: {config.data.phantoms for config in study.plan(name)} for name in PROFILES}
    assert found == {"demo": {True}, "reduced": {False}, "paper": {False}}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.e-3", "1.0e-3", "0.001", "+1e-3", ".1e-2"])
def test_a_number_with_an_exponent_is_a_number(tmp_path, text):
    path = write(
        tmp_path, yaml.safe_dump(OWN) + f"training: {{learning_rate: {text}}}\nloss: {{smooth: {text}}}\n"
    )
    config = load_study(path).plan("demo", arms=["dice"])[0]
    assert config.training.learning_rate == config.loss["smooth"] == 0.001
    words = write(tmp_path, yaml.safe_dump(OWN) + "loss: {a: 1e, b: e3, c: 1e-3x, d: 2026-01-01e3}\n")
    assert all(isinstance(value, str) for value in load_study(words).file.loss.values())
