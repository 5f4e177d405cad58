"""Sums over the windows around every pixel: what the region losses are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

WINDOW, SIGMA = 11, 1.5  # of the Gaussian, in pixels
BLOCK = 32  # outputs of one matrix product in `_gaussian_means`; 16 to 32 are the fastest


def covariances(
    p: Float[Tensor, "b h w"], y: Float[Tensor, "b h w"], radius: int
) -> tuple[Float[Tensor, "b d d"], Float[Tensor, "b d d"]]:
    """Sums of `(p - mean)(p - mean)^T` and of `(p - mean)(y - mean)^T` over all R x R neighborhoods.

    Differentiable in p alone. The d = R^2 coordinates are those of a neighborhood, row by row.
    """
    d = radius**2
    products, sums = _Moments.apply(p, y, radius)
    n = (p.shape[1] - radius + 1) * (p.shape[2] - radius + 1)
    return (products - sums[:, :d, None] * sums[:, None] / n).split(d, dim=2)


class _Moments(torch.autograd.Function):
    """Sums over all R x R neighborhoods of `p [p y]^T`, `[b d 2d]`, and of `[p y]`, `[b 2d]`.

    The stack of all neighborhoods, d copies of each image, is never built. Coordinate (r, c) of the
    neighborhood at (i, j) is the pixel (i + r, j + c). So one batched matrix product, of every row of p in
    its R column shifts with the 2R - 1 rows of p and y around it, holds every product of two coordinates;
    the moments are sums of it over rows, and the same layout, the other way round, gives the gradient.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, p: Tensor, y: Tensor, radius: int) -> tuple[Tensor, Tensor]:
        b, h, w = p.shape
        edge, width = radius - 1, w - radius + 1
        # R - 1 rows of zeros before, between and after the images; each row in the shifts of p, then of y.
        rows = p.new_zeros(b * (h + edge) + 2 * edge, 2 * radius, width)
        inside = slice(edge, len(rows) - edge)
        images = rows[inside].view(b, h + edge, 2, radius, width)[:, :h]
        images[:, :, 0] = p.unfold(2, width, 1)
        images[:, :, 1] = y.unfold(2, width, 1)
        ctx.save_for_backward(rows)
        ctx.size, ctx.radius = (b, h, w), radius
        products = torch.bmm(rows[inside, :radius], _bands(rows, radius).mT)
        belongs = _belongs(h, radius, rows)
        products = (belongs.mT @ products.view(b, h + edge, -1)[:, :h]).view(b, radius, radius, -1, 2, radius)
        # The row of the first coordinate is r, so that the rows of the second are -r .. R - 1 - r away.
        near = [products[:, r, :, edge - r : edge - r + radius] for r in range(radius)]
        products = torch.stack(near, 1).movedim(4, 3).reshape(b, radius**2, -1)
        sums = (belongs.mT @ images.sum(4).flatten(2)).view(b, radius, 2, radius)
        return products, sums.movedim(2, 1).reshape(b, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, g_products: Tensor, g_sums: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        (b, h, w), radius = ctx.size, ctx.radius
        d, edge, width = radius**2, radius - 1, w - radius + 1
        belongs = _belongs(h, radius, rows)
        g_pp, g_py = g_products.split(d, dim=2)
        weights = torch.stack([g_pp + g_pp.mT, g_py], 2).view(b, radius, radius, 2, radius, radius)
        near = rows.new_zeros(b, radius, radius, radius + edge, 2, radius)
        for r in range(radius):
            near[:, r, :, edge - r : edge - r + radius] = weights[:, r].movedim(3, 2)
        # What each row of p, in each shift, gets from the rows around it; 0 for the rows of zeros.
        factors = F.pad(belongs @ near.flatten(2), (0, 0, 0, edge)).view(b * (h + edge), radius, -1)
        shifted = torch.bmm(factors, _bands(rows, radius)).view(b, h + edge, radius, width)[:, :h]
        shifted = shifted + (belongs @ g_sums[:, :d].view(b, radius, radius))[..., None]
        gradient = rows.new_zeros(b, h, w)
        for c in range(radius):
            gradient[:, :, c : c + width] += shifted[:, :, c]
        return gradient, None, None


def _belongs(h: int, radius: int, like: Tensor) -> Float[Tensor, "h r"]:
    """1 where row i of an image is row r of a neighborhood that lies inside the image."""
    return like.new_ones(h, radius).tril().triu(radius - h)


def _bands(rows: Float[Tensor, "n m w"], radius: int) -> Float[Tensor, "k mm w"]:
    """Each 2R - 1 consecutive rows as one matrix: a view."""
    return rows.unfold(0, 2 * radius - 1, 1).movedim(3, 1).flatten(1, 2)


def gaussian_means(maps: Float[Tensor, "b h w"]) -> Float[Tensor, "b wh ww"]:
    """Mean over each 11 x 11 window inside the image, weighted by a Gaussian with sigma 1.5."""
    return _GaussianMeans.apply(maps)


class _GaussianMeans(torch.autograd.Function):
    """Gaussian-weighted mean over each window inside the image, `[b h w]` to `[b h-10 w-10]`."""

    @staticmethod
    def forward(ctx: FunctionCtx, maps: Tensor) -> Tensor:
        return _gaussian_means(maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        edge = WINDOW - 1
        return _gaussian_means(F.pad(gradient, (edge, edge, edge, edge)))  # the window is symmetric


def _gaussian_means(maps: Float[Tensor, "b h w"]) -> Float[Tensor, "b wh ww"]:
    """Rows, then columns, `BLOCK` outputs at a time, each block as a product with one banded matrix.

    On a CPU a convolution of one channel takes some 15 times as long.
    """
    steps = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    kernel = (-steps.square() / (2 * SIGMA**2)).exp()
    band = torch.zeros(BLOCK, BLOCK + WINDOW - 1, dtype=torch.float64)
    for i in range(WINDOW):
        band.diagonal(i).fill_(kernel[i] / kernel.sum())
    band = band.to(maps)
    with torch.autocast(maps.device.type, enabled=False):
        for dim in (1, 2):
            parts = []
            for start in range(0, maps.shape[dim] - WINDOW + 1, BLOCK):
                part = maps.narrow(dim, start, min(BLOCK + WINDOW - 1, maps.shape[dim] - start))
                outputs = part.shape[dim] - WINDOW + 1
                weights = band[:outputs, : part.shape[dim]]
                parts.append(weights @ part if dim == 1 else part @ weights.mT)
            maps = torch.cat(parts, dim)
    return maps
