"""A figure that follows sliders in JupyterLab, and is a picture everywhere else."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

LIVE = "MAMMOSEG_EXPLORE"
"""Environment variable; with a value other than 0, `Explorer.show` gives sliders. `make lab` sets it."""

Number = float | int
Control = tuple[Number, Number, Number] | Sequence[str]
"""A slider as (lowest, highest, start), of whole numbers if all three are; or a list of choices."""


class Explorer:
    """A figure, the artists in it that move, and a slider for every number that moves them.

    The figure is drawn once, without what moves. From then on each change sets the artists' data, draws
    them alone over a copy of the rest and packs the pixels as a PNG: a fraction of the time that drawing the
    whole figure takes.

        line, = ax.plot(x, x)
        def update(power): line.set_ydata(x**power)
        Explorer(figure, [line], update, {"power": (1.0, 3.0, 2.0)}).show()

    Args:
        figure: The figure, laid out and with everything drawn that does not move.
        moving: The artists that `update` changes, in the order in which they are drawn.
        update: Takes the value of every control by name, sets the artists.
        controls: Name of each control to its range and start, or to its choices, of which the first is the
            start.
        labels: What to call a control, where its name will not do.
    """

    def __init__(
        self,
        figure: Figure,
        moving: Iterable[Artist],
        update: Callable[..., None],
        controls: Mapping[str, Control],
        labels: Mapping[str, str] | None = None,
    ):
        self.figure, self.moving, self._update = figure, list(moving), update
        self.controls, self.labels = dict(controls), dict(labels or {})
        plt.close(figure)  # or the notebook would show it, without what moves
        self.canvas = FigureCanvasAgg(figure)
        # Laid out with everything in place, then never again: the layout takes longer than the drawing.
        update(**starts(self.controls))
        self.canvas.draw()
        figure.set_layout_engine("none")
        # Frames come last, or a picture that moves would lie on its own.
        frames = [spine for ax in figure.axes if ax.axison for spine in ax.spines.values()]
        self.drawn = [*self.moving, *frames]
        for artist in self.drawn:
            artist.set_animated(True)
        self.canvas.draw()
        self._still = self.canvas.copy_from_bbox(figure.bbox)

    def png(self, **values: Number | str) -> bytes:
        """The figure for some values of the controls, the others at their start, as a PNG."""
        if unknown := set(values) - set(self.controls):
            raise ValueError(f"no control {', '.join(sorted(unknown))}; there are {', '.join(self.controls)}")
        self._update(**(starts(self.controls) | values))
        self.canvas.restore_region(self._still)
        for artist in self.drawn:
            if artist.get_visible():
                artist.figure.draw_artist(artist)
        buffer = io.BytesIO()
        rgb = np.asarray(self.canvas.buffer_rgba())[..., :3]
        Image.fromarray(rgb).save(buffer, format="png", compress_level=1)
        return buffer.getvalue()

    def box(self) -> object:
        """The sliders and the picture, as a widget."""
        import ipywidgets as widgets

        picture = widgets.Image(value=self.png(), format="png", layout=widgets.Layout(max_width="100%"))
        inputs = {name: self._input(name, spec) for name, spec in self.controls.items()}

        def redraw(_change: object) -> None:
            picture.value = self.png(**{name: each.value for name, each in inputs.items()})

        for each in inputs.values():
            each.observe(redraw, names="value")
        rows = widgets.Layout(display="flex", flex_flow="row wrap", max_width="850px")
        return widgets.VBox([widgets.Box(list(inputs.values()), layout=rows), picture])

    def show(self, alt: str = "", *, live: bool | None = None) -> None:
        """Display the sliders where someone can move them, the picture alone everywhere else.

        Args:
            alt: What the picture shows, in a sentence, for readers who cannot see it.
            live: Whether to show sliders. None: as the environment variable `MAMMOSEG_EXPLORE` says, so that
                a notebook that is executed without a reader holds no view of a widget that is gone.
        """
        from IPython.display import display

        if os.environ.get(LIVE, "0") != "0" if live is None else live:
            display(self.box())
        else:
            about = {"width": round(self.figure.bbox.width), "alt": alt}
            display({"image/png": self.png(), "text/plain": alt}, raw=True, metadata={"image/png": about})

    def _input(self, name: str, spec: Control) -> object:
        import ipywidgets as widgets

        layout, style = widgets.Layout(width="400px"), {"description_width": "130px"}
        common = {"description": self.labels.get(name, name), "layout": layout, "style": style}
        if _is_choice(spec):
            return widgets.Dropdown(options=list(spec), value=spec[0], **common)
        low, high, start = spec
        if all(isinstance(each, int) for each in spec):
            return widgets.IntSlider(value=start, min=low, max=high, **common)
        step = (high - low) / 100
        return widgets.FloatSlider(value=start, min=low, max=high, step=step, readout_format=".2f", **common)


def starts(controls: Mapping[str, Control]) -> dict[str, Number | str]:
    """The values that controls begin with."""
    return {name: spec[0] if _is_choice(spec) else spec[2] for name, spec in controls.items()}


def _is_choice(spec: Control) -> bool:
    return isinstance(spec[0], str)
