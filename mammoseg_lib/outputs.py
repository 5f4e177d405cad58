"""What a notebook writes: figures as SVG and PNG, tables as CSV, each with a note of where it came from.

What the repository shows under figures/ is written by `mammoseg run-notebooks` with the parameters that the
repository states, and by nothing else. Whoever runs a notebook in JupyterLab or nbval, or with a parameter of
their own, writes to figures/mine/, which git ignores: no picture of the README changes under their hands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mammoseg_lib import paths
from mammoseg_lib.provenance import notebook_digest
from mammoseg_lib.storage import atomic_file, write_json

PUBLISH = "MAMMOSEG_PUBLISH"


@contextmanager
def publishing(publish: bool) -> Iterator[None]:
    """Kernels started in this block write what the repository shows, or else to figures/mine/."""
    before = os.environ.pop(PUBLISH, None)
    if publish:
        os.environ[PUBLISH] = "1"
    try:
        yield
    finally:
        os.environ.pop(PUBLISH, None)
        if before is not None:
            os.environ[PUBLISH] = before


def output_folder(*, real: bool) -> Path:
    """Where outputs go: figures/ or figures/real/ where the repository's own are made, else figures/mine/."""
    return paths.figures(real=real) if os.environ.get(PUBLISH) else paths.figures() / "mine"


@dataclass
class Outputs:
    """The folder of one notebook's outputs.

    Attributes:
        notebook: The notebook's name without suffix.
        parameters: The values of its parameters, for the record.
        data: What it was computed from, for the record: what `str(source)` gives.
        real: Whether images of patients were used; what is published then goes under figures/real/, which git
            ignores except for tables of numbers.
        written: What was written so far.
    """

    notebook: str
    parameters: dict
    data: dict[str, str] = field(default_factory=dict)
    real: bool = False
    written: list[Path] = field(default_factory=list)

    def figure(self, figure: Figure, name: str) -> None:
        """Write a figure as `<notebook>/<name>.svg` and `.png`, with a sidecar `.json`."""
        folder = output_folder(real=self.real) / self.notebook
        # Without a date and with fixed ids the same figure is the same file, and git sees no change.
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
            with atomic_file(folder / f"{name}{suffix}") as path:
                figure.savefig(path, metadata=metadata, bbox_inches="tight")
            self.written.append(folder / f"{name}{suffix}")
        self._sidecar(folder / f"{name}.json")

    def table(self, table: pd.DataFrame, name: str, *, index: bool = False) -> None:
        """Write a table as `tables/<notebook>-<name>.csv`, with a sidecar `.json`."""
        path = output_folder(real=self.real) / "tables" / f"{self.notebook}-{name}.csv"
        with atomic_file(path) as partial:
            table.to_csv(partial, index=index)
        self.written.append(path)
        self._sidecar(path.with_suffix(".json"))

    def links(self) -> str:
        """A Markdown list of what was written, linked from the notebook's folder."""
        up = "../" if paths.home() == paths.PROJECT else ""
        return "\n".join(f"- [`{paths.shown(path)}`]({up}{paths.shown(path)})" for path in self.written)

    def _sidecar(self, path: Path) -> None:
        source = paths.NOTEBOOKS / f"{self.notebook}.ipynb"
        write_json(
            path,
            {
                "notebook": self.notebook,
                "notebook_code": notebook_digest(source) if source.exists() else None,
                "parameters": self.parameters,
                "data": self.data,
                "real_images": self.real,
            },
        )
