"""The entries of a paper's file, as they are written there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Literal

from pydantic import Field, model_validator

from mammoseg_lib.papers.record import Record
from mammoseg_lib.papers.schema import PARTS, Options, Tested
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.settings import Training
from mammoseg_lib.yaml_files import nearest

OPTIONS = {
    "data": ("source", "n_images", "n_folds", "protocol", "max_area"),
    "preprocessing": tuple(field.name for field in fields(Preprocessing)),
    "optimizer": ("name",),
    "training": tuple(field.name for field in fields(Training)),
}
"""What the parts of a method know; networks and losses check their own options."""


class File(Record):
    """What a paper's file holds; its entries are read one by one."""

    title: str
    cite: str
    venue: str
    url: str
    aggregate: Literal["micro", "macro"]
    aggregate_reason: str
    hyperparameters: list[Any]
    methods: dict[str, Any]
    tables: list[Any]
    claims: list[Any]
    notes: list[Any]


class SettingEntry(Record):
    """A hyper-parameter: stated by the paper, with section and quote, or chosen here, with a reason."""

    name: str
    value: Any
    section: str | None = None
    quote: str | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _known(self) -> SettingEntry:
        part, _, option = self.name.partition(".")
        if part not in PARTS or not option:
            raise ValueError(f"the name is not an option of {', '.join(PARTS)}")
        _check_options(part, (option,))
        if (self.quote is None) == (self.reason is None):
            raise ValueError("lacks reason or quote" if self.quote is None else "has both reason and quote")
        if self.quote is not None and self.section is None:
            raise ValueError("lacks section")
        return self

    @property
    def source(self) -> str:
        """Where it stands, or why it was chosen."""
        return self.reason if self.quote is None else f'section {self.section}: "{self.quote}"'


class MethodEntry(Record):
    """A method: what differs from the paper's settings, or why it cannot be run."""

    label: str
    loss: Options = Field(default_factory=dict)
    model: Options = Field(default_factory=dict)
    training: Options = Field(default_factory=dict)
    data: Options = Field(default_factory=dict)
    tests: str | None = None
    reason: str | None = None

    @model_validator(mode="after")
    def _known(self) -> MethodEntry:
        for part in ("training", "data"):
            _check_options(part, getattr(self, part))
        if self.reason is None and (not self.loss or self.tests):
            raise ValueError("lacks reason" if self.tests else "lacks loss")
        if self.reason is not None and (self.loss or self.model or self.training or self.data):
            raise ValueError("has a reason not to be run, and what to run")
        return self


class TableEntry(Record):
    """A table: a line of values for each method, in the order of the headers."""

    id: str
    title: str
    headers: list[str]
    metrics: list[str]
    units: list[str]
    blocks: list[str]
    rows: list[dict[str, str]]
    tested: Tested | None = None


def _check_options(part: str, options: Iterable[str]) -> None:
    for option in options:
        if part in OPTIONS and option not in OPTIONS[part]:
            raise ValueError(f"{part}.{option} is not known; {nearest(option, OPTIONS[part])}")
