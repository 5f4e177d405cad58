"""What both kinds of phantom images are made of: power-law noise, strands, and lesion outlines."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float

LesionKind = Literal["round", "lobulated", "irregular", "spiculated"]
# Waves around an outline: lowest and highest harmonic, strength, and how fast it falls with the harmonic.
WAVES: dict[str, tuple[int, int, float, float]] = {
    "round": (2, 4, 0.025, 1.0),
    "lobulated": (2, 6, 0.09, 0.7),
    "irregular": (2, 11, 0.15, 0.9),
    "spiculated": (2, 16, 0.07, 0.35),
}


def power_law_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    exponent: float = 3.0,
    *,
    outer_scale: float | None = None,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Float[np.ndarray, "h w"]:
    """Gaussian noise whose power spectrum falls as 1 / frequency^exponent, with mean 0 and deviation 1.

    Mammographic tissue follows an exponent of about 3 (Burgess, Med. Phys. 28(4), 2001).

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        exponent: Exponent of the power (not amplitude) spectrum; 0 is white.
        outer_scale: Structures larger than this, in pixels, get no further power; None: the longest side.
        stretch: Factors along rows and columns by which structures are elongated.
    """
    from scipy import fft  # takes .3 s, and readers need no phantoms

    padded = tuple(fft.next_fast_len(side, real=True) for side in shape)
    white = rng.standard_normal(padded, dtype=np.float32)
    spectrum = fft.rfft2(white) * _amplitude(padded, exponent, outer_scale or float(max(shape)), stretch)
    spectrum[0, 0] = 0
    noise = fft.irfft2(spectrum, s=padded)[: shape[0], : shape[1]]
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


@lru_cache(maxsize=16)  # the images of a view share a few, and the powers take as long as the transforms
def _amplitude(
    shape: tuple[int, int], exponent: float, outer_scale: float, stretch: tuple[float, float]
) -> Float[np.ndarray, "h w"]:
    """What the spectrum of white noise is multiplied with."""
    rows = np.fft.fftfreq(shape[0])[:, None] * stretch[0]
    columns = np.fft.rfftfreq(shape[1])[None] * stretch[1]
    power = rows**2 + columns**2 + (1 / outer_scale) ** 2
    return (power ** (-exponent / 4)).astype(np.float32)


def strands(noise: Float[np.ndarray, "h w"], width: float) -> Float[np.ndarray, "h w"]:
    """Thin curved lines, 1 on the line: the zero crossings of a noise image.

    Args:
        noise: Noise with deviation 1.
        width: Half-width of the lines in units of that deviation.
    """
    return np.exp(-((noise / np.float32(width)) ** 2))


def lesion_outline(
    rng: np.random.Generator, kind: LesionKind, aspect: float, n_points: int = 96
) -> Float[np.ndarray, "n 2"]:
    """A closed outline around the origin that encloses an area of 1, as (x, y) points.

    An ellipse whose radius is modulated by harmonics of the polar angle: hardly for round lesions, with a few
    broad waves for lobulated ones, with many narrow spikes for spiculated ones; irregular is in between.

    Args:
        rng: Source of randomness.
        kind: Character of the margin.
        aspect: Width divided by height, before it is modulated.
        n_points: Points on the outline.
    """
    angle = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
    first, last, strength, decay = WAVES[kind]
    harmonics = np.arange(first, last + 1)
    amplitude = strength * rng.standard_normal(len(harmonics)) * (2 / harmonics) ** decay
    phase = rng.uniform(0, 2 * np.pi, len(harmonics))
    wave = (amplitude * np.cos(angle[:, None] * harmonics + phase)).sum(1)
    radius = np.exp(wave)  # never negative, however strong the waves
    points = radius[:, None] * np.stack([np.sqrt(aspect) * np.cos(angle), np.sin(angle) / np.sqrt(aspect)], 1)
    points -= points.mean(0)
    return points / np.sqrt(polygon_area(points))


def polygon_area(points: Float[np.ndarray, "n 2"]) -> float:
    """The area that a closed polygon encloses (shoelace formula), in squared units of its points."""
    x, y = points.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def rotated(points: Float[np.ndarray, "n 2"], angle: float) -> Float[np.ndarray, "n 2"]:
    """The points turned about the origin by an angle in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def polygon_mask(shape: tuple[int, int], points: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, "h w"]:
    """The pixels that a polygon of (x, y) points covers; a pixel's center has integer coordinates."""
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, shift=4)
    return mask.astype(bool)


def signed_distance(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Distance to the border of a mask in pixels, positive inside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(mask, inside - 0.5, 0.5 - outside)


def sigmoid(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))
