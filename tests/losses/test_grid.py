from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mammoseg_lib.losses import grid
from tests.losses.oracle import distance, rounded


@pytest.mark.parametrize(
    ("length", "nearest", "log2", "up", "down"),
    [
        (1, 1, 1, 1, 1),
        (2, 2, 2, 2, 2),
        (3, 4, 4, 4, 2),  # a tie goes up
        (5, 4, 4, 8, 4),
        (6, 8, 8, 8, 4),
        (22, 16, 16, 32, 16),
        (23, 16, 32, 32, 16),
        (24, 32, 32, 32, 16),
        (46, 32, 64, 64, 32),
        (91, 64, 128, 128, 64),
        (182, 128, 256, 256, 128),
        (256, 256, 256, 256, 256),
        (20.5, 16, 16, 32, 16),
    ],
)
def test_rounding(length, nearest, log2, up, down):
    got = [grid.power_of_two(length, rounding) for rounding in ("nearest", "log2", "up", "down")]
    assert got == [nearest, log2, up, down]


@pytest.mark.parametrize("rounding", grid.ROUNDING)
def test_rounding_against_trying_every_power(rounding):
    assert [grid.power_of_two(n, rounding) for n in range(1, 1025)] == [
        rounded(n, rounding) for n in range(1, 1025)
    ]


def two_masses() -> np.ndarray:
    """30 x 6 and 4 x 20 pixels: the smallest height and the smallest width belong to different masses."""
    mask = np.zeros((64, 64), dtype=bool)
    mask[1:31, 2:8] = mask[50:54, 30:50] = True
    return mask


@pytest.mark.parametrize(
    ("options", "cell"),
    [
        ({}, (4, 8)),
        ({"reduce": "mean"}, (16, 16)),  # of 17 and 13
        ({"rounding": "down"}, (4, 4)),
        ({"size_means": "cell_count"}, (16, 8)),
        ({"reduce": "mean", "rounding": "up"}, (32, 16)),
    ],
)
def test_cell_size_of_two_masses(options, cell):
    assert grid.mass_cell_size(two_masses(), **options) == cell


def test_cell_size_joins_diagonal_neighbors():
    assert grid.mass_cell_size(np.eye(8, dtype=bool)) == (8, 8)


def test_cell_size_of_empty_and_full_masks_covers_the_image():
    for shape, cell in [((16, 32), (16, 32)), ((20, 33), (32, 64))]:
        assert grid.mass_cell_size(np.zeros(shape, dtype=bool)) == cell
    assert grid.mass_cell_size(np.ones((16, 32), dtype=bool)) == (16, 32)


@pytest.mark.parametrize("rounding", grid.ROUNDING)
@pytest.mark.parametrize("shape", [(16, 32), (20, 24), (33, 7), (48, 47), (1, 3)])
def test_a_full_mask_is_a_mass_of_the_image_size(shape, rounding):
    """One cell where both sides are powers of two or rounded up, else as many as these leave."""
    cell = grid.mass_cell_size(np.ones(shape, dtype=bool), rounding=rounding)
    assert cell == tuple(grid.power_of_two(float(side), rounding) for side in shape)
    cells = [-(-side // length) for side, length in zip(shape, cell, strict=True)]
    assert (cells == [1, 1]) == all(length >= side for side, length in zip(shape, cell, strict=True))
    if rounding == "up" or shape == (16, 32):
        assert cells == [1, 1]
    if rounding == "down" and shape == (20, 24):
        assert cells == [2, 2]


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
    shape=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_layout_pools_any_mixture_of_cell_sizes(sizes, shape, seed):
    """Sum, maximum and size of every cell, against slices; zeros where a coarser grid has no cell."""
    pixels = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(sizes), *shape)))
    layout = grid.Layout(torch.tensor(sizes), shape)
    sums, maxima = layout.sum(layout.rows(pixels)), layout.max(layout.rows(pixels))
    counts = torch.broadcast_to(layout.pixels, sums.shape)
    numbers = layout.count.expand(len(sizes))
    assert sums.shape == (len(sizes), *layout.cells)
    for i, (ch, cw) in enumerate(sizes):
        nh, nw = math.ceil(shape[0] / ch), math.ceil(shape[1] / cw)
        assert numbers[i] == nh * nw
        for r in range(nh):
            for c in range(nw):
                cell = pixels[i, r * ch : (r + 1) * ch, c * cw : (c + 1) * cw]
                torch.testing.assert_close(sums[i, r, c], cell.sum(), rtol=1e-12, atol=1e-12)
                assert maxima[i, r, c] == cell.max()
                assert counts[i, r, c] == cell.numel()
        outside = torch.ones(layout.cells, dtype=torch.bool)
        outside[:nh, :nw] = False
        assert (sums[i][outside] == 0).all()
        assert (counts[i][outside] > 0).all()


@given(seed=st.integers(0, 2**32 - 1), cell=st.tuples(st.integers(1, 9), st.integers(1, 9)))
@settings(max_examples=60, deadline=None)
def test_mass_and_distances_of_each_cell(seed, cell):
    rng = np.random.default_rng(seed)
    mask = np.zeros(rng.integers(1, 15, 2), dtype=bool)
    mask.flat[rng.integers(0, mask.size, rng.integers(1, 5))] = True
    y = tuple(tuple(int(v) for v in row) for row in mask)
    (h, w), (ch, cw) = mask.shape, cell
    tops, lefts = range(0, h, ch), range(0, w, cw)
    assert grid.cell_mass(mask, cell).tolist() == [
        [mask[t : t + ch, c : c + cw].sum() for c in lefts] for t in tops
    ]
    for unit in grid.DISTANCE_UNIT:
        for origin in grid.DISTANCE_FROM:
            got = grid.cell_distances(mask, cell, unit=unit, distance_from=origin)
            want = [[distance(y, t, c, ch, cw, unit, origin) for c in lefts] for t in tops]
            np.testing.assert_allclose(got, want, rtol=2e-7, atol=0)  # float32, rounded after another route


def test_distances_by_hand():
    mask = np.zeros((8, 12), dtype=bool)
    mask[0, 0] = True
    by_unit = {unit: grid.cell_distances(mask, (4, 4), unit=unit) for unit in grid.DISTANCE_UNIT}
    np.testing.assert_allclose(by_unit["pixel"], [[0, 4, 8], [4, 32**0.5, 80**0.5]], rtol=1e-7)
    np.testing.assert_allclose(by_unit["cell"], by_unit["pixel"] / 4, rtol=1e-7)
    np.testing.assert_allclose(by_unit["normalized"], by_unit["pixel"] / 208**0.5, rtol=2e-7)
    center = grid.cell_distances(mask, (4, 4), unit="pixel", distance_from="center")
    np.testing.assert_allclose(center[0], [0, (5.5**2 + 1.5**2) ** 0.5, (9.5**2 + 1.5**2) ** 0.5], rtol=1e-7)


def test_distances_of_empty_and_full_masks_are_zero():
    for mask in (np.zeros((8, 8), dtype=bool), np.ones((8, 8), dtype=bool)):
        for origin in grid.DISTANCE_FROM:
            assert not grid.cell_distances(mask, (4, 4), distance_from=origin).any()


def test_a_canvas_gives_back_the_cells():
    cells = np.arange(6, dtype=np.float32).reshape(2, 3)
    canvas = torch.from_numpy(grid.on_canvas(cells, (8, 9)))[None]
    assert canvas.shape == (1, 8, 9)
    layout = grid.Layout(torch.tensor([[4, 3]]), (8, 9))
    assert layout.read(canvas)[0].tolist() == cells.tolist()
