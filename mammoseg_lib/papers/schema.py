"""What is known about a paper, as plain frozen records; what stands in its file is checked by their types."""

from __future__ import annotations

from typing import Any, Literal

from mammoseg_lib.papers.claims import Claim
from mammoseg_lib.papers.record import Record
from mammoseg_lib.yaml_files import nearest

PARTS = ("data", "preprocessing", "model", "optimizer", "training", "loss")
Options = dict[str, Any]


class PaperError(ValueError):
    """A paper that does not exist or whose file is not in order, or a method that cannot be run."""


class Published(Record):
    """One number of a paper.

    Attributes:
        metric: What it measures, by the name that this project uses; where a header is wrong, not the header.
        value: In the paper's unit.
        unit: "%", "fraction" (0..1), or "not stated".
        table: Such as "Table 1".
        row: The row as printed, with the group it stands in.
        column: The header as printed, with the block it stands in.
        printed: The characters of the cell.
    """

    metric: str
    value: float
    unit: str
    table: str
    row: str
    column: str
    printed: str


class Hyperparameter(Record):
    """One setting, and whether it is the paper's or ours.

    Attributes:
        name: Part and option, such as "training.batch_size".
        value: The value that runs take by default.
        stated: True: the paper states it. False: the paper leaves it open and this is this project's choice.
        source: Section and short quote, or the reason of the choice.
    """

    name: str
    value: Any
    stated: bool
    source: str


class Method(Record):
    """One setting of a paper's experiments.

    Attributes:
        id: Short name, for configurations and folders.
        label: Name as the paper writes it.
        loss: Arguments of `build_loss`; empty where the method is not available.
        model: Arguments of `build_model`.
        training: Options of `Training`.
        data: Settings `data.*` of the paper, with what the method changes.
        preprocessing: Settings `preprocessing.*` likewise.
        published: Every number that the paper reports for it, table by table.
        available: Whether it can be run.
        reason: Why not, where it cannot.
    """

    id: str
    label: str
    loss: Options
    model: Options
    training: Options
    data: Options
    preprocessing: Options
    published: tuple[Published, ...]
    available: bool = True
    reason: str | None = None

    def rows(self) -> list[dict[str, str | float]]:
        """The published numbers, a dict for each table row: `table`, `row`, and a value for each metric."""
        rows: dict[tuple[str, str], dict[str, str | float]] = {}
        for cell in self.published:
            row = rows.setdefault((cell.table, cell.row), {"table": cell.table, "row": cell.row})
            row[cell.metric] = cell.value
        return list(rows.values())


class Tested(Record):
    """How many images the numbers of a table rest on, as far as one can tell, and what that rests on."""

    images: int
    reason: str


class TableRow(Record):
    """One row of a table: its label as printed, and the id of the method in each block of columns."""

    label: str
    methods: tuple[str | None, ...]


class Table(Record):
    """The layout of a table, as printed.

    Attributes:
        id: Such as "Table 1".
        title: What it compares.
        headers: Column headers of one block.
        metrics: What each of these columns holds.
        units: Their units.
        blocks: Headers above the blocks of columns; one empty header where there is only one block.
        rows: Its rows.
        tested: How many images its numbers rest on; None where it cannot be told.
    """

    id: str
    title: str
    headers: tuple[str, ...]
    metrics: tuple[str, ...]
    units: tuple[str, ...]
    blocks: tuple[str, ...]
    rows: tuple[TableRow, ...]
    tested: Tested | None = None


class Note(Record):
    """Something in the paper's numbers that a reader should know before comparing with them."""

    about: str
    text: str


class Paper(Record):
    """A paper.

    Attributes:
        key: Name of its file.
        title: Title.
        cite: How this project cites it.
        venue: Where it appeared, and how it was received.
        url: Where to read it.
        aggregate: "micro" or "macro": how its overlap metrics were averaged, as far as one can tell.
        aggregate_reason: What that rests on.
        hyperparameters: Every setting, stated or chosen.
        methods: Every method of its tables.
        tables: Their layout.
        claims: The sentences of it that can be tested, or why one cannot; see `Claim`.
        notes: Known inconsistencies.
    """

    key: str
    title: str
    cite: str
    venue: str
    url: str
    aggregate: Literal["micro", "macro"]
    aggregate_reason: str
    hyperparameters: tuple[Hyperparameter, ...]
    methods: tuple[Method, ...]
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...]
    notes: tuple[Note, ...]

    @property
    def available(self) -> tuple[str, ...]:
        """Ids of the methods that can be run."""
        return tuple(method.id for method in self.methods if method.available)

    def find(self, id: str) -> Method:
        """The method of that id, available or not; a PaperError that lists the ids if there is none."""
        return self._one("method", self.methods, id)

    def method(self, id: str) -> Method:
        """The method of that id, to be run; a PaperError that says why if it cannot."""
        method = self.find(id)
        if not method.available:
            raise PaperError(f"method {id!r} of {self.key} is not available: {method.reason}")
        return method

    def table(self, id: str) -> Table:
        """The layout of the table of that id; a PaperError that lists the tables if there is none."""
        return self._one("table", self.tables, id)

    def claim(self, id: str) -> Claim:
        """The claim of that id; a PaperError that lists the ids if there is none."""
        return self._one("claim", self.claims, id)

    def setting(self, name: str) -> Hyperparameter:
        """The hyper-parameter of that name; a PaperError that lists them if there is none."""
        return self._one("setting", self.hyperparameters, name, key="name")

    def _one(self, kind: str, records: tuple, name: str, key: str = "id"):
        known = [getattr(record, key) for record in records]
        if name not in known:
            hint = nearest(name, known)
            listed = "" if hint.startswith("known") else f"; it has {', '.join(known)}"
            raise PaperError(f"{self.key} has no {kind} {name!r}; {hint}{listed}")
        return records[known.index(name)]
