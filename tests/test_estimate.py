"""Values and intervals: against naive loops, and their coverage on data whose truth is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mammoseg_lib.reports import estimate
from mammoseg_lib.reports.arms import NotRunError
from mammoseg_lib.reports.panel import Panel, weighted_sums
from tests.measured import counts_of, make_results

ARMS = {"dice_bce": 0.55, "bce": 0.5, "sm_sd_bce_all": 0.6, "sm_s_tversky_all": 0.65}
EFFECTS = {"arm_patient_sd": 0.1, "network_sd": 0.05, "fold_sd": 0.02, "epoch_sd": 0.05, "noise_sd": 0.05}


@pytest.fixture(scope="module")
def results():
    return make_results(ARMS, n_patients=30, seeds=(0, 1, 2), **EFFECTS)


FORMULAS = {
    "dsc": lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp + fn),
    "iou": lambda tp, fp, fn, tn: tp / (tp + fp + fn),
    "sensitivity": lambda tp, fp, fn, tn: tp / (tp + fn),
    "precision": lambda tp, fp, fn, tn: tp / (tp + fp),
    "accuracy": lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn),
    "da": lambda tp, fp, fn, tn: abs(fp - fn) / (tp + fn),
}


def naive(table, arm, metric, average, patient=None, network=None, n_slots=None) -> float:
    """A value by loops over rows; each patient so often, each slot with the seed that is given for a fold."""
    formula = FORMULAS[metric]
    own = table[table["arm"] == arm].to_dict("records")
    folds, seeds, epochs = (sorted({row[name] for row in own}) for name in ("fold", "seed", "epoch"))
    values = []
    for slot in range(n_slots or len(seeds)):
        by_epoch = {}
        for epoch in epochs:
            by_epoch[epoch] = []
            for fold in folds:
                seed = seeds[slot] if network is None else network[slot][fold]
                for row in own:
                    if (row["fold"], row["seed"], row["epoch"]) == (fold, seed, epoch):
                        times = 1 if patient is None else patient[row["patient_id"]]
                        by_epoch[epoch] += [[row[name] for name in ("tp", "fp", "fn", "tn")]] * times
        if average == "micro":
            values += [
                formula(*(sum(column) for column in zip(*rows, strict=True))) for rows in by_epoch.values()
            ]
        else:
            images = [
                [formula(*counts) for counts in image] for image in zip(*by_epoch.values(), strict=True)
            ]
            values.append(sum(sum(image) / len(image) for image in images) / len(images))
    return sum(values) / len(values)


# Values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("metric", ["dsc", "iou", "sensitivity", "precision", "accuracy", "da"])
def test_value_is_that_of_loops_over_epochs_folds_and_seeds(results, metric, average):
    panel = Panel(results, ["sm_sd_bce_all"], n=2)
    got = estimate.value(panel, "sm_sd_bce_all", metric, average)
    assert got.value == pytest.approx(naive(results.last, "sm_sd_bce_all", metric, average), rel=1e-12)
    assert (got.images, got.patients, got.folds, got.seeds) == (60, 30, 5, 3)


def test_pooled_value_is_not_the_mean_of_the_folds(results):
    """Every image of a seed is in one pool, as in a paper's test set."""
    panel = Panel(results, ["bce"], n=2)
    pooled = estimate.value(panel, "bce", "dsc", "micro").value
    table = results.last[results.last["arm"] == "bce"]
    sums = table.groupby(["fold", "seed", "epoch"])[["tp", "fp", "fn", "tn"]].sum()
    by_fold = (2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])).mean()
    assert abs(pooled - by_fold) > 1e-4


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_every_resample_is_that_of_rows_that_are_repeated(results, average):
    arm = "sm_s_tversky_all"
    panel = Panel(results, [arm, "bce"], n=4, seed=3)
    w, v = panel.resamples
    got = panel.values(arm, "dsc", average, "last", "resamples")
    for number in range(4):
        patient = dict(zip(panel.patients, w[number].astype(int), strict=True))
        drawn = v[number].reshape(2, len(panel.folds), len(panel.seeds)).argmax(-1)
        network = [[panel.seeds[s] for s in slot] for slot in drawn]
        assert got[number] == pytest.approx(naive(results.last, arm, "dsc", average, patient, network, 2))


def test_resamples_draw_all_patients_and_one_network_a_fold_and_slot(results):
    panel = Panel(results, ["bce"], n=5000)
    w, v = panel.resamples
    assert w.shape == (5000, 30)
    assert (w.sum(axis=1) == 30).all()
    assert w.mean(axis=0) == pytest.approx(1, abs=0.1)
    assert w.var() == pytest.approx(29 / 30, rel=0.02)
    by_fold = v.reshape(5000, 2, 5, 3)
    assert (by_fold.sum(axis=-1) == 1).all()
    assert by_fold.mean(axis=(0, 1)) == pytest.approx(1 / 3, abs=0.03)
    # Folds draw independently: not one set of seeds for all.
    assert np.corrcoef(by_fold[:, 0, 0, 0], by_fold[:, 0, 1, 0])[0, 1] == pytest.approx(0, abs=0.05)


def test_variance_of_the_networks_is_that_of_the_mean_over_seeds():
    """Without any effect but that of networks, resamples spread as s^2 / S of each fold says."""
    results = make_results({"a": 0.5}, patient_sd=0, network_sd=0.1, equal_sizes=True, seeds=(0, 1, 2, 3))
    panel = Panel(results, ["a"], n=20_000)
    every, v = np.ones((20_000, 50)), panel.resamples[1]
    slots = weighted_sums(panel._sums("dsc", "macro", "last")[0], every, v)
    got = (slots[..., 0] / slots[..., 1]).mean(axis=(1, 2)).var()
    means = results.last.assign(dsc=results.last["tp"] / 400).pivot_table("dsc", "fold", "seed")
    sizes = results.last.groupby("fold")["sample_id"].nunique()
    share = sizes / sizes.sum()
    assert got == pytest.approx(float((share**2 * means.var(axis=1, ddof=1) / 4).sum()), rel=0.05)


def test_without_a_fold_leaves_out_its_images(results):
    panel = Panel(results, ["bce"], n=2)
    got = panel.values("bce", "dsc", "micro", "last", "without_a_fold")
    for fold, one in zip(panel.folds, got, strict=True):
        rest = results.last[results.last["fold"] != fold]
        assert one == pytest.approx(naive(rest, "bce", "dsc", "micro"))


def test_best_epoch_and_distances_come_from_the_best_epochs(results):
    best = results.best[results.best["arm"] == "bce"].copy()
    missed = best.groupby(["fold", "seed"]).head(1).index
    best.loc[missed, "hd"] = np.nan
    changed = make_results(ARMS, n_patients=30, seeds=(0, 1, 2), **EFFECTS)
    changed.best.loc[missed, "hd"] = np.nan
    panel = Panel(changed, ["bce"], n=2)
    got = estimate.value(panel, "bce", "hd", "micro")
    assert got.value == pytest.approx(best.groupby("seed")["hd"].mean().mean())
    assert got.left_out == pytest.approx(15 / len(best))
    sums = best.groupby("seed")[["tp", "fp", "fn"]].sum()
    pooled = (2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])).mean()
    assert estimate.value(panel, "bce", "dsc", "micro", "best").value == pytest.approx(pooled)
    assert estimate.value(panel, "bce", "dsc", "micro").value != pytest.approx(pooled, abs=1e-4)


def test_a_prediction_without_a_component_has_no_number_of_components(results):
    changed = make_results(ARMS, n_patients=30, seeds=(0,))
    own = changed.best.index[changed.best["arm"] == "bce"]
    changed.best.loc[own[:30], "components"] = 0
    changed.best.loc[own[30:], "components"] = 3
    got = estimate.value(Panel(changed, ["bce"], n=2), "bce", "components")
    assert (got.value, got.left_out) == (3, 0.5)


# Differences ----------------------------------------------------------------------------------------


def test_difference_of_groups_is_that_of_their_means(results):
    panel = Panel(results, list(ARMS), n=50)
    left, right = ["sm_sd_bce_all", "sm_s_tversky_all"], ["bce", "dice_bce"]
    got = estimate.difference(panel, left, right, "dsc", "micro")
    values = {arm: estimate.value(panel, arm) for arm in ARMS}
    assert got.value == pytest.approx(
        np.mean([values[a].value for a in left]) - np.mean([values[a].value for a in right])
    )
    replicates = np.mean([values[a].replicates for a in left], axis=0)
    replicates = replicates - np.mean([values[a].replicates for a in right], axis=0)
    if all(values[a].widened == 1 for a in ARMS) and got.widened == 1:
        assert got.replicates == pytest.approx(replicates)
    raw = got.value + (got.replicates - got.value) / got.widened
    each = {a: panel.values(a, "dsc", "micro", "last", "resamples") for a in ARMS}
    want = np.mean([each[a] for a in left], axis=0) - np.mean([each[a] for a in right], axis=0)
    assert raw == pytest.approx(want)


def test_identical_arms_differ_by_nothing_at_all(results):
    twin = results.last[results.last["arm"] == "bce"].assign(arm="twin")
    changed = make_results(ARMS, n_patients=30, seeds=(0, 1, 2), **EFFECTS)
    changed.last = pd.concat([results.last, twin], ignore_index=True)
    changed.runs = pd.concat([changed.runs, changed.runs.assign(arm="twin")], ignore_index=True)
    got = estimate.difference(Panel(changed, ["bce", "twin"], n=100), ["twin"], ["bce"])
    assert (got.value, got.low, got.high) == (0, 0, 0)


def test_arms_of_equal_mean_have_an_interval_around_zero():
    results = make_results({"a": 0.5, "b": 0.5}, rng=5, **EFFECTS)
    got = estimate.difference(Panel(results, ["a", "b"]), ["a"], ["b"], average="macro")
    assert got.low < 0 < got.high


def test_pairing_takes_out_what_arms_share():
    """Patients differ by .3, arms on them by .02: the difference is known far better than either value."""
    results = make_results({"a": 0.4, "b": 0.5}, patient_sd=0.3, noise_sd=0.02)
    panel = Panel(results, ["a", "b"])
    single, both = estimate.value(panel, "a"), estimate.difference(panel, ["b"], ["a"])
    assert both.high - both.low < (single.high - single.low) / 5
    assert both.low < 0.1 < both.high


def test_the_same_seed_gives_the_same_interval(results):
    one, two, other = (estimate.value(Panel(results, ["bce"], n=200, seed=s), "bce") for s in (0, 0, 1))
    assert (one.low, one.high) == (two.low, two.high) != (other.low, other.high)


def test_spread_of_the_folds_widens_an_interval():
    """With one seed, resamples see patients only; networks that differ by fold show in the jackknife."""
    calm = make_results({"a": 0.5}, seeds=(0,), patient_sd=0.1, rng=2)
    rough = make_results({"a": 0.5}, seeds=(0,), patient_sd=0.1, network_sd=0.2, rng=2)
    narrow, wide = (estimate.value(Panel(r, ["a"]), "a", average="macro") for r in (calm, rough))
    assert narrow.widened < 2 < wide.widened
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)
    raw = Panel(rough, ["a"]).values("a", "dsc", "macro", "last", "resamples")
    assert np.std(wide.replicates) == pytest.approx(wide.widened * np.std(raw))


def test_one_patient_has_no_interval():
    results = make_results({"a": 0.5}, n_patients=1, n_folds=1, seeds=(0,))
    got = estimate.value(Panel(results, ["a"]), "a")
    assert got.value == pytest.approx(0.5, abs=0.3)
    assert np.isnan([got.low, got.high]).all()


# Coverage -------------------------------------------------------------------------------------------


def two_arms(rng: int, n_seeds: int, arm_patient_sd: float, network_sd: float, noise_sd: float):
    """Two arms, .50 and .55, on 50 patients in 5 folds: one image a patient, one epoch."""
    random = np.random.default_rng(rng)
    shape = (2, n_seeds, 50)  # arm, seed, patient
    fold = np.tile(np.repeat(np.arange(5), 10), (2, n_seeds, 1))
    dsc = np.array([0.50, 0.55])[:, None, None] + 0.2 * random.standard_normal(50)
    dsc = dsc + arm_patient_sd * random.standard_normal((2, 1, 50)) + noise_sd * random.standard_normal(shape)
    dsc = dsc + np.repeat(network_sd * random.standard_normal((2, n_seeds, 5)), 10, axis=2)
    arm, seed, patient = np.indices(shape)
    ids = np.char.add("p", patient.ravel().astype(str))
    counts = counts_of(dsc.ravel(), np.full(dsc.size, 400.0))
    table = {"study": "s", "arm": np.array(["a", "b"])[arm.ravel()], "seed": seed.ravel(), "epoch": 59}
    last = pd.DataFrame({**table, "fold": fold.ravel(), "sample_id": ids, "patient_id": ids, **counts})
    runs = last[["study", "arm", "fold", "seed"]].drop_duplicates()
    return SimpleNamespace(runs=runs, best=None, last=last)


def coverage(n: int, average: str, n_resamples: int = 200, **effects) -> tuple[float, float]:
    """How often the interval of a difference holds the truth (.05), and how often one of patients alone."""
    hits = alone = 0
    for rng in range(n):
        panel = Panel(two_arms(1000 + rng, **effects), ["a", "b"], n=n_resamples, seed=rng)
        got = estimate.difference(panel, ["b"], ["a"], average=average)
        hits += got.low <= 0.05 <= got.high
        low, high = np.quantile(got.value + (got.replicates - got.value) / got.widened, [0.025, 0.975])
        alone += low <= 0.05 <= high
    return hits / n, alone / n


@pytest.mark.slow
@pytest.mark.parametrize(("n_seeds", "average"), [(2, "macro"), (2, "micro"), (1, "macro"), (3, "macro")])
def test_nineteen_of_twenty_intervals_hold_the_truth(n_seeds, average):
    """A method differs from another by patient (SD .18), by network (.05) and by image and network (.07).

    Both arms draw these effects, so that a difference has them twice. Of 150 intervals of level .95 fewer
    than 134 hold the truth with a probability below 1 in 400.
    """
    covered, _ = coverage(150, average, n_seeds=n_seeds, arm_patient_sd=0.18, network_sd=0.05, noise_sd=0.07)
    assert 134 / 150 <= covered <= 1


@pytest.mark.slow
def test_random_divisions_that_test_an_image_several_times_or_never():
    """Five divisions, each of a fifth of 150 images at random; the rest as above."""

    def divided(rng: int):
        random = np.random.default_rng(rng)
        patient, own = 0.2 * random.standard_normal(150), 0.15 * random.standard_normal((2, 150))
        parts = []
        for fold in range(5):
            tested = random.permutation(150)[:30]
            for arm, name in enumerate("ab"):
                for seed in range(2):
                    dsc = (0.50, 0.55)[arm] + patient[tested] + own[arm, tested]
                    dsc = dsc + 0.03 * random.standard_normal() + 0.07 * random.standard_normal(30)
                    ids = np.char.add("p", tested.astype(str))
                    labels = {"study": "s", "arm": name, "fold": fold, "seed": seed, "epoch": 59}
                    counts = counts_of(dsc, np.full(30, 400.0))
                    parts.append(pd.DataFrame({**labels, "sample_id": ids, "patient_id": ids, **counts}))
        last = pd.concat(parts, ignore_index=True)
        runs = last[["study", "arm", "fold", "seed"]].drop_duplicates()
        return SimpleNamespace(runs=runs, best=None, last=last)

    hits = 0
    for rng in range(100):
        panel = Panel(divided(rng), ["a", "b"], n=200, seed=rng)
        got = estimate.difference(panel, ["b"], ["a"], average="macro")
        hits += got.low <= 0.05 <= got.high
    # Of 100 intervals of level .95 fewer than 88 hold the truth with a probability below 1 in 200.
    assert hits >= 88


@pytest.mark.slow
def test_patients_alone_would_not_do():
    """With networks that differ by .1 and one seed, an interval of resampled patients is far too narrow."""
    covered, alone = coverage(150, "macro", n_seeds=1, arm_patient_sd=0.15, network_sd=0.1, noise_sd=0.0)
    assert covered >= 134 / 150
    assert alone < 0.85


# What is there and what is not ----------------------------------------------------------------------


def test_arms_are_compared_on_the_folds_and_seeds_that_both_have(results):
    changed = make_results(ARMS, n_patients=30, seeds=(0, 1, 2), **EFFECTS)
    last = changed.last
    for name in ("last", "runs"):
        t = getattr(changed, name)
        lacking = (t["arm"] == "bce") & ((t["seed"] == 2) | ((t["seed"] == 1) & (t["fold"] == 4)))
        setattr(changed, name, t[~lacking])
    panel = Panel(changed, ["bce", "dice_bce"], n=2)
    assert (panel.folds, panel.seeds) == ([0, 1, 2, 3, 4], [0])
    whole = Panel(changed, ["dice_bce"], n=2)
    assert (whole.folds, whole.seeds) == ([0, 1, 2, 3, 4], [0, 1, 2])
    only = last[(last["seed"] == 0) & (last["arm"] == "bce")]
    assert estimate.value(panel, "bce").value == pytest.approx(naive(only, "bce", "dsc", "micro"))


def test_an_arm_that_was_not_run_is_named(results):
    with pytest.raises(NotRunError, match="not run: tversky") as error:
        Panel(results, ["bce", "tversky"])
    assert error.value.missing == ("tversky",)
    with pytest.raises(NotRunError, match="not run: density_asp: bce"):
        Panel(results, [("density_asp", "bce")])
    with pytest.raises(NotRunError, match="not in this panel: bce"):
        estimate.value(Panel(results, ["dice_bce"]), "bce")
    apart = make_results({"a": 0.5}, seeds=(0,))
    other = make_results({"b": 0.5}, seeds=(1,))
    with pytest.raises(NotRunError, match=r"no fold and seed in common: .*: a, .*: b"):
        Panel(estimate.gather([apart, other]), ["a", "b"])


def test_arms_of_several_studies(results):
    rest = make_results(
        {"sm_b_tversky_all": 0.5}, study="spatial_matching.rest", n_patients=30, seeds=(0, 1, 2)
    )
    other = make_results({"dice_bce": 0.4}, study="density_asp", n_patients=30, seeds=(0, 1, 2))
    every = estimate.gather([results, rest, other])
    panel = Panel(every, [("spatial_matching", "sm_b_tversky_all"), ("density_asp", "dice_bce")], n=2)
    assert panel.arms[0] == ("spatial_matching.rest", "sm_b_tversky_all")
    with pytest.raises(ValueError, match="'dice_bce' is in spatial_matching and density_asp"):
        Panel(every, ["dice_bce"])


def test_an_image_that_is_there_twice_is_an_error(results):
    changed = make_results(ARMS, n_patients=30, seeds=(0,))
    changed.last = pd.concat([changed.last, changed.last.head(1)], ignore_index=True)
    with pytest.raises(ValueError, match=r"image 'i0.*' is there twice in fold 0 of seed 0"):
        estimate.value(Panel(changed, ["dice_bce"]), "dice_bce")


def test_an_image_of_two_patients_is_an_error():
    """Runs of this machine and shipped ones must name patients alike, or nothing is paired."""
    changed = make_results(ARMS, n_patients=30, seeds=(0,))
    own = changed.last["arm"] == "bce"
    changed.last.loc[own, "patient_id"] = "x" + changed.last.loc[own, "patient_id"]
    with pytest.raises(ValueError, match=r"image 'i0.*' is of two patients"):
        estimate.value(Panel(changed, ["bce", "dice_bce"]), "bce")


def test_what_is_not_measured_is_an_error(results):
    panel = Panel(results, ["bce"], n=2)
    with pytest.raises(ValueError, match="metric='dice' is not measured"):
        estimate.value(panel, "bce", "dice")
    with pytest.raises(ValueError, match="average='median' is not one of 'micro', 'macro'"):
        estimate.value(panel, "bce", "dsc", "median")


def test_images_without_a_patient_are_patients_of_their_own(results):
    changed = make_results(ARMS, n_patients=30, seeds=(0,))
    for table in (changed.last, changed.best):
        table["patient_id"] = pd.NA
    assert estimate.value(Panel(changed, ["bce"], n=2), "bce").patients == 60


def test_a_table_of_all_arms(results):
    table = estimate.arms_table(results, n=50)
    assert table["arm"].tolist() == list(ARMS)
    assert ((table["low"] < table["value"]) & (table["value"] < table["high"])).all()
    assert table[["images", "patients", "folds", "seeds"]].drop_duplicates().to_numpy().tolist() == [
        [60, 30, 5, 3]
    ]
    assert set(table["origin"]) == {"shipped"}
    single = estimate.value(Panel(results, ["bce"], n=50), "bce", at="best")
    assert table.set_index("arm").loc["bce", "best"] == single.value


def test_no_interval_of_a_difference_holds_what_no_difference_can_be():
    """Two folds that disagree spread the resamples far beyond the range of the metric."""
    results = make_results({"bce": 0.5, "dice": 0.6}, n_folds=2, seeds=(0,), network_sd=0.4)
    panel = Panel(results, ["bce", "dice"], n=200)
    found = estimate.difference(panel, ["dice"], ["bce"])
    assert found.widened > 1
    assert np.ptp(found.replicates) > 2
    assert -1 <= found.low <= found.high <= 1
