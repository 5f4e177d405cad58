"""The pages that the site adds: the index by paper, the gallery, and a page for each figure and table."""

from __future__ import annotations

from mammoseg_lib.papers import load_paper, paper_keys
from mammoseg_lib.papers.schema import Paper
from mammoseg_lib.reports.gallery import EXHIBITS, Output, origin, shown_as
from mammoseg_lib.site.claims import claims, heading
from mammoseg_lib.site.parts import anchor, card, cell, grid, preview, shown, toctree, up

NO_CONTENTS = "html_theme.sidebar_secondary.remove: true"  # beside a page that one sees at a glance
SECTIONS = {
    "0": "Start and data", "1": "Losses and networks", "2": "Training", "3": "Ablations",
    "4": "Figures and tables", "5": "Beyond the papers",
}  # fmt: skip


def index(outputs: list[Output], thumbnails: dict[str, str]) -> str:
    """The first page: every figure and table of every paper, with a picture."""
    text = [
        f"---\n{NO_CONTENTS}\n---",
        "# mammoseg",
        "A reproducible companion to four papers on breast mass segmentation: what they describe, "
        "re-implemented and tested; what they leave open, as a named switch; what they published, beside "
        "what can be reproduced. Below are all figures and tables of the four papers; each leads to ours, "
        "and from there to the notebook, its parameters and what it was computed from.",
        "[Start here](notebooks/00_start_here.ipynb) · [all notebooks](notebooks/index.md) · "
        "[all figures and tables](gallery.md) · [how to install and run it](README.md)",
    ]
    for paper in papers():
        text.append(f"## {paper.cite} · {paper.title}")
        text.append(f"[All of it on one page](papers/{paper.key}.md) · {paper.venue}")
        cards = []
        for exhibit, what in EXHIBITS[paper.cite].items():
            found = shown_as(exhibit, paper.cite, outputs)
            link = f"papers/{paper.key}.html#{anchor(exhibit)}"
            cards.append(card(exhibit, what, link, preview(found[0] if found else None, thumbnails, "")))
        text.append(grid(cards))
    return "\n\n".join([*text, toctree("papers/index", "notebooks/index", "gallery", "guide")])


def paper_page(paper: Paper, outputs: list[Output]) -> str:
    """A paper: each of its figures and tables beside ours."""
    text = [
        f"# {paper.cite} · {paper.title}",
        f"{paper.venue[0].upper() + paper.venue[1:]}. [{paper.url}]({paper.url})",
    ]
    for exhibit, what in EXHIBITS[paper.cite].items():
        text += [f"## {exhibit}", f"*{what}.*"]
        found = shown_as(exhibit, paper.cite, outputs)
        if not found:
            text.append("Not shown yet.")
        for output in found:
            parts = ", ".join(part for cite, which, part in output.exhibits if which == exhibit and part)
            label = f"Part {parts} · " if parts else ""
            text += [shown(output, "../"), f"{{.origin}}\n{label}{source_line(output, '../')}"]
    text += claims(paper, outputs, "../")
    if paper.notes:
        text.append("## What to know before comparing")
        text += [f"- **{note.about}.** {note.text}" for note in paper.notes]
    return "\n\n".join(text)


def papers_index() -> str:
    """The list of papers."""
    lines = [f"- {paper.cite} · [{paper.title}]({paper.key}.md). {paper.venue}" for paper in papers()]
    return "\n\n".join(["# Papers", "\n".join(lines), toctree(*(paper.key for paper in papers()))])


def notebooks_index(titles: dict[str, str], thumbnails: dict[str, str]) -> str:
    """The list of notebooks, each with its first picture."""
    text, trees = ["# Notebooks"], []
    for number, section in SECTIONS.items():
        names = [name for name in titles if name.startswith(number)]
        if names:
            cards = [
                card(f"{name[:2]} {titles[name]}", "", f"{name}.html", preview(name, thumbnails, "../"))
                for name in names
            ]
            text += [f"## {section}", grid(cards, 3)]
            trees.append(toctree(*names, caption=section))
    text.append("[Solutions to the exercises](solutions/index.md)")
    return "\n\n".join([*text, *trees, toctree("solutions/index", caption="Solutions")])


def solutions_index(titles: dict[str, str]) -> str:
    """The list of solutions."""
    lines = [f"- [{name[:2]} {title}]({name}.ipynb)" for name, title in titles.items()]
    return "\n\n".join(["# Solutions to the exercises", "\n".join(lines), toctree(*titles)])


def gallery(titles: dict[str, str], outputs: list[Output], thumbnails: dict[str, str]) -> str:
    """Every figure and table, by notebook."""
    text = ["# Figures and tables", "Everything that the notebooks write, whether a paper shows it or not."]
    for name in dict.fromkeys(output.notebook for output in outputs):
        text.append(f"## {name[:2]} {titles.get(name, name)}")
        of_it = [output for output in outputs if output.notebook == name]
        text.append(grid([
            card(each.title, remark(each), f"figures/{each.id}.html", preview(each, thumbnails, ""))
            for each in of_it
        ]))  # fmt: skip
    return "\n\n".join(text)


def remark(output: Output) -> str:
    """What tells an output from another of the same name: what it shows of the papers, and real images."""
    return " · ".join(filter(None, [output.record.get("of"), "real images" if output.real else ""]))


def guide(places: dict[str, str]) -> str:
    """The pages of the repository that are no notebooks: title by place."""
    lines = [f"- [{title}]({place})" for place, title in places.items()]
    trees = toctree(*(place.removesuffix(".md") for place in places))
    return "\n\n".join(["# Guide", "\n".join(lines), trees])


def output_page(output: Output, titles: dict[str, str]) -> str:
    """A figure or a table with everything that is recorded about it."""
    top = up(f"figures/{output.id}")
    facts = origin(output)
    facts.pop("caption", None)
    if output.notebook in titles:
        link = f"[{output.notebook[:2]} {titles[output.notebook]}]({top}notebooks/{output.notebook}.ipynb)"
        facts["notebook"] = link
    if "shows" in facts:
        facts["shows"] = ", ".join(exhibit_links(output, top))
    if "claims" in facts:
        facts["claims"] = ", ".join(claim_links(output, top))
    facts["files"] = " · ".join(
        f"[{path.name}]({path.name})"
        for path in (output.files[-1], *([output.sidecar] if output.sidecar.exists() else []))
    )
    plain = {"notebook", "shows", "claims", "files"}
    rows = [f"| {name} | {value if name in plain else cell(value)} |" for name, value in facts.items()]
    return "\n\n".join([
        f"---\norphan: true\n{NO_CONTENTS}\n---", f"# {output.title}", shown(output, top, link=False),
        output.caption, "## Where it comes from", "\n".join(["{.facts}", "| | |", "|---|---|", *rows]),
        f"`mammoseg show {output.id}` prints the same. [All figures and tables]({top}gallery.md)",
    ])  # fmt: skip


def source_line(output: Output, top: str) -> str:
    """The links from a figure or table to its record and its notebook."""
    images = "real images" if output.real else ""
    record = f"[where it comes from]({top}figures/{output.id}.md)"
    notebook = f"[notebook {output.notebook[:2]}]({top}notebooks/{output.notebook}.ipynb)"
    return " · ".join(part for part in (output.caption, images, notebook, record) if part)


def exhibit_links(output: Output, top: str) -> list[str]:
    """Links from an output to what it shows of the papers."""
    keys = {paper.cite: paper.key for paper in papers()}
    return [
        f"[{cite} {which}{part}]({top}papers/{keys[cite]}.md#{anchor(which)})"
        for cite, which, part in output.exhibits
    ]


def claim_links(output: Output, top: str) -> list[str]:
    """Links from an output to the claims that it bears on."""
    places = {
        claim.id: f"{top}papers/{paper.key}.md#{anchor(heading(claim))}"
        for paper in papers()
        for claim in paper.claims
    }
    return [f"[{name}]({places[name]})" if name in places else name for name in output.record["claims"]]


def papers() -> list[Paper]:
    """The papers in the order of their numbers."""
    return sorted(map(load_paper, paper_keys()), key=lambda paper: paper.cite)
