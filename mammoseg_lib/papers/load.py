"""Reading a paper's YAML, with every slip in it reported by file and place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mammoseg_lib import paths
from mammoseg_lib.papers.claims import Claim
from mammoseg_lib.papers.entries import File, MethodEntry, SettingEntry, TableEntry
from mammoseg_lib.papers.schema import (
    Hyperparameter,
    Method,
    Note,
    Options,
    Paper,
    PaperError,
    Published,
    Table,
    TableRow,
)
from mammoseg_lib.yaml_files import YamlFileError, nearest, read_yaml, validated

EMPTY_CELL = "-"


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
        return _paper(path, read_yaml(path))
    except YamlFileError as error:
        raise PaperError(str(error)) from error
    except PaperError as error:
        raise PaperError(f"{path.name}: {error}") from error


def _paper(path: Path, raw: dict) -> Paper:
    file, place = validated(File, raw, path.name), path.name
    settings = []
    for number, entry in enumerate(file.hyperparameters, start=1):
        known = validated(SettingEntry, entry, f"{place}: hyperparameter {_name(entry, 'name', number)}")
        stated = known.quote is not None
        settings.append(
            Hyperparameter(name=known.name, value=known.value, stated=stated, source=known.source)
        )
    _unique("hyperparameters", [setting.name for setting in settings])
    tables, published = [], {id: [] for id in file.methods}
    for number, entry in enumerate(file.tables, start=1):
        table, cells = _table(
            validated(TableEntry, entry, f"{place}: {_name(entry, 'id', number)}"), published
        )
        tables.append(table)
        for id, cell in cells:
            published[id].append(cell)
    _unique("tables", [table.id for table in tables])
    methods: dict[str, Method] = {}
    for id, entry in file.methods.items():
        method = validated(MethodEntry, entry, f"{place}: method {id}")
        if not published[id]:
            raise PaperError(f"method {id} stands in no table")
        methods[id] = _method(id, method, settings, methods, published[id])
    claims = [
        validated(Claim, entry, f"{place}: claim {_name(entry, 'id', number)}")
        for number, entry in enumerate(file.claims, start=1)
    ]
    _unique("claims", [claim.id for claim in claims])
    for claim in claims:
        _check_printed(claim, {table.id: table for table in tables}, methods)
    notes = [
        validated(Note, entry, f"{place}: note {_name(entry, 'about', number)}")
        for number, entry in enumerate(file.notes, start=1)
    ]
    own = file.model_dump(exclude={"hyperparameters", "methods", "tables", "claims", "notes"})
    return Paper(
        key=path.stem,
        hyperparameters=tuple(settings),
        methods=tuple(methods.values()),
        tables=tuple(tables),
        claims=tuple(claims),
        notes=tuple(notes),
        **own,
    )


def _method(
    id: str,
    raw: MethodEntry,
    settings: list[Hyperparameter],
    methods: dict[str, Method],
    published: list[Published],
) -> Method:
    if raw.tests is not None:
        # Its networks are those of one further up, tested on other images.
        if raw.tests not in methods:
            raise PaperError(f"method {id} tests {raw.tests!r}, which is no method further up")
        own = {"id": id, "label": raw.label, "published": tuple(published)}
        return methods[raw.tests].model_copy(update={**own, "available": False, "reason": raw.reason})

    def part(name: str) -> Options:
        default = {s.name.partition(".")[2]: s.value for s in settings if s.name.startswith(f"{name}.")}
        own = getattr(raw, name, {})
        if name == "model" and own.get("name", default.get("name")) != default.get("name"):
            # Another network: of the paper's own, only the start of its weights means anything to it.
            default = {option: default[option] for option in ("weights",) if option in default}
        return {**default, **own}

    parts = {name: part(name) for name in ("model", "training", "data", "preprocessing")}
    for what, config in (("loss", raw.loss), ("model", parts["model"])):
        if raw.reason is None and "name" not in config:
            raise PaperError(f"method {id}: its {what} has no name")
    return Method(
        id=id,
        label=raw.label,
        loss=raw.loss,
        published=tuple(published),
        available=raw.reason is None,
        reason=raw.reason,
        **parts,
    )


def _table(raw: TableEntry, known: dict) -> tuple[Table, list[tuple[str, Published]]]:
    place, width = raw.id, len(raw.headers)
    for name in ("metrics", "units"):
        if len(getattr(raw, name)) != width:
            raise PaperError(f"{place}: {width} headers, but {len(getattr(raw, name))} {name}")
    _unique(f"{place}: metrics", raw.metrics)
    rows, cells = [], []
    for number, entry in enumerate(raw.rows, start=1):
        if "row" not in entry:
            raise PaperError(f"{place}: entry {number} lacks row")
        label, ids = entry["row"], [key for key in entry if key != "row"]
        if len(ids) != len(raw.blocks):
            raise PaperError(f"{place}, row {label}: {len(ids)} methods in {len(raw.blocks)} blocks")
        rows.append(TableRow(label=label, methods=tuple(ids)))
        for block, id in zip(raw.blocks, ids, strict=True):
            if id not in known:
                raise PaperError(f"{place}, row {label}: there is no method {id!r}; {nearest(id, known)}")
            values = entry[id].split()
            if len(values) != width:
                raise PaperError(f"{place}, row {label}, {id}: {len(values)} values under {width} headers")
            for header, metric, unit, printed in zip(
                raw.headers, raw.metrics, raw.units, values, strict=True
            ):
                if printed == EMPTY_CELL:
                    continue
                cell = Published(
                    metric=metric,
                    value=_number(printed, unit, f"{place}, row {label}, {id}, {header}"),
                    unit=unit,
                    table=place,
                    row=label,
                    column=f"{block}, {header}" if block else header,
                    printed=printed,
                )
                cells.append((id, cell))
    _unique(f"{place}: rows", [row.label for row in rows])
    return Table(**{**raw.model_dump(), "rows": tuple(rows)}), cells


def _number(printed: str, unit: str, place: str) -> float:
    try:
        value = float(printed)
    except ValueError:
        raise PaperError(f"{place}: {printed!r} is not a number") from None
    if not 0 <= value <= {"%": 100, "fraction": 1}.get(unit, float("inf")):
        raise PaperError(f"{place}: {printed} is out of range")
    return value


def _check_printed(claim: Claim, tables: dict[str, Table], methods: dict[str, Method]) -> None:
    """That the differences that a claim prints are those of its table, or what it says in their place."""
    if claim.table is None:
        return
    if claim.table not in tables:
        raise PaperError(f"claim {claim.id} is about {claim.table!r}, which is no table")
    ids = {id for row in tables[claim.table].rows for id in row.methods}
    for id in (*claim.arms, *claim.against):
        if id not in ids:
            raise PaperError(f"claim {claim.id} is about {id!r}, which is not in {claim.table}")
    for metric, printed in claim.printed.items():
        ours, theirs = (
            [
                c.value
                for id in group
                for c in methods[id].published
                if (c.table, c.metric) == (claim.table, metric)
            ]
            for group in (claim.arms, claim.against)
        )
        if not (ours and theirs):
            raise PaperError(f"claim {claim.id} prints {metric}, which {claim.table} does not have")
        digits = len(printed.partition(".")[2])
        by_table = f"{sum(ours) / len(ours) - sum(theirs) / len(theirs):+.{digits}f}"
        expected = claim.misprinted.get(metric, printed)
        if by_table != expected:
            raise PaperError(f"claim {claim.id}: {metric} is {expected}, but {by_table} by {claim.table}")


def _name(entry: object, key: str, number: int) -> str:
    """How an entry is called, for a message about it."""
    return str(entry[key]) if isinstance(entry, dict) and key in entry else f"number {number}"


def _unique(what: str, names: list[str]) -> None:
    if twice := {name for name in names if names.count(name) > 1}:
        raise PaperError(f"{what}: {', '.join(map(str, twice))} stands twice")
