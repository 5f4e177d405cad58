"""The ledger of claims: verdicts of tables whose truth is known, Holm's correction, and what is not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mammoseg_lib.papers import VERDICTS, load_paper, paper_keys
from mammoseg_lib.reports import claims, estimate
from mammoseg_lib.studies import load_study, study_names
from tests.measured import make_results

QUIET = {"patient_sd": 0.2, "arm_patient_sd": 0.01, "noise_sd": 0.01, "n_epochs": 2}
TESTED = ("spatial_matching", "density_asp", "boundary_ultrasound", "encoder_decoders")


def arms_of(study: str) -> list[str]:
    return ["/".join(filter(None, arm)) for arm in load_study(study).arms("reduced")]


def load_with(means: dict[str, float], **effects):
    """Results of any study: .5 for every arm but those that are given; a study with None was not run."""

    def load(study: str):
        if means.get(study, 0.5) is None:
            empty = make_results({"x": 0.5}, study=study, n_patients=5, seeds=(0,), n_epochs=1)
            return type(empty)(**{name: table.head(0) for name, table in vars(empty).items()})
        arms = {arm: means.get(arm, 0.5) for arm in arms_of(study) if means.get(arm, 0.5) is not None}
        return make_results(arms, study=study, **{**QUIET, **effects})

    return load


@pytest.fixture(scope="module")
def table():
    """SM-S with Tversky is 6 points better than all else, Density-ASP 5 worse; nothing else differs."""
    means = {
        "sm_s_tversky_all": 0.56,
        "density_asp": 0.45,
        "bce": 0.5,
        "encoder_decoders.architectures": None,
    }
    return claims.ledger(load=load_with(means), n=1000).set_index("claim")


# Verdicts -------------------------------------------------------------------------------------------


def test_every_claim_of_every_paper_has_a_verdict(table):
    assert len(table) == sum(len(load_paper(key).claims) for key in paper_keys())
    assert set(table["verdict"]) <= set(VERDICTS)
    assert set(table["verdict"]) >= {
        "held",
        "reversed",
        "no difference",
        "cannot be tested here",
        "not run yet",
    }


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("best_over_baseline", "held"),
        ("best_over_arf_net", "held"),
        ("best_over_density_asp", "held"),
        ("tversky_best_is_scale", "held"),
        ("basic_over_bce", "no difference"),
        ("bce_all_over_nonzero", "no difference"),
        ("minimum_over_mean_size", "no difference"),
        ("dice_like_asp", "held"),
        ("over_baseline", "reversed"),
        ("over_asp_cluster", "reversed"),
        ("accuracy_below_asp_cluster", "held"),
        ("density_is_the_signal", "reversed"),
        ("rebalance_similar", "held"),
        ("cbis_over_baseline", "cannot be tested here"),
        ("hard_examples", "cannot be tested here"),
        ("decoders_similar", "not run yet"),
        ("images_below_5_percent", "reversed"),
        ("encoder_parameters", "held"),
    ],
)
def test_verdicts_are_those_of_the_means_that_were_put_in(table, claim, verdict):
    assert table.loc[claim, "verdict"] == verdict


def test_rows_say_what_was_printed_and_measured(table):
    row = table.loc["best_over_baseline"]
    assert row["printed"] == "+11.92"
    value, low, high = map(float, row["measured"].replace("[", "").replace("]", "").replace(",", "").split())
    assert 4 < low < value < high < 8
    assert (row["n"], row["origin"], row["study"]) == ("50 patients, 2 seeds", "shipped", "spatial_matching")
    assert "20_train_spatial_matching" in row["notebooks"]
    # Not in the text, but in the table: in parentheses.
    assert table.loc["best_over_density_asp", "printed"] == "(+2.65)"
    assert table.loc["rebalance_better", "printed"] == "+0.3"
    assert table.loc["linear_similar", "printed"] == "(+0.00)"
    assert table.loc["images_below_5_percent", ["printed", "measured"]].tolist() == ["425", "291"]
    assert "CBIS-DDSM" in table.loc["cbis_over_baseline", "reason"]
    assert "resnet34_unet of encoder_decoders.architectures" in table.loc["decoders_similar", "reason"]


def test_a_ledger_is_no_wider_than_what_its_rules_say(table):
    for claim, row in table.iterrows():
        paper = next(load_paper(k) for k in paper_keys() if load_paper(k).cite == row["paper"])
        assert row["rule"] == paper.claim(claim).rule(paper.aggregate)


def test_measured_numbers_are_those_of_the_estimate():
    load = load_with({"sm_s_tversky_all": 0.56})
    paper = load_paper("spatial_matching")
    results = estimate.gather(load(name) for name in claims.studies_of(paper))
    rows = claims.measured(paper, results, n=300).set_index(["claim", "metric"])
    arms = [("spatial_matching", "sm_s_tversky_all"), ("spatial_matching", "dice_bce")]
    panel = estimate.Panel(results, arms, n=300)
    for metric in ("dsc", "da", "sensitivity", "accuracy"):
        got, want = (
            rows.loc[("best_over_baseline", metric)],
            estimate.difference(panel, *[[a] for a in arms], metric),
        )
        assert got[["value", "low", "high"]].tolist() == pytest.approx(
            [100 * x for x in (want.value, want.low, want.high)]
        )
        best = estimate.difference(panel, *[[a] for a in arms], metric, at="best")
        assert got["best"] == pytest.approx(100 * best.value)
    pairs = rows.loc[("bce_all_over_nonzero", "dsc")]
    group = (
        [f"sm_{v}_bce_all" for v in ("b", "d", "s", "sd")],
        [f"sm_{v}_bce_nonzero" for v in ("b", "d", "s", "sd")],
    )
    group = [[("spatial_matching", arm) for arm in arms] for arms in group]
    panel = estimate.Panel(results, [*group[0], *group[1]], n=300)
    assert pairs["value"] == pytest.approx(100 * estimate.difference(panel, *group).value)
    assert panel.arms[-1][0] == "spatial_matching.rest"


def test_a_sentence_about_all_metrics_needs_them_all():
    rows = pd.DataFrame({"p_held": [0.001, 0.02], "p_reversed": [1, 0.4], "p_no_difference": [1, 1]})
    held = claims._combined(rows.assign(verdict=["held", "held"]))
    assert held == {"alone": "held", "p": 0.02}
    mixed = claims._combined(rows.assign(verdict=["held", "undecided"]))
    assert mixed["alone"] == "undecided"
    turned = claims._combined(rows.assign(verdict=["held", "reversed"], p_reversed=[1, 0.01]))
    assert turned == {"alone": "reversed", "p": 0.02}
    same = claims._combined(rows.assign(verdict=["no difference"] * 2, p_no_difference=[0.03, 0.01]))
    assert same == {"alone": "no difference", "p": 0.03}
    assert claims._combined(rows.assign(verdict=["held", "no difference"]))["alone"] == "undecided"


# Holm -----------------------------------------------------------------------------------------------


def test_holm_by_hand():
    assert claims.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert claims.holm([0.01, 0.04], 10) == pytest.approx([0.1, 0.36])
    assert claims.holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert claims.holm([]) == []


def test_holm_is_that_of_closed_testing():
    """A p is rejected if Bonferroni rejects every set of tests that it is in."""
    from itertools import combinations

    rng = np.random.default_rng(0)
    for _ in range(30):
        p = rng.uniform(0, 0.1, size=5)
        for place, corrected in enumerate(claims.holm(list(p))):
            sets = [s for k in range(1, 6) for s in combinations(range(5), k) if place in s]
            assert corrected == pytest.approx(max(min(1.0, len(s) * min(p[list(s)])) for s in sets))


def test_a_verdict_that_holm_does_not_reach_is_undecided():
    """A difference that is clear alone (p about .02) is not clear among the fifteen claims of 000."""
    load = load_with({"sm_s_tversky_all": 0.535}, arm_patient_sd=0.07, patient_sd=0.1, noise_sd=0.05)
    rows = claims.ledger(["spatial_matching"], load, n=2000).set_index("claim")
    between = rows[(rows["alone"] != rows["verdict"]) & rows["p"].notna()]
    assert len(between)
    assert set(between["verdict"]) == {"undecided"}
    assert (between["p"] > 0.05).all()
    decided = rows[rows["verdict"].isin(claims.DECIDED) & rows["p"].notna()]
    assert (decided["p"] <= 0.05).all()


def test_claims_that_were_not_run_count_in_the_family():
    """What is known of one claim does not change when another is run."""
    everything = load_with({"sm_s_tversky_all": 0.56})
    part = load_with({"sm_s_tversky_all": 0.56, "spatial_matching.rest": None, "density_asp": None})

    def p(load):
        rows = claims.ledger(["spatial_matching"], load, n=500).set_index("claim")
        return rows.loc["best_over_baseline", "p"], (rows["verdict"] == "not run yet").sum()

    (with_all, none), (with_part, some) = p(everything), p(part)
    assert none == 0
    assert some >= 4
    # Its rank among the others may differ, the number of tests does not.
    alone = 2 / 501
    assert with_part <= len(load_paper("spatial_matching").claims) * alone
    assert with_all == pytest.approx(with_part, rel=1)


def test_p_is_where_the_interval_begins_to_decide():
    """Of resamples that are normal quantiles, p is that of a two-sided z test, or of two one-sided ones."""
    z = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    found = estimate.Estimate(0.03, 0.01, 0.05, 1.0, 100, 50, 5, 2, replicates=0.03 + 0.01 * z)
    said = claims._said(found, 100.0, "better", 2.0, False)
    assert said["verdict"] == "held"
    assert said["p_held"] == pytest.approx(2 * stats.norm.sf(3), rel=0.05)
    assert said["p_no_difference"] == 1
    small = estimate.Estimate(0.002, -0.015, 0.019, 1.0, 100, 50, 5, 2, replicates=0.002 + 0.0085 * z)
    said = claims._said(small, 100.0, "similar", 2.0, False)
    assert said["verdict"] == "held"
    assert said["p_held"] == pytest.approx(2 * stats.norm.sf(1.8 / 0.85), rel=0.05)


# What is not there ----------------------------------------------------------------------------------


def test_without_any_results_every_comparison_is_not_run_yet():
    nothing = dict.fromkeys(study_names())
    rows = claims.ledger(load=load_with(nothing), n=10)
    compared = rows[
        rows["claim"].map(
            {c.id: bool(c.study and not c.untestable) for k in paper_keys() for c in load_paper(k).claims}
        )
    ]
    assert set(compared["verdict"]) == {"not run yet"}
    assert set(rows["verdict"]) == {"not run yet", "cannot be tested here", "held", "reversed"}


def test_a_study_with_some_folds_only_is_not_run_yet():
    def load(study):
        results = load_with({})(study)
        return type(results)(**{name: t[t["fold"] < 3] for name, t in vars(results).items()})

    rows = claims.ledger(["boundary_ultrasound"], load, n=10).set_index("claim")
    assert rows.loc["linear_similar", "verdict"] == "not run yet"
    assert "folds other than 0, 1, 2" in rows.loc["linear_similar", "reason"]


# The first screen -----------------------------------------------------------------------------------


def test_table_of_the_first_screen(table):
    text = claims.readme_table(table.reset_index())
    lines = text.splitlines()
    headlines = [c.headline for key in paper_keys() for c in load_paper(key).claims if c.headline]
    assert len(headlines) == 17
    assert len(lines) == 2 + len(headlines) + 2
    assert all(line.count("|") == 6 for line in lines[:-2])
    for headline in headlines:
        (line,) = (line for line in lines if f"| {headline} |" in line)
        assert line.rpartition("**")[0].rpartition("**")[2] in VERDICTS
    assert lines[-1].startswith(f"All {len(table)} claims: ")
    counts = [int(part.split()[0]) for part in lines[-1].partition(": ")[2].split(", ")]
    assert sum(counts) == len(table)
    # A page is 850 px wide: about 130 characters in a table of this size.
    assert max(map(len, lines)) < 190
