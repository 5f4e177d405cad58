"""Drawing a phantom mammogram: a breast with its masses.

Lengths are in mm, so that a phantom has the same anatomy at every image size. Everything is drawn with
the chest wall at the left edge; a right breast is mirrored at the end. The breast's extent and the
gray values were fitted to the images of INbreast that show masses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt16

from mammoseg_lib.phantoms.breast import draw_breast, draw_muscle, draw_tissue
from mammoseg_lib.phantoms.textures import (
    LesionKind,
    lesion_outline,
    polygon_mask,
    power_law_noise,
    rotated,
    sigmoid,
    signed_distance,
)

# Height and width in pixels of the two detector formats of INbreast, with pixels of 0.07 mm.
FORMATS = ((3328, 2560), (4084, 3328))
DETECTOR_PIXEL_MM = 0.07
SKIN = 330.0  # in detector counts
RIM_MM = 12.0  # the compressed breast gets thinner this close to the skin
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
    outlines: list[Float[np.ndarray, "_ 2"]] = field(default_factory=list)
    calcifications: Float[np.ndarray, "_ 2"] = field(default_factory=lambda: np.empty((0, 2)))
    markers: Float[np.ndarray, "_ 2"] = field(default_factory=lambda: np.empty((0, 2)))


def draw_mammogram(case: Mammogram, size: int, rng: np.random.Generator) -> DrawnMammogram:
    """Draw a mammogram whose longest side (the height) has `size` pixels."""
    rows, columns = FORMATS[case.detector]
    shape = (size, round(size * columns / rows))
    spacing = DETECTOR_PIXEL_MM * rows / size
    breast, nipple = draw_breast(case.view, case.extent, shape, rng)
    skin_mm = cv2.distanceTransform(breast.astype(np.uint8), cv2.DIST_L2, 5) * np.float32(spacing)
    muscle = draw_muscle(breast, spacing, rng) if case.view == "MLO" else np.zeros(shape, np.float32)
    image = draw_tissue(case.acr_density, breast, skin_mm, muscle, nipple, spacing, rng)
    outlines = _place(case, breast, spacing, rng)
    for lesion, outline in zip(case.lesions, outlines, strict=True):
        _add_mass(image, lesion, outline, spacing, rng)
    specks = _calcifications(image, case, breast, outlines, spacing, rng)
    # Thickness: a compressed breast has a round edge, seen from above.
    thin = 1 - np.minimum(skin_mm / RIM_MM, 1)
    image *= 0.22 + 0.78 * np.sqrt(1 - thin**2)
    image += SKIN * np.exp(-(((skin_mm - 1.0) / 1.1) ** 2))
    image *= np.float32(rng.lognormal(0.05, 0.12))  # exposure
    image = cv2.GaussianBlur(image, (0, 0), 0.4 + 0.1 / spacing)
    image += rng.standard_normal(shape, dtype=np.float32) * np.sqrt(np.maximum(image, 0)) * 0.25
    pixels = np.where(breast, image, 0).clip(0, 4095).round().astype(np.uint16)
    markers = _inside(breast, case.markers, rng)
    drawn = DrawnMammogram(pixels, spacing, outlines, specks, markers)
    return _mirrored(drawn) if case.laterality == "R" else drawn


def _place(
    case: Mammogram, breast: Bool[np.ndarray, "h w"], spacing: float, rng: np.random.Generator
) -> list[Float[np.ndarray, "_ 2"]]:
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
            elif (clear := fits & (apart > other + reach + 1)).any():
                fits = clear
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
        profile = np.maximum(profile, 0.5 * _spicules(shape, center - (left, top), reach, spacing, rng))
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
    thickness = max(1, round(0.4 / spacing))
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(16, 40)):
        length, bend = reach * (0.8 + 0.9 * rng.beta(1.2, 2.5)), rng.normal(0, 0.25)
        steps = np.linspace(0.2, 1, 6)
        turn = angle + bend * steps
        line = center + length * steps[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        cv2.polylines(canvas, [np.round(line * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4)
    y, x = np.indices(shape)
    fade = np.exp(-((np.hypot(x - center[0], y - center[1]) / (1.15 * reach)) ** 2))
    soft = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 0.3 + 0.2 / spacing)
    return soft * fade * np.float32(max(0.4, min(1.0, 0.8 / spacing)))


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
