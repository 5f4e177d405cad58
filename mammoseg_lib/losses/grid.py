"""A grid over an image whose cells are as large as the masses in it (000, Section 3).

The first half looks at a target mask only, in numpy, once per sample; the mask may be of any kind that
`checks.as_mask` takes. The second half pools batches of pixel maps over the cells, in torch. Where the sides
of an image are no multiples of the cell's, the last cells reach over the edge; only what lies inside the
image is ever counted.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from mammoseg_lib.checks import Mask, as_mask, check_choice

REDUCE = ("min", "mean")
ROUNDING = ("nearest", "log2", "up", "down")
SIZE_MEANS = ("cell_pixels", "cell_count")
DISTANCE_UNIT = ("cell", "pixel", "normalized")
DISTANCE_FROM = ("closest", "center")

Cell = tuple[int, int]
"""Height and width of a cell in pixels."""


def power_of_two(size: float | int, rounding: str = "nearest") -> int:
    """The power of two that stands for a size >= 1.

    Args:
        size: The height or width to round.
        rounding: `"nearest"` in pixels, ties up (24 -> 32); `"log2"`, nearest exponent (23 -> 32, where
            `"nearest"` gives 16); `"up"`; `"down"`.
    """
    check_choice("rounding", rounding, ROUNDING)
    lower = 2 ** (math.frexp(size)[1] - 1)
    if rounding == "down" or size == lower:
        return lower
    if rounding == "nearest":
        return lower if size - lower < 2 * lower - size else 2 * lower
    if rounding == "log2":  # size / lower against sqrt(2), squared to stay exact
        return lower if size * size < 2 * lower * lower else 2 * lower
    return 2 * lower


def mass_cell_size(
    mask: Shaped[Mask, "h w"],
    *,
    reduce: str = "min",
    rounding: str = "nearest",
    size_means: str = "cell_pixels",
) -> Cell:
    """Height and width of the grid cells for one target mask (000, Section 3 and Fig. 3a).

    A mass is an 8-connected component. The smallest height and the smallest width of the masses' bounding
    boxes, which may come from two different masses, are each rounded to a power of two. An empty mask gives
    one cell that covers the image.

    Args:
        mask: The target.
        reduce: `"min"`, or `"mean"` for the mean height and width (the alternative of Fig. 3a).
        rounding: See `power_of_two`.
        size_means: What the rounded number is. `"cell_pixels"`: the side of a cell. `"cell_count"`: the
            number of cells along an axis, the other way to read "the size of the grid".

    Raises:
        ValueError: An option has an unknown value.
    """
    check_choice("reduce", reduce, REDUCE)
    check_choice("rounding", rounding, ROUNDING)
    check_choice("size_means", size_means, SIZE_MEANS)
    mask = as_mask(mask)
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    if not boxes:
        return power_of_two(mask.shape[0], "up"), power_of_two(mask.shape[1], "up")
    sides = np.array([[axis.stop - axis.start for axis in box] for box in boxes])
    height, width = (power_of_two(float(s), rounding) for s in getattr(sides, reduce)(axis=0))
    if size_means == "cell_count":
        return math.ceil(mask.shape[0] / height), math.ceil(mask.shape[1] / width)
    return height, width


def cell_mass(mask: Shaped[Mask, "h w"], cell: Cell) -> Float[np.ndarray, "nh nw"]:
    """Number of mass pixels in each cell."""
    return _blocks(as_mask(mask), cell, fill=False).sum(axis=(1, 3), dtype=np.float32)


def cell_distances(
    mask: Shaped[Mask, "h w"], cell: Cell, *, unit: str = "cell", distance_from: str = "closest"
) -> Float[np.ndarray, "nh nw"]:
    """Euclidean distance from each cell to the closest mass pixel, d_i of 000 Eq. 9; 0 in cells with mass.

    The paper gives neither the unit nor the point of the cell that is measured from; the defaults are our
    reading. An empty mask gives zeros.

    Args:
        mask: The target.
        cell: Height and width of a cell.
        unit: `"cell"`: vertical distances count in cell heights, horizontal ones in cell widths.
            `"pixel"`. `"normalized"`: pixels over the diagonal of the image.
        distance_from: `"closest"`: from the cell's closest pixel. `"center"`: from the center of the part of
            the cell that lies inside the image.

    Raises:
        ValueError: An option has an unknown value.
    """
    check_choice("distance_unit", unit, DISTANCE_UNIT)
    check_choice("distance_from", distance_from, DISTANCE_FROM)
    mask = as_mask(mask)
    h, w = mask.shape
    mass = cell_mass(mask, cell)
    if not mask.any():  # the distance transform has nothing to measure to, and returns nonsense
        return np.zeros_like(mass)
    spacing = {
        "cell": (1 / cell[0], 1 / cell[1]),
        "pixel": (1.0, 1.0),
        "normalized": (1 / math.hypot(h, w), 1 / math.hypot(h, w)),
    }[unit]
    if distance_from == "closest":
        to_mass = ndimage.distance_transform_edt(~mask, sampling=spacing)
        return _blocks(to_mass, cell, fill=np.inf).min(axis=(1, 3)).astype(np.float32)
    axes = [_centers(length, side) * step for length, side, step in zip((h, w), cell, spacing, strict=True)]
    centers = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distances, _ = cKDTree(np.argwhere(mask) * spacing).query(centers)
    return np.where(mass > 0, 0, distances).astype(np.float32)


def on_canvas(cells: Float[np.ndarray, "nh nw"], shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """The cells in the upper left corner of zeros of the given shape, so that any grids of an image stack."""
    canvas = np.zeros(shape, dtype=cells.dtype)
    canvas[: cells.shape[0], : cells.shape[1]] = cells
    return canvas


class Layout:
    """The grids of a batch, whose samples may differ in their cell size, as one array `[b nh nw]`.

    `nh` and `nw` are those of the finest grid in the batch; the cells that a coarser grid does not have
    hold zeros. There is no loop over cells, samples or cell sizes: pixels are first pooled over blocks
    that divide the image and every cell, the same for all samples, and the few blocks are then added up
    into cells. Where the cells are all alike and divide the image, the blocks are the cells.

    Attributes:
        shape: Height and width of the images.
        cells: `(nh, nw)`.
    """

    def __init__(self, cell_size: Int[Tensor, "b 2"], shape: tuple[int, int]):
        # The sizes are read on the CPU: on another device this is the one wait for it.
        heights, widths = zip(*cell_size.tolist(), strict=True)
        self.shape = shape
        self.block = math.gcd(shape[0], *heights), math.gcd(shape[1], *widths)
        self.cells = -(-shape[0] // min(heights)), -(-shape[1] // min(widths))
        self.blocks_are_cells = {*heights} == {self.block[0]} and {*widths} == {self.block[1]}
        self.divides = not any(shape[0] % h for h in heights) and not any(shape[1] % w for w in widths)
        # The geometry of one sample stands for all where it is the same for all.
        self._sides = (cell_size[:1] if self.blocks_are_cells else cell_size)[:, :, None]

    def rows(self, pixels: Float[Tensor, "b h w"]) -> Float[Tensor, "b rows row_height w"]:
        """The image cut into rows of blocks, the form in which `sum` and `max` take their maps.

        To be cut before the maps are made: the gradient of a sum then reaches the map as a broadcast view.
        Cut afterwards, it would be written out pixel by pixel.
        """
        return pixels.unflatten(1, (-1, self.block[0]))

    def sum(self, pixels: Float[Tensor, "b rows row_height w"]) -> Float[Tensor, "b nh nw"]:
        """Sum over each cell."""
        # First down the columns, along contiguous memory, then across what is left: several times faster
        # than one reduction over both axes.
        blocks = pixels.sum(2).unflatten(2, (-1, self.block[1])).sum(3)
        if self.blocks_are_cells:
            return blocks
        cells = blocks.new_zeros(len(blocks), math.prod(self.cells))
        return cells.scatter_add(1, self._cell_of_block, blocks.flatten(1)).unflatten(1, self.cells)

    def max(self, pixels: Float[Tensor, "b rows row_height w"]) -> Float[Tensor, "b nh nw"]:
        """Maximum over each cell."""
        blocks = pixels.amax(2).unflatten(2, (-1, self.block[1])).amax(3)
        if self.blocks_are_cells:
            return blocks
        cells = blocks.new_full((len(blocks), math.prod(self.cells)), -math.inf)
        return cells.scatter_reduce(1, self._cell_of_block, blocks.flatten(1), "amax").unflatten(
            1, self.cells
        )

    def read(self, canvas: Float[Tensor, "b h w"]) -> Float[Tensor, "b nh nw"]:
        """The cells that `on_canvas` put down."""
        return canvas[:, : self.cells[0], : self.cells[1]]

    @property
    def count(self) -> Int[Tensor, " n"]:
        """Number of cells of each grid, or the one number that all share."""
        height, width = self._sides[..., 0].unbind(1)
        return -(-self.shape[0] // height) * -(-self.shape[1] // width)

    @property
    def pixels(self) -> Int[Tensor, "n _ _"]:
        """Number of pixels of each cell inside the image; some positive number where there is no cell.

        Axes along which it is the same have length 1.
        """
        if self.divides:
            return self._sides.prod(1, keepdim=True)
        rows, columns = (
            (length - torch.arange(n, device=side.device) * side).clamp(max=side).clamp(min=0)
            for length, n, side in zip(self.shape, self.cells, self._sides.unbind(1), strict=True)
        )
        return (rows[:, :, None] * columns[:, None, :]).clamp(min=1)

    @cached_property
    def _cell_of_block(self) -> Int[Tensor, "b blocks"]:
        """Index of the cell that each block lies in."""
        rows, columns = (
            torch.arange(0, length, step, device=side.device) // side
            for length, step, side in zip(self.shape, self.block, self._sides.unbind(1), strict=True)
        )
        return (rows[:, :, None] * self.cells[1] + columns[:, None, :]).flatten(1)


def _blocks(image: np.ndarray, cell: Cell, fill: float | bool) -> np.ndarray:
    """The image as [nh, cell height, nw, cell width], filled up at the far edges."""
    (h, w), (ch, cw) = image.shape, cell
    padded = np.pad(image, ((0, -h % ch), (0, -w % cw)), constant_values=fill)
    return padded.reshape(padded.shape[0] // ch, ch, padded.shape[1] // cw, cw)


def _centers(length: int, side: int) -> np.ndarray:
    starts = np.arange(0, length, side)
    return (starts + np.minimum(starts + side, length) - 1) / 2
