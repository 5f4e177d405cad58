"""Reading a paper's YAML, with every slip in it reported by file and place."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import yaml

from mammoseg_lib import paths
from mammoseg_lib.papers.schema import (
    Claim,
    Hyperparameter,
    Method,
    Note,
    Paper,
    PaperError,
    Published,
    Table,
    TableRow,
)

EMPTY_CELL = "-"
AGGREGATES = ("micro", "macro")
TEXTS = ("title", "cite", "venue", "url", "aggregate", "aggregate_reason")
LISTS = ("hyperparameters", "methods", "tables", "claims", "notes")
PARTS = ("data", "preprocessing", "model", "optimizer", "training", "loss")


def paper_keys() -> list[str]:
    """The papers that there are."""
    return sorted(path.stem for path in paths.PAPERS.glob("*.yaml"))


@cache
def load_paper(key: str) -> Paper:
    """A paper by the name of its file.

    Raises:
        PaperError: There is no such paper, or its file is not in order; the message says where.
    """
    path = paths.PAPERS / f"{key}.yaml"
    if not path.is_file():
        raise PaperError(f"no paper is called {key!r}; there are {', '.join(paper_keys())}")
    return read_paper(path)


def read_paper(path: Path) -> Paper:
    """A paper from a file; see `load_paper`."""
    try:
        return _paper(path.stem, yaml.load(path.read_text(encoding="utf-8"), _Loader))
    except (PaperError, yaml.YAMLError) as error:
        raise PaperError(f"{path.name}: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        # A list where a mapping belongs, or the like: which one is in the chained error.
        raise PaperError(f"{path.name} is not laid out as a paper: {error!r}") from error


class _Loader(yaml.SafeLoader):
    """PyYAML lets the second of two equal keys win; here it is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise PaperError(f"{', '.join(map(str, twice))} stands twice in {node.start_mark}")
        return super().construct_mapping(node, deep)


def _paper(key: str, raw: object) -> Paper:
    raw = _mapping(raw, "the file", required=(*TEXTS, *LISTS))
    if raw["aggregate"] not in AGGREGATES:
        raise PaperError(f"aggregate is {raw['aggregate']!r}, not one of {', '.join(AGGREGATES)}")
    settings = tuple(_hyperparameter(entry) for entry in raw["hyperparameters"])
    _unique("hyperparameters", [setting.name for setting in settings])
    tables, published = [], {id: [] for id in raw["methods"]}
    for entry in raw["tables"]:
        table, cells = _table(entry, set(published))
        tables.append(table)
        for id, cell in cells:
            published[id].append(cell)
    _unique("tables", [table.id for table in tables])
    methods: dict[str, Method] = {}
    for id, entry in raw["methods"].items():
        if isinstance(entry, dict) and "tests" in entry:
            methods[id] = _test(id, entry, methods, published[id])
        else:
            methods[id] = _method(id, entry, settings, published[id])
    claims = [_claim(entry, {table.id: table for table in tables}) for entry in raw["claims"]]
    notes = [Note(**_mapping(entry, "a note", required=("about", "text"))) for entry in raw["notes"]]
    return Paper(
        key=key,
        **{name: str(raw[name]) for name in TEXTS},
        hyperparameters=settings,
        methods=tuple(methods.values()),
        tables=tuple(tables),
        claims=tuple(claims),
        notes=tuple(notes),
    )


def _hyperparameter(raw: object) -> Hyperparameter:
    place = f"hyperparameter {raw.get('name') if isinstance(raw, dict) else raw!r}"
    stated = isinstance(raw, dict) and "quote" in raw
    raw = _mapping(raw, place, required=("name", "value", *(("section", "quote") if stated else ("reason",))))
    part, _, option = raw["name"].partition(".")
    if part not in PARTS or not option:
        raise PaperError(f"{place}: the name is not an option of {', '.join(PARTS)}")
    source = f'section {raw["section"]}: "{raw["quote"]}"' if stated else raw["reason"]
    return Hyperparameter(raw["name"], raw["value"], stated, source)


def _method(id: str, raw: object, settings: tuple[Hyperparameter, ...], published: list[Published]) -> Method:
    place = f"method {id}"
    available = isinstance(raw, dict) and "reason" not in raw
    optional = ("model", "training", "data") if available else ()
    raw = _mapping(raw, place, required=("label", "loss" if available else "reason"), optional=optional)
    if not published:
        raise PaperError(f"{place} stands in no table")

    def part(name: str) -> dict:
        default = {s.name.partition(".")[2]: s.value for s in settings if s.name.startswith(f"{name}.")}
        own = raw.get(name, {})
        if name == "model" and own.get("name", default.get("name")) != default.get("name"):
            # Another network: of the paper's own, only the start of its weights means anything to it.
            default = {option: default[option] for option in ("weights",) if option in default}
        return {**default, **own}

    loss, model = raw.get("loss", {}), part("model")
    for what, config in (("loss", loss), ("model", model)):
        if available and "name" not in config:
            raise PaperError(f"{place}: its {what} has no name")
    return Method(
        id=id,
        label=raw["label"],
        loss=loss,
        model=model,
        training=part("training"),
        data=part("data"),
        preprocessing=part("preprocessing"),
        published=tuple(published),
        available=available,
        reason=raw.get("reason"),
    )


def _test(id: str, raw: dict, methods: dict[str, Method], published: list[Published]) -> Method:
    """A method whose networks are those of one further up, tested on other images."""
    raw = _mapping(raw, f"method {id}", required=("label", "tests", "reason"))
    if raw["tests"] not in methods:
        raise PaperError(f"method {id} tests {raw['tests']!r}, which is no method further up")
    return replace(
        methods[raw["tests"]],
        id=id,
        label=raw["label"],
        published=tuple(published),
        available=False,
        reason=raw["reason"],
    )


def _table(raw: object, known: set[str]) -> tuple[Table, list[tuple[str, Published]]]:
    raw = _mapping(raw, "a table", required=("id", "title", "headers", "metrics", "units", "blocks", "rows"))
    place, width = raw["id"], len(raw["headers"])
    for name in ("metrics", "units"):
        if len(raw[name]) != width:
            raise PaperError(f"{place}: {width} headers, but {len(raw[name])} {name}")
    _unique(f"{place}: metrics", raw["metrics"])
    rows, cells = [], []
    for entry in raw["rows"]:
        label, *ids = (entry["row"], *(key for key in entry if key != "row"))
        if len(ids) != len(raw["blocks"]):
            raise PaperError(f"{place}, row {label}: {len(ids)} methods in {len(raw['blocks'])} blocks")
        rows.append(TableRow(label, tuple(ids)))
        for block, id in zip(raw["blocks"], ids, strict=True):
            if id not in known:
                raise PaperError(f"{place}, row {label}: there is no method {id!r}")
            values = str(entry[id]).split()
            if len(values) != width:
                raise PaperError(f"{place}, row {label}, {id}: {len(values)} values under {width} headers")
            for header, metric, unit, printed in zip(
                raw["headers"], raw["metrics"], raw["units"], values, strict=True
            ):
                if printed != EMPTY_CELL:
                    value = _number(printed, unit, f"{place}, row {label}, {id}, {header}")
                    column = f"{block}, {header}" if block else header
                    cells.append((id, Published(metric, value, unit, place, label, column, printed)))
    _unique(f"{place}: rows", [row.label for row in rows])
    sequences = {name: tuple(raw[name]) for name in ("headers", "metrics", "units", "blocks")}
    return Table(id=place, title=raw["title"], rows=tuple(rows), **sequences), cells


def _number(printed: str, unit: str, place: str) -> float:
    try:
        value = float(printed)
    except ValueError:
        raise PaperError(f"{place}: {printed!r} is not a number") from None
    if not 0 <= value <= {"%": 100, "fraction": 1}.get(unit, float("inf")):
        raise PaperError(f"{place}: {printed} is out of range")
    return value


def _claim(raw: object, tables: dict[str, Table]) -> Claim:
    claim = Claim(**_mapping(raw, "a claim", required=tuple(Claim.__dataclass_fields__)))
    if claim.table not in tables:
        raise PaperError(f"a claim is about {claim.table!r}, which is no table")
    ids = {id for row in tables[claim.table].rows for id in row.methods}
    for id in (claim.method, claim.against):
        if id not in ids:
            raise PaperError(f"a claim is about {id!r}, which is not in {claim.table}")
    return claim


def _mapping(raw: object, place: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict:
    """The mapping, if it has every required key and none that is not known."""
    if not isinstance(raw, dict):
        raise PaperError(f"{place} is not a mapping")
    if absent := [key for key in required if key not in raw]:
        raise PaperError(f"{place} lacks {', '.join(absent)}")
    if unknown := [key for key in raw if key not in (*required, *optional)]:
        valid = ", ".join((*required, *optional))
        raise PaperError(f"{place} has {', '.join(map(str, unknown))}, which is not one of {valid}")
    return raw


def _unique(what: str, names: list[str]) -> None:
    if twice := {name for name in names if names.count(name) > 1}:
        raise PaperError(f"{what}: {', '.join(map(str, twice))} stands twice")
