"""The rules of the claims: what an interval says, and that every rule can be carried out."""

from __future__ import annotations

import math

import pytest

from mammoseg_lib.metrics import METRICS
from mammoseg_lib.papers import LOWER_IS_BETTER, MARGINS, Claim, load_paper, paper_keys, verdict
from mammoseg_lib.yaml_files import YamlFileError, validated

TEXTS = {
    "spatial_matching": "000",
    "density_asp": "001",
    "boundary_ultrasound": "002",
    "encoder_decoders": "003",
}
CLAIMS = [(key, claim) for key in paper_keys() for claim in load_paper(key).claims]


# From an interval to a verdict ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "better", "worse", "similar"),
    [
        (0.5, 9, "held", "reversed", "undecided"),
        (2.5, 9, "held", "reversed", "reversed"),
        (-9, -0.5, "reversed", "held", "undecided"),
        (-9, -2.5, "reversed", "held", "reversed"),
        (-1, 1, "no difference", "no difference", "held"),
        (0.5, 1.5, "no difference", "no difference", "held"),
        (-1.5, -0.5, "no difference", "no difference", "held"),
        (-1, 3, "undecided", "undecided", "undecided"),
        (-9, 9, "undecided", "undecided", "undecided"),
        (0, 9, "undecided", "undecided", "undecided"),
        (-2, 1, "undecided", "undecided", "undecided"),
    ],
)
def test_what_an_interval_says(low, high, better, worse, similar):
    expected = {"better": better, "worse": worse, "similar": similar}
    for expects, want in expected.items():
        assert verdict(low, high, expects, 2.0, lower_is_better=False) == want
        # Of a metric of which less is better, the mirror image says the same.
        assert verdict(-high, -low, expects, 2.0, lower_is_better=True) == want


def test_a_decision_is_right_wherever_in_the_interval_the_truth_lies():
    """Nothing is said of an interval that holds a value that contradicts it."""
    grid = [x / 4 for x in range(-20, 21)]
    contradicts = {
        ("better", "held"): lambda d: d <= 0,
        ("better", "reversed"): lambda d: d >= 0,
        ("better", "no difference"): lambda d: abs(d) >= 2,
        ("similar", "held"): lambda d: abs(d) >= 2,
        ("similar", "reversed"): lambda d: abs(d) <= 2,
    }
    said = set()
    for low in grid:
        for high in (x for x in grid if x >= low):
            for expects in ("better", "similar"):
                name = verdict(low, high, expects, 2.0, lower_is_better=False)
                said.add((expects, name))
                if name != "undecided":
                    wrong = contradicts[expects, name]
                    assert not any(wrong(d) for d in grid if low <= d <= high), (low, high, expects)
    assert said == {*contradicts, ("better", "undecided"), ("similar", "undecided")}


@pytest.mark.parametrize(
    ("low", "high", "margin", "message"),
    [(2, 1, 2, "no interval"), (math.nan, 1, 2, "no interval"), (0, 1, 0, "margin=0 must be positive")],
)
def test_what_is_no_interval_or_no_margin_is_refused(low, high, margin, message):
    with pytest.raises(ValueError, match=message):
        verdict(low, high, "better", margin, lower_is_better=False)


# The rules of the four papers -----------------------------------------------------------------------


def test_about_ten_claims_a_paper_each_with_one_way_to_decide():
    count = {key: len(load_paper(key).claims) for key in TEXTS}
    assert count == {
        "spatial_matching": 19,
        "density_asp": 15,
        "boundary_ultrasound": 9,
        "encoder_decoders": 9,
    }
    for _, claim in CLAIMS:
        assert (claim.count is not None) + bool(claim.untestable) + bool(
            claim.study and not claim.untestable
        ) == 1


@pytest.mark.parametrize(("key", "claim"), CLAIMS, ids=[f"{key}-{claim.id}" for key, claim in CLAIMS])
def test_every_rule_can_be_carried_out(key, claim):
    paper = load_paper(key)
    assert claim.metrics[0] == "dsc" or claim.metrics in (("accuracy",), ("components",))
    own = {method.id for method in paper.methods} | {"bce", "tversky", "dice"}  # the last are of the study
    other = {m.id for m in load_paper(claim.against_study).methods} if claim.against_study else own
    assert {arm.partition("/")[0] for arm in claim.arms} <= own
    assert {arm.partition("/")[0] for arm in claim.against} <= other
    if claim.study:
        assert claim.study.partition(".")[0] == key
    if claim.arms:
        rule = claim.rule(paper.aggregate)
        assert all(arm in rule for arm in (*claim.arms, *claim.against))
        assert all(f"{metric} (±{claim.margin_of(metric):g})" in rule for metric in claim.metrics)
        assert ("mean over test images" in rule) == ((claim.average or paper.aggregate) == "macro")


def test_margins_are_two_points_of_dsc_unless_a_reason_is_given():
    assert MARGINS["dsc"] == 2
    others = {(key, claim.id): claim.margin for key, claim in CLAIMS if claim.margin}
    assert others.pop(("boundary_ultrasound", "rebalance_better")) == {"dsc": 0.3}
    assert others.pop(("density_asp", "accuracy_below_arf_net")) == {"accuracy": 0.05}
    assert all(margin == {"dsc": 5.4} for margin in others.values())
    paper = load_paper("encoder_decoders")
    rows = {m.id: m.rows()[0]["dsc"] for m in paper.methods}
    largest = rows["resnet22_unet_inbreast"] - rows["resnet34_unet_inbreast"]
    assert round(100 * largest, 1) == 5.4


def test_margins_of_other_metrics_are_what_two_points_of_dsc_are_worth():
    def accuracy(dsc, sensitivity=0.58, fraction=0.025):
        return 100 * (1 - 2 * fraction * sensitivity * (1 / dsc - 1))

    assert accuracy(0.67) - accuracy(0.65) == pytest.approx(MARGINS["accuracy"], abs=0.05)
    area = [100 * abs(2 * sensitivity / 0.65 - 2) for sensitivity in (0.58, 0.60)]
    assert area[0] - area[1] == pytest.approx(MARGINS["da"], abs=0.5)


def test_less_is_better_of_errors_only():
    assert set(MARGINS) - {"components"} <= set(METRICS)
    assert set(LOWER_IS_BETTER) == {"da", "hd", "components"}


def test_what_a_claim_lacks_is_said():
    with pytest.raises(YamlFileError, match="x: needs one of: arms and against, count, or why"):
        validated(Claim, {"id": "a", "section": "1", "quote": "q"}, "x")
    with pytest.raises(YamlFileError, match=r"expects is 'beter', not one of 'better'"):
        validated(Claim, {"id": "a", "section": "1", "quote": "q", "expects": "beter"}, "x")


# What is counted ------------------------------------------------------------------------------------


def counts(key: str, id: str):
    return load_paper(key).claim(id).count


def test_counts_say_held_or_reversed():
    found = {(key, claim.id): claim.count.verdict for key, claim in CLAIMS if claim.count}
    assert found == {
        ("spatial_matching", "images_with_masses"): "held",
        ("density_asp", "inbreast_counts"): "held",
        ("density_asp", "cbis_counts"): "reversed",
        ("boundary_ultrasound", "images_below_5_percent"): "reversed",
        ("encoder_decoders", "encoder_parameters"): "held",
        ("encoder_decoders", "decoder_parameters"): "held",
    }


def test_masses_of_inbreast_are_as_counted(real_inbreast):
    from mammoseg_lib.datasets import inbreast

    table = inbreast.index(real_inbreast, with_masses=True)
    found = (len(table), int(table["n_masses"].sum()))
    assert found == counts("density_asp", "inbreast_counts").ours
    assert found[:1] == counts("spatial_matching", "images_with_masses").ours
    # What the note of minimum_over_mean_size says.
    assert int((table["n_masses"] > 1).sum()) == 8
    assert "8 of 107" in load_paper("spatial_matching").claim("minimum_over_mean_size").note


def test_images_of_busi_are_as_counted(real_busi):
    from mammoseg_lib.datasets import busi

    table = busi.index(real_busi, with_masses=True)
    count = counts("boundary_ultrasound", "images_below_5_percent")
    assert (len(busi.select(table, max_area=0.05)),) == count.ours
    assert (len(busi.select(table, max_area=0.10)),) == count.printed


def test_tables_of_cbis_ddsm_are_as_counted(real_cbis_ddsm):
    from mammoseg_lib.datasets import cbis_ddsm

    assert sum(counts("density_asp", "cbis_counts").ours) == cbis_ddsm.WHOLE["images"]


def test_parameters_are_as_counted():
    from mammoseg_lib.models import build_model, count_parameters

    def sizes(name):
        network = build_model(name, weights="none")
        encoder = count_parameters(network.encoder)
        return encoder, count_parameters(network) - encoder

    unet22, fpn22 = sizes("resnet22_unet"), sizes("resnet22_fpn")
    encoder34 = count_parameters(build_model("resnet34_unet", weights="none", in_channels=3).encoder)
    assert (encoder34, unet22[0]) == counts("encoder_decoders", "encoder_parameters").ours
    decoders = counts("encoder_decoders", "decoder_parameters")
    assert (fpn22[1], unet22[1]) == decoders.ours
    for name in ("resnet34_fpn", "resnet34_unet"):
        assert f"{sizes(name)[1]:,}" in decoders.how
