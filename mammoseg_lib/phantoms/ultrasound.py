"""Drawing a phantom breast ultrasound picture: layers of tissue, speckle, tumors with what lies behind them.

Lengths are parts of the picture's height, since BUSI does not know the size of its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from mammoseg_lib.phantoms.textures import (
    LesionKind,
    lesion_outline,
    polygon_mask,
    power_law_noise,
    rotated,
    sigmoid,
    signed_distance,
    strands,
)

# Echo amplitude of the layers from the probe downwards: skin, fat, glandular tissue, muscle, ribs and lung.
LAYERS = (1.5, 0.30, 0.62, 0.40, 0.12)
DECIBELS = 48.0  # dynamic range of the display


@dataclass(frozen=True)
class Tumor:
    """A tumor of a picture.

    Attributes:
        kind: Character of its margin.
        area: Part of the picture that it covers, 0..1.
        aspect: Width divided by height.
        echo: Echo amplitude relative to the tissue around; near 0 for a cyst.
        softness: Width over which its margin fades, in picture heights.
        posterior: What lies behind it: -1 a deep shadow, 0 nothing, 1 strong enhancement.
        x: Position from left to right, 0..1.
        y: Depth, 0..1.
    """

    kind: LesionKind
    area: float
    aspect: float
    echo: float
    softness: float
    posterior: float
    x: float
    y: float


@dataclass(frozen=True)
class Ultrasound:
    """What an ultrasound picture is to show.

    Attributes:
        aspect: Width of the picture divided by its height.
        tumors: The tumors; they do not overlap if there is room.
        depth_gain: How much echoes weaken with depth, in nepers over the picture's height.
        brightness: Added to the gray values (0..1).
        calipers: Whether the measuring marks of the scanner are burnt in.
    """

    aspect: float
    tumors: tuple[Tumor, ...]
    depth_gain: float
    brightness: float
    calipers: bool


def draw_ultrasound(
    case: Ultrasound, size: int, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "h w"], list[Bool[np.ndarray, "h w"]]]:
    """Draw a picture whose longest side has `size` pixels, and a mask for each tumor."""
    shape = (round(size / max(case.aspect, 1)), round(size * min(case.aspect, 1)))
    echo = _layers(shape, rng)
    masks: list[np.ndarray] = []
    for tumor in case.tumors:
        masks.append(_place(tumor, shape, masks, rng))
        _add_tumor(echo, tumor, masks[-1], rng)
    depth = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    echo = echo * np.exp(-case.depth_gain * depth)
    amplitude = echo * _speckle(shape, rng)
    # The scanner shows the logarithm of the echo.
    gray = 1 + 20 / DECIBELS * np.log10(np.maximum(amplitude, 1e-4)) - 0.40 + case.brightness
    pixels = (255 * gray).clip(0, 255).round().astype(np.uint8)
    if case.calipers and masks:
        _draw_calipers(pixels, masks[0])
    return pixels, masks


def _layers(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Echo amplitude of the tissue without tumors."""
    height, width = shape
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    depths = np.cumsum([rng.uniform(0.025, 0.06), rng.uniform(0.06, 0.26), rng.uniform(0.3, 0.45), 0.16])
    echo = np.full(shape, LAYERS[0], dtype=np.float32)
    for depth, level, waviness in zip(depths, LAYERS[1:], (0.004, 0.02, 0.03, 0.03), strict=True):
        border = depth + waviness * power_law_noise(rng, (1, width), 3.0)[0]
        echo += (level - echo) * sigmoid((y - border) / np.float32(0.008))
    # Tissue comes in sheets parallel to the skin: bright fascia lines in a mottled ground. A noise with
    # structures of L climbs by about 2 pi / L of its deviation per length, which sets the lines' width.
    fascia = np.zeros(shape, dtype=np.float32)
    for scale, stretch, strength in ((0.35, 4.5, 3.2), (0.16, 4.0, 2.2), (0.08, 4.0, 1.0)):
        sheet = power_law_noise(rng, shape, 4.8, outer_scale=scale * height, stretch=(1.0, stretch))
        fascia += strength * strands(sheet, 2 * np.pi * max(0.0045, 0.8 / height) / scale)
    mottle = power_law_noise(rng, shape, 3.0, outer_scale=height / 4, stretch=(1.0, 2.2))
    lobules = power_law_noise(rng, shape, 4.0, outer_scale=height / 8, stretch=(1.0, 2.0))
    patchy = sigmoid(2.5 * power_law_noise(rng, shape, 3.4, outer_scale=height / 2))
    echo *= np.exp(0.25 * mottle + 0.3 * lobules)
    echo += (0.15 + 0.85 * patchy) * fascia * echo * (y > 0.03)
    # Columns differ: the probe's contact with the skin does.
    return echo * np.exp(0.2 * power_law_noise(rng, (1, width), 3.0))


def _speckle(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "h w"]:
    """Speckle: the Rayleigh-distributed amplitude of a blurred complex field, mean 1.

    Grains are wider than tall, since a scanner resolves better along the beam than across it. Two looks from
    different angles are averaged, as compounding scanners do.
    """
    axial = max(0.5, 0.0032 * shape[0])
    amplitude = np.zeros(shape, dtype=np.float32)
    for _ in range(2):
        parts = [rng.standard_normal(shape, dtype=np.float32) for _ in range(2)]
        amplitude += np.hypot(*(cv2.GaussianBlur(part, (0, 0), 2.2 * axial, sigmaY=axial) for part in parts))
    return amplitude / amplitude.mean()


def _place(
    tumor: Tumor, shape: tuple[int, int], others: list[np.ndarray], rng: np.random.Generator
) -> Bool[np.ndarray, "h w"]:
    """The tumor's pixels: inside the picture, at its position or, if that is taken, as near as is free."""
    height, width = shape
    # A tumor as wide as the picture has to be taller than its aspect says.
    widest = 0.9 * width
    aspect = min(tumor.aspect, widest**2 / (1.4 * tumor.area * height * width))
    tilt = rng.normal(0, 0.12)
    outline = rotated(lesion_outline(rng, tumor.kind, aspect), tilt) * np.sqrt(tumor.area * height * width)
    low, high = outline.min(0), outline.max(0)
    fit = min(1.0, 0.96 * width / (high - low)[0], 0.94 * height / (high - low)[1])
    outline, low, high = outline * fit, low * fit, high * fit
    frame = np.array([width, height], dtype=float)
    target = np.array([tumor.x, tumor.y]) * frame
    for attempt in range(20):
        # More and more to the side of where it should be.
        wanted = target + rng.normal(0, 0.04 * attempt, 2) * frame
        center = np.minimum(np.maximum(wanted, 0.02 * frame - low), 0.98 * frame - 1 - high)
        mask = polygon_mask(shape, outline + center)
        if not any((mask & other).any() for other in others):
            break
    return mask


def _add_tumor(
    echo: Float[np.ndarray, "h w"], tumor: Tumor, mask: Bool[np.ndarray, "h w"], rng: np.random.Generator
) -> None:
    """Change the echoes inside a tumor, at its rim, and behind it, in place."""
    height = mask.shape[0]
    distance = signed_distance(mask) / height
    inside = sigmoid(distance / np.float32(tumor.softness))
    texture = np.exp(0.45 * power_law_noise(rng, mask.shape, 3.0, outer_scale=height / 6))
    level = np.float32(0.5 * tumor.echo) * texture
    # Behind: the longer the way through the tumor, the more its sound was weakened, or was not.
    path = np.cumsum(inside, axis=0, dtype=np.float32) / height
    chord = path[-1:] / max(float(path[-1].max()), 1e-6)
    chord = cv2.GaussianBlur(chord, (0, 0), 0.012 * height)
    behind = (path / np.maximum(path[-1:], 1e-6)).clip(0, 1) * (1 - inside)
    first = mask.any(1).nonzero()[0]
    below = np.maximum(np.arange(height)[:, None] - first.max(initial=0), 0) / height
    strength = 1.9 * tumor.posterior if tumor.posterior < 0 else 1.0 * tumor.posterior
    echo *= np.exp(strength * chord * behind * np.exp(-below / 0.45))
    echo += (level - echo) * inside
    rim = np.exp(-((distance / 0.008) ** 2))
    if tumor.kind == "irregular":  # an echogenic halo instead of a capsule
        rim = 0.5 * np.exp(-(((distance + 0.03) / 0.025) ** 2))
    echo += np.float32(0.25) * rim * texture


def _draw_calipers(pixels: UInt8[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> None:
    """Crosses at the ends of the tumor's width and height, joined by dots, in place."""
    y, x = mask.nonzero()
    arm = max(2, pixels.shape[0] // 50)
    middle = (int(x.mean()), int(y.mean()))
    ends = [(x.min(), middle[1]), (x.max(), middle[1]), (middle[0], y.min()), (middle[0], y.max())]
    for end in ends:
        cv2.drawMarker(pixels, (int(end[0]), int(end[1])), 235, cv2.MARKER_CROSS, 2 * arm, 1)
    pixels[middle[1], x.min() : x.max() : max(2, arm // 2)] = 200
    pixels[y.min() : y.max() : max(2, arm // 2), middle[0]] = 200
