"""Phantom mammograms that look like scans of film: fog, grain, white borders, paper labels, tape.

The chest wall keeps a narrow border, since that is where breast and border meet on film too. All gray values
are parts of the film's range, 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt16

from mammoseg_lib.phantoms.mammogram import DrawnMammogram, Mammogram
from mammoseg_lib.phantoms.textures import polygon_mask, power_law_noise

MIN_ASPECT = 0.52  # width / height; film was cut narrow where the breast left room
WHITE = (0.95, 1.0)
GRAIN = 0.006


@dataclass(frozen=True)
class Film:
    """A scanned film.

    Attributes:
        pixels: 16 bits.
        masks: One per mass.
        breast: Where breast can be seen.
        foreign: White borders, labels and tape.
    """

    pixels: UInt16[np.ndarray, "h w"]
    masks: list[Bool[np.ndarray, "h w"]]
    breast: Bool[np.ndarray, "h w"]
    foreign: Bool[np.ndarray, "h w"]


def develop(drawn: DrawnMammogram, shown: Mammogram, rng: np.random.Generator) -> Film:
    """Turn a drawn mammogram into a scanned film of the same height."""
    masks = [polygon_mask(drawn.pixels.shape, outline) for outline in drawn.outlines]
    layers = np.stack([drawn.pixels, *masks])
    if shown.laterality == "R":
        layers = layers[..., ::-1]
    height, width = layers.shape[1:]
    reach = int(np.flatnonzero(layers[0].any(0)).max())
    width = int(np.clip(reach * rng.uniform(1.05, 1.2) + 0.03 * height, MIN_ASPECT * height, width))
    layers = layers[..., :width]
    tissue = layers[0] / np.float32(np.percentile(layers[0][layers[0] > 0], 99.5))
    breast = layers[0] > 0
    film = _fogged(tissue.astype(np.float32), rng)
    foreign = _tape(film, breast, rng) | _border(film, rng)
    film += rng.standard_normal(film.shape, dtype=np.float32) * np.float32(GRAIN)
    if shown.laterality == "R":
        film, foreign, breast, layers = (part[..., ::-1].copy() for part in (film, foreign, breast, layers))
    foreign |= _label(film, breast, shown, rng)
    pixels = (film.clip(0, 1) * 65535).round().astype(np.uint16)
    return Film(pixels, [mask > 0 for mask in layers[1:]], breast & ~foreign, foreign)


def _fogged(tissue: Float[np.ndarray, "h w"], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Tissue on film, whose background is not black and not even."""
    fog = rng.uniform(0.02, 0.09) * (1 + 0.15 * power_law_noise(rng, tissue.shape, 3.5))
    return (fog + rng.uniform(0.6, 0.85) * tissue).astype(np.float32)


def _tape(
    film: Float[np.ndarray, "h w"], breast: Bool[np.ndarray, "h w"], rng: np.random.Generator
) -> Bool[np.ndarray, "h w"]:
    """A gray strip along the edge opposite to the chest wall, on some films, in place; where it is."""
    where = np.zeros(film.shape, dtype=bool)
    if rng.random() < 0.3:
        where[:, -int(rng.uniform(0.02, 0.04) * film.shape[1]) - 1 :] = True
        where &= ~cv2.dilate(breast.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        film[where] = rng.uniform(0.25, 0.6)
    return where


def _border(film: Float[np.ndarray, "h w"], rng: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """White strips along one or more edges, a little aslant, in place; where they are."""
    height, width = film.shape
    y, x = np.indices(film.shape)
    distances = {"top": y, "bottom": height - 1 - y, "far": width - 1 - x, "chest": x}
    along = {"top": x / width, "bottom": x / width, "far": y / height, "chest": y / height}
    edges = [edge for edge in distances if rng.random() < 0.5] or ["far"]
    where = np.zeros(film.shape, dtype=bool)
    for edge in edges:
        depth = rng.uniform(0.004, 0.007 if edge == "chest" else 0.018, 2) * height
        where |= distances[edge] < np.maximum(1, depth[0] + (depth[1] - depth[0]) * along[edge])
    film[where] = rng.uniform(*WHITE)
    return where


def _label(
    film: Float[np.ndarray, "h w"],
    breast: Bool[np.ndarray, "h w"],
    shown: Mammogram,
    rng: np.random.Generator,
) -> Bool[np.ndarray, "h w"]:
    """A paper label with side and view in the emptier far corner, in place; where it is.

    Next to a large breast it lies on the skin, as labels do.
    """
    height, width = film.shape
    text = f"{shown.laterality} {shown.view}"
    size = np.array([rng.uniform(0.16, 0.24), rng.uniform(0.05, 0.08)]) * height
    size[0] *= len(text) / 5
    x, y = size / 2 + rng.uniform(0.01, 0.06, 2) * height
    if shown.laterality == "L":
        x = width - x
    corners = [breast[: int(2 * y)], breast[-int(2 * y) :]]
    side = np.s_[:, int(x - size[0] / 2) :] if shown.laterality == "L" else np.s_[:, : int(x + size[0] / 2)]
    if corners[0][side].sum() > corners[1][side].sum():
        y = height - y
    box = cv2.boxPoints(((float(x), float(y)), tuple(size.tolist()), float(rng.uniform(-3, 3))))
    where = np.zeros(film.shape, dtype=np.uint8)
    cv2.fillPoly(where, [box.round().astype(np.int32)], 1)
    film[where > 0] = rng.uniform(*WHITE)
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1, 1)
    scale = float(min(0.8 * size[0] / text_width, 0.6 * size[1] / text_height))
    start = (round(x - scale * text_width / 2), round(y + scale * text_height / 2))
    thick = max(1, round(0.005 * height))
    ink = np.zeros(film.shape, dtype=np.uint8)
    cv2.putText(ink, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick, cv2.LINE_AA)
    film *= 1 - 0.9 * (ink / np.float32(255))
    return where > 0
