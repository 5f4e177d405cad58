"""The Spatial Matching loss written from the paper: Algorithm 1 line by line, in Python loops and floats.

Nothing here comes from the library. Slow, plain, and for one sample of a small image.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

Image = tuple[tuple[float, ...], ...]


def oracle(
    logits: np.ndarray, mask: np.ndarray, core: str, variant: str, aggregation: str, **switches
) -> float:
    """L_SM of one sample."""
    s = {
        "alpha": 0.7,
        "beta": 0.3,
        "smooth": 1.0,
        "dice_factor": 2,
        "threshold": 0.5,
        "soft_counts": False,
        "mask_numerator": False,
        "distance_weight": "fp_cells",
        "distance_unit": "cell",
        "distance_from": "closest",
        "rescale": "sigmoid",
        "reduce": "min",
        "rounding": "nearest",
        "size_means": "cell_pixels",
    }
    assert set(switches) <= set(s)
    s |= switches
    h, w = mask.shape
    p = [[1 / (1 + math.exp(-float(v))) for v in row] for row in logits]
    y = tuple(tuple(int(v) for v in row) for row in mask)

    def loss_over(pixels):
        return core_loss([p[r][c] for r, c in pixels], [y[r][c] for r, c in pixels], core, s)

    def f(ratio):
        return 1 / (1 + math.exp(-ratio)) if s["rescale"] == "sigmoid" else ratio

    L_I = loss_over([(r, c) for r in range(h) for c in range(w)])  # line 1
    if not mask.any():
        return L_I
    ch, cw = cell_size(y, s["reduce"], s["rounding"], s["size_means"])
    L_G = NZ_P = NZ_Y = occupied = cells = 0.0
    for top in range(0, h, ch):  # line 2
        for left in range(0, w, cw):
            pixels = [(r, c) for r in range(top, min(top + ch, h)) for c in range(left, min(left + cw, w))]
            cells += 1
            L_i = loss_over(pixels)  # line 4
            y_has = any(y[r][c] for r, c in pixels)
            largest = max(p[r][c] for r, c in pixels)
            q = largest if s["soft_counts"] else float(largest > s["threshold"])
            NZ_P += q  # line 9
            NZ_Y += y_has  # line 10
            in_either = max(q, float(y_has))
            occupied += in_either
            weight = 1.0
            if "distance" in variant:
                d = distance(y, top, left, ch, cw, s["distance_unit"], s["distance_from"])
                fp_only = 0.0 if y_has else q
                if s["distance_weight"] == "fp_cells":  # the text above Eq. 9
                    weight = (1 - fp_only) + fp_only * f(d)
                elif s["distance_weight"] == "eq9":
                    weight = f(d)
                else:  # lines 13 and 14, and for Scale-Distance line 11 before them
                    weight = f(fp_only * d) + (1 if variant == "scale_distance" else 0)
            if s["mask_numerator"]:
                weight *= in_either
            L_G += weight * L_i
    L_G /= cells if aggregation == "all" else occupied  # lines 16 and 18
    if "scale" in variant:
        L_G *= f(NZ_P / NZ_Y)  # line 22
    return L_I + L_G


def core_loss(p: list[float], y: list[int], core: str, s: dict) -> float:
    if core == "bce":
        return -sum(math.log(pj) if yj else math.log(1 - pj) for pj, yj in zip(p, y, strict=True)) / len(p)
    tp = sum(pj * yj for pj, yj in zip(p, y, strict=True))
    if core == "dice":
        return 1 - (s["dice_factor"] * tp + s["smooth"]) / (sum(p) + sum(y) + s["smooth"])
    fn = sum(yj * (1 - pj) for pj, yj in zip(p, y, strict=True))
    fp = sum((1 - yj) * pj for pj, yj in zip(p, y, strict=True))
    return 1 - (tp + s["smooth"]) / (tp + s["alpha"] * fn + s["beta"] * fp + s["smooth"])


@cache
def cell_size(y: Image, reduce: str, rounding: str, size_means: str) -> tuple[int, int]:
    boxes = [bounding_box(mass) for mass in masses(y)]
    sides = []
    for lengths, side in zip(zip(*boxes, strict=True), (len(y), len(y[0])), strict=True):
        length = min(lengths) if reduce == "min" else sum(lengths) / len(lengths)
        n = rounded(length, rounding)
        sides.append(n if size_means == "cell_pixels" else math.ceil(side / n))
    return sides[0], sides[1]


def masses(y: Image) -> list[set[tuple[int, int]]]:
    """8-connected components by flood fill."""
    left = {(r, c) for r, row in enumerate(y) for c, v in enumerate(row) if v}
    found = []
    while left:
        queue, mass = [left.pop()], set()
        while queue:
            r, c = queue.pop()
            mass.add((r, c))
            for near in [(r + dr, c + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    queue.append(near)
        found.append(mass)
    return found


def bounding_box(mass: set[tuple[int, int]]) -> tuple[int, int]:
    rows, columns = [r for r, _ in mass], [c for _, c in mass]
    return max(rows) - min(rows) + 1, max(columns) - min(columns) + 1


def rounded(length: float, rounding: str) -> int:
    powers = [2**k for k in range(12)]
    if rounding == "up":
        return min(n for n in powers if n >= length)
    if rounding == "down":
        return max(n for n in powers if n <= length)
    if rounding == "log2":
        return min(powers, key=lambda n: abs(math.log2(n) - math.log2(length)))
    return min(powers, key=lambda n: (abs(n - length), -n))


@cache
def distance(y: Image, top: int, left: int, ch: int, cw: int, unit: str, origin: str) -> float:
    """From one cell to the closest mass pixel, by trying all pairs; in float32, as features are kept."""
    h, w = len(y), len(y[0])
    bottom, right = min(top + ch, h), min(left + cw, w)
    mass = [(r, c) for r in range(h) for c in range(w) if y[r][c]]
    if any(top <= r < bottom and left <= c < right for r, c in mass):
        return 0.0
    if origin == "closest":
        origins = [(r, c) for r in range(top, bottom) for c in range(left, right)]
    else:
        origins = [((top + bottom - 1) / 2, (left + right - 1) / 2)]
    steps = {"cell": (1 / ch, 1 / cw), "pixel": (1, 1), "normalized": (1 / math.hypot(h, w),) * 2}[unit]
    d = min(math.hypot((a - r) * steps[0], (b - c) * steps[1]) for a, b in origins for r, c in mass)
    return float(np.float32(d))
