"""Metrics against hand-computed masks, properties that must hold, and other libraries."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff
from skimage.metrics import hausdorff_distance

from mammoseg_lib import metrics

UNIT = ("dsc", "iou", "sensitivity", "precision", "accuracy")


def mask(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def blob(seed: int, size: int = 64) -> np.ndarray:
    """Some smooth blobs, different for every seed."""
    noise = np.random.default_rng(seed).normal(size=(size, size))
    smooth = ndimage.gaussian_filter(noise, 4, mode="constant")
    return smooth > np.quantile(smooth, 0.93)


def table_of(*pairs: tuple[np.ndarray, np.ndarray], **columns) -> pd.DataFrame:
    return pd.DataFrame([metrics.per_image(pred, target) for pred, target in pairs]).assign(**columns)


TARGET = mask("....", ".##.", ".##.", "....")
SHIFTED = mask("....", "..##", "..##", "....")
NOTHING = np.zeros((4, 4), bool)


# By hand ------------------------------------------------------------------------------------------


def test_shifted_square_by_hand():
    row = metrics.per_image(SHIFTED, TARGET)
    assert [row[k] for k in ("tp", "fp", "fn", "tn")] == [2, 2, 2, 10]
    assert row["dsc"] == 0.5
    assert row["iou"] == pytest.approx(2 / 6)
    assert row["sensitivity"] == row["precision"] == 0.5
    assert row["accuracy"] == 12 / 16
    assert row["da"] == 0
    # Every pixel is on the outline; the two columns that differ are 1 px away, the shared one 0.
    assert row["hd"] == row["hd95"] == 1
    assert row["assd"] == 0.5
    assert [row[k] for k in ("lesions", "lesions_hit", "lesions_missed", "false_blobs")] == [1, 1, 0, 0]
    assert np.isnan(row["hd_mm"])


def test_area_difference_is_relative_to_the_target():
    assert metrics.per_image(mask("####", "####", "....", "...."), TARGET)["da"] == 1
    assert metrics.per_image(mask("....", "....", "..#.", "...."), TARGET)["da"] == 0.75


def test_boundary_of_a_block_is_its_rim_also_at_the_frame():
    rim = mask("####", "#..#", "#..#", "####")
    np.testing.assert_array_equal(metrics.boundary(np.ones((4, 4), bool)), rim)


def test_boundary_keeps_pixels_with_a_hole_beside_them():
    ring = mask("###", "#.#", "###")
    np.testing.assert_array_equal(metrics.boundary(ring), ring)


def test_lesions_touching_at_a_corner_are_one():
    assert metrics.detect(NOTHING, mask("#...", ".#..", "....", "...#"))["lesions"] == 2


def test_hits_misses_and_false_blobs():
    target = mask("##....", "##....", "......", "....##", "....##", "......")
    pred = mask("#.....", "......", "......", "......", "......", "#....#")
    # Two false blobs: the one beside the lower lesion shares no pixel with it.
    assert metrics.detect(pred, target) == {
        "lesions": 2, "lesions_hit": 1, "lesions_missed": 1, "false_blobs": 2, "components": 3,
    }  # fmt: skip


def test_coverage_must_be_exceeded_for_a_hit():
    half = mask("....", ".#..", ".#..", "....")
    assert metrics.detect(half, TARGET, min_coverage=0.49)["lesions_hit"] == 1
    assert metrics.detect(half, TARGET, min_coverage=0.5)["lesions_hit"] == 0
    with pytest.raises(ValueError, match="min_coverage"):
        metrics.detect(half, TARGET, min_coverage=1.0)


# Millimeters --------------------------------------------------------------------------------------


def test_millimeters_count_rows_and_columns_apart():
    down = mask("....", "....", ".##.", ".##.")
    assert metrics.per_image(SHIFTED, TARGET, (2.0, 0.5))["hd_mm"] == 0.5
    assert metrics.per_image(down, TARGET, (2.0, 0.5))["hd_mm"] == 2.0


def test_equal_spacing_scales_pixels():
    row = metrics.per_image(blob(1), blob(2), (0.07, 0.07))
    for name in metrics.DISTANCES:
        assert row[f"{name}_mm"] == pytest.approx(0.07 * row[name])


def test_unequal_spacing_can_change_which_pixel_is_nearest():
    pred, target = np.zeros((2, 20, 20), bool)
    pred[10, 10] = target[10, 14] = target[15, 10] = True
    row = metrics.per_image(pred, target, (1.0, 3.0))
    assert row["hd"] == 5
    assert row["hd_mm"] == 12
    assert row["assd_mm"] == pytest.approx((5 + 12 + 5) / 3)


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, -1.0), (np.nan, 1.0), (np.inf, 1.0)])
def test_spacing_must_be_positive(spacing):
    with pytest.raises(ValueError, match="positive"):
        metrics.per_image(TARGET, TARGET, spacing)


# Empty masks --------------------------------------------------------------------------------------

NAN = np.nan
DIAGONAL = np.hypot(4, 4)
CASES = {"both": (NOTHING, NOTHING), "target": (TARGET, NOTHING), "prediction": (NOTHING, TARGET)}
#                                   dsc iou sens prec acc da  distance
EXPECTED = {
    ("count_missed", "both"): (1, 1, 1, 1, 1, 0, 0),
    ("count_missed", "target"): (0, 0, NAN, 0, 0.75, NAN, NAN),
    ("count_missed", "prediction"): (0, 0, 0, NAN, 0.75, 1, NAN),
    ("undefined", "both"): (NAN, NAN, NAN, NAN, 1, NAN, NAN),
    ("undefined", "target"): (0, 0, NAN, 0, 0.75, NAN, NAN),
    ("undefined", "prediction"): (0, 0, 0, NAN, 0.75, 1, NAN),
    ("worst_case", "both"): (1, 1, 1, 1, 1, 0, 0),
    ("worst_case", "target"): (0, 0, 0, 0, 0.75, NAN, DIAGONAL),
    ("worst_case", "prediction"): (0, 0, 0, 0, 0.75, 1, DIAGONAL),
}


@pytest.mark.parametrize(("policy", "case"), EXPECTED)
def test_every_policy_in_every_case(policy, case):
    row = metrics.per_image(*CASES[case], policy=metrics.POLICIES[policy])
    *overlap, distance = EXPECTED[policy, case]
    np.testing.assert_array_equal([row[name] for name in metrics.OVERLAP], overlap)
    np.testing.assert_array_equal([row[name] for name in metrics.DISTANCES], 3 * [distance])


@pytest.mark.parametrize("first", metrics.POLICIES)
@pytest.mark.parametrize("second", metrics.POLICIES)
def test_policy_of_a_table_can_be_changed(first, second):
    def rows(policy, spacing):
        return pd.DataFrame(
            [
                metrics.per_image(pred, target, spacing, metrics.POLICIES[policy])
                for pred, target in [*CASES.values(), (SHIFTED, TARGET)]
            ]
        )

    for spacing in (None, (1.0, 2.0)):
        changed = metrics.apply_policy(rows(first, spacing), metrics.POLICIES[second])
        expected = rows(second, spacing)
        pd.testing.assert_frame_equal(changed[expected.columns], expected)


@pytest.mark.parametrize("policy", metrics.POLICIES.values(), ids=str)
def test_policy_states_what_it_does(policy):
    table = policy.table()
    assert policy.name in str(policy)
    assert policy.name in table.index.name
    for case, column in zip(CASES, table.columns, strict=True):
        row = metrics.apply_policy(table_of(CASES[case]), policy).iloc[0]
        for names, stated in table[column].items():
            for name in names.split(", "):
                expected = DIAGONAL if stated == "diagonal" else stated
                np.testing.assert_equal(row[name], expected, err_msg=f"{policy.name} {case} {name}")


# Pooled and averaged ------------------------------------------------------------------------------


def test_missed_masses_are_counted_beside_every_mean():
    table = table_of((SHIFTED, TARGET), (NOTHING, TARGET), (TARGET, NOTHING), (NOTHING, NOTHING))
    summary = metrics.summarize(table)
    assert set(summary["missed"]) == {1}
    assert set(summary["false_alarms"]) == {1}
    assert set(summary["policy"]) == {"count_missed"}
    # One px and, where both are empty, zero; the other two are left out, and counted.
    assert summary.loc["hd", ["macro", "images", "undefined"]].tolist() == [0.5, 2, 2]
    assert np.isnan(summary.loc["hd", "micro"])
    assert summary.loc["hd_mm", ["images", "undefined"]].tolist() == [0, 4]
    assert metrics.summarize(table, metrics.WORST_CASE).loc["hd", "images"] == 4


def test_pooled_values_are_those_of_one_large_image():
    pairs = [(blob(i), blob(i + 50)) for i in range(4)]
    summary = metrics.summarize(table_of(*pairs))
    large = metrics.per_image(*(np.concatenate(masks) for masks in zip(*pairs, strict=True)))
    for name in metrics.OVERLAP:
        assert summary.loc[name, "micro"] == pytest.approx(large[name])


def test_averaged_values_are_means_over_images():
    table = table_of(*[(blob(i), blob(i + 50)) for i in range(4)])
    summary = metrics.summarize(table)
    for name in (*metrics.OVERLAP, *metrics.DISTANCES, "false_blobs"):
        assert summary.loc[name, "macro"] == pytest.approx(table[name].mean())
    assert summary.loc["lesion_sensitivity", "micro"] == table["lesions_hit"].sum() / table["lesions"].sum()


def test_area_difference_follows_from_dsc_and_sensitivity_only_when_pooled():
    pairs = [(blob(i, 32 + 16 * (i % 2)), ndimage.shift(blob(i + 7, 32 + 16 * (i % 2)), 1)) for i in range(5)]
    pairs[0] = (ndimage.binary_dilation(pairs[0][0], iterations=3), pairs[0][1])
    summary = metrics.summarize(table_of(*pairs))

    def implied(aggregate):
        return abs(2 * summary.loc["sensitivity", aggregate] / summary.loc["dsc", aggregate] - 2)

    assert summary.loc["da", "micro"] == pytest.approx(implied("micro"))
    assert summary.loc["da", "macro"] != pytest.approx(implied("macro"), rel=0.05)


def test_table_survives_a_csv_file(tmp_path):
    table = table_of((SHIFTED, TARGET), (NOTHING, TARGET))
    table.to_csv(tmp_path / "per_image.csv", index=False)
    pd.testing.assert_frame_equal(
        metrics.summarize(pd.read_csv(tmp_path / "per_image.csv")), metrics.summarize(table)
    )


def test_tables_that_cannot_be_summarized():
    with pytest.raises(ValueError, match="lacks diagonal"):
        metrics.summarize(table_of((SHIFTED, TARGET)).drop(columns="diagonal"))
    with pytest.raises(ValueError, match="no rows"):
        metrics.summarize(table_of((SHIFTED, TARGET)).iloc[:0])


# Intervals ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forty() -> pd.DataFrame:
    """Forty images of twenty patients; the images of a patient are alike."""
    pairs = [(blob(i // 2), ndimage.shift(blob(i // 2), 1 + i // 2 % 7)) for i in range(40)]
    return table_of(
        *pairs, patient_id=[f"p{i // 2}" for i in range(40)], sample_id=[f"s{i}" for i in range(40)]
    )


@pytest.fixture(scope="module")
def resampled(forty) -> list[pd.DataFrame]:
    """The summaries of sixty resamples of the patients."""
    codes, groups = pd.factorize(forty["patient_id"])
    rng = np.random.default_rng(4)
    draws = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=60)
    return [metrics.summarize(forty.iloc[np.repeat(np.arange(len(forty)), draw[codes])]) for draw in draws]


@pytest.mark.parametrize("aggregate", ["micro", "macro"])
@pytest.mark.parametrize("metric", ["dsc", "da", "accuracy", "lesion_sensitivity"])
def test_interval_is_that_of_a_plain_loop(forty, resampled, metric, aggregate):
    low, high = metrics.bootstrap_interval(forty, metric, aggregate, n=60, seed=4)
    values = [summary.loc[metric, aggregate] for summary in resampled]
    np.testing.assert_allclose([low, high], np.quantile(values, [0.025, 0.975]))


@pytest.mark.parametrize("metric", ["dsc", "hd"])
def test_deviation_over_images_and_its_interval_are_those_of_a_plain_loop(forty, metric):
    forty = pd.concat([forty, forty.iloc[:1].assign(tp=0, fp=0, fn=9, patient_id="missed", hd=np.nan)])
    values = metrics.apply_policy(forty, metrics.COUNT_MISSED)[metric]
    summary = metrics.summarize(forty).loc[metric]
    assert summary["sd"] == pytest.approx(np.std(values.dropna(), ddof=1))
    low, high = metrics.bootstrap_interval(forty, metric, "sd", n=60, seed=4)
    codes, groups = pd.factorize(forty["patient_id"])
    rng = np.random.default_rng(4)
    spreads = []
    for draw in rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=60):
        sample = values.to_numpy()[np.repeat(np.arange(len(forty)), draw[codes])]
        spreads.append(np.std(sample[~np.isnan(sample)], ddof=1))
    np.testing.assert_allclose([low, high], np.quantile(spreads, [0.025, 0.975]))
    assert np.isnan(metrics.summarize(forty.iloc[:1]).loc[metric, "sd"])


def test_interval_holds_the_estimate_and_is_repeatable(forty):
    first = metrics.bootstrap_interval(forty, "dsc", "micro", seed=1)
    assert first == metrics.bootstrap_interval(forty, "dsc", "micro", seed=1)
    assert first != metrics.bootstrap_interval(forty, "dsc", "micro", seed=2)
    assert first.low < metrics.summarize(forty).loc["dsc", "micro"] < first.high


def test_patients_give_wider_intervals_than_images(forty):
    patients = metrics.bootstrap_interval(forty, "dsc")
    images = metrics.bootstrap_interval(forty, "dsc", group="sample_id")
    assert patients.high - patients.low > images.high - images.low


def test_no_interval_from_one_patient_or_without_the_aggregate(forty):
    assert np.isnan(metrics.bootstrap_interval(forty.assign(patient_id="p"), "dsc")).all()
    assert np.isnan(metrics.bootstrap_interval(forty, "hd", "micro")).all()


def test_interval_of_what_cannot_be_resampled(forty):
    with pytest.raises(ValueError, match="metric='dice' is not one of 'dsc'"):
        metrics.bootstrap_interval(forty, "dice")
    with pytest.raises(ValueError, match="aggregate='pooled'"):
        metrics.bootstrap_interval(forty, "dsc", "pooled")
    with pytest.raises(ValueError, match="missing in 40 of 40 rows"):
        metrics.bootstrap_interval(forty.assign(patient_id=pd.NA), "dsc")
    with pytest.raises(ValueError, match="lacks patient_id"):
        metrics.bootstrap_interval(forty.drop(columns="patient_id"), "dsc")


# Other libraries ----------------------------------------------------------------------------------


def one_hot(array: np.ndarray):
    import torch

    return torch.from_numpy(array)[None, None].float()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.8, 1.7)])
def test_distances_are_those_of_monai(seed, spacing):
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    pred, target = blob(seed), blob(seed + 100)
    ours = metrics.distances(pred, target, spacing)
    options = {"include_background": True, "spacing": list(spacing)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of MONAI about MONAI
        theirs = {
            "hd": compute_hausdorff_distance(one_hot(pred), one_hot(target), **options),
            "hd95": compute_hausdorff_distance(one_hot(pred), one_hot(target), percentile=95, **options),
            "assd": compute_average_surface_distance(
                one_hot(pred), one_hot(target), symmetric=True, **options
            ),
        }
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value.item(), rel=1e-5), name


def test_overlap_is_that_of_monai():
    from monai.metrics import compute_confusion_matrix_metric, compute_dice, compute_iou, get_confusion_matrix

    pred, target = blob(3), blob(103) | blob(3)
    row = metrics.per_image(pred, target)
    matrix = get_confusion_matrix(one_hot(pred), one_hot(target))
    assert matrix.flatten().tolist() == [row[name] for name in ("tp", "fp", "tn", "fn")]
    for name in ("sensitivity", "precision", "accuracy"):
        assert row[name] == pytest.approx(compute_confusion_matrix_metric(name, matrix).item())
    assert row["dsc"] == pytest.approx(compute_dice(one_hot(pred), one_hot(target)).item())
    assert row["iou"] == pytest.approx(compute_iou(one_hot(pred), one_hot(target)).item())


@pytest.mark.parametrize("seed", range(4))
def test_hausdorff_is_that_of_scikit_image(seed):
    pred, target = blob(seed), blob(seed + 100)
    expected = hausdorff_distance(metrics.boundary(pred), metrics.boundary(target))
    assert metrics.hausdorff(pred, target) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:Please import .* from the `scipy.ndimage` namespace:DeprecationWarning")
def test_surface_distance_measures_another_outline():
    # It puts the outline on the corners between pixels and weighs each element by its length, so that its
    # values are near ours, but not equal.
    import surface_distance

    pred, target = blob(5), ndimage.shift(blob(5), (3, 2))
    ours = metrics.distances(pred, target)
    theirs = surface_distance.compute_surface_distances(target, pred, spacing_mm=(1, 1))
    hd = surface_distance.compute_robust_hausdorff(theirs, 100)
    hd95 = surface_distance.compute_robust_hausdorff(theirs, 95)
    assd = np.mean(surface_distance.compute_average_surface_distance(theirs))
    assert ours["hd"] == pytest.approx(hd, abs=1.5)
    assert ours["hd95"] == pytest.approx(hd95, abs=1.0)
    assert ours["assd"] == pytest.approx(assd, abs=0.5)


def test_tree_and_table_of_distances_agree(monkeypatch):
    pred, target = blob(8, 128), blob(9, 128)
    by_table = metrics.surface_distances(pred, target, (0.7, 1.3))
    monkeypatch.setattr("mammoseg_lib.metrics.distance.PAIRS_IN_A_TABLE", 0)
    by_tree = metrics.surface_distances(pred, target, (0.7, 1.3))
    for a, b in zip(by_table, by_tree, strict=True):
        np.testing.assert_allclose(a, b)


# Rows as points -----------------------------------------------------------------------------------


def test_rows_mode_is_scipy_on_two_dimensional_masks():
    pred, target = blob(1), blob(2)
    expected = max(directed_hausdorff(pred, target)[0], directed_hausdorff(target, pred)[0])
    assert metrics.hausdorff(pred, target, "rows") == pytest.approx(expected)
    one_way = metrics.hausdorff(pred, target, "rows", direction="pred_to_target")
    assert one_way == pytest.approx(directed_hausdorff(pred, target)[0])


def test_rows_mode_does_not_see_how_far_apart_masses_are():
    near, far = np.zeros((2, 64, 64), bool)
    near[10:14, 10:14] = far[50:54, 10:14] = True
    assert metrics.hausdorff(near, far, "rows") == 0
    assert metrics.hausdorff(near, far) == 40


def test_stacked_images_are_one_tall_image():
    preds, targets = (np.stack([blob(i + k) for i in range(5)]) for k in (0, 100))
    values = metrics.hausdorff(preds, targets, "rows", stack=2)
    assert values.shape == (3,)
    tall = [np.concatenate(masks[2:4]) for masks in (preds, targets)]
    assert values[1] == metrics.hausdorff(*tall, "rows")
    assert metrics.hausdorff(preds, targets).shape == (5,)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "edges"},
        {"direction": "both"},
        {"stack": 2},
        {"mode": "rows", "stack": 0},
        {"mode": "rows", "stack": 2},
    ],
)
def test_hausdorff_options_out_of_range(options):
    with pytest.raises(ValueError, match=r"^(mode|direction|stack)="):
        metrics.hausdorff(TARGET, SHIFTED, **options)


def test_one_way_distance():
    part = mask("....", ".#..", "....", "....")
    assert metrics.hausdorff(part, TARGET, direction="pred_to_target") == 0
    assert metrics.hausdorff(TARGET, part, direction="pred_to_target") == pytest.approx(np.sqrt(2))
    assert np.isnan(metrics.hausdorff(part, NOTHING, direction="pred_to_target"))


# Properties ---------------------------------------------------------------------------------------

pairs_of_masks = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@settings(deadline=None, max_examples=60)
@given(pairs_of_masks)
def test_ranges_and_relations(pair):
    row = metrics.per_image(*pair, spacing_mm=(0.5, 2.0))
    for name in UNIT:
        assert np.isnan(row[name]) or 0 <= row[name] <= 1
    assert row["tp"] + row["fp"] + row["fn"] + row["tn"] == pair[0].size
    assert row["iou"] == pytest.approx(row["dsc"] / (2 - row["dsc"]))
    assert row["lesions_hit"] + row["lesions_missed"] == row["lesions"]
    for unit in ("", "_mm"):
        hd, hd95, assd = (row[name + unit] for name in metrics.DISTANCES)
        if not np.isnan(hd):
            assert 0 <= hd95 <= hd <= row[f"diagonal{unit}"]
            assert 0 <= assd <= hd


@settings(deadline=None, max_examples=60)
@given(pairs_of_masks)
def test_symmetric_in_prediction_and_target(pair):
    there, back = metrics.per_image(*pair), metrics.per_image(*pair[::-1])
    for name in ("dsc", "iou", "accuracy", *metrics.DISTANCES):
        np.testing.assert_allclose(there[name], back[name])
    np.testing.assert_equal(there["sensitivity"], back["precision"])


@settings(deadline=None, max_examples=60)
@given(pairs_of_masks)
def test_flips_and_transposes_change_nothing(pair):
    expected = metrics.per_image(*pair, spacing_mm=(0.5, 2.0))
    for turn, spacing in ((np.fliplr, (0.5, 2.0)), (np.flipud, (0.5, 2.0)), (np.transpose, (2.0, 0.5))):
        turned = metrics.per_image(turn(pair[0]), turn(pair[1]), spacing)
        np.testing.assert_allclose(list(turned.values()), list(expected.values()))


@settings(deadline=None, max_examples=40)
@given(pairs_of_masks, st.integers(1, 5))
def test_more_background_changes_only_accuracy_and_the_diagonal(pair, margin):
    # Not so at the frame itself: beyond it is outside, and so is a margin.
    padded = metrics.per_image(*(np.pad(array, margin) for array in pair))
    for name, value in metrics.per_image(*pair).items():
        if name not in ("tn", "accuracy", "diagonal"):
            np.testing.assert_allclose(padded[name], value, err_msg=name)
