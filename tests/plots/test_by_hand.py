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
