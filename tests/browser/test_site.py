"""The built site, read from file:// as a visitor would."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from mammoseg_lib.reports.gallery import EXHIBITS
from mammoseg_lib.site import build_site
from mammoseg_lib.site.pages import papers
from mammoseg_lib.site.parts import anchor

pytestmark = pytest.mark.slow

pytest.importorskip("sphinx", reason="the extra `site` is not installed")
pytest.importorskip("myst_nb", reason="the extra `site` is not installed")


class _Page(HTMLParser):
    """The addresses that a page links to or loads, its anchors, and its pictures without a text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.bare: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        given = dict(attrs)
        self.targets += [given[name] for name in ("href", "src") if given.get(name) and tag != "base"]
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "img" and not given.get("alt"):
            self.bare.append(given.get("src") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the built site."""
    return build_site(tmp_path_factory.mktemp("site")).parent


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, _Page]:
    """Every page of it."""
    return {path: _Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}


def test_no_link_is_dead(site, pages):
    dead = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            known = not fragment or place not in pages or fragment in pages[place].anchors
            if not place.is_file() or not place.is_relative_to(site) or not known:
                dead.append(f"{path.relative_to(site)}: {target}")
    assert len(pages) > 150
    assert not dead, "\n".join(dead)


def test_nothing_is_loaded_from_elsewhere(site, pages):
    """Links may lead out; scripts, styles, fonts and pictures may not come from outside."""
    loads = re.compile(
        r"""<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=["']((?:https?:)?//[^"']+)"""
    )
    allowed = ("canonical", "license")
    for path in pages:
        for found in loads.finditer(path.read_text(encoding="utf-8")):
            assert any(f'rel="{kind}"' in found[0] for kind in allowed), f"{path.name} loads {found[1]}"
    for style in (site / "_static").rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:", style.read_text(encoding="utf-8")), style.name


def test_every_figure_and_table_of_every_paper_is_found_from_the_index(site, pages):
    index = pages[site / "index.html"]
    for paper in papers():
        for exhibit in EXHIBITS[paper.cite]:
            assert f"papers/{paper.key}.html#{anchor(exhibit)}" in index.targets
            assert anchor(exhibit) in pages[site / "papers" / f"{paper.key}.html"].anchors


def test_each_of_them_is_shown(site):
    missing = [
        f"{paper.cite} {exhibit}"
        for paper in papers()
        for exhibit, part in _parts(site / "papers" / f"{paper.key}.html").items()
        if exhibit in EXHIBITS[paper.cite] and not re.search("<img|<table", part)
    ]
    assert missing == []


def _parts(path: Path) -> dict[str, str]:
    """The sections of a page, by their heading."""
    parts = re.split(r"<h2>([^<]+)", path.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_picture_has_a_text_for_those_who_cannot_see_it(pages):
    assert [f"{path.name}: {source}" for path, page in pages.items() for source in page.bare] == []


def test_a_visitor_reads_searches_and_follows_a_figure(browser, site):
    """From the index to a paper, from a figure to its record and its notebook; formulas, pictures, search."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)

    page.goto((site / "index.html").as_uri())
    # By keyboard: the link is as large as its card and has no size of its own.
    page.get_by_role("link", name="Figure 1: Pairs of predictions that binary cross-entropy").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/papers/spatial_matching.html#figure-1")
    page.goto((site / "figures" / "10_bce_failure_cases" / "pairs.html").as_uri())
    assert page.locator("table.facts").inner_text().count("confidence = ")
    page.locator("table.facts").get_by_role("link", name="10 ").click()
    page.wait_for_url("**/notebooks/10_bce_failure_cases.html")
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    page.wait_for_load_state("load")
    assert page.evaluate(broken) == []
    page.wait_for_selector("mjx-container svg")
    assert page.locator("mjx-merror").count() == 0
    folded = page.locator("details.hide").first
    assert not folded.locator("pre").first.is_visible()
    folded.locator("summary").click()
    assert folded.locator("pre").first.is_visible()

    page.goto((site / "search.html").as_uri() + "?q=Hausdorff")
    page.wait_for_selector("#search-results li a")
    first = page.locator("#search-results li a").first.get_attribute("href")
    assert "Hausdorff" in (site / urlsplit(first).path).read_text(encoding="utf-8")

    context.close()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert errors == []


@pytest.mark.parametrize("width", [900, 1280])
def test_pages_fit_the_window(browser, site, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    wide = {}
    for path in ("index", "gallery", "papers/spatial_matching", "notebooks/15_loss_atlas", "README"):
        page.goto((site / f"{path}.html").as_uri())
        wide[path] = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert max(wide.values()) <= width, wide
