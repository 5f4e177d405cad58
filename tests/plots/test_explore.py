from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mammoseg_lib.plots.explore import LIVE, Explorer


@pytest.fixture
def explorer():
    """A dot that moves along a line, over a background that does not."""
    figure, ax = plt.subplots(figsize=(3, 2))
    ax.axvspan(0, 1, color="#dddddd")
    (dot,) = ax.plot([0.0], [0.0], "o", color="#2f6fdb", ms=20)
    ax.set(xlim=(-1, 5), ylim=(-1, 1))

    def update(x, shape):
        dot.set_xdata([x])
        dot.set_marker(shape)

    return Explorer(figure, [dot], update, {"x": (0, 4, 1), "shape": ["o", "s"]})


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def _blue(png: bytes) -> np.ndarray:
    return np.abs(_pixels(png) - [0x2F, 0x6F, 0xDB]).sum(2) < 30


def test_what_moves_is_drawn_where_it_is_now_and_nowhere_else(explorer):
    at_1, at_3 = _blue(explorer.png()), _blue(explorer.png(x=3))
    assert at_1.sum() == pytest.approx(at_3.sum(), rel=0.1)
    assert at_1.sum() > 100
    assert not (at_1 & at_3).any()
    assert np.argwhere(at_1)[:, 1].max() < np.argwhere(at_3)[:, 1].min()


def test_a_picture_is_what_drawing_the_whole_figure_gives(explorer):
    quick = _pixels(explorer.png(x=2, shape="s"))
    for artist in explorer.drawn:
        artist.set_animated(False)
    explorer.canvas.draw()
    np.testing.assert_allclose(quick, np.asarray(explorer.canvas.buffer_rgba())[..., :3], atol=2)


def test_coming_back_gives_the_same_bytes(explorer):
    first = explorer.png()
    explorer.png(x=4, shape="s")
    assert explorer.png() == first


def test_a_slider_changes_the_picture(explorer):
    box = explorer.box()
    (slider, choice), picture = box.children[0].children, box.children[1]
    assert (slider.min, slider.max, slider.value) == (0, 4, 1)
    assert choice.options == ("o", "s")
    before = picture.value
    slider.value = 4
    assert picture.value != before
    assert picture.value == explorer.png(x=4)


def test_an_unknown_control_is_named(explorer):
    with pytest.raises(ValueError, match="no control y; there are x, shape"):
        explorer.png(y=1)


@pytest.mark.parametrize(
    ("variable", "live", "widget"), [("", None, False), ("1", None, True), ("", True, True)]
)
def test_a_notebook_without_a_reader_holds_a_picture_and_no_widget(
    explorer, monkeypatch, variable, live, widget
):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *data, **options: shown.append((data, options)))
    monkeypatch.setenv(LIVE, variable or "0")
    explorer.show("A dot.", live=live)
    [((data,), options)] = shown
    if widget:
        assert type(data).__name__ == "VBox"
    else:
        assert data == {"image/png": explorer.png(), "text/plain": "A dot."}
        assert options["metadata"]["image/png"]["alt"] == "A dot."
