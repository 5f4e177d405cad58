"""Ranks, shares of variance and numbers of patients: against hand-made truths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mammoseg_lib.reports import benchmark, estimate
from mammoseg_lib.reports.panel import Panel
from tests.measured import make_results

ARMS = {"best": 0.7, "good": 0.6, "fair": 0.598, "worst": 0.4}


@pytest.fixture(scope="module")
def panel():
    results = make_results(ARMS, n_epochs=2, arm_patient_sd=0.05, noise_sd=0.05, network_sd=0.02)
    return Panel(results, list(ARMS), n=1000)


# Pairs and ranks ------------------------------------------------------------------------------------


def test_pairs_are_the_differences_of_every_two_arms(panel):
    table = benchmark.pairs(panel)
    assert len(table) == 6
    row = table[(table["left"] == "best") & (table["right"] == "worst")].iloc[0]
    want = estimate.difference(panel, ["best"], ["worst"])
    assert (row["value"], row["low"], row["high"]) == (want.value, want.low, want.high)
    assert 0.25 < row["low"] < 0.3 < row["high"] < 0.35
    assert row["needed_10"] < row["needed_5"] < row["needed_2"]


def test_ranks_are_sure_where_arms_differ_and_open_where_they_do_not(panel):
    table = benchmark.ranks(panel, top=2).set_index("arm")
    assert table.loc["best", ["rank", "low", "high"]].tolist() == [1, 1, 1]
    assert table.loc["worst", ["rank", "low", "high"]].tolist() == [4, 4, 4]
    assert table.loc["best", "first"] == 1
    assert table.loc[["good", "fair"], "low"].tolist() == [2, 2]
    assert table.loc[["good", "fair"], "high"].tolist() == [3, 3]
    assert 0.02 < table.loc["fair", "among_first"] < 0.98
    assert table["among_first"].sum() == pytest.approx(2)
    assert table.index.tolist()[0] == "best"


def test_shares_of_ranks_are_those_of_a_loop_over_resamples(panel):
    shares = benchmark.rank_shares(panel, "dsc", "macro")
    spread = {}
    for arm in ARMS:
        spread[arm] = estimate.difference(
            panel, [arm], [a for a in ARMS if a != arm], "dsc", "macro"
        ).replicates
    counted = {arm: [0] * 4 for arm in ARMS}
    for number in range(1000):
        for rank, arm in enumerate(sorted(ARMS, key=lambda a: -spread[a][number])):
            counted[arm][rank] += 1
    for arm in ARMS:
        assert shares.loc[arm].tolist() == pytest.approx([n / 1000 for n in counted[arm]])


def test_less_is_better_of_errors(panel):
    best = benchmark.ranks(panel, "hd").set_index("arm")
    assert best.loc["best", "rank"] == 1
    assert best.loc["best", "value"] < best.loc["worst", "value"]


# Shares of variance ---------------------------------------------------------------------------------


def test_variances_of_a_balanced_design_are_those_of_the_textbook():
    """One-way: the mean squares between and within groups."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(12, 5)) + 2 * rng.normal(size=(12, 1))
    got = benchmark.henderson(y.ravel(), {"group": np.repeat(np.arange(12), 5)})
    between, within = 5 * y.mean(axis=1).var(ddof=1), y.var(axis=1, ddof=1).mean()
    assert got["rest"] == pytest.approx(within)
    assert got["group"] == pytest.approx((between - within) / 5)


def test_variances_of_a_crossed_design_are_those_of_the_textbook():
    """Two-way without repetition: rows, columns, rest."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=(7, 9)) + 2 * rng.normal(size=(7, 1)) + 0.5 * rng.normal(size=(1, 9))
    rows, columns = (code.ravel() for code in np.indices(y.shape))
    got = benchmark.henderson(y.ravel(), {"rows": rows, "columns": columns})
    rest = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0, keepdims=True) + y.mean()
    rest = (rest**2).sum() / (6 * 8)
    assert got["rest"] == pytest.approx(rest)
    assert got["rows"] == pytest.approx((9 * y.mean(axis=1).var(ddof=1) - rest) / 9)
    assert got["columns"] == pytest.approx((7 * y.mean(axis=0).var(ddof=1) - rest) / 7)


def test_variances_of_an_unbalanced_design_are_right_on_average():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 8])
    found = [
        benchmark.henderson(2 * rng.normal(size=8)[group] + rng.normal(size=36), {"group": group})
        for _ in range(600)
    ]
    # Standard errors of these means are about .1 and .02.
    assert np.mean([one["group"] for one in found]) == pytest.approx(4, abs=0.4)
    assert np.mean([one["rest"] for one in found]) == pytest.approx(1, abs=0.06)


def test_shares_of_the_effects_that_were_put_in():
    """Means over ten draws: of patients (50) and of networks (60) there are enough, of arms and folds few."""
    effects = {
        "patient_sd": 0.2,
        "arm_patient_sd": 0.1,
        "network_sd": 0.05,
        "epoch_sd": 0.04,
        "noise_sd": 0.06,
    }
    found = [
        benchmark.variance_shares(
            make_results(dict.fromkeys("abcdef", 0.5), images_each=1, seeds=(0, 1), rng=rng, **effects)
        ).set_index("component")
        for rng in range(10)
    ]
    sd = {name: np.sqrt(np.mean([one.loc[name, "variance"] for one in found])) for name in found[0].index}
    assert sd["patient"] == pytest.approx(0.2, rel=0.1)
    assert sd["loss and patient"] == pytest.approx(0.1, rel=0.1)
    assert sd["network (seed)"] == pytest.approx(0.05, rel=0.2)
    assert sd["epoch"] == pytest.approx(0.04, rel=0.1)
    assert sd["network and patient"] == pytest.approx(0.06, rel=0.1)
    assert sd["rest"] < 1e-6
    assert sd["fold"] < 0.06
    assert found[0]["share"].sum() == pytest.approx(1)
    assert found[0].loc["patient", "levels"] == 50


def test_a_single_loss_has_no_variance_between_losses():
    found = benchmark.variance_shares(make_results({"a": 0.5}, seeds=(0,)))
    assert "loss" not in set(found["component"])
    assert "loss and patient" not in set(found["component"])  # the same as patient


# Patients -------------------------------------------------------------------------------------------


def test_patients_needed_are_those_of_the_normal_formula():
    z = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    found = estimate.Estimate(0.0, -0.1, 0.1, 1.0, 100, 50, 5, 2, replicates=0.05 * z)
    # Hence an SD of one patient's difference of .05 sqrt(50); n = ((1.96 + .84) sd / size)^2.
    want = (2.8016 * 0.05 * np.sqrt(50) / 0.05) ** 2
    assert benchmark.patients_needed(found, 0.05) == pytest.approx(want, rel=0.01)
    assert benchmark.patients_needed(found, 0.10) == pytest.approx(want / 4, rel=0.02)
    with pytest.raises(ValueError, match=r"size must be positive and finite, not 0\.0"):
        benchmark.patients_needed(found, 0.0)


@pytest.mark.slow
def test_that_many_patients_show_it_four_times_in_five():
    """Differences of .1 and an SD over patients of about .23: 200 samples of the number that is asked for."""
    pilot = make_results(
        {"a": 0.5, "b": 0.5}, arm_patient_sd=0.16, n_epochs=1, images_each=1, equal_sizes=True
    )
    found = estimate.difference(Panel(pilot, ["a", "b"]), ["b"], ["a"], average="macro")
    n = benchmark.patients_needed(found, 0.1)
    assert 20 < n < 80
    shown = 0
    for rng in range(200):
        data = make_results(
            {"a": 0.5, "b": 0.6}, n_patients=n, arm_patient_sd=0.16, n_epochs=1, images_each=1,
            equal_sizes=True, seeds=(0,), n_folds=1, rng=rng + 1,
        )  # fmt: skip
        panel = Panel(data, ["a", "b"], n=200)
        shown += estimate.difference(panel, ["b"], ["a"], average="macro").low > 0
    assert 0.65 < shown / 200 < 0.93


# One protocol ---------------------------------------------------------------------------------------


def test_one_protocol_takes_complete_arms_of_one_network_once():
    results = make_results({"a": 0.6, "b": 0.5, "c": 0.4, "d": 0.3, "e": 0.2}, seeds=(0,), n_epochs=1)
    models = dict(zip("abcde", ["aunet"] * 4 + ["arfnet"], strict=True))
    settings = dict(zip("abcde", "12233", strict=True))  # c is b again
    runs = results.runs.assign(
        model=results.runs["arm"].map(models), settings=results.runs["arm"].map(settings)
    )
    runs["label"] = "AU-Net, " + runs["arm"].str.upper()
    results.runs = runs[(runs["arm"] != "d") | (runs["fold"] > 0)]
    labels = dict(zip("abcde", runs["label"].unique(), strict=True))
    results.best, results.last = (t.assign(label=t["arm"].map(labels)) for t in (results.best, results.last))

    found = benchmark.one_protocol(results)
    assert list(dict.fromkeys(found.runs["arm"])) == ["A", "B"]
    assert set(found.last["arm"]) == {"A", "B"}
    got, want = (
        estimate.difference(Panel(each, arms), [arms[0]], [arms[1]])
        for each, arms in ((found, ["A", "B"]), (results, ["a", "b"]))
    )
    assert got.value == want.value
    with pytest.raises(ValueError, match="no setting with resnet has all"):
        benchmark.one_protocol(results, model="resnet")


@pytest.mark.parametrize(
    ("model", "label", "expected"),
    [
        ("aunet", "AU-Net, BCE", "BCE"),
        ("aunet", "AU-Net, SM-SD, BCE, L*_G-A", "SM-SD, BCE, L*_G-A"),
        ("aunet", "AU-Net (baseline)", "AU-Net (baseline)"),
        ("aunet", "SM-SD, BCE", "SM-SD, BCE"),
        ("resnet34_unet", "ResNet34 U-Net, BCE", "BCE"),
        ("resnet34_unet", "AU-Net, BCE", "AU-Net, BCE"),
    ],
)
def test_the_network_that_all_share_is_left_out_of_a_label(model, label, expected):
    results = make_results({"a": 0.6}, seeds=(0,), n_epochs=1)
    results.runs = results.runs.assign(model=model, settings=results.runs["fold"].astype(str), label=label)
    results.best, results.last = (t.assign(label=label) for t in (results.best, results.last))
    assert set(benchmark.one_protocol(results, model).last["arm"]) == {expected}
