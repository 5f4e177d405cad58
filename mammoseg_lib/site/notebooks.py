"""Notebooks as pages: their committed outputs, folded code, pictures that lead to where they came from."""

from __future__ import annotations

import ast
import re
from base64 import b64decode
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import nbformat

from mammoseg_lib.reports.gallery import Output
from mammoseg_lib.site.links import Links
from mammoseg_lib.site.parts import picture, up

WIDGET = "application/vnd.jupyter.widget-view+json"
LONGEST = 15  # lines of code that stand open; what is longer is folded


@dataclass(frozen=True)
class Written:
    """A call of `outputs.figure` or `outputs.table` in a cell: what is written, under which name."""

    is_table: bool
    pattern: str
    said: dict[str, str]

    def finds(self, outputs: list[Output]) -> list[Output]:
        """The outputs that this call wrote; several where the name is made in a loop."""
        return [
            each
            for each in outputs
            if each.is_table == self.is_table and fnmatchcase(each.name, self.pattern)
            and not each.id.startswith("real/")
        ]  # fmt: skip


def title(path: Path) -> str:
    """The first heading of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    return re.search(r"^# (.+)$", cells[0].source, re.MULTILINE)[1]


class Page:
    """A notebook as the site shows it.

    Code is folded where it sets up, draws or is long; pictures have a text for those who cannot see them, and
    lead to their record. Those that depend on networks trained here are not in the repository: before
    `make figures` the copy in the notebook stands for them.

    Attributes:
        cells: The cells of the page.
        pictures: The pictures that it shows, as files.
        missing: Figures that the notebook shows and no file holds.
    """

    def __init__(self, path: Path, place: str, outputs: list[Output], source: Path) -> None:
        """Read a notebook.

        Args:
            path: The committed notebook.
            place: Its path in the repository.
            outputs: The figures and tables that it wrote, as far as they are on this machine.
            source: The folder of the site's sources; pictures are written there.
        """
        self.notebook = nbformat.read(path, as_version=4)
        self.place, self.outputs, self.source = place, outputs, source
        self.missing: list[Output] = []
        self.pictures: list[Path] = []
        # A saved view of a slider is dead without a kernel.
        self.notebook.metadata.pop("widgets", None)
        self.notebook.cells = [shown for cell in self.notebook.cells for shown in self._cell(cell)]

    def text(self, links: Links) -> str:
        """The page as the text of a notebook, with its links as the site needs them."""
        for cell in self.notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = links.rewrite(cell.source, self.place)
            for output in cell.get("outputs", []):
                if "text/markdown" in output.get("data", {}):
                    output.data["text/markdown"] = links.rewrite(output.data["text/markdown"], self.place)
        return nbformat.writes(self.notebook)

    def _cell(self, cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
        if cell.cell_type != "code":
            return [cell]
        images = [each for each in cell.outputs if "image/png" in each.get("data", {})]
        calls = _written(cell.source)
        found = [(each, call) for call in calls for each in call.finds(self.outputs)]
        drawn = [each for each, call in found if not call.is_table]
        names = [call for call in calls if not call.is_table]
        if not drawn and len(images) == len(names) and not any("*" in call.pattern for call in names):
            drawn = [self._without_file(call, image) for call, image in zip(names, images, strict=True)]
            self.missing += drawn
        whose = drawn if len(drawn) == len(images) else [None] * len(images)
        shown = [self._picture(image, output) for image, output in zip(images, whose, strict=True)]
        listed = [each for each, _ in found if each not in whose]
        if listed:
            shown.append(f"{{.origin}}\nWhere it comes from: {', '.join(map(self._record, listed))}")
        cell.outputs = [x for x in cell.outputs if x not in images and WIDGET not in x.get("data", {})]
        cell.source = re.sub(r"^# NBVAL_\w+\n?", "", cell.source, flags=re.MULTILINE)
        by_hand = any(call.pattern == "by_hand" for call in calls)
        if _folded(cell, draws=bool(images), by_hand=by_hand):
            cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-input"]
        return [cell, *map(nbformat.v4.new_markdown_cell, shown)]

    def _picture(self, image: nbformat.NotebookNode, output: Output | None) -> str:
        """A picture of the notebook, with a line that leads to its record."""
        folder = self.source / "_pictures"
        folder.mkdir(exist_ok=True)
        path = folder / f"{Path(self.place).stem}-{len(self.pictures) + 1}.png"
        self.pictures.append(path)
        path.write_bytes(b64decode(image.data["image/png"]))
        said = image.get("metadata", {}).get("image/png", {})
        alt = said.get("alt") or (output.alt if output else "")
        where = f"{up(self.place)}{path.relative_to(self.source).as_posix()}"
        target = f"{up(self.place)}figures/{output.id}.html" if output else ""
        shown = picture(where, alt, said.get("width"), target)
        return f"{shown}\n\n{{.origin}}\nWhere it comes from: {self._record(output)}" if output else shown

    def _record(self, output: Output) -> str:
        of = f" ({output.record['of']})" if output.record.get("of") else ""
        return f"[{output.name}]({up(self.place)}figures/{output.id}.md){of}"

    def _without_file(self, call: Written, image: nbformat.NotebookNode) -> Output:
        notebook = Path(self.place).stem
        path = self.source / "figures" / "trained" / notebook / f"{call.pattern}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b64decode(image.data["image/png"]))
        return Output(f"trained/{notebook}/{call.pattern}", notebook, call.pattern, (path,), call.said)


def _folded(cell: nbformat.NotebookNode, *, draws: bool, by_hand: bool) -> bool:
    """Whether a cell's code is folded: it sets up, draws, or is long.

    A loss in the open stays open: what comes before the figure that is called by_hand is what it shows.
    """
    lines = [line for line in cell.source.splitlines() if line.strip()]
    imports = all(line.startswith(("import ", "from ", " ", ")")) for line in lines)
    sets_up = imports or "parameters" in cell.metadata.get("tags", []) or "version_line()" in cell.source
    return not by_hand and (sets_up or draws or len(lines) > LONGEST)


def _written(source: str) -> list[Written]:
    """The calls of `.figure(..., name)` and `.table(..., name)` in a cell, in their order."""
    try:
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return []  # a cell with a %magic
    found = []
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else None
        options = {keyword.arg: keyword.value for keyword in call.keywords}
        name = call.args[1] if len(call.args) > 1 else options.get("name")
        if method in ("figure", "table") and name is not None and (pattern := _pattern(name)):
            texts = {key: options[key] for key in ("of", "caption", "alt") if key in options}
            said = {k: v.value for k, v in texts.items() if isinstance(v, ast.Constant)}
            found.append(Written(method == "table", pattern, said))
    return found


def _pattern(name: ast.expr) -> str | None:
    """The names that an expression may stand for: a constant, or an f-string with its fields left open."""
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        return name.value
    if isinstance(name, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in name.values)
    return None
