"""Notebooks as pages: their committed outputs, folded code, figures with links to where they came from."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path

import nbformat

from mammoseg_lib.reports.gallery import Output
from mammoseg_lib.site.links import Links
from mammoseg_lib.site.pages import figure, up

WIDGET = "application/vnd.jupyter.widget-view+json"
LONGEST = 15  # lines of code that stand open; what is longer is folded


def page(path: Path, place: str, outputs: list[Output], links: Links) -> nbformat.NotebookNode:
    """A notebook as the site shows it.

    Args:
        path: The committed notebook.
        place: Its path in the repository.
        outputs: The figures and tables that it writes.
        links: Rewrites the links in its prose.

    Returns:
        A notebook whose code is folded where it only sets up or draws, and whose figures are the files that it
        wrote, each with a line that leads to its record.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)  # a saved view of a slider is dead without a kernel
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = links.rewrite(cell.source, place)
            cells.append(cell)
        elif cell.cell_type == "code":
            cells += _code(cell, place, outputs, links)
    notebook.cells = cells
    return notebook


def title(path: Path) -> str:
    """The first heading of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    return re.search(r"^# (.+)$", cells[0].source, re.MULTILINE)[1]


def _code(cell: nbformat.NotebookNode, place: str, outputs: list[Output], links: Links) -> list:
    written = _written(cell.source, outputs)
    cell.outputs = [each for each in cell.outputs if WIDGET not in each.get("data", {})]
    for each in cell.outputs:
        if "text/markdown" in each.get("data", {}):
            each.data["text/markdown"] = links.rewrite(each.data["text/markdown"], place)
    pictures = [each for each in cell.outputs if "image/png" in each.get("data", {})]
    figures = [each for each in written if not each.is_table]
    shown = []
    if pictures and len(pictures) == len(figures):
        # The file is sharper than the copy in the notebook, and has a text for those who cannot see it.
        cell.outputs = [each for each in cell.outputs if each not in pictures]
        shown = [nbformat.v4.new_markdown_cell(figure(each, up(place))) for each in figures]
    cell.source = re.sub(r"^# NBVAL_\w+\n?", "", cell.source, flags=re.MULTILINE)
    if _folded(cell, bool(pictures)):
        cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-input"]
    rest = written if not shown else [each for each in written if each.is_table]
    if rest:
        records = ", ".join(f"[{each.name}]({up(place)}figures/{each.id}.md)" for each in rest)
        shown.append(nbformat.v4.new_markdown_cell(f"{{.origin}}\nWhere it comes from: {records}"))
    return [cell, *shown]


def _folded(cell: nbformat.NotebookNode, draws: bool) -> bool:
    """Whether a cell's code is folded: it sets up, draws, or is long. A loss in the open stays open."""
    lines = cell.source.strip().splitlines()
    sets_up = "parameters" in cell.metadata.get("tags", []) or "version_line()" in cell.source
    return sets_up or draws or len(lines) > LONGEST


def _written(source: str, outputs: list[Output]) -> list[Output]:
    """The outputs that a cell writes: its calls of `.figure(..., name)` and `.table(..., name)`."""
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return []  # a cell with a %magic
    found = []
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else None
        name = {keyword.arg: keyword.value for keyword in call.keywords}.get("name")
        name = call.args[1] if len(call.args) > 1 else name
        if method in ("figure", "table") and name is not None and (pattern := _pattern(name)):
            found += [
                each
                for each in outputs
                if each.is_table == (method == "table") and not each.id.startswith("real/")
                and fnmatchcase(each.name, pattern) and each not in found
            ]  # fmt: skip
    return found


def _pattern(name: ast.expr) -> str | None:
    """The names that an expression may stand for: a constant, or an f-string with its fields left open."""
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        return name.value
    if isinstance(name, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in name.values)
    return None
