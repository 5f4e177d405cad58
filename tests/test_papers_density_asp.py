"""Paper 001: that what stands in its YAML is what the paper prints, and agrees with the library."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from mammoseg_lib.datasets import cbis_ddsm
from mammoseg_lib.losses import Batch, DensityASP, build_loss
from mammoseg_lib.losses.adaptive import DICE_WEIGHT, THETA
from mammoseg_lib.papers import load_paper
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.training import Training


@pytest.fixture(scope="module")
def paper():
    return load_paper("density_asp")


def row(paper, method: str) -> dict:
    (only,) = paper.find(method).rows()
    return only


def test_every_number_of_the_tables_is_there(paper):
    cells = [cell for method in paper.methods for cell in method.published]
    assert {t.id: sum(c.table == t.id for c in cells) for t in paper.tables} == {"Table 1": 24, "Table 2": 24}
    assert all(float(cell.printed) == cell.value for cell in cells)


def test_sums_of_the_columns(paper):
    """Added up by hand from the printed tables."""
    sums = {
        ("Table 1", "dsc"): 424.09, ("Table 1", "da"): 131.59,
        ("Table 1", "sensitivity"): 390.59, ("Table 1", "accuracy"): 591.85,
        ("Table 2", "dsc"): 302.36, ("Table 2", "da"): 57.06,
        ("Table 2", "sensitivity"): 298.19, ("Table 2", "accuracy"): 596.60,
    }  # fmt: skip
    for (table, metric), want in sums.items():
        cells = [c for m in paper.methods for c in m.published if (c.table, c.metric) == (table, metric)]
        assert sum(cell.value for cell in cells) == pytest.approx(want, abs=0.005), (table, metric)


def test_stated_improvements_follow_from_the_tables(paper):
    printed = {
        "over_baseline": {"dsc": "+9.27", "da": "-12.77", "sensitivity": "+20.21", "accuracy": "+0.19"},
        "cbis_over_baseline": {"dsc": "+1.59", "da": "-3.98", "sensitivity": "+0.66", "accuracy": "+0.03"},
    }
    for id, differences in printed.items():
        claim = paper.claim(id)
        assert (claim.printed, claim.misprinted) == (differences, {})
        ours, theirs = row(paper, claim.arms[0]), row(paper, claim.against[0])
        assert {m: f"{ours[m] - theirs[m]:+.2f}" for m in differences} == differences


def test_shortfall_against_asp_is_not_what_the_text_says(paper):
    ours, theirs = row(paper, "density_asp_cbis"), row(paper, "asp_quantile_cbis")
    assert f"{theirs['dsc'] - ours['dsc']:.2f}" == "0.84"
    assert f"{theirs['accuracy'] - ours['accuracy']:.2f}" == "0.02"
    assert any("0.84" in note.text for note in paper.notes)
    claim = paper.claim("cbis_against_asp_quantile")
    assert claim.printed == {"dsc": "-0.40", "da": "+3.91", "accuracy": "-0.03"}
    assert claim.misprinted == {"dsc": "-0.84", "accuracy": "-0.02"}


def test_area_difference_of_table_2_is_that_of_pooled_pixels_but_for_arf_net(paper):
    off = {}
    for method in paper.methods:
        if method.id.endswith("_cbis"):
            values = row(paper, method.id)
            off[method.id] = abs(abs(200 * values["sensitivity"] / values["dsc"] - 200) - values["da"])
    assert off.pop("arf_net_cbis") > 5
    assert max(off.values()) < 0.05


def test_rows_shared_with_paper_000_agree_but_for_the_noted_cell(paper):
    other = load_paper("spatial_matching")
    shared = {"dice_bce": "dice_bce", "arf_net": "arf_net", "density_asp": "density_asp"}
    shared |= {"asp_quantile": "asp_q", "asp_learned": "asp_l", "asp_cluster": "asp_c"}
    differing = []
    for here, there in shared.items():
        (theirs,) = (r for r in other.find(there).rows() if r["table"] == "Table 2")
        ours = row(paper, here)
        differing += [(here, m) for m in ("dsc", "da", "sensitivity", "accuracy") if ours[m] != theirs[m]]
    assert differing == [("arf_net", "da")]


SIX = ("dice_bce", "arf_net", "asp_quantile", "asp_learned", "asp_cluster", "density_asp")


def test_all_six_methods_can_be_trained_on_both_data_sets(paper):
    assert paper.available == (*SIX, *(f"{id}_cbis" for id in SIX))
    for id in paper.available:
        build_loss(**paper.method(id).loss)
        assert Training(**paper.method(id).training).decay == 0.5
    rebuilt = {id for id in paper.available if "(reconstruction)" in paper.find(id).label}
    assert rebuilt == {id for id in paper.available if id.startswith(("asp_", "arf_net"))}


def test_methods_on_cbis_ddsm_differ_in_the_data_and_in_what_the_paper_states_for_it(paper):
    for id in SIX:
        here, there = paper.method(id), paper.method(f"{id}_cbis")
        assert here.data["source"] == "inbreast"
        assert {k: v for k, v in there.data.items() if here.data[k] != v} == {
            "source": "cbis_ddsm", "n_images": 1591, "n_folds": 1, "protocol": "official",
        }  # fmt: skip
        assert there.label == f"{here.label}, CBIS-DDSM"
        assert (there.model, there.training, there.preprocessing) == (
            here.model,
            here.training,
            here.preprocessing,
        )
        if id != "density_asp":
            assert there.loss == here.loss
    assert paper.method("density_asp_cbis").loss == {
        "name": "density_asp", "theta": "cbis_ddsm", "dice_weight": DICE_WEIGHT["cbis_ddsm"],
    }  # fmt: skip
    assert paper.method("arf_net_cbis").model == {"name": "arfnet", "base_width": 32, "weights": "none"}


def test_density_asp_on_cbis_ddsm_weighs_as_the_paper_states(paper):
    loss = build_loss(**paper.method("density_asp_cbis").loss)
    density = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert loss.region_weight(density).tolist() == pytest.approx([0.25, 0.25, 0.85, 0.95])
    # Without the region-level term, alpha Dice + BCE by hand: .5 in all of 256 pixels, all of them mass.
    pixel_level = build_loss(**{**paper.method("density_asp_cbis").loss, "theta": [0, 0, 0, 0]})
    batch = Batch(torch.ones(1, 1, 16, 16), acr_density=torch.tensor([4.0]))
    value = float(pixel_level(torch.zeros(1, 1, 16, 16), batch))
    assert value == pytest.approx(2.5 * (1 - (128 + 1) / (128 + 256 + 1)) + math.log(2))


def test_official_split_is_that_of_the_paper_but_for_one_image(paper):
    stated = paper.method("dice_bce_cbis").data["n_images"]
    assert cbis_ddsm.WHOLE["images"] == stated + 1
    assert any("1231 and 361" in note.text for note in paper.notes)


def test_loss_settings_are_the_defaults_of_the_loss(paper):
    defaults = {name: p.default for name, p in inspect.signature(DensityASP).parameters.items()}
    settings = {
        s.name.removeprefix("loss."): s.value for s in paper.hyperparameters if s.name.startswith("loss.")
    }
    assert settings.pop("dice_weight") == DICE_WEIGHT[settings["theta"]]
    assert settings == {name: defaults[name] for name in settings}
    source = paper.setting("loss.theta").source
    assert all(", ".join(map(str, theta)) in source for theta in THETA.values())


def test_preprocessing_settings_are_the_defaults(paper):
    default = Preprocessing()
    for name in ("size", "resize", "crop"):
        assert paper.setting(f"preprocessing.{name}").value == getattr(default, name)
    assert tuple(paper.setting("preprocessing.window").value) == default.window
