"""Drawing a phantom mammogram: a breast, its tissue, its masses.

Lengths are in mm, so that a phantom has the same anatomy at every image size. Everything is drawn with the
chest wall at the left edge; a right breast is mirrored at the end. The numbers for the breast's extent and for
gray values were fitted to the images of INbreast that show masses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt16

from mammoseg_lib.datasets.phantom_textures import (
    LesionKind,
    lesion_outline,
    polygon_mask,
    power_law_noise,
    rotated,
    sigmoid,
    signed_distance,
    strands,
)

# Height and width in pixels of the two detector formats of INbreast, with pixels of 0.07 mm.
FORMATS = ((3328, 2560), (4084, 3328))
DETECTOR_PIXEL_MM = 0.07
# Part of the breast's area that is fibroglandular, by ACR class (the classes are quarters of 0..1).
GLANDULAR_FRACTION = {1: 0.10, 2: 0.33, 3: 0.60, 4: 0.80}
# Detector counts (of 14 bits, of which INbreast uses about 12).
FAT, GLANDULAR, TEXTURE, MUSCLE, SKIN, STRAND = 2020.0, 520.0, 85.0, 420.0, 150.0, 110.0
RIM_MM = 22.0  # the compressed breast gets thinner this close to the skin
MIN_LESION_PIXELS = 9.0  # smaller ones could vanish between the pixels of a small phantom


@dataclass(frozen=True)
class Lesion:
    """A mass as both views of a breast show it.

    Attributes:
        kind: Character of its margin.
        area_mm2: Area inside its outline.
        contrast: Peak brightness above the tissue around it, in detector counts.
        softness_mm: Width over which its margin fades.
        aspect: Width divided by height before it is turned.
        depth: Distance from the chest wall, 0..1 of the breast's depth there.
        height: Position along the chest wall, 0..1 from top to bottom.
    """

    kind: LesionKind
    area_mm2: float
    contrast: float
    softness_mm: float
    aspect: float
    depth: float
    height: float


@dataclass(frozen=True)
class Mammogram:
    """What a mammogram is to show.

    Attributes:
        laterality: "L" or "R".
        view: "CC" or "MLO".
        acr_density: 1..4, sets how much of the breast is glandular and how bright it is.
        detector: Index into `FORMATS`.
        extent: How wide and tall the breast is within the frame, 0..1 each.
        lesions: The masses; the first is placed first.
        overlapping: Whether the second mass overlaps the first.
        calcifications: Bright specks.
        markers: Points that a reader set beside the outlines.
    """

    laterality: str
    view: str
    acr_density: int
    detector: int
    extent: tuple[float, float]
    lesions: tuple[Lesion, ...] = ()
    overlapping: bool = False
    calcifications: int = 0
    markers: int = 0


@dataclass(frozen=True)
class DrawnMammogram:
    """Pixels and what a reader would outline in them; points are (x, y) in pixels."""

    pixels: UInt16[np.ndarray, "h w"]
    spacing_mm: float
    outlines: list[Float[np.ndarray, "n 2"]] = field(default_factory=list)
    calcifications: Float[np.ndarray, "n 2"] = field(default_factory=lambda: np.empty((0, 2)))
    markers: Float[np.ndarray, "n 2"] = field(default_factory=lambda: np.empty((0, 2)))


def draw_mammogram(case: Mammogram, size: int, rng: np.random.Generator) -> DrawnMammogram:
    """Draw a mammogram whose longest side (the height) has `size` pixels."""
    rows, columns = FORMATS[case.detector]
    shape = (size, round(size * columns / rows))
    spacing = DETECTOR_PIXEL_MM * rows / size
    breast, nipple = _breast(case, shape, rng)
    skin_mm = cv2.distanceTransform(breast.astype(np.uint8), cv2.DIST_L2, 5) * np.float32(spacing)
    muscle = _muscle(breast, spacing, rng) if case.view == "MLO" else np.zeros(shape, np.float32)
    image = _tissue(case.acr_density, breast, skin_mm, muscle, nipple, spacing, rng)
    outlines = _place(case, breast, spacing, rng)
    for lesion, outline in zip(case.lesions, outlines, strict=True):
        _add_mass(image, lesion, outline, spacing, rng)
    specks = _calcifications(image, case, breast, outlines, spacing, rng)
    # Thickness: a compressed breast has a round edge, seen from above.
    thin = 1 - np.minimum(skin_mm / RIM_MM, 1)
    image *= 0.22 + 0.78 * np.sqrt(1 - thin**2)
    image += SKIN * np.exp(-(((skin_mm - 1.2) / 1.0) ** 2))
    image = cv2.GaussianBlur(image, (0, 0), 0.4 + 0.1 / spacing)
    image += rng.standard_normal(shape, dtype=np.float32) * np.sqrt(np.maximum(image, 0)) * 0.25
    pixels = np.where(breast, image, 0).clip(0, 4095).round().astype(np.uint16)
    markers = _inside(breast, case.markers, rng)
    drawn = DrawnMammogram(pixels, spacing, outlines, specks, markers)
    return _mirrored(drawn) if case.laterality == "R" else drawn


def _breast(
    case: Mammogram, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "h w"], tuple[float, float]]:
    """The breast's pixels and the (x, y) of the nipple."""
    height, width = shape
    depth, tall = case.extent[0] * width, case.extent[1] * height
    y = np.arange(height, dtype=float)
    if case.view == "CC":
        top = (height - tall) * rng.uniform(0.3, 0.7)
        tip = top + tall * rng.uniform(0.44, 0.56)
        t = np.where(y < tip, (tip - y) / (tip - top), (y - tip) / (top + tall - tip)).clip(0, 1)
        profile = depth * (1 - t ** rng.uniform(1.75, 2.2)) ** (1 / rng.uniform(1.8, 2.1))
    else:
        tip, bottom = tall * rng.uniform(0.58, 0.70), tall
        upper = (y / tip).clip(0, 1)
        rise = upper**2 * (3 - 2 * upper)  # the S-shaped slope from the axilla
        axilla = rng.uniform(0.25, 0.6)
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


def _muscle(
    breast: Bool[np.ndarray, "h w"], spacing: float, rng: np.random.Generator
) -> Float[np.ndarray, "h w"]:
    """The pectoral muscle of an oblique view: a triangle in the upper corner of the chest wall, 0..1."""
    height = breast.shape[0]
    across = breast[0].sum() * rng.uniform(0.45, 0.85)
    down = height * rng.uniform(0.45, 0.8)
    x, y = np.meshgrid(np.arange(breast.shape[1]), np.arange(height))
    bulge = 1 + rng.uniform(-0.05, 0.12) * np.sin(np.pi * (y / down).clip(0, 1))
    edge = across * (1 - y / down) * bulge
    distance_mm = (edge - x) * spacing * down / np.hypot(down, across)
    fibers = power_law_noise(rng, breast.shape, 3.0, stretch=(4.0, 1.0))
    return (sigmoid(distance_mm / 1.2) * (0.92 + 0.06 * fibers)).astype(np.float32)


def _tissue(
    acr_density: int,
    breast: Bool[np.ndarray, "h w"],
    skin_mm: Float[np.ndarray, "h w"],
    muscle: Float[np.ndarray, "h w"],
    nipple: tuple[float, float],
    spacing: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Fat with glandular tissue, strands and muscle, in detector counts, as if equally thick everywhere."""
    shape = breast.shape
    scale = 90 / spacing  # structures are at most as large as a breast
    fields = [power_law_noise(rng, shape, 3.0, outer_scale=scale) for _ in range(2)]
    x, y = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    # Ducts and ligaments run towards the nipple, so one field is drawn in polar coordinates around it.
    radius = np.hypot(x - nipple[0] - 4 / spacing, y - nipple[1])
    angle = np.arctan2(y - nipple[1], nipple[0] + 4 / spacing - x)
    polar_shape = (int(np.hypot(*shape)) + 2, int(np.pi * max(nipple[0], 8)))
    polar = power_law_noise(rng, polar_shape, 3.0, outer_scale=scale, stretch=(2.5, 1.0))
    column = (angle / (2 * np.pi) + 0.5) * (polar_shape[1] - 1)
    radial = cv2.remap(polar, column, radius, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # Glandular tissue lies as a cone behind the nipple and leaves a layer of fat below the skin.
    reach = max(nipple[0], 1.0)
    cone = np.exp(-((radius / reach - 0.45) ** 2) / 0.18) * np.cos(angle).clip(0, 1)
    likely = 0.75 * fields[0] + 0.75 * radial + 2.2 * cone - 2.0 * np.exp(-skin_mm / 7) - 2.5 * muscle
    region = breast & (muscle < 0.5)
    threshold = np.quantile(likely[region if region.any() else breast], 1 - GLANDULAR_FRACTION[acr_density])
    glandular = sigmoid((likely - threshold) / np.float32(0.45))
    lines = strands(0.5 * fields[1] + radial, 0.09) * (0.35 + 0.65 * glandular)
    image = FAT + GLANDULAR * glandular * (1 + 0.18 * fields[1]) + TEXTURE * (fields[1] + 0.5 * radial)
    return (image + STRAND * lines * (1 - muscle) + MUSCLE * muscle).astype(np.float32)


def _place(
    case: Mammogram, breast: Bool[np.ndarray, "h w"], spacing: float, rng: np.random.Generator
) -> list[Float[np.ndarray, "n 2"]]:
    """Outlines of the masses in pixels, each inside the breast and as near to its position as it fits."""
    room = cv2.distanceTransform(np.pad(breast, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.nonzero(breast)
    room = room[y, x]
    depth = breast.sum(1)[y]
    span = y.max() - y.min() + 1
    outlines: list[np.ndarray] = []
    circles: list[tuple[np.ndarray, float]] = []
    for number, lesion in enumerate(case.lesions):
        area = max(lesion.area_mm2 / spacing**2, MIN_LESION_PIXELS)
        shape = rotated(lesion_outline(rng, lesion.kind, lesion.aspect), rng.uniform(0, np.pi))
        outline = shape * np.sqrt(area)
        reach = float(np.hypot(*outline.T).max())
        fits = room > reach + 1
        target = np.hypot(x - lesion.depth * depth, y - y.min() - lesion.height * span)
        if number:
            center, other = circles[0]
            apart = np.hypot(x - center[0], y - center[1])
            if case.overlapping:
                target = np.abs(apart - 0.6 * (other + reach)) + 0.02 * target
            else:
                fits = fits & (apart > other + reach + 1) if (fits & (apart > other + reach + 1)).any() else fits
        if fits.any():
            chosen = np.flatnonzero(fits)[target[fits].argmin()]
        else:  # a large mass in a small breast
            chosen = room.argmax()
            outline = outline * max(room[chosen] - 1, 1) / reach
        center = np.array([x[chosen], y[chosen]], dtype=float)
        circles.append((center, reach))
        outlines.append(outline + center)
    return outlines


def _add_mass(
    image: Float[np.ndarray, "h w"],
    lesion: Lesion,
    outline: Float[np.ndarray, "n 2"],
    spacing: float,
    rng: np.random.Generator,
) -> None:
    """Brighten the image where a mass is, in place."""
    center = outline.mean(0)
    reach = float(np.hypot(*(outline - center).T).max())
    margin = int(1.6 * reach + 6 * lesion.softness_mm / spacing) + 4
    left, top = np.maximum(center.astype(int) - int(reach) - margin, 0)
    window = image[top : int(center[1] + reach) + margin, left : int(center[0] + reach) + margin]
    shape = window.shape
    points = outline - (left, top)
    distance = signed_distance(polygon_mask(shape, points))
    # Thicker in the middle, as a ball projects, with a margin that fades.
    dome = np.sqrt((distance / max(float(distance.max()), 1.0)).clip(0, 1))
    profile = sigmoid(distance * spacing / lesion.softness_mm) * (0.6 + 0.4 * dome)
    profile = profile * (1 + 0.10 * power_law_noise(rng, shape, 3.0, outer_scale=2 * reach + 2))
    if lesion.kind == "spiculated":
        profile = np.maximum(profile, 0.6 * _spicules(shape, center - (left, top), reach, spacing, rng))
    window += np.float32(lesion.contrast) * profile.astype(np.float32)


def _spicules(
    shape: tuple[int, int],
    center: Float[np.ndarray, " 2"],
    reach: float,
    spacing: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """Thin lines that radiate from a mass and fade, 0..1."""
    canvas = np.zeros(shape, dtype=np.uint8)
    thickness = max(1, round(0.7 / spacing))
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(14, 30)):
        length, bend = reach * rng.uniform(1.1, 1.7), rng.uniform(-0.25, 0.25)
        steps = np.linspace(0.2, 1, 6)
        turn = angle + bend * steps
        line = center + length * steps[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        cv2.polylines(canvas, [np.round(line * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
    y, x = np.indices(shape)
    fade = np.exp(-((np.hypot(x - center[0], y - center[1]) / (1.15 * reach)) ** 2))
    return canvas.astype(np.float32) / 255 * fade


def _calcifications(
    image: Float[np.ndarray, "h w"],
    case: Mammogram,
    breast: Bool[np.ndarray, "h w"],
    outlines: list[np.ndarray],
    spacing: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 2"]:
    """Add bright specks, in place, clustered in the first mass or somewhere in the breast; their points."""
    if not case.calcifications:
        return np.empty((0, 2))
    center = outlines[0].mean(0) if outlines and rng.random() < 0.6 else _inside(breast, 1, rng)[0]
    points = center + rng.normal(0, 5 / spacing, (case.calcifications, 2))
    points = points.clip(0, (breast.shape[1] - 1, breast.shape[0] - 1))
    points = points[breast[points[:, 1].astype(int), points[:, 0].astype(int)]]
    specks = np.zeros(breast.shape, dtype=np.float32)
    for x, y in points:
        specks[int(y), int(x)] = rng.uniform(0.5, 1)
    sigma = 0.2 / spacing + 0.3
    image += 900 * min(1.0, 0.8 / spacing) * cv2.GaussianBlur(specks, (0, 0), sigma) * 2 * np.pi * sigma**2
    return points


def _inside(breast: Bool[np.ndarray, "h w"], n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
    """Random points of the breast as (x, y)."""
    y, x = np.nonzero(breast)
    chosen = rng.integers(0, len(y), n)
    return np.stack([x[chosen], y[chosen]], 1).astype(float)


def _mirrored(drawn: DrawnMammogram) -> DrawnMammogram:
    last = drawn.pixels.shape[1] - 1

    def flip(points: np.ndarray) -> np.ndarray:
        return np.stack([last - points[:, 0], points[:, 1]], 1)

    return replace(
        drawn,
        pixels=np.ascontiguousarray(drawn.pixels[:, ::-1]),
        outlines=[flip(outline) for outline in drawn.outlines],
        calcifications=flip(drawn.calcifications),
        markers=flip(drawn.markers),
    )
