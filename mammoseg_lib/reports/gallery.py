"""Every figure and table: what of which paper it shows, and where it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from mammoseg_lib import paths
from mammoseg_lib.provenance import notebook_digest

# What the four papers print, by the number that this project gives to a paper. Which of our figures shows
# which of them is said where the figure is written: `Outputs.figure(..., of="000 Figure 1")`.
EXHIBITS: dict[str, dict[str, str]] = {
    "000": {
        "Figure 1": "Pairs of predictions that binary cross-entropy cannot tell apart",
        "Figure 2": "The grid loss: basic, scale and distance variants",
        "Figure 3": "Ablations: minimum or mean mass size, sigmoid or direct values",
        "Figure 4": "Examples of segmentations by seven methods",
        "Table 1": "Variants of the Spatial Matching loss with BCE and Tversky",
        "Table 2": "Spatial Matching beside earlier approaches",
        "Table 3": "Spatial Matching with Dice as its core",
    },
    "001": {
        "Figure 1": "AU-Net (a) and how Density-ASP sets priorities (b)",
        "Figure 2": "Examples of segmentations in each density category",
        "Table 1": "Density-ASP beside earlier approaches on INbreast",
        "Table 2": "Density-ASP beside earlier approaches on CBIS-DDSM",
    },
    "002": {
        "Figure 1": "Differential and integral views of a change of the boundary",
        "Figure 2": "An ultrasound image and its mask",
        "Figure 3": "How much of an image the tumor covers",
        "Figure 4": "Examples of segmentations with and without the boundary loss",
        "Table 1": "DSC of four ways to combine the boundary loss with cross-entropy",
        "Table 2": "DSC that the authors of the boundary loss report on ISLES and WMH",
    },
    "003": {
        "Figure 1": "Encoder-decoders: U-Net and feature pyramid network",
        "Figure 2": "Examples of segmentations by the four networks",
        "Table 1": "The augmentations and their ranges",
        "Table 2": "Dice score and IoU of the four networks",
    },
}
_EXHIBIT = re.compile(r"(\d{3}) (Figure|Table) (\d+)([a-z]?)")


class GalleryError(ValueError):
    """No figure or table has this name; the message names those that come near."""


@dataclass(frozen=True)
class Output:
    """A figure or a table that a notebook wrote, and the record beside it.

    Attributes:
        id: Its path below figures/, without suffix: "10_bce_failure_cases/pairs".
        notebook: The notebook that wrote it.
        name: Its name there: "pairs".
        files: What was written, the record left out: PNG and SVG, or CSV.
        record: Content of the sidecar; empty where there is none.
    """

    id: str
    notebook: str
    name: str
    files: tuple[Path, ...]
    record: dict = field(default_factory=dict)

    @property
    def is_table(self) -> bool:
        """Whether it is a table of numbers."""
        return self.files[0].suffix == ".csv"

    @property
    def sidecar(self) -> Path:
        """The file of its record."""
        return self.files[0].with_suffix(".json")

    @property
    def exhibits(self) -> list[tuple[str, str, str]]:
        """What it shows of the papers: the paper's number, figure or table, and the part of it if not all."""
        return [
            (paper, f"{kind} {number}", part)
            for paper, kind, number, part in _EXHIBIT.findall(self.record.get("of") or "")
        ]

    @property
    def real(self) -> bool:
        """Whether it was computed from images of patients."""
        return bool(self.record.get("real_images", self.id.startswith("real/")))

    @property
    def title(self) -> str:
        """Its name as words."""
        words = self.name.replace("_", " ")
        return words[0].upper() + words[1:]

    @property
    def caption(self) -> str:
        """What to see in it; empty where nothing was written down."""
        return self.record.get("caption") or ""

    @property
    def alt(self) -> str:
        """What it shows, for whoever cannot see it."""
        return self.record.get("alt") or self.caption or f"{self.title} of notebook {self.notebook}"

    @property
    def current(self) -> bool | None:
        """Whether the notebook's code is still that which wrote it; None where that is not known."""
        source, recorded = paths.NOTEBOOKS / f"{self.notebook}.ipynb", self.record.get("notebook_code")
        return notebook_digest(source) == recorded if recorded and source.exists() else None

    def table(self) -> pd.DataFrame:
        """The cells of a table as they are printed in its file."""
        return pd.read_csv(self.files[0], dtype=str, keep_default_na=False)


def outputs() -> list[Output]:
    """All figures and tables on this machine, by notebook; of real images only the tables of numbers.

    What a reader wrote with parameters of their own (figures/mine/) is not among them.
    """
    return sorted([*_figures(), *_tables()], key=lambda each: (each.notebook, each.is_table, each.id))


def shown_as(exhibit: str, paper: str, among: list[Output]) -> list[Output]:
    """The outputs that show a figure or table of a paper, figures first."""
    found = [each for each in among if any(e[:2] == (paper, exhibit) for e in each.exhibits)]
    return sorted(found, key=lambda each: (each.is_table, each.real, each.exhibits, each.id))


def find(text: str) -> list[Output]:
    """Outputs by path, name, or what they show of a paper ("000 Table 1").

    Raises:
        GalleryError: If there is none.
    """
    everything = outputs()
    name = re.sub(r"^(.*/)?figures/|\.(png|svg|json|csv)$", "", text.replace("\\", "/"))
    exhibit = _EXHIBIT.fullmatch(text.strip())
    for matches in (
        lambda each: each.id == name,
        lambda each: f"{each.notebook}/{each.name}" == name,
        lambda each: each.name == name or each.notebook == name or each.id.endswith(f"/{name}"),
        lambda each: (
            exhibit is not None
            and any(
                (paper, which) == (exhibit[1], f"{exhibit[2]} {exhibit[3]}") and exhibit[4] in ("", part)
                for paper, which, part in each.exhibits
            )
        ),
    ):
        if found := [each for each in everything if matches(each)]:
            return found
    near = get_close_matches(name, [x for each in everything for x in (each.id, each.name)], n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise GalleryError(f"no figure or table is called {text!r}{hint}")


def cells(number: str) -> list[tuple[Output, str, str]]:
    """Where a number stands in the tables, digit by digit: the table, its row's first cell and the column."""
    found = []
    for each in outputs():
        if each.is_table:
            table = each.table()
            values = table.to_numpy()
            for row, column in zip(*(values == number).nonzero(), strict=True):
                found.append((each, str(values[row, 0]), str(table.columns[column])))
    return found


def show(text: str) -> str:
    """Where a figure, a table or a number came from, as text to print.

    Args:
        text: A path, a name, what it shows of a paper ("000 Table 1"), or a number as a table prints it.

    Raises:
        GalleryError: If nothing is called so and no table holds the number.
    """
    if re.fullmatch(r"[-+]?\d+(\.\d+)?", text) and not _EXHIBIT.fullmatch(text):
        places = cells(text)
        if not places:
            raise GalleryError(f"no table holds {text}; numbers are looked for as the tables print them")
        lines = [f"{text}: row {row!r}, column {column!r} of {each.id}" for each, row, column in places]
        tables = {each.id: each for each, _, _ in places}
        return "\n\n".join(["\n".join(lines), *(describe(each) for each in tables.values())])
    return "\n\n".join(describe(each) for each in find(text))


def describe(output: Output) -> str:
    """What is recorded about a figure or a table, one fact a line."""
    facts = origin(output)
    width = max(map(len, facts))
    return "\n".join([output.id, *(f"  {name:<{width}}  {value}" for name, value in facts.items())])


def origin(output: Output) -> dict[str, str]:
    """What is recorded about a figure or a table: fact and value, in the order to read them in."""
    record = output.record
    state = {True: "unchanged since", False: "changed since", None: ""}[output.current]
    code = record.get("notebook_code")
    facts = {
        "shows": record.get("of"),
        "caption": record.get("caption"),
        "notebook": f"notebooks/{output.notebook}.ipynb",
        "code": f"{code}, {state}" if code and state else code,
        "parameters": ", ".join(f"{k} = {_plain(v)}" for k, v in record.get("parameters", {}).items()),
        "data": "; ".join(dict.fromkeys(map(str, record.get("data", {}).values()))),
        "images": "of patients" if output.real else "none of patients",
        "study": _plain(record.get("study")),
        "runs": _plain(record.get("runs")),
        "claims": _plain(record.get("claims")),
        "files": ", ".join(paths.shown(path) for path in output.files),
    }
    return {name: value for name, value in facts.items() if value}


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(each)}" for key, each in value.items()) + "}"
    return "" if value is None else str(value)


def _figures() -> Iterator[Output]:
    for folder in ("", "trained/"):
        for path in (paths.figures() / folder).glob("[0-9]*/*.png"):
            name = f"{folder}{path.parent.name}/{path.stem}"
            files = tuple(file for file in (path, path.with_suffix(".svg")) if file.exists())
            yield Output(name, path.parent.name, path.stem, files, _record(path))


def _tables() -> Iterator[Output]:
    for folder in ("", "trained/", "real/"):
        for path in (paths.figures() / folder / "tables").glob("*.csv"):
            notebook, _, name = path.stem.partition("-")
            yield Output(f"{folder}tables/{path.stem}", notebook, name, (path,), _record(path))


def _record(path: Path) -> dict:
    sidecar = path.with_suffix(".json")
    return json.loads(sidecar.read_text(encoding="utf-8")) if sidecar.exists() else {}
