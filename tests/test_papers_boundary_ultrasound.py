"""Paper 002: that what stands in its YAML is what the paper prints, and agrees with the library."""

from __future__ import annotations

import inspect

import pytest

from mammoseg_lib.losses import build_loss
from mammoseg_lib.losses.boundary import boundary_strategy
from mammoseg_lib.papers import load_paper
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.studies import load_study
from mammoseg_lib.training import Training


@pytest.fixture(scope="module")
def paper():
    return load_paper("boundary_ultrasound")


def printed(paper, table: str) -> dict[str, str]:
    return {m.id: c.printed for m in paper.methods for c in m.published if c.table == table}


def test_every_number_of_the_tables_is_there(paper):
    assert printed(paper, "Table 1") == {
        "ce": "0.798", "linear": "0.798", "scheduling": "0.796", "rebalance": "0.801",
    }  # fmt: skip
    assert printed(paper, "Table 2") == {
        "ce_isles": "0.608", "ce_wmh": "0.757", "rebalance_isles": "0.631", "rebalance_wmh": "0.756",
    }  # fmt: skip
    assert {c.unit for m in paper.methods for c in m.published} == {"fraction"}


def test_the_losses_are_those_of_the_published_code(paper):
    """Weights of the two terms in the first and the last of 20 epochs."""
    expected = {
        "ce": ({"bce": 50.5}, {"bce": 50.5}),
        "linear": ({"bce": 50.5, "boundary": 1}, {"bce": 50.5, "boundary": 1}),
        "scheduling": ({"bce": 50.5, "boundary": 0}, {"bce": 50.5, "boundary": 0.95}),
        "rebalance": ({"bce": 50.5, "boundary": 0}, {"bce": 50.5 * 0.05, "boundary": 0.95}),
    }
    assert paper.available == tuple(expected)
    for id, (first, last) in expected.items():
        loss = build_loss(**paper.method(id).loss)
        assert loss.weights_at(0, 20) == pytest.approx(first)
        assert loss.weights_at(19, 20) == pytest.approx(last)


def test_choices_about_the_loss_are_defaults_or_options_of_the_methods(paper):
    own = {name: p.default for name, p in inspect.signature(boundary_strategy).parameters.items()}
    options = paper.method("rebalance").loss
    chosen = {
        s.name.removeprefix("loss."): s.value for s in paper.hyperparameters if s.name.startswith("loss.")
    }
    for name, value in chosen.items():
        assert options.get(name, own[name]) == value, name


def test_a_run_is_set_up_as_the_paper_says(paper):
    study = load_study("boundary_ultrasound")
    (config,) = study.plan("paper", arms=["ce/own division"], folds=[0], seeds=[0])
    assert config.training == Training(epochs=20, batch_size=16, learning_rate=0.001)
    assert config.data.preprocessing == Preprocessing(256, "none", "stretch", None)
    assert config.data.filters == {"with_masses": True, "max_area": 0.1}
    assert config.model == {"name": "smp_unet", "encoder": "resnet34", "weights": "imagenet"}
    assert config.data.protocol == "random_validation"
    assert paper.setting("data.protocol").value == "random_validation"


def test_the_papers_count_is_that_of_a_tenth(paper, real_busi):
    from mammoseg_lib.datasets import busi

    table = busi.index(real_busi, with_masses=True)
    counts = {limit: len(busi.select(table, max_area=limit)) for limit in (0.05, 0.1)}
    assert counts == {0.05: 291, 0.1: paper.setting("data.n_images").value}
