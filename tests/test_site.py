from __future__ import annotations

import nbformat
import pytest
from PIL import Image

from mammoseg_lib import paths, site
from mammoseg_lib.papers import load_paper, paper_keys
from mammoseg_lib.reports.gallery import Output
from mammoseg_lib.site import claims
from mammoseg_lib.site.links import Links
from mammoseg_lib.site.notebooks import Page
from mammoseg_lib.site.parts import cell, miniature, quoted

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="


@pytest.fixture
def links(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PROJECT", tmp_path / "project")
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "project"))
    for name in ("lib/code.py", "figures/10/a.svg", "notes.md"):
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "source").mkdir()
    return Links(
        tmp_path / "source", {"a.md", "notebooks/10.ipynb"}, {"figures": "gallery.md", ".": "index.md"}
    )


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("[a](../a.md#part) and [b](10.ipynb)", None),
        ("[all](../figures) [`figures/`](../figures/)", "[all](../gallery.md) [`figures/`](../gallery.md)"),
        ("[home](..)", "[home](../index.md)"),
        ("[web](https://example.org/x.md) [here](#part) [mail](mailto:a@b.c)", None),
        ("[a](10.ipynb#2.-The-grid) [b](#Words)", "[a](10.ipynb#2-the-grid) [b](#words)"),
        ("`[a](nowhere.md)` and ```\n[a](nowhere.md)\n```", None),
        ("$f[0, 1)$ and [0.5, 1) (in words)", None),
        ("![`x`](../figures/trained/10/b.png), [x](../figures/mine/b.png)", "`x`, x"),
        ("[![x](../lib/code.py)](../figures)", "[![x](../lib/code.py)](../gallery.md)"),
    ],
)
def test_links_lead_where_they_led(links, text, becomes):
    assert links.rewrite(text, "notebooks/10.ipynb") == (becomes or text)
    assert links.dead == []


def test_files_that_are_no_pages_come_along(links):
    links.rewrite("[code](../lib/code.py) ![a](../figures/10/a.svg)", "notebooks/10.ipynb")
    assert (links.source / "lib" / "code.py").read_text() == "x"
    assert (links.source / "figures" / "10" / "a.svg").exists()


def test_a_folder_of_code_is_a_page_that_lists_its_files(links, tmp_path):
    code = tmp_path / "project" / "mammoseg_lib" / "losses"
    code.mkdir(parents=True)
    (code / "dice.py").write_text("x")
    (code / "notes.txt").write_text("x")
    text = links.rewrite("[a](../mammoseg_lib/losses) [b](../mammoseg_lib/losses/)", "notebooks/10.ipynb")
    assert text == "[a](../mammoseg_lib/losses/index.md) [b](../mammoseg_lib/losses/index.md)"
    listed = (links.source / "mammoseg_lib" / "losses" / "index.md").read_text()
    assert "[dice.py](dice.py)" in listed
    assert "notes.txt" not in listed
    assert (links.source / "mammoseg_lib" / "losses" / "dice.py").exists()
    assert links.dead == []


@pytest.mark.parametrize(
    "target", ["b.md", "../b.md", "../../outside.py", "../lib", "../notes.md", "11.ipynb#x"]
)
def test_dead_links_are_named_by_page(links, target):
    links.rewrite(f"[x]({target})", "notebooks/10.ipynb")
    assert links.dead == [f"notebooks/10.ipynb: {target}"]


@pytest.fixture
def page(tmp_path):
    """A function that makes the page of a notebook with one code cell."""

    def make(source, outputs=(), images=0, tags=(), alt=""):
        data = {"image/png": PIXEL, "text/plain": "<Figure>"}
        metadata = {"image/png": {"alt": alt, "width": 9}} if alt else {}
        shown = [nbformat.v4.new_output("display_data", data, metadata=metadata) for _ in range(images)]
        shown.append(nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}}))
        notebook = nbformat.v4.new_notebook(metadata={"widgets": {"state": 1}})
        notebook.cells = [nbformat.v4.new_code_cell(source, outputs=shown, metadata={"tags": list(tags)})]
        nbformat.write(notebook, tmp_path / "10_x.ipynb")
        (tmp_path / "source").mkdir(exist_ok=True)
        return Page(tmp_path / "10_x.ipynb", "notebooks/10_x.ipynb", list(outputs), tmp_path / "source")

    return make


def _output(tmp_path, name, suffix=".png", **record):
    path = tmp_path / f"{name}{suffix}"
    Image.new("RGB", (5, 3)).save(path) if suffix == ".png" else path.write_text("a,b\n1,2\n")
    return Output(f"10_x/{name}", "10_x", name, (path,), record)


def test_a_picture_has_its_text_and_leads_to_its_record(page, tmp_path):
    made = page(
        'outputs.figure(f, "pairs")', [_output(tmp_path, "pairs", of="000 Figure 1")], 1, alt='A "disc"'
    )
    code, shown = made.notebook.cells
    assert code.outputs == []
    assert "widgets" not in made.notebook.metadata
    assert ':alt: "A \\"disc\\""' in shown.source
    assert ":width: 9px" in shown.source
    assert ":target: ../figures/10_x/pairs.html" in shown.source
    assert "[pairs](../figures/10_x/pairs.md) (000 Figure 1)" in shown.source
    assert made.pictures[0].read_bytes()[:4] == b"\x89PNG"


def test_names_made_in_a_loop_are_found(page, tmp_path):
    outputs = [_output(tmp_path, name) for name in ("of_a", "of_b", "other")]
    made = page('for x in "ab":\n    outputs.figure(draw(x), f"of_{x}")', outputs, 2)
    assert [cell.source.count("of_a.md") for cell in made.notebook.cells] == [0, 1, 0]
    assert [cell.source.count("of_b.md") for cell in made.notebook.cells] == [0, 0, 1]


def test_tables_lead_to_their_record_too(page, tmp_path):
    made = page('outputs.table(t, "values")', [_output(tmp_path, "values", ".csv")])
    assert "[values](../figures/10_x/values.md)" in made.notebook.cells[1].source


def test_a_figure_that_was_trained_elsewhere_is_taken_from_the_notebook(page):
    made = page('outputs.figure(f, "examples", of="000 Figure 4", trained=True)', images=1)
    assert [each.id for each in made.missing] == ["trained/10_x/examples"]
    assert made.missing[0].exhibits == [("000", "Figure 4", "")]
    assert made.missing[0].files[0].exists()
    assert "(../figures/trained/10_x/examples.md)" in made.notebook.cells[1].source


@pytest.mark.parametrize(
    ("source", "more", "folded"),
    [
        ("loss = 1 - 2 * both / (p + y)", {}, False),
        ("n: int = 1  # how many", {"tags": ["parameters"]}, True),
        ("print(version_line())", {}, True),
        ("import a\nfrom b import (\n    c,\n)", {}, True),
        ("plt.show()", {"images": 1}, True),
        ('loss = -(y * p.log())\noutputs.figure(draw(loss), "by_hand")', {"images": 1}, False),
        ("x = 1\n" * 15, {}, False),
        ("x = 1\n" * 16, {}, True),
    ],
)
def test_code_that_sets_up_or_draws_is_folded_and_a_loss_is_open(page, source, more, folded):
    code = page(source, **more).notebook.cells[0]
    assert ("hide-input" in code.metadata.get("tags", [])) is folded


def test_marks_for_the_tests_are_not_shown(page):
    assert page("# NBVAL_IGNORE_OUTPUT\nprint(1)").notebook.cells[0].source == "print(1)"


def test_texts_stay_what_they_are_in_markdown(tmp_path):
    assert cell("a|b_c*d$[e]") == "a&#124;b&#95;c&#42;d&#36;&#91;e&#93;"
    assert quoted('two\nlines, "quoted"') == '"two lines, \\"quoted\\""'
    table = tmp_path / "t.csv"
    table.write_text("a,<b>\n<script>,2\n")
    assert "<script>" not in miniature(Output("t", "n", "t", (table,)))


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(site.SiteError, match="not empty and holds no site"):
        site.build_site(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_claim_stands_with_its_rule_its_verdict_and_what_bears_on_it(tmp_path):
    paper = load_paper("boundary_ultrasound")
    claim = next(each for each in paper.claims if each.id == "linear_similar")
    table = tmp_path / "ledger.csv"
    table.write_text("claim,measured,verdict\nlinear_similar,0.4 points,undecided\n")
    ledger = Output("tables/52_verdicts-ledger", "52_verdicts", "ledger", (table,), {})
    curves = _output(tmp_path, "curves", claims=["linear_similar"])
    text = "\n".join(claims.claims(paper, [curves, ledger], "../"))
    part = text[text.index("### Linear similar") :].split("###")[1]
    assert claim.quote in part
    assert "linear against ce, in dsc; study boundary" in part
    assert "**measured**: 0.4 points" in part
    assert "**verdict**: undecided" in part
    assert "[Curves (notebook 10)](../figures/10_x/curves.md)" in part
    assert part.count("verdict") == text.count("**verdict**") == 1


def test_every_claim_has_a_heading_of_its_own():
    for key in paper_keys():
        headings = [claims.heading(claim) for claim in load_paper(key).claims]
        assert len(set(headings)) == len(headings)
        assert all(claims.how(claim) for claim in load_paper(key).claims)
