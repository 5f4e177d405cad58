from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mammoseg_lib.plots import qualitative as draw
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.reports import cases
from mammoseg_lib.reports.components import component_table, components_of, count_components
from mammoseg_lib.runs import Run, execute
from mammoseg_lib.runs.work import write_predictions
from mammoseg_lib.storage import write_json
from mammoseg_lib.studies import load_study

SIZE = 32


def series(values: dict) -> pd.Series:
    return pd.Series(values, dtype=float)


# --- the rules


def test_quantiles_of_eleven_images_are_the_second_the_sixth_and_the_tenth():
    values = series({f"i{k:02d}": k / 10 for k in (5, 3, 8, 0, 10, 1, 7, 2, 9, 4, 6)})
    picked = cases.pick_by_quantile(values)
    assert picked["sample_id"].tolist() == ["i01", "i05", "i09"]
    assert picked["rule"].tolist() == ["10 % quantile", "50 % quantile", "90 % quantile"]
    assert picked["value"].tolist() == [0.1, 0.5, 0.9]


@given(st.permutations([f"i{k}" for k in range(6)]))
def test_ties_are_broken_by_the_id_whatever_the_order_of_the_table(ids):
    values = series({i: 0.0 if i != "i0" else 1.0 for i in ids})
    assert cases.pick_by_quantile(values, (0.0, 0.5, 1.0))["sample_id"].tolist() == ["i1", "i4", "i0"]


def test_a_position_that_is_half_way_goes_up_for_every_quantile():
    values = series({f"i{k}": k for k in range(6)})
    # 1 + q 5 = 1.5, 2.5, 3.5, 4.5, 5.5 in exact arithmetic, not all of them in floating point.
    picked = cases.pick_by_quantile(values, (0.1, 0.3, 0.5, 0.7, 0.9))
    assert picked["sample_id"].tolist() == ["i1", "i2", "i3", "i4", "i5"]


@pytest.mark.parametrize(
    ("values", "quantiles", "message"),
    [
        ({"a": 0.1, "b": 0.2}, (0.1, 0.5, 0.9), "2 images are too few"),
        ({"a": 0.1}, (1.5,), "1.5 is not in 0..1"),
        ({"a": float("nan"), "b": 1}, (0.5,), "every image must have one value"),
        ({}, (0.5,), "there must be an image"),
    ],
)
def test_what_cannot_be_picked_is_an_error(values, quantiles, message):
    with pytest.raises(ValueError, match=message):
        cases.pick_by_quantile(series(values), quantiles)


def test_each_density_class_gives_its_own_median():
    values = series({"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.3, "e": 0.7, "f": 0.2})
    density = pd.Series({"a": 1, "b": 1, "c": 1, "d": 4, "e": pd.NA, "f": 4, "unseen": 2}, dtype="Int64")
    picked = cases.pick_by_density(values, density)
    assert picked["sample_id"].tolist() == ["c", "d"]  # of 4's two images, halves up: the better one
    assert picked["rule"].tolist() == ["ACR 1, median of 3", "ACR 4, median of 2"]
    with pytest.raises(ValueError, match="none of the images is known"):
        cases.pick_by_density(values, pd.Series(pd.NA, index=values.index, dtype="Int64"))


# --- the box


@given(arrays(bool, (SIZE, SIZE), elements=st.just(False)), st.data())
def test_the_box_lies_in_the_image_and_holds_every_mass(mask, data):
    for _ in range(data.draw(st.integers(0, 3))):
        mask[data.draw(st.integers(0, SIZE - 1)), data.draw(st.integers(0, SIZE - 1))] = True
    top, left, side = cases.zoom_box(mask)
    assert 0 <= top <= SIZE - side
    assert 0 <= left <= SIZE - side
    assert SIZE // 4 <= side <= SIZE
    assert mask[top : top + side, left : left + side].sum() == mask.sum()


def test_the_box_of_a_mass_in_the_middle_and_of_one_in_a_corner():
    mask = np.zeros((SIZE, SIZE), bool)
    mask[10:16, 12:16] = True  # 6 x 4: a box of 12 around its center at 13, 14
    assert cases.zoom_box(mask) == (7, 8, 12)
    corner = np.zeros((SIZE, SIZE), bool)
    corner[-1, 0] = True
    assert cases.zoom_box(corner) == (SIZE - 8, 0, 8)
    assert cases.zoom_box(np.zeros((SIZE, SIZE), bool)) == (0, 0, SIZE)


# --- runs


def square(top: int, left: int = 4, side: int = 8) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


TRUTH = square(10)
IDS = [f"s{k}" for k in range(4)]
PREDICTED = {
    "dice_bce": [square(10), square(12), np.zeros_like(TRUTH), square(10) | square(26, 20, 3)],
    "density_asp": [square(11), square(11), square(11), square(11)],
}


def make_run(folder, method: str, masks: list[np.ndarray], *, epochs: int = 3) -> Run:
    """A run on disk that predicted these masks, four images of two patients."""
    folder.mkdir()
    probability = np.where(np.stack(masks), 0.9, 0.2).astype(np.float32)
    table = pd.DataFrame({"sample_id": IDS, "patient_id": [f"p{k // 2}" for k in range(4)]})[: len(masks)]
    truth, spacing = np.stack([TRUTH] * len(masks)), np.full((len(masks), 2), np.nan)
    write_predictions(folder, table, truth, spacing, probability)
    data = {
        "source": "inbreast",
        "phantoms": True,
        "population": "easy",
        "protocol": "patient_folds",
        "preprocessing": {"size": 32},
    }
    config = {"paper": "spatial_matching", "method": method, "fold": 0, "seed": 0, "data": data}
    config |= {"loss": {}, "model": {"base_width": 8}, "training": {"epochs": epochs}}
    write_json(folder / "config.json", config)
    return Run(folder)


@pytest.fixture
def runs(tmp_path):
    return {name: make_run(tmp_path / name, name, masks) for name, masks in PREDICTED.items()}


@pytest.fixture
def prepared():
    table = pd.DataFrame({"sample_id": IDS[::-1]})
    images = np.stack([np.full((SIZE, SIZE), k / 4, np.float32) for k in range(4)])
    return PreparedSet(table, images, np.stack([TRUTH] * 4), np.ones((4, 2), np.float32), "key", False, ())


def test_scores_are_the_runs_own_and_runs_on_other_images_are_refused(runs, tmp_path):
    scores = cases.scores_of(runs)
    assert scores.columns.tolist() == list(PREDICTED)
    assert scores.index.tolist() == IDS
    # 64 pixels each; shifted by 2 of 8 rows, 48 are shared; 9 more are predicted.
    assert scores["dice_bce"].tolist() == pytest.approx([1, 0.75, 0, 128 / 137])
    fewer = make_run(tmp_path / "fewer", "arf_net", PREDICTED["dice_bce"][:3])
    with pytest.raises(ValueError, match="different images"):
        cases.scores_of({**runs, "fewer": fewer})
    with pytest.raises(ValueError, match="no run"):
        cases.scores_of({})


def test_cases_carry_the_image_its_masks_and_its_numbers(runs, prepared):
    picked = cases.pick_by_quantile(cases.scores_of(runs).mean(axis=1), (0.0, 1.0))
    worst, best = cases.load_cases(picked, prepared, runs)
    assert (worst.sample_id, best.sample_id) == ("s2", "s0")
    assert worst.rule == "0 % quantile\nmean DSC 0.44"  # (0 + 7/8) / 2
    assert worst.image[0, 0] == 0.25  # the table of the prepared set is in another order
    assert worst.dsc == {"dice_bce": 0.0, "density_asp": pytest.approx(0.875)}
    assert not worst.predictions["dice_bce"].any()
    assert np.array_equal(best.predictions["density_asp"], square(11))
    assert best.box == cases.zoom_box(TRUTH)


def test_a_gallery_states_its_rule_its_images_and_how_the_runs_were_made(runs):
    gallery = cases.Gallery(runs)
    assert gallery.caption() == (
        "From 4 test images. Sorted by their mean DSC over the methods shown, ties by id: those at the "
        "quantiles 10 %, 50 %, 90 %. Networks: easy inbreast phantoms, 32 px, base width 8, 3 epochs."
    )
    # Means .94, .81, .44 and .90; of four images, halves up: the first, the third and the fourth.
    assert gallery.picked["sample_id"].tolist() == ["s2", "s3", "s0"]


def test_images_that_chose_the_epoch_are_not_called_test_images(runs):
    run = runs["dice_bce"]
    data = {**run.config["data"], "protocol": "random_validation"}
    write_json(run.folder / "config.json", {**run.config, "data": data})
    words = cases.Gallery({"dice_bce": Run(run.folder)}).caption()
    assert words.startswith("From 4 validation images, which chose the epoch as well. ")


def test_methods_that_were_run_differently_are_told_apart_in_the_caption(runs, tmp_path):
    more = make_run(tmp_path / "more", "arf_net", PREDICTED["dice_bce"], epochs=5)
    words = cases.Gallery({**runs, "ARF-Net": more}).caption()
    assert "dice_bce, density_asp: easy inbreast phantoms" in words
    assert "3 epochs" in words.partition("ARF-Net: ")[0]
    assert "5 epochs" in words.partition("ARF-Net: ")[2]


def test_which_images_are_shown_decides_which_method_looks_better(runs):
    table = cases.choice_table(runs, (0.0, 0.5, 1.0)).set_index("method")
    assert table.loc["dice_bce", ["0 %", "50 %", "100 %"]].tolist() == pytest.approx([0, 128 / 137, 1])
    assert table.loc["density_asp", "mean"] == pytest.approx(0.875)
    assert table["nothing predicted"].to_dict() == {"dice_bce": 1, "density_asp": 0}
    assert table["best of all"].to_dict() == {"dice_bce": 2, "density_asp": 2}


# --- which runs


def test_a_gallery_finds_the_images_that_its_runs_tested(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    small = {"data": {"n_images": 16, "image_size": 16}, "training": {"epochs": 1}}
    configs = load_study("spatial_matching").plan("demo", arms=["dice_bce", "sm_sd_bce_all"], **small)
    gallery = cases.Gallery({config.label: execute(config, device="cpu") for config in configs}, "density")
    density = gallery.prepared.table.set_index("sample_id")["acr_density"]
    assert cases.DENSITY_RULE in gallery.caption()
    for case, rule in zip(gallery.cases(), gallery.picked["rule"], strict=True):
        assert rule.startswith(f"ACR {density[case.sample_id]}, median of ")
        truth = gallery.prepared.masks[gallery.prepared.table["sample_id"] == case.sample_id][0]
        assert np.array_equal(case.target, truth)


# --- components


def test_diagonal_neighbors_are_one_component():
    assert count_components(np.eye(5, dtype=bool)) == 1
    assert count_components(np.eye(5, dtype=bool)[:, ::-1] & (np.arange(5)[:, None] != 2)) == 2
    assert count_components(np.zeros((5, 5), bool)) == 0


def test_components_of_runs_agree_with_the_masks(runs):
    table = components_of(runs.values())
    assert table.loc[table["method"] == "dice_bce", "predicted"].tolist() == [1, 1, 0, 2]
    assert table["true"].eq(1).all()
    assert table["patient_id"].tolist() == ["p0", "p0", "p1", "p1"] * 2


def many(difference: int, n: int = 40) -> pd.DataFrame:
    """Two methods on n images of n / 2 patients; the second predicts so many components more on half."""
    rows = []
    for k in range(n):
        keys = {"fold": 0, "seed": 0, "sample_id": f"s{k}", "patient_id": f"p{k // 2}", "true": 1}
        rows.append({"method": "ce", **keys, "predicted": 2})
        rows.append({"method": "linear", **keys, "predicted": 2 + difference * (k // 2 % 2)})
    return pd.DataFrame(rows)


def test_the_paired_interval_is_that_of_a_loop_over_patients():
    row = component_table(many(-2), "ce").set_index("method").loc["linear"]
    assert (row["mean"], row["difference"], row["pairs"], row["none"], row["several"]) == (1, -1, 40, 20, 20)
    random = np.random.default_rng(1)
    by_patient = np.repeat([[0, 0], [-2, -2]], 10, axis=0)
    means = [by_patient[random.integers(20, size=20)].mean() for _ in range(4000)]
    low, high = np.quantile(means, [0.025, 0.975])
    # Resampled means of 20 patients are steps of .1 wide; two seeds may differ by one of them.
    assert row["low"] == pytest.approx(low, abs=0.11)
    assert row["high"] == pytest.approx(high, abs=0.11)
    assert -1.6 < row["low"] < -1.3
    assert -0.7 < row["high"] < -0.4


def test_a_method_that_predicts_nothing_is_not_praised_for_it():
    table = component_table(many(-2), "ce", both_predict=True).set_index("method")
    assert table.loc["linear", ["pairs", "difference", "low", "high"]].tolist() == [20, 0, 0, 0]
    assert pd.isna(table.loc["ce", "difference"])


def test_only_the_same_fold_seed_and_image_are_compared():
    table = many(1)
    other = table[table["method"] == "linear"].assign(seed=1, predicted=50)
    row = component_table(pd.concat([table, other]), "ce").set_index("method").loc["linear"]
    assert (row["pairs"], row["difference"], row["predictions"]) == (40, 0.5, 80)


def test_wrong_tables_of_components_are_errors():
    with pytest.raises(ValueError, match="'bce' is not one of 'ce', 'linear'"):
        component_table(many(1), "bce")
    with pytest.raises(ValueError, match="there twice"):
        component_table(pd.concat([many(1), many(1)]), "ce")


# --- drawing


def test_the_figure_has_two_rows_a_case_and_says_what_an_outline_cannot_show(runs, prepared):
    picked = cases.pick_by_quantile(cases.scores_of(runs).mean(axis=1), (0.0, 1.0))
    with plt.rc_context({"figure.constrained_layout.use": True}):
        figure = draw.qualitative(cases.load_cases(picked, prepared, runs), "Why these.")
    panels = figure.axes
    assert len(panels) == 2 * 2 * 3
    words = [text.get_text() for ax in panels for text in ax.texts]
    assert words.count("nothing predicted") == 1
    assert "image s2" in " ".join(words)
    assert [ax.get_title() for ax in panels[:3]] == ["", "DSC 0.00", "DSC 0.88"]
    # One gray window for a case, in the enlarged panels as well.
    assert {ax.images[0].get_clim() for ax in panels[:6]} == {(0, 0.25)}
    _, left, side = cases.zoom_box(TRUTH)
    assert panels[3].get_xlim() == (left - 0.5, left + side - 0.5)
    plt.close(figure)
