from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from mammoseg_lib.plots.by_hand import number_grids


def test_every_pixel_shows_its_number_and_the_mass_its_border():
    truth = np.zeros((4, 4), dtype=bool)
    truth[1:3, 0:2] = True
    p = np.where(truth, 0.75, 0.25)
    figure = number_grids({"$y$": truth.astype(float), "$p$": p}, truth)
    for ax, texts in zip(figure.axes, ("01", ("0.25", "0.75")), strict=True):
        assert [each.get_text() for each in ax.texts] == [texts[int(mass)] for mass in truth.ravel()]
        sides = {tuple(map(tuple, side)) for side in ax.collections[0].get_segments()}
        assert len(sides) == 8  # around 2 x 2 pixels
        assert ((-0.5, 0.5), (0.5, 0.5)) in sides
        assert ((1.5, 0.5), (1.5, 1.5)) in sides
    plt.close(figure)


def test_every_line_is_drawn_in_full_on_the_edge_too():
    """A line on the limit of the axes would be cut to its inner half: all four sides look alike."""
    figure = number_grids({"$y$": np.zeros((4, 4))}, cell=(2, 2))
    figure.canvas.draw()
    dark = np.asarray(figure.canvas.buffer_rgba())[..., :3].max(-1) < 128
    box = figure.axes[0].get_window_extent()
    height = dark.shape[0]
    left, right, top, bottom = round(box.x0), round(box.x1), round(height - box.y1), round(height - box.y0)
    off = round(0.1 * box.width)  # clear of numbers and of the line in the middle
    rows, columns = dark[:, left + off], dark[top + off, :]
    widths = [
        line[at - 3 : at + 4].sum()
        for line, at in ((rows, top), (rows, bottom), (columns, left), (columns, right))
    ]
    assert min(widths) == max(widths) > 1
    plt.close(figure)
