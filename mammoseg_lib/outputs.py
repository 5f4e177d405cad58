"""What a notebook writes: figures as SVG and PNG, tables as CSV, each with a note of where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure

from mammoseg_lib import paths
from mammoseg_lib.provenance import notebook_digest
from mammoseg_lib.storage import atomic_file, write_json


@dataclass
class Outputs:
    """The folder of one notebook's outputs.

    Attributes:
        notebook: The notebook's name without suffix.
        parameters: The values of its parameters, for the record.
        data: What it was computed from, for the record: what `str(source)` gives.
        real: Whether images of patients were used; everything then goes under figures/real/, which git
            ignores except for tables of numbers.
        written: What was written so far.
    """

    notebook: str
    parameters: dict
    data: dict[str, str] = field(default_factory=dict)
    real: bool = False
    written: list[Path] = field(default_factory=list)

    def figure(self, figure: Figure, name: str, *, alt: str = "") -> None:
        """Write a figure as `<notebook>/<name>.svg` and `.png`, with a sidecar `.json`.

        Args:
            figure: What was drawn.
            name: Its name, without suffix.
            alt: What it shows, in a sentence, for readers who cannot see it. It goes to the sidecar and, in a
                notebook, to the picture, which is shown here. Without one, the notebook has to show it.
        """
        folder = paths.figures(real=self.real) / self.notebook
        # Without a date and with fixed ids the same figure is the same file, and git sees no change.
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
            with atomic_file(folder / f"{name}{suffix}") as path:
                figure.savefig(path, metadata=metadata, bbox_inches="tight")
            self.written.append(folder / f"{name}{suffix}")
        self._sidecar(folder / f"{name}.json", alt)
        if alt and get_ipython() is not None:
            self._show(figure, folder / f"{name}.png", alt)

    def table(self, table: pd.DataFrame, name: str, *, index: bool = False) -> None:
        """Write a table as `tables/<notebook>-<name>.csv`, with a sidecar `.json`."""
        path = paths.figures(real=self.real) / "tables" / f"{self.notebook}-{name}.csv"
        with atomic_file(path) as partial:
            table.to_csv(partial, index=index)
        self.written.append(path)
        self._sidecar(path.with_suffix(".json"))

    def links(self) -> str:
        """A Markdown list of what was written, linked from the notebook's folder."""
        up = "../" if paths.home() == paths.PROJECT else ""
        return "\n".join(f"- [`{paths.shown(path)}`]({up}{paths.shown(path)})" for path in self.written)

    def _show(self, figure: Figure, picture: Path, alt: str) -> None:
        """The picture as it was written, at the figure's own size: sharp where it is enlarged."""
        picture_width = int.from_bytes(picture.read_bytes()[16:20], "big")  # of PNG's header
        width = round(picture_width * figure.dpi / plt.rcParams["savefig.dpi"])
        display(
            {"image/png": picture.read_bytes(), "text/plain": alt},
            raw=True,
            metadata={"image/png": {"alt": alt, "width": width}},
        )
        plt.close(figure)  # or the notebook would show it once more

    def _sidecar(self, path: Path, alt: str = "") -> None:
        source = paths.NOTEBOOKS / f"{self.notebook}.ipynb"
        write_json(
            path,
            {
                "notebook": self.notebook,
                "notebook_code": notebook_digest(source) if source.exists() else None,
                "parameters": self.parameters,
                "data": self.data,
                "real_images": self.real,
                **({"alt": alt} if alt else {}),
            },
        )
