from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from mammoseg_lib import scenes
from mammoseg_lib.plots.grid import LEFT_FIRST, RIGHT_FIRST, free_corner, grid_panel, outlines
from mammoseg_lib.plots.style import CELLS


def test_a_word_takes_the_first_corner_that_no_line_runs_through():
    lines = np.zeros((64, 64), dtype=bool)
    place, cell = (1, 1), (16, 16)
    assert free_corner(lines, cell, place, RIGHT_FIRST) == (1, 1)
    lines[30, :] = True  # the lower edge of that cell
    assert free_corner(lines, cell, place, RIGHT_FIRST) == (0, 1)
    lines[:, 30] = True
    assert free_corner(lines, cell, place, RIGHT_FIRST) == (0, 0)
    lines[17:19, 17:19] = True
    assert free_corner(lines, cell, place, LEFT_FIRST) == (0, 0)  # none is free: the one with the least on it


def test_letters_and_numbers_of_a_cell_stand_apart_and_off_the_outlines():
    truth, prediction = scenes.ellipse(128, (52, 39), (17, 13)), scenes.disc(128, (70, 62), 17)
    cells = np.zeros((4, 4), dtype=bool)
    cells[1:3, 0:3] = True
    numbers = np.where(cells, 0.5, np.nan)
    figure, ax = plt.subplots()
    grid_panel(ax, truth, prediction, (32, 32), {"FP": cells}, CELLS, numbers=numbers, letters=True)
    lines = outlines(truth, prediction)
    places = [(*text.get_position(), text.get_ha(), text.get_va()) for text in ax.texts]
    assert len(set(places)) == 2 * cells.sum()
    assert not any(lines[round(y), round(x)] for x, y, *_ in places)
    plt.close(figure)
