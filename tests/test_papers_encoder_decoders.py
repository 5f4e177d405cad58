"""Paper 003: that what stands in its YAML is what the paper prints, and agrees with the library."""

from __future__ import annotations

import inspect

import pytest

from mammoseg_lib.losses import build_loss
from mammoseg_lib.losses.hybrids import two_phase
from mammoseg_lib.models import build_model, count_parameters
from mammoseg_lib.papers import load_paper
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.training import Training


@pytest.fixture(scope="module")
def paper():
    return load_paper("encoder_decoders")


def test_every_number_of_the_table_is_there(paper):
    """Column sums, added up by hand from the printed table."""
    cells = [cell for method in paper.methods for cell in method.published]
    assert len(cells) == 32
    sums = {"dsc": 6.1437, "dsc_sd": 1.5330, "iou": 5.2713, "iou_sd": 1.6578}
    for metric, want in sums.items():
        assert sum(c.value for c in cells if c.metric == metric) == pytest.approx(want, abs=5e-5), metric


def test_the_abstract_names_the_best_of_each_data_set(paper):
    best = {}
    for method in paper.methods:
        (row,) = method.rows()
        name = row["row"].split(":")[0]
        best[name] = max(best.get(name, (0, "")), (row["dsc"], method.id))
    assert best == {"OUDSM": (0.7677, "resnet34_unet"), "INbreast": (0.8430, "resnet22_unet_inbreast")}


def test_iou_is_larger_than_that_of_pooled_pixels_in_every_row(paper):
    for method in paper.methods:
        (row,) = method.rows()
        assert row["iou"] > row["dsc"] / (2 - row["dsc"])


def test_networks_are_trained_once_and_tested_twice(paper):
    assert paper.available == ("resnet34_unet", "resnet22_unet", "resnet34_fpn", "resnet22_fpn")
    for id in paper.available:
        trained, tested = paper.find(id), paper.find(f"{id}_inbreast")
        assert (tested.model, tested.loss, tested.training) == (trained.model, trained.loss, trained.training)
        assert not tested.available
        assert f"tests the networks of {id} on INbreast" in tested.reason


@pytest.mark.parametrize(
    ("id", "encoder", "decoder"),
    [("resnet22_unet", 2_799_536, 4_773_025), ("resnet22_fpn", 2_799_536, 2_338_049)],
)
def test_the_networks_have_the_published_size(paper, id, encoder, decoder):
    network = build_model(**{**paper.method(id).model, "weights": "none"})
    assert count_parameters(network.encoder) == encoder
    assert count_parameters(network) == encoder + decoder


def test_the_decoders_start_as_in_the_published_code(paper):
    (setting,) = (each for each in paper.hyperparameters if each.name == "model.decoder_start")
    assert setting.value == "fan_out"
    assert {paper.method(id).model["decoder_start"] for id in paper.available} == {setting.value}


def test_training_is_as_the_paper_says(paper):
    method = paper.method("resnet22_unet")
    assert Training(**method.training) == Training(
        epochs=80, batch_size=32, learning_rate=1e-4, milestones=(40, 50, 60), decay=0.1, weight_decay=1e-4,
        freeze_encoder=2, augmentation="encoder_decoders", normalize=True, monitor="loss",
    )  # fmt: skip
    phases = build_loss(**method.loss)
    assert phases.ends == [20]
    assert [paper.method(id).model["weights"] for id in paper.available] == ["imagenet", "gmic"] * 2
    prepared = Preprocessing(
        **{name: method.preprocessing[name] for name in ("size", "crop", "resize", "window")}
    )
    assert prepared == Preprocessing(512, "none", "pad", "sigmoid")


def test_choices_about_the_loss_are_its_defaults(paper):
    own = {name: p.default for name, p in inspect.signature(two_phase).parameters.items()}
    for setting in paper.hyperparameters:
        part, _, option = setting.name.partition(".")
        if part == "loss":
            assert own[option] == setting.value, option


def test_a_test_of_an_unknown_method_is_an_error(tmp_path):
    from mammoseg_lib import paths
    from mammoseg_lib.papers.load import read_paper
    from mammoseg_lib.papers.schema import PaperError

    text = (paths.PAPERS / "encoder_decoders.yaml").read_text(encoding="utf-8")
    path = tmp_path / "paper.yaml"
    path.write_text(text.replace("tests: resnet22_fpn,", "tests: resnet50,"), encoding="utf-8")
    with pytest.raises(PaperError, match="method resnet22_fpn_inbreast tests 'resnet50', which is no method"):
        read_paper(path)
