"""The healthy part of a phantom mammogram: the breast's outline, the pectoral muscle, the tissue.

The chest wall is the left edge of the frame. Gray values were fitted to INbreast.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mammoseg_lib.phantoms.textures import power_law_noise, sigmoid, strands

# Part of the breast's area that is fibroglandular, by ACR class (the classes are quarters of 0..1).
GLANDULAR_FRACTION = {1: 0.10, 2: 0.33, 3: 0.60, 4: 0.80}
# Detector counts (of 14 bits, of which INbreast uses about 12).
FAT, GLANDULAR, TEXTURE, MUSCLE, STRAND = 1980.0, 450.0, 50.0, 520.0, 260.0


def draw_breast(
    view: str, extent: tuple[float, float], shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "h w"], tuple[float, float]]:
    """The breast's pixels and the (x, y) of the nipple.

    Args:
        view: "CC" or "MLO".
        extent: Width and height of the breast as parts of the frame.
        shape: Height and width of the frame in pixels.
        rng: Source of randomness.
    """
    height, width = shape
    depth, tall = extent[0] * width, extent[1] * height
    y = np.arange(height, dtype=float)
    if view == "CC":
        top = (height - tall) * rng.uniform(0.3, 0.7)
        tip = top + tall * rng.uniform(0.44, 0.56)
        t = np.where(y < tip, (tip - y) / (tip - top), (y - tip) / (top + tall - tip)).clip(0, 1)
        # From a cone to a half-ellipse.
        profile = depth * (1 - t ** rng.uniform(1.6, 2.3)) ** (1 / rng.uniform(1.15, 2.0))
    else:
        tip, bottom = tall * rng.uniform(0.58, 0.70), tall
        upper = (y / tip).clip(0, 1)
        rise = upper**2 * (3 - 2 * upper)  # the S-shaped slope from the axilla
        axilla = rng.uniform(0.35, 0.75)
        lower = ((y - tip) / (bottom - tip)).clip(0, 1)
        fall = (1 - lower ** rng.uniform(1.9, 2.4)) ** (1 / rng.uniform(1.8, 2.2))
        profile = depth * np.where(y < tip, axilla + (1 - axilla) * rise ** rng.uniform(0.7, 1.2), fall)
        if rng.random() < 0.35:  # a strip of the abdomen's skin below the fold
            strip = depth * rng.uniform(0.06, 0.15) * (1 - 0.5 * (y / height))
            profile = np.where(y > bottom - 0.08 * tall, np.maximum(profile, strip), profile)
    wave = power_law_noise(rng, (1, height), 4.0)[0]
    profile = profile * (1 + 0.008 * wave)
    if rng.random() < 0.65:  # a nipple in profile
        size = rng.uniform(0.012, 0.02) * height
        profile += 1.2 * size * np.exp(-(((y - tip) / size) ** 4)) * (profile > 0)
    breast = np.arange(width)[None] < profile[:, None]
    return breast, (float(profile[min(int(tip), height - 1)]), float(tip))


def draw_muscle(
    breast: Bool[np.ndarray, "h w"], spacing: float, rng: np.random.Generator
) -> Float[np.ndarray, "h w"]:
    """The pectoral muscle of an oblique view: a triangle in the upper corner of the chest wall, 0..1.

    Args:
        breast: The breast's pixels.
        spacing: Side of a pixel in mm.
        rng: Source of randomness.
    """
    height = breast.shape[0]
    across = breast[0].sum() * rng.uniform(0.45, 0.85)
    down = height * rng.uniform(0.45, 0.8)
    x, y = np.meshgrid(np.arange(breast.shape[1]), np.arange(height))
    bulge = 1 + rng.uniform(-0.05, 0.12) * np.sin(np.pi * (y / down).clip(0, 1))
    edge = across * (1 - y / down) * bulge
    distance_mm = (edge - x) * spacing * down / np.hypot(down, across)
    fibers = power_law_noise(rng, breast.shape, 3.0, stretch=(4.0, 1.0))
    return (sigmoid(distance_mm / 1.2) * (0.92 + 0.06 * fibers)).astype(np.float32)


def draw_tissue(
    acr_density: int,
    breast: Bool[np.ndarray, "h w"],
    skin_mm: Float[np.ndarray, "h w"],
    muscle: Float[np.ndarray, "h w"],
    nipple: tuple[float, float],
    spacing: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Fat with glandular tissue, strands and muscle, in detector counts, as if equally thick everywhere.

    Args:
        acr_density: 1..4; sets the part of the breast that is glandular.
        breast: The breast's pixels.
        skin_mm: Distance to the skin in mm.
        muscle: Where the pectoral muscle is, 0..1.
        nipple: The nipple's (x, y) in pixels.
        spacing: Side of a pixel in mm.
        rng: Source of randomness.
    """
    shape = breast.shape
    # Structures are at most as large as a breast.
    fields = [power_law_noise(rng, shape, 3.0, outer_scale=90 / spacing) for _ in range(2)]
    x, y = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    # Ducts and ligaments run towards the nipple, so one field is drawn in polar coordinates around it.
    radius = np.hypot(x - nipple[0] - 4 / spacing, y - nipple[1])
    angle = np.arctan2(y - nipple[1], nipple[0] + 4 / spacing - x)
    polar_shape = (int(np.hypot(*shape)) + 2, int(np.pi * max(nipple[0], 8)))
    column = (angle / (2 * np.pi) + 0.5) * (polar_shape[1] - 1)

    def towards_nipple(exponent: float, outer_mm: float, stretch: float) -> np.ndarray:
        noise = power_law_noise(
            rng, polar_shape, exponent, outer_scale=outer_mm / spacing, stretch=(stretch, 1.0)
        )
        return cv2.remap(noise, column, radius, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    radial = towards_nipple(3.0, 90.0, 2.5)
    # Glandular tissue lies as a cone behind the nipple, with a layer of fat below the skin around it.
    reach = max(nipple[0], 1.0)
    cone = np.exp(-((radius / reach - rng.uniform(0.4, 0.55)) ** 2) / 0.16) * np.cos(angle).clip(0, 1) ** 2
    likely = 0.5 * fields[0] + 0.45 * radial + 3.6 * cone - 2.5 * np.exp(-skin_mm / 8) - 3.0 * muscle
    region = breast & (muscle < 0.5)
    threshold = np.quantile(likely[region if region.any() else breast], 1 - GLANDULAR_FRACTION[acr_density])
    glandular = sigmoid((likely - threshold) / np.float32(0.4))
    # Ligaments, ducts and vessels are clean curves, so they come from smoother noise. One with structures
    # of L mm climbs by about 2 pi / L of its deviation per mm, which gives lines of this half-width:
    half_mm = 2 * np.pi * max(0.35, 0.6 * spacing)
    lines = 1.2 * strands(towards_nipple(5.0, 32.0, 3.5), half_mm / 32)
    lines += 0.8 * strands(towards_nipple(4.6, 14.0, 3.0), half_mm / 14)
    lines += 0.8 * strands(power_law_noise(rng, shape, 5.0, outer_scale=30 / spacing), half_mm / 30)
    lines *= 0.22 + sigmoid(2 * (likely - threshold + 0.6)) * sigmoid(2 * fields[1])
    lines *= np.float32(min(1.0, 0.6 / spacing))  # thinner than a pixel
    lumps = 1 + 0.30 * fields[1] + 0.30 * radial
    image = FAT + GLANDULAR * glandular * lumps + TEXTURE * (fields[1] + 0.5 * radial)
    return (image + STRAND * lines * (1 - muscle) + MUSCLE * muscle).astype(np.float32)
