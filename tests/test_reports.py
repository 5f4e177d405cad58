"""Published numbers beside measured ones: values, intervals, layout, and what is not there."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mammoseg_lib import reports
from mammoseg_lib.papers import PaperError, load_paper, paper_keys
from mammoseg_lib.reports import estimate
from mammoseg_lib.results import load_results
from mammoseg_lib.studies import load_study, study_names
from tests.measured import RUN, make_results

MEANS = {"dice_bce": 0.5, "sm_s_tversky_all": 0.6, "sm_b_bce_all": 0.55, "sm_b_bce_all/soft counts": 0.3}


def changed(results, **values):
    return SimpleNamespace(**{**vars(results), "runs": results.runs.assign(**values)})


EMPTY = SimpleNamespace(**{name: pd.DataFrame(columns=["study", "arm"]) for name in ("runs", "best", "last")})


@pytest.fixture(scope="module")
def paper():
    return load_paper("spatial_matching")


@pytest.fixture(scope="module")
def results():
    return make_results(MEANS, arm_patient_sd=0.05, noise_sd=0.05, network_sd=0.03)


@pytest.fixture(scope="module")
def comparison(paper, results):
    return reports.compare(paper, results, n=300)


def cell(comparison, method, metric, table="Table 2"):
    return comparison.set_index(["table", "method", "metric"]).loc[(table, method, metric)]


# Comparison -----------------------------------------------------------------------------------------


def test_one_row_for_every_published_number(paper, comparison):
    assert len(comparison) == sum(len(method.published) for method in paper.methods)
    assert comparison["published"].notna().all()
    assert comparison.loc[comparison["value"].notna(), "method"].unique().tolist() == [
        "dice_bce", "sm_b_bce_all", "sm_s_tversky_all",
    ]  # fmt: skip


def test_what_was_measured_on_other_images_stands_beside_no_printed_number(paper, results):
    elsewhere = changed(results, source="busi (real)")
    assert reports.compare(paper, elsewhere, n=20)["value"].isna().all()
    # 003 prints numbers of its own images; its networks were trained here on INbreast.
    own = load_results("encoder_decoders.architectures")
    assert len(own.runs)
    found = reports.compare(load_paper("encoder_decoders"), own, n=20)
    assert found["value"].isna().all()


@pytest.mark.parametrize("metric", ["dsc", "sensitivity", "da", "accuracy"])
def test_values_are_those_of_the_estimate_in_percent(results, comparison, metric):
    row, panel = (
        cell(comparison, "sm_s_tversky_all", metric),
        estimate.Panel(results, ["sm_s_tversky_all"], n=300),
    )
    for names, at in ((("value", "low", "high"), None), (("best", "best_low", "best_high"), "best")):
        want = estimate.value(panel, "sm_s_tversky_all", metric, "micro", at)
        assert row[list(names)].tolist() == pytest.approx(
            [100 * x for x in (want.value, want.low, want.high)]
        )
    assert (row["unit"], row["average"], row["folds"], row["seeds"]) == ("%", "micro", 5, 2)
    assert (row["images"], row["patients"], row["origin"]) == (100, 50, "shipped")


def test_other_variants_of_a_method_are_left_aside(comparison, results):
    row = cell(comparison, "sm_b_bce_all", "dsc", "Table 1")
    assert row["value"] == pytest.approx(55, abs=10)
    panel = estimate.Panel(results, ["sm_b_bce_all"], n=2)
    assert row["value"] == pytest.approx(100 * estimate.value(panel, "sm_b_bce_all").value)


def test_distances_are_means_over_images_and_say_how_many_have_none(paper, results):
    some = SimpleNamespace(**{name: table.copy() for name, table in vars(results).items()})
    own = some.best.index[some.best["arm"] == "dice_bce"]
    some.best.loc[own[::4], "hd"] = np.nan
    comparison = reports.compare(paper, some, n=50)
    row = cell(comparison, "dice_bce", "hd")
    assert (row["unit"], row["average"], row["left_out"]) == ("px", "macro", 0.25)
    kept = some.best.loc[own].dropna(subset="hd")
    assert row["value"] == pytest.approx(kept.groupby("seed")["hd"].mean().mean())
    # HAU has no unit: our spread cannot be put about it.
    assert np.isnan(row["should_low"])
    text = reports.page_table(paper, comparison, "Table 2", "hd").loc["AU-Net", "measured here"]
    assert text.endswith("; 25 % left out")


def test_interval_of_a_printed_number_is_that_of_its_images_and_one_training(paper, results):
    """Patients alone, of equal images: s / sqrt(n), whatever our own number of them is."""
    calm = make_results({"dice_bce": 0.5}, patient_sd=0.2, images_each=1, equal_sizes=True)
    row = cell(reports.compare(paper, calm, n=4000), "dice_bce", "dsc")
    own = calm.best.groupby("patient_id")["dsc"].mean()
    half = 1.96 * 100 * own.std(ddof=0) / np.sqrt(55)
    assert row["should_high"] - row["published"] == pytest.approx(half, rel=0.05)
    assert row["published"] - row["should_low"] == pytest.approx(half, rel=0.05)


def test_interval_of_a_printed_number_knows_that_networks_differ(paper):
    networks = make_results({"dice_bce": 0.5}, patient_sd=0, network_sd=0.1, images_each=1, equal_sizes=True)
    row = cell(reports.compare(paper, networks, n=4000), "dice_bce", "dsc")
    by_network = (
        networks.best.groupby(["fold", "seed"])["dsc"].mean().reset_index().pivot_table("dsc", "fold", "seed")
    )
    # One of two networks is drawn in each of five folds of a fifth of the images; how many images of a
    # fold are drawn varies as well.
    least = 100 * np.sqrt((by_network.var(axis=1, ddof=0) / 25).sum())
    assert 1.96 * least < row["should_high"] - row["published"] < 1.96 * 3 * least


def test_an_interval_ends_where_no_value_can_be(paper):
    """Folds that differ spread an interval; an area difference still is not below 0, nor a share above 1."""
    rough = make_results({"dice_bce": 0.9}, patient_sd=0.1, network_sd=0.3, seeds=(0,))
    comparison = reports.compare(paper, rough, n=200)
    own = comparison[comparison["method"].eq("dice_bce") & comparison["unit"].eq("%")]
    assert (own[["low", "best_low"]] >= 0).all(axis=None)
    assert own.loc[own["metric"] != "da", ["high", "best_high"]].max(axis=None) == 100
    assert cell(comparison, "dice_bce", "dsc")["high"] == 100


def test_settings_count_the_folds_and_seeds_that_are_reported(paper, results):
    """A second seed that has only begun is not part of the value."""
    some = SimpleNamespace(
        **{
            name: table[(table["seed"] == 0) | ((table["fold"] == 0) & (table["arm"] == "dice_bce"))]
            for name, table in vars(results).items()
        }
    )
    comparison = reports.compare(paper, some, n=10)
    assert cell(comparison, "dice_bce", "dsc")["seeds"] == 1
    assert "5 folds, 1 seed" in cell(comparison, "dice_bce", "dsc")["measured_with"]


def test_intervals_end_where_the_unit_does(paper):
    perfect = make_results({"dice_bce": 0.98}, patient_sd=0.3)
    row = cell(reports.compare(paper, perfect, n=100), "dice_bce", "accuracy")
    assert row["should_high"] <= 100


def test_published_and_measured_never_share_a_column(paper, comparison):
    published = ["table", "row", "column", "method", "metric", "published", "published_unit", "published_as"]
    without = reports.compare(paper, EMPTY, n=10)
    pd.testing.assert_frame_equal(without[published], comparison[published])
    measured = ["should_low", "should_high", "value", "low", "high", "best", "images", "patients"]
    assert without[measured].isna().all(axis=None)
    printed = {c.printed for method in paper.methods for c in method.published}
    for table in paper.tables:
        page = reports.page_table(paper, comparison, table.id)
        assert set(page["printed"]) <= printed
        assert not printed & set(page.drop(columns="printed").to_numpy().ravel())


def test_a_paper_that_prints_fractions_is_compared_in_fractions():
    other = load_paper("encoder_decoders")
    own = make_results({"resnet34_unet": 0.5}, study="encoder_decoders", images_each=1, patient_sd=0.2)
    comparison = reports.compare(other, changed(own, source="folder (real)"), n=300)
    row = cell(comparison, "resnet34_unet", "dsc")
    assert (row["unit"], row["average"]) == ("fraction", "macro")
    images = own.last.assign(dsc=2 * own.last["tp"] / (2 * own.last["tp"] + own.last["fp"] + own.last["fn"]))
    by_image = images.groupby(["seed", "sample_id"])["dsc"].mean()
    assert row["value"] == pytest.approx(by_image.mean())
    spread = cell(comparison, "resnet34_unet", "dsc_sd")
    assert spread["value"] == pytest.approx(by_image.groupby("seed").std().mean())
    assert spread["low"] < spread["value"] < spread["high"]
    page = reports.page_table(other, comparison, "Table 2")
    text = page.loc["OUDSM: ResNet34UNet, ImageNet"]
    assert text["printed"] == "0.7677"
    assert text["measured here"].startswith(f"{row['value']:.3f} [")


# Settings -------------------------------------------------------------------------------------------


def settings(paper, results, arm=("spatial_matching", "dice_bce"), **values):
    return reports.settings_text(paper, changed(results, **values), arm)


def test_settings_say_what_is_less_than_the_paper_did(paper, results):
    assert settings(paper, results) == (
        "reduced: inbreast (real), 128 px, base width 8, 60 epochs, 5 folds, 2 seeds"
    )
    full = {"image_size": 256, "base_width": 64, "epochs": 100}
    assert settings(paper, results, **full).startswith("full size: inbreast (real), 256 px")
    assert settings(paper, results, **full, source="inbreast phantoms").startswith("reduced: ")
    for more in ({"differs": "batch size 8"}, {"epochs": 200}):
        text = settings(paper, results, **{**full, **more})
        assert text.startswith("changed: ")
        assert all(str(value) in text for value in more.values())
    assert "base width" not in settings(paper, results, **{**full, "base_width": None})


def test_settings_name_a_start_and_a_reconstruction_first():
    other = load_paper("density_asp")
    runs = make_results({"arf_net": 0.5, "dice_bce": 0.5}, study="density_asp", seeds=(0,), n_epochs=1)
    full = {"image_size": 256, "epochs": 100, "base_width": 32}
    text = settings(other, runs, ("density_asp", "arf_net"), **full)
    assert text.startswith("reconstruction; full size: ")
    assert settings(other, runs, ("density_asp", "dice_bce"), **full).startswith("reduced: ")
    boundary = load_paper("boundary_ultrasound")
    runs = make_results({"ce": 0.5}, study="boundary_ultrasound", seeds=(0,), n_epochs=1)
    text = settings(boundary, runs, ("boundary_ultrasound", "ce"), **{**full, "base_width": None})
    assert text.startswith("reduced: ")
    assert "random start" in text


# Pages ----------------------------------------------------------------------------------------------


def test_a_page_has_the_rows_that_were_measured_in_the_order_of_the_paper(paper, comparison):
    page = reports.page_table(paper, comparison, "Table 1")
    assert page.index.tolist() == ["BCE, SM-B, L*_G-A", "Tversky, SM-S, L*_G-A"]
    assert page.columns.tolist() == ["printed", "should have carried", "measured here", "best epoch"]
    assert page.index.name == "Table 1, DSC"
    row = cell(comparison, "sm_s_tversky_all", "dsc", "Table 1")
    assert page.loc["Tversky, SM-S, L*_G-A"].tolist() == [
        "77.24",
        f"[{row['should_low']:.1f}, {row['should_high']:.1f}]",
        f"{row['value']:.1f} [{row['low']:.1f}, {row['high']:.1f}]",
        f"{row['best']:.1f}",
    ]
    area = reports.page_table(paper, comparison, "Table 1", "da")
    assert area.loc["Tversky, SM-S, L*_G-A", "printed"] == "09.49"
    assert area.index.name == "Table 1, ΔA"


def test_no_page_is_wider_than_850_pixels(paper):
    """At 7 px a character and 20 px of padding a column, the widths of a notebook's tables."""
    longest = ("sm_sd_tversky_nonzero", "dice_bce", "sm_sd_dice_nonzero", "sm_s_tversky_all")
    every = make_results(dict.fromkeys(longest, 0.5), n_epochs=1, seeds=(0,))
    comparison = reports.compare(paper, every, n=20)
    for table in paper.tables:
        for metric in table.metrics:
            page = reports.page_table(paper, comparison, table.id, metric)
            widths = [max(map(len, map(str, [name, *page[name]]))) for name in page]
            widths.append(max(map(len, [page.index.name, *page.index])))
            assert sum(7 * width + 20 for width in widths) <= 850, (table.id, metric)


def test_a_table_of_which_nothing_was_measured_says_why_not(paper):
    page = reports.page_table(paper, reports.compare(paper, EMPTY), "Table 2")
    assert len(page) == 8
    assert set(page["measured here"]) == {"not run yet"}
    assert page.loc["AU-Net", "printed"] == "65.32"
    other = load_paper("boundary_ultrasound")
    comparison = reports.compare(other, EMPTY)
    kervadec = reports.page_table(other, comparison, "Table 2")
    assert kervadec.to_dict("index") == {
        "L_CE, ISLES": {"printed": "0.608", "measured here": "not available"},
        "L_CE, WMH": {"printed": "0.757", "measured here": "not available"},
        "(1 - α)L_CE + αL_B, ISLES": {"printed": "0.631", "measured here": "not available"},
        "(1 - α)L_CE + αL_B, WMH": {"printed": "0.756", "measured here": "not available"},
    }
    notes = reports.footnotes(other, comparison, "Table 2")
    assert len(notes) == 1
    assert "a result of Kervadec et al." in notes[0]


def test_footnotes_say_settings_origin_images_and_what_is_not_there(paper, results, comparison):
    notes = reports.footnotes(paper, comparison, "Table 2")
    assert notes[0] == (
        "reduced: inbreast (real), 128 px, base width 8, 60 epochs, 5 folds, 2 seeds; numbers: shipped."
    )
    assert notes[1].startswith("The printed numbers rest on 55 images: five random test parts")
    assert notes[2] == (
        "Not run yet: ARF-Net (reconstruction); ASP-Q (reconstruction); ASP-L (reconstruction); "
        "ASP-C (reconstruction); Density-ASP; SM-SD, BCE, L*_G-A."
    )
    own = results.runs["arm"] == "dice_bce"
    mixed = changed(results, origin=np.where(own, "this machine", "shipped"), current=own)
    mixed.runs.loc[own, "image_size"] = 64
    notes = reports.footnotes(paper, reports.compare(paper, mixed, n=10), "Table 2")
    assert notes[0].startswith("AU-Net, Dice + BCE: reduced: inbreast (real), 64 px")
    assert notes[0].endswith("numbers: this machine.")
    assert notes[1].startswith("SM-S, Tversky, L*_G-A: reduced: inbreast (real), 128 px")
    assert "Measured with earlier code: SM-S, Tversky, L*_G-A." in notes


def test_a_header_that_the_paper_prints_twice_is_asked_for_by_its_metric(paper, comparison):
    page = reports.page_table(paper, comparison, "Table 2", "hd")
    assert page.loc["AU-Net", "printed"] == "5.29"
    assert reports.page_table(paper, comparison, "Table 2", "sensitivity").loc["AU-Net", "printed"] == "57.95"
    with pytest.raises(ValueError, match="Table 2 of spatial_matching has no 'iou'; it has dsc, da"):
        reports.page_table(paper, comparison, "Table 2", "iou")
    with pytest.raises(PaperError, match="has no table 'Table 9'"):
        reports.page_table(paper, comparison, "Table 9")


def test_markdown_has_a_line_for_every_row(paper, comparison):
    lines = reports.markdown(reports.page_table(paper, comparison, "Table 1")).splitlines()
    assert lines[0] == "| Table 1, DSC | printed | should have carried | measured here | best epoch |"
    assert len(lines) == 4
    assert {line.count(" | ") for line in lines} == {4}
    assert r"L\*\_G-A" in lines[2]


def test_the_long_table_goes_through_csv(comparison, tmp_path):
    reports.flat(comparison).to_csv(tmp_path / "table.csv", index=False)
    back = pd.read_csv(tmp_path / "table.csv")
    assert len(back) == len(comparison)
    assert back["value"].to_numpy() == pytest.approx(
        comparison["value"].to_numpy(float), abs=1e-4, nan_ok=True
    )


def test_settings_table_tells_stated_from_chosen(paper):
    table = reports.settings_table(paper).set_index("setting")
    assert table.loc["training.batch_size", "stated by the paper"] == "yes"
    assert table.loc["training.epochs", "stated by the paper"] == "no: our choice"


# Studies --------------------------------------------------------------------------------------------


def test_ablation_compares_every_arm_with_one(results):
    table = reports.ablation(results, n=200).set_index("arm")
    assert table.index.tolist() == list(MEANS)
    assert np.isnan(table.loc["dice_bce", "difference"])
    panel = estimate.Panel(results, ["sm_s_tversky_all", "dice_bce"], n=200)
    want = estimate.difference(panel, ["sm_s_tversky_all"], ["dice_bce"])
    got = table.loc["sm_s_tversky_all", ["difference", "difference_low", "difference_high"]].tolist()
    assert got == [want.value, want.low, want.high]
    assert table.loc["sm_s_tversky_all", "common"] == "5 folds, 2 seeds"
    other = reports.ablation(results, "sm_b_bce_all", n=20).set_index("arm")
    assert np.isnan(other.loc["sm_b_bce_all", "difference"])
    assert other.loc["sm_b_bce_all/soft counts", "difference"] == pytest.approx(-0.25, abs=0.03)


def test_variants_are_compared_with_their_own_method(results):
    """What another reading of one loss changes is not seen against another loss."""
    table = reports.ablation(results, "dice_bce", within=True, n=200).set_index("arm")
    assert table.index[table["difference"].notna()].tolist() == ["sm_b_bce_all/soft counts"]
    panel = estimate.Panel(results, ["sm_b_bce_all/soft counts", "sm_b_bce_all"], n=200)
    want = estimate.difference(panel, ["sm_b_bce_all/soft counts"], ["sm_b_bce_all"])
    assert table.loc["sm_b_bce_all/soft counts", "difference"] == want.value
    page = reports.study_table(results, within=True, n=50)
    assert (page["difference"] != "–").tolist() == table["difference"].notna().tolist()


def test_arms_without_a_fold_in_common_are_not_compared(results):
    apart = make_results({"new": 0.5}, seeds=(7,))
    table = reports.ablation(estimate.gather([results, apart]), n=20).set_index("arm")
    assert np.isnan(table.loc["new", "difference"])
    assert table.loc["new", "common"] == ""


def test_study_table_is_text_for_a_page(results):
    page = reports.study_table(results, n=50)
    assert page.columns.tolist() == ["measured here", "difference", "best epoch"]
    assert page.loc["dice_bce", "difference"] == "–"
    row = reports.ablation(results, n=50).set_index("arm").loc["sm_b_bce_all/soft counts"]
    low, high = 100 * row["difference_low"], 100 * row["difference_high"]
    assert page.loc["sm_b_bce_all/soft counts", "difference"] == (
        f"{100 * row['difference']:+.1f} [{low:+.1f}, {high:+.1f}]"
    )


def test_arms_stand_in_the_order_that_is_asked_for(results):
    """The first one is what the others are compared with."""
    table = reports.ablation(results, arms=["sm_s_tversky_all", "dice_bce"], n=20)
    assert table["arm"].tolist() == ["sm_s_tversky_all", "dice_bce"]
    assert np.isnan(table.loc[0, "difference"])
    assert table.loc[1, "difference"] == pytest.approx(-0.1, abs=0.05)


@pytest.mark.parametrize("name", [name for name in study_names() if not name.endswith(".rest")])
def test_every_study_has_a_table_with_all_its_arms(name):
    """Arms that differ in one thing are arms of their own: nothing has to be chosen."""
    results, arms = results_of_study(name, study := load_study(name))
    page = reports.study_table(results, n=2)
    assert page.index.tolist() == arms
    assert (page["measured here"] != "–").all()
    assert (page["difference"] == "–").tolist() == [True] + [False] * (len(arms) - 1)
    if study.paper:
        assert reports.compare(study.paper, results, n=2)["measured_with"].notna().all()


@pytest.mark.parametrize("name", ["spatial_matching.grid_size", "boundary_ultrasound", "benchmark"])
def test_the_text_of_a_study_holds_its_arms_and_the_tables_of_its_paper(name):
    results, arms = results_of_study(name, study := load_study(name))
    text = reports.text(study, results, n=5)
    assert text.startswith(f"# {study.title}")
    for arm in arms:
        assert f"| {arm.replace('_', chr(92) + '_')} |" in text
    if study.paper:
        assert all(f"## {table.id}: " in text for table in study.paper.tables)
        assert all(note.text.split(";")[0].split("*")[0][:25] in text for note in study.paper.notes)


def results_of_study(name, study):
    profile = "reduced" if "reduced" in study.file.profiles else "demo"
    arms = ["/".join(filter(None, arm)) for arm in study.arms(profile)]
    made = {"study": name, "profile": profile, "n_epochs": 1, "seeds": (0,), "n_patients": 10}
    results = make_results(dict.fromkeys(arms, 0.5), **made)
    results.runs["paper"] = study.paper.key if study.paper else None
    return results, arms


def test_text_without_any_run():
    text = reports.text(load_study("spatial_matching"), EMPTY)
    assert "Nothing of it has been run." in text
    assert "not run yet" in text
    assert "reduced:" not in text


def test_what_is_said_of_a_run_are_columns_of_results():
    """The tables that these tests make up have what the real ones have."""
    from mammoseg_lib.results import Results, shipped

    described = Results.__doc__ + (shipped.describe.__doc__ or "")
    assert all(name in described for name in RUN)
    assert set(paper_keys()) >= {"spatial_matching", "density_asp"}
