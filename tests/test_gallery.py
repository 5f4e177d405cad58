from __future__ import annotations

import json

import pandas as pd
import pytest
from PIL import Image

from mammoseg_lib import paths
from mammoseg_lib.papers import load_paper, paper_keys
from mammoseg_lib.reports import gallery
from mammoseg_lib.reports.gallery import EXHIBITS, GalleryError, Output


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """A project with three figures and two tables, one of them of real images."""
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    folder = tmp_path / "figures"

    def write(id: str, **record) -> None:
        path = folder / f"{id}.csv" if "tables" in id else folder / f"{id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            pd.DataFrame({"method": ["a", "b"], "DSC": ["70.05", "68.03"]}).to_csv(path, index=False)
        else:
            Image.new("RGB", (6, 4)).save(path)
        if record:
            path.with_suffix(".json").write_text(json.dumps(record))

    write(
        "10_bce/pairs",
        of="000 Figure 1",
        caption="Pairs.",
        alt="Six panels.",
        parameters={"side": 128, "m": [1]},
    )
    write("10_bce/values", parameters={}, data={"source": "drawn masks", "other": "drawn masks"})
    write("30_grid/dsc", of="000 Figure 3a, 000 Table 1", study="spatial_matching", claims=["a_b"])
    write("trained/41_examples/four", of="000 Figure 4")
    write("mine/10_bce/pairs", of="000 Figure 1")
    write("tables/10_bce-values", of="000 Table 1", parameters={})
    write("real/tables/10_bce-values")
    write("real/10_bce/patients", of="000 Figure 1")
    return folder


def test_every_figure_and_table_but_those_of_patients_and_of_the_reader(figures):
    assert [each.id for each in gallery.outputs()] == [
        "10_bce/pairs", "10_bce/values", "real/tables/10_bce-values", "tables/10_bce-values",
        "30_grid/dsc", "trained/41_examples/four",
    ]  # fmt: skip


def test_what_shows_a_figure_of_a_paper(figures):
    everything = gallery.outputs()
    assert [each.id for each in gallery.shown_as("Figure 1", "000", everything)] == ["10_bce/pairs"]
    shown = gallery.shown_as("Table 1", "000", everything)
    assert [each.id for each in shown] == ["30_grid/dsc", "tables/10_bce-values"]
    assert shown[0].exhibits == [("000", "Figure 3", "a"), ("000", "Table 1", "")]
    assert gallery.shown_as("Figure 1", "001", everything) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("10_bce/pairs", ["10_bce/pairs"]),
        ("figures/10_bce/pairs.png", ["10_bce/pairs"]),
        ("/somewhere/figures/10_bce/pairs.svg", ["10_bce/pairs"]),
        ("pairs", ["10_bce/pairs"]),
        ("41_examples/four", ["trained/41_examples/four"]),
        ("tables/10_bce-values.csv", ["tables/10_bce-values"]),
        ("10_bce/values", ["10_bce/values"]),
        ("30_grid", ["30_grid/dsc"]),
        ("000 Figure 3", ["30_grid/dsc"]),
        ("000 Figure 3a", ["30_grid/dsc"]),
        ("000 Table 1", ["tables/10_bce-values", "30_grid/dsc"]),
    ],
)
def test_found_by_path_name_notebook_or_exhibit(figures, name, found):
    assert [each.id for each in gallery.find(name)] == found


@pytest.mark.parametrize("name", ["000 Figure 3b", "nothing", "000 Figure 2", ""])
def test_what_is_not_there_is_an_error(figures, name):
    with pytest.raises(GalleryError, match="no figure or table is called"):
        gallery.find(name)


def test_a_slip_is_answered_with_the_name_that_is_near(figures):
    with pytest.raises(GalleryError, match="did you mean pairs"):
        gallery.find("pair")


def test_a_figure_says_where_it_came_from(figures):
    lines = gallery.show("pairs").splitlines()
    assert lines[0] == "10_bce/pairs"
    facts = dict(line.split(maxsplit=1) for line in lines[1:])
    assert facts["shows"] == "000 Figure 1"
    assert facts["parameters"] == "side = 128, m = 1"
    assert facts["notebook"] == "notebooks/10_bce.ipynb"
    assert facts["images"] == "none of patients"
    assert facts["files"] == "figures/10_bce/pairs.png"
    assert "of patients" in gallery.show("real/tables/10_bce-values")
    assert "spatial_matching" in gallery.show("dsc")
    assert "a_b" in gallery.show("dsc")


def test_a_number_says_in_which_tables_it_stands(figures):
    text = gallery.show("68.03")
    assert "row 'b', column 'DSC' of tables/10_bce-values" in text
    assert text.count("notebooks/10_bce.ipynb") == 2
    with pytest.raises(GalleryError, match=r"no table holds 68\.04"):
        gallery.show("68.04")


def test_a_notebook_that_changed_since_is_named(figures, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    cell = {"cell_type": "code", "source": ["1"], "metadata": {}}
    (tmp_path / "10_bce.ipynb").write_text(json.dumps({"cells": [cell]}))
    digest = gallery.notebook_digest(tmp_path / "10_bce.ipynb")

    def output(code):
        return Output("10_bce/x", "10_bce", "x", (figures / "10_bce" / "pairs.png",), {"notebook_code": code})

    assert output(digest).current is True
    assert output("other").current is False
    assert "other, changed since" in gallery.describe(output("other"))
    assert output(None).current is None


def test_text_for_those_who_cannot_see_a_figure(figures):
    pairs, values = gallery.find("10_bce/pairs")[0], gallery.find("10_bce/values")[0]
    assert (pairs.alt, pairs.caption) == ("Six panels.", "Pairs.")
    assert (values.alt, values.caption) == ("Values of notebook 10_bce", "")


def test_every_table_that_a_paper_of_ours_lists_is_an_exhibit():
    for key in paper_keys():
        paper = load_paper(key)
        assert {table.id for table in paper.tables} <= set(EXHIBITS[paper.cite])


def test_every_of_in_the_repository_names_an_exhibit():
    for each in gallery.outputs():
        of = each.record.get("of")
        named = [f"{paper} {exhibit}{part}" for paper, exhibit, part in each.exhibits]
        assert not of or ", ".join(named) == of, each.id
        assert all(exhibit in EXHIBITS[paper] for paper, exhibit, _ in each.exhibits), each.id
