"""What a notebook writes: figures as SVG and PNG, tables as CSV, each with a note of where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from mammoseg_lib import paths
from mammoseg_lib.provenance import notebook_digest
from mammoseg_lib.publishing import output_folder
from mammoseg_lib.storage import atomic_file, write_json


@dataclass
class Outputs:
    """The folder of one notebook's outputs.

    Attributes:
        notebook: The notebook's name without suffix.
        parameters: The values of its parameters, for the record.
        data: What it was computed from, for the record: what `str(source)` gives.
        real: Whether images of patients were used; what is published then goes under figures/real/, which git
            ignores except for tables of numbers.
        study: The study whose runs or results were used, for the record.
        written: What was written so far.
    """

    notebook: str
    parameters: dict
    data: dict[str, str] = field(default_factory=dict)
    real: bool = False
    study: str = ""
    written: list[Path] = field(default_factory=list)

    def figure(
        self,
        figure: Figure,
        name: str,
        *,
        alt: str = "",
        caption: str = "",
        of: str = "",
        trained: bool = False,
        claims: Sequence[str] = (),
        gray: bool = False,
    ) -> None:
        """Write a figure as `<notebook>/<name>.svg` and `.png`, with a sidecar `.json`.

        Args:
            figure: What was drawn.
            name: Its name, without suffix.
            alt: What it shows, in a sentence, for readers who cannot see it. It goes to the sidecar and, in a
                notebook, to the picture, which is shown here. Without one, the notebook has to show it.
            caption: What to see in it, for the site.
            of: Which exhibits of the papers it shows: "000 Figure 1", or several with commas between.
            trained: Whether it depends on networks trained on this machine; git then ignores it.
            claims: Ids of the claims that it bears on.
            gray: Whether it is mostly of gray images. The PNG then has a palette of 256 colors, a difference
                that nobody sees, and about half the bytes.
        """
        folder = output_folder(real=self.real, trained=trained) / self.notebook
        # Without a date and with fixed ids the same figure is the same file, and git sees no change.
        for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
            with atomic_file(folder / f"{name}{suffix}") as path:
                figure.savefig(path, metadata=metadata, bbox_inches="tight")
                if gray and suffix == ".png":
                    _reduce(path)
            self.written.append(folder / f"{name}{suffix}")
        self._sidecar(folder / f"{name}.json", alt=alt, caption=caption, of=of, claims=list(claims))
        if alt and get_ipython() is not None:
            self._show(figure, folder / f"{name}.png", alt)

    def table(
        self,
        table: pd.DataFrame,
        name: str,
        *,
        index: bool = False,
        caption: str = "",
        of: str = "",
        trained: bool = False,
        claims: Sequence[str] = (),
    ) -> None:
        """Write a table as `tables/<notebook>-<name>.csv`, with a sidecar `.json`; options as of `figure`."""
        folder = output_folder(real=self.real, trained=trained)
        path = folder / "tables" / f"{self.notebook}-{name}.csv"
        with atomic_file(path) as partial:
            table.to_csv(partial, index=index)
        self.written.append(path)
        self._sidecar(path.with_suffix(".json"), caption=caption, of=of, claims=list(claims))

    def links(self) -> str:
        """A Markdown list of what was written, linked from the notebook's folder."""
        up = "../" if paths.home() == paths.PROJECT else ""
        return "\n".join(f"- [`{paths.shown(path)}`]({up}{paths.shown(path)})" for path in self.written)

    def _show(self, figure: Figure, picture: Path, alt: str) -> None:
        """The picture as it was written, at the figure's own size: sharp where it is enlarged."""
        picture_width = int.from_bytes(picture.read_bytes()[16:20], "big")  # of PNG's header
        saved = plt.rcParams["savefig.dpi"]  # "figure", unless a style says otherwise
        width = round(picture_width * figure.dpi / (figure.dpi if saved == "figure" else saved))
        display(
            {"image/png": picture.read_bytes(), "text/plain": alt},
            raw=True,
            metadata={"image/png": {"alt": alt, "width": width}},
        )
        plt.close(figure)  # or the notebook would show it once more

    def _sidecar(self, path: Path, **more: object) -> None:
        source = paths.NOTEBOOKS / f"{self.notebook}.ipynb"
        write_json(
            path,
            {
                "notebook": self.notebook,
                "notebook_code": notebook_digest(source) if source.exists() else None,
                "parameters": self.parameters,
                "data": self.data,
                "real_images": self.real,
                **{name: value for name, value in {"study": self.study, **more}.items() if value},
            },
        )


def _reduce(picture: Path) -> None:
    """Store a PNG with a palette: 128 grays, and of the other colors the 128 that lie closest to them all."""
    with Image.open(picture) as full:
        pixels, dpi = np.asarray(full.convert("RGB")), full.info["dpi"]
    gray = np.ptp(pixels, axis=2) == 0  # apart, or a gray would be stored as a color close to it
    places = np.rint(pixels[..., 0] * (127 / 255)).astype(np.uint8)
    palette = np.rint(np.linspace(0, 255, 128)).astype(int).repeat(3).tolist()
    if not gray.all():
        colors = Image.fromarray(pixels[~gray][None])
        colors = colors.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        places[~gray] = 128 + np.asarray(colors)[0]
        palette += colors.getpalette()
    few = Image.fromarray(places)
    few.putpalette(palette)
    few.save(picture, format="png", dpi=dpi, optimize=True)
