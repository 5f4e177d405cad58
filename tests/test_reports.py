import numpy as np
import pandas as pd
import pytest

from mammoseg_lib import metrics, reports
from mammoseg_lib.papers import load_paper

SETTINGS = {
    "profile": "smoke",
    "variant": "",
    "source": "inbreast phantoms",
    "trained_on": "inbreast phantoms",
    "networks": 1,
    "start": "none",
    "protocol": "patient_folds",
    "image_size": 32,
    "base_width": 8,
    "epochs": 3,
    "differs": "",
}


def square(top: int, left: int = 10, side: int = 8) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def runs_of(method: str, shifts: list[int | None], fold: int = 0, **settings) -> pd.DataFrame:
    """One run: a predicted square, shifted down by so much from the true one, or nothing predicted."""
    rows = []
    for i, shift in enumerate(shifts):
        pred = np.zeros((32, 32), bool) if shift is None else square(10 + shift)
        ids = {"sample_id": f"s{fold}-{i}", "patient_id": f"p{fold}-{i // 2}"}
        rows.append({**ids, **metrics.per_image(pred, square(10))})
    return pd.DataFrame(rows).assign(method=method, fold=fold, seed=0, **{**SETTINGS, **settings})


@pytest.fixture(scope="module")
def paper():
    return load_paper("spatial_matching")


@pytest.fixture(scope="module")
def results():
    return pd.concat(
        [
            runs_of("dice_bce", [0, 4, 4, None]),
            runs_of("sm_s_tversky_all", [0, 0, 1, 2]),
            runs_of("sm_s_tversky_all", [1, 1, 2, 0], fold=1),
        ]
    )


@pytest.fixture(scope="module")
def comparison(paper, results):
    return reports.compare(paper, results, n=200)


def cell(comparison, method, metric, table="Table 2"):
    rows = comparison.set_index(["table", "method", "metric"])
    return rows.loc[(table, method, metric)]


def test_one_row_for_every_published_number(paper, comparison):
    assert len(comparison) == sum(len(method.published) for method in paper.methods)
    assert comparison["published"].notna().all()


def test_values_by_hand(comparison):
    baseline = cell(comparison, "dice_bce", "dsc")
    # Overlaps of 64, 32, 32 and 0 pixels; four targets of 64 and three predictions of 64.
    assert baseline["reproduced_micro"] == pytest.approx(100 * 2 * 128 / (4 * 64 + 3 * 64))
    assert baseline["reproduced_macro"] == pytest.approx(100 * (1 + 0.5 + 0.5 + 0) / 4)
    assert baseline["published"] == 65.32
    assert baseline["unit"] == baseline["published_unit"] == "%"
    assert (baseline["images"], baseline["folds"], baseline["seeds"]) == (4, 1, 1)
    assert baseline["reproduced_micro_low"] < baseline["reproduced_micro"] < baseline["reproduced_micro_high"]


def test_missed_masses_stand_beside_distances(comparison):
    distance = cell(comparison, "dice_bce", "hd")
    assert distance["unit"] == "px"
    assert np.isnan(distance["reproduced_micro"])
    assert distance["reproduced_macro"] == pytest.approx((0 + 4 + 4) / 3)
    assert (distance["images"], distance["undefined"], distance["missed"]) == (3, 1, 1)


def test_folds_are_put_together(comparison):
    row = cell(comparison, "sm_s_tversky_all", "dsc")
    assert (row["images"], row["folds"]) == (8, 2)
    assert row["reproduced_with"] == (
        "reduced: inbreast phantoms, 32 px, base width 8, 3 epochs, 2 folds, 1 seed"
    )


def test_published_and_reproduced_never_share_a_column(paper, comparison):
    published = {c for c in comparison if c.startswith("published")}
    ours = {c for c in comparison if c.startswith("reproduced")}
    assert published
    assert ours
    # Changing every published number changes nothing in any other column, and the other way round.
    without_runs = reports.compare(paper, pd.DataFrame(), n=10)
    same = list(published | {"table", "row", "column", "method", "metric"})
    pd.testing.assert_frame_equal(without_runs[same], comparison[same])
    assert without_runs[[c for c in ours if c != "reproduced_with"]].isna().all(axis=None)
    for table in paper.tables:
        laid_out = reports.layout(paper, comparison, table.id)
        sources = set(laid_out.columns.get_level_values("source"))
        assert sources == {"published", "reproduced", ""}
        printed = {cell.printed for method in paper.methods for cell in method.published}
        for column in laid_out:
            if column[2] == "published":
                assert set(laid_out[column]) <= printed | {"-"}
            else:
                assert not set(laid_out[column]) & printed


def test_a_method_that_was_not_run_says_so(comparison):
    row = cell(comparison, "sm_b_bce_all", "dsc", "Table 1")
    assert row["reproduced_with"] == reports.NOT_RUN
    assert np.isnan(row["reproduced_micro"])


def test_a_method_that_is_not_available_gives_the_reason():
    other = load_paper("boundary_ultrasound")
    comparison = reports.compare(other, pd.DataFrame())
    assert cell(comparison, "ce_wmh", "dsc")["reproduced_with"].startswith("not available: a result of Kerv")
    table = reports.layout(other, comparison, "Table 2")
    assert table.loc["L_CE", ("WMH", "DSC", "reproduced")] == "not available"
    assert "Kervadec" in table.loc["L_CE", ("WMH", "reproduced with", "")]


def test_what_a_method_was_run_with_is_held_against_its_own_settings():
    other = load_paper("density_asp")
    full = {"source": "cbis_ddsm (real)", "trained_on": "cbis_ddsm (real)", "image_size": 256, "epochs": 100}
    runs = runs_of("dice_bce_cbis", [0, 1], **full, base_width=64)
    # One division is all there is on CBIS-DDSM; on INbreast there are five folds.
    assert reports.settings_text(other, runs).startswith("full size: cbis_ddsm (real)")
    assert reports.settings_text(other, runs.assign(method="dice_bce")).startswith("reduced: ")
    for more in ({"differs": "batch size 8"}, {"variant": "smooth=2"}, {"epochs": 200}):
        text = reports.settings_text(other, runs.assign(**more))
        assert text.startswith("changed: ")
        assert all(str(value) in text for value in more.values())
    # The reconstruction of ARF-Net is full size at width 32, and says what it is.
    rebuilt = runs.assign(method="arf_net_cbis", base_width=32)
    assert reports.settings_text(other, rebuilt).startswith("reconstruction; full size: ")
    assert reports.settings_text(other, rebuilt.assign(base_width=16)).startswith("reconstruction; reduced: ")


def test_a_paper_that_prints_fractions_is_compared_in_fractions():
    other = load_paper("encoder_decoders")
    runs = pd.concat(
        [
            runs_of("resnet34_unet", [0, 4, 4, None], start="imagenet", image_size=512, epochs=80),
            runs_of("resnet34_unet_inbreast", [0, 0, 1, 2], networks=5, trained_on="folder (real)"),
        ]
    )
    comparison = reports.compare(other, runs, n=200)
    own = cell(comparison, "resnet34_unet", "dsc")
    # Squares of side 8, shifted by half: Dice 1, 1/2, 1/2, and 0 for nothing predicted.
    assert own["unit"] == "fraction"
    assert own["reproduced_macro"] == pytest.approx(0.5)
    spread = cell(comparison, "resnet34_unet", "dsc_sd")
    assert spread["reproduced_macro"] == pytest.approx(np.std([1, 0.5, 0.5, 0], ddof=1))
    assert spread["reproduced_macro_low"] < spread["reproduced_macro"] <= spread["reproduced_macro_high"]
    assert np.isnan(spread["reproduced_micro"])
    table = reports.layout(other, comparison, "Table 2")
    row = table.loc["OUDSM: ResNet34UNet, ImageNet", ""]
    assert row["DCS", "published"] == "0.7677"
    assert row["DCS", "reproduced"].startswith("0.500 [")
    assert row["SD of DCS", "reproduced"].startswith("0.408 [")
    assert "mean of 5 networks" not in row["reproduced with", ""]
    tested = table.loc["INbreast: ResNet34UNet, ImageNet", ("", "reproduced with", "")]
    assert tested.startswith("reduced: trained on folder (real), tested on inbreast phantoms, 32 px")
    assert "random start, 3 epochs, mean of 5 networks, 1 seed" in tested
    assert table.loc["INbreast: ResNet22FPN, GMIC", ("", "DCS", "reproduced")] == "not available"


def test_layout_is_that_of_the_paper(paper, comparison):
    table = reports.layout(paper, comparison, "Table 1")
    assert table.shape == (8, 22)
    assert table.index[0] == "BCE, SM-B"
    assert table.loc["Tversky, SM-S", ("L*_G-A", "ΔA", "published")] == "09.49"
    # Eight squares of 64 px, shifted by 7 rows of 8 px in all: 456 of 512 overlap.
    assert table.loc["Tversky, SM-S", ("L*_G-A", "DSC", "reproduced")].startswith("89.1 [")
    assert table.loc["BCE, SM-B", ("L*_G-NZ", "DSC", "reproduced")] == "not run"
    assert reports.layout(paper, comparison, "Table 3").shape == (4, 22)


def test_the_header_that_the_paper_prints_twice_is_told_apart(paper, comparison):
    table = reports.layout(paper, comparison, "Table 2")
    assert table.loc["AU-Net", ("", "SEN (hd)", "published")] == "5.29"
    assert table.loc["AU-Net", ("", "SEN (sensitivity)", "published")] == "57.95"
    assert table.loc["ARF-Net", ("", "SEN (hd)", "published")] == "-"
    assert table.loc["AU-Net", ("", "SEN (hd)", "reproduced")].endswith("; 1 of 4 images left out")


def test_macro_layout_differs_from_micro(paper, comparison):
    micro, macro = (reports.layout(paper, comparison, "Table 2", how) for how in ("micro", "macro"))
    column = ("", "DSC", "reproduced")
    assert micro.loc["AU-Net", column].startswith("57.1 [")
    assert macro.loc["AU-Net", column].startswith("50.0 [")
    with pytest.raises(ValueError, match="aggregate='mean'"):
        reports.layout(paper, comparison, "Table 2", "mean")


def test_markdown_has_a_line_for_every_row_and_block(paper, comparison):
    text = reports.markdown(reports.layout(paper, comparison, "Table 1"))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 * (2 + 8)
    assert "DSC, published | DSC, reproduced" in lines[0]
    assert len({line.count(" | ") for line in lines}) == 1
    assert r"**L\*\_G-NZ**" in text


def test_flat_table_goes_through_csv(paper, comparison, tmp_path):
    table = reports.flat(reports.layout(paper, comparison, "Table 1"))
    assert table.columns[:3].tolist() == ["Table 1", "L*_G-A, DSC, published", "L*_G-A, DSC, reproduced"]
    table.to_csv(tmp_path / "table.csv", index=False)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv", dtype=str), table, check_dtype=False)


def test_styled_table_is_html(paper, comparison):
    html = reports.styled(reports.layout(paper, comparison, "Table 2"), "Table 2").to_html()
    assert "font-style: italic" in html
    assert "77.24" in html


def test_text_holds_all_tables_and_what_a_reader_must_know(paper, results):
    text = reports.text(paper, results)
    assert all(f"## {table.id}" in text for table in paper.tables)
    assert r"Policy for empty masks: count\_missed" in text
    assert "reduced: inbreast phantoms, 32 px" in text
    assert all(note.text.split(";")[0].split("*")[0][:25] in text for note in paper.notes)


def test_text_without_any_run(paper):
    text = reports.text(paper, pd.DataFrame())
    assert "not run" in text
    assert "reduced" not in text


def test_paper_sized_runs_are_not_called_reduced(paper):
    real = {"source": "inbreast (real)", "trained_on": "inbreast (real)"}
    full = {**real, "image_size": 256, "base_width": 64, "epochs": 100}
    folds = [runs_of("dice_bce", [0, 1], fold=i, **full) for i in range(5)]
    assert reports.settings_text(paper, pd.concat(folds)).startswith("full size: inbreast (real), 256 px")
    assert reports.settings_text(paper, folds[0]).startswith("reduced: ")
    without_width = runs_of("dice_bce", [0, 1], **{**full, "base_width": None})
    assert "base width" not in reports.settings_text(paper, without_width)


def test_images_without_a_patient_stand_for_themselves(paper, results):
    unknown = results.assign(patient_id=pd.NA)
    row = cell(reports.compare(paper, unknown, n=50), "dice_bce", "dsc")
    assert row["reproduced_micro_low"] < row["reproduced_micro_high"]


def test_reproduced_gives_every_metric(results):
    table = reports.reproduced(results, n=50)
    assert len(table) == 2 * len(metrics.METRICS)
    assert set(table["unit"]) == {"%", "px", "mm", "per image"}
    assert set(table["policy"]) == {"count_missed"}


def test_settings_table_tells_stated_from_chosen(paper):
    table = reports.settings_table(paper).set_index("setting")
    assert table.loc["training.batch_size", "stated by the paper"] == "yes"
    assert table.loc["training.epochs", "stated by the paper"] == "no: our choice"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: pd.concat([t, runs_of("dice_bce", [1], 1, epochs=9)]),
            "'dice_bce'.*several values of epochs: 3, 9",
        ),
        (lambda t: pd.concat([t, t]), "'s0-0' is there twice"),
        (lambda t: runs_of("sm", [1]), "no method 'sm'"),
        (lambda t: t.drop(columns=["epochs", "fold"]), "lack fold, epochs"),
    ],
)
def test_results_that_cannot_be_reported(paper, results, change, message):
    with pytest.raises(ValueError, match=message):
        reports.compare(paper, change(results), n=10)


# Ablations --------------------------------------------------------------------------------------------


def test_by_run_pools_the_pixels_of_each_run():
    per_image = pd.concat(
        [runs_of("a", [0, 4]), runs_of("a", [1, None]).assign(seed=1), runs_of("b", [2, 2], fold=1)]
    )
    table = reports.by_run(per_image, "method")
    assert table[["method", "fold", "seed"]].to_numpy().tolist() == [["a", 0, 0], ["a", 0, 1], ["b", 1, 0]]
    # Squares of 8 x 8: a shift by k keeps 8 (8 - k) pixels, of 64 + 64.
    assert table["value"].tolist() == pytest.approx([2 * (64 + 32) / 256, 2 * 56 / 192, 2 * 96 / 256])


def test_by_run_refuses_what_varies_besides():
    twice = pd.concat([runs_of("a", [0]), runs_of("a", [4], variant="reduce=mean")])
    with pytest.raises(ValueError, match="differ in more than method, fold and seed"):
        reports.by_run(twice, "method")
    assert len(reports.by_run(twice, "variant")) == 2


def test_ablation_pairs_the_runs_of_one_fold_and_seed():
    values = {"a": [0.5, 0.6, 0.7], "b": [0.6, 0.8, 0.7]}
    runs = pd.DataFrame(
        {"setting": name, "fold": 0, "seed": seed, "value": value}
        for name, each in values.items()
        for seed, value in enumerate(each)
    )
    shuffled = pd.concat([runs.iloc[:3], runs.iloc[[4, 3, 5]]])
    first, second = reports.ablation(shuffled, "setting").to_dict("records")
    assert (first["setting"], first["runs"], second["runs"]) == ("a", 3, 3)
    assert np.isnan(first["difference"])
    # By hand: mean .6, SD .1; differences .1, .2, 0: mean .1, SD .1; t(.975, 2) = 4.302653.
    half = 4.302653 * 0.1 / 3**0.5
    assert (first["mean"], first["low"], first["high"]) == pytest.approx(
        (0.6, 0.6 - half, 0.6 + half), abs=1e-6
    )
    limits = (second["difference"], second["difference_low"], second["difference_high"])
    assert limits == pytest.approx((0.1, 0.1 - half, 0.1 + half), abs=1e-6)


def test_ablation_gives_no_interval_for_two_runs():
    runs = pd.DataFrame({"setting": ["a", "a", "b"], "fold": 0, "seed": [0, 1, 0], "value": [0.2, 0.4, 0.5]})
    first, second = reports.ablation(runs, "setting").to_dict("records")
    assert first["mean"] == pytest.approx(0.3)
    assert np.isnan([first["low"], first["high"], second["low"], second["difference_low"]]).all()
    assert second["difference"] == pytest.approx(0.3)


def test_compare_refuses_two_variants_of_a_method(paper):
    both = pd.concat([runs_of("dice_bce", [0]), runs_of("dice_bce", [0], fold=1, variant="smooth=2")])
    with pytest.raises(ValueError, match="was run with several values of variant: , smooth=2; choose one"):
        reports.compare(paper, both)
    one = reports.compare(paper, runs_of("dice_bce", [0], variant="smooth=2"), n=20)
    assert "smooth=2" in cell(one, "dice_bce", "dsc")["reproduced_with"]
