"""Removing from a scanned film what is not breast: white borders, labels, tape, fog.

Paper 001 says of CBIS-DDSM that "artifacts were removed" and no more; this is our way of doing so.
It is made for scans of thousands of pixels: below 256, labels are too small to be told from tissue.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

WORKING_SIZE = 512  # px of the longest side; nothing to be found here is finer than 1/512 of a film
BRIGHT = 0.88  # of the brightest value: paper of labels, and film that was not exposed
BORDER = 0.05  # of the frame: how far a white border may reach in from an edge
RECTANGLE = 0.8  # part of its smallest enclosing rectangle that a label fills
BRIDGE = 0.008  # of the longest side: what connects the breast to something else is thinner


def remove_artifacts(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The image with 0 wherever `tissue_mask` is False."""
    return np.where(tissue_mask(image), image, np.float32(0))


def tissue_mask(image: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The breast: the largest region brighter than the film's background, less white borders and labels.

    Found on a copy of at most `WORKING_SIZE` pixels. Holes within the breast belong to it. An image in which
    nothing is brighter than the rest is all tissue.
    """
    scale = min(1.0, WORKING_SIZE / max(image.shape))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    bright = small > BRIGHT * small.max()
    border = _border(bright)
    foreign = border | _labels(bright & ~border)
    # One pixel more, if it is bright: at their edges white and what lies beside it are mixed.
    beside = cv2.dilate(foreign.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    foreign |= beside & (small > 0.6 * small.max())
    if foreign.all():
        return np.ones(image.shape, dtype=bool)
    smooth = cv2.blur(small, (3, 3))
    above = (smooth > _threshold(smooth[~foreign])) & ~foreign
    breast = _largest(above)
    if not breast.any():
        return np.ones(image.shape, dtype=bool)
    large = cv2.resize(breast.astype(np.float32), image.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return large > 0.5


def _threshold(values: Float[np.ndarray, " n"]) -> float:
    """What is brighter is tissue: a little above the background, so that the thin skin line stays.

    Otsu's threshold tells the two apart, but lies halfway between them and would cut the skin away.
    """
    scaled = (values * (255 / max(float(values.max()), 1e-6))).astype(np.uint8)
    halfway, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    dark, light = values[scaled <= halfway], values[scaled > halfway]
    background = np.median(dark)
    noise = 1.48 * np.median(np.abs(dark - background))
    tissue = np.median(light) if len(light) else background
    return float(background + max(5 * noise, 0.03 * (tissue - background)))


def _border(bright: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Bright runs that start at an edge and end within `BORDER` of it, where most of that edge has one.

    A run that goes on is tissue: the pectoral muscle may be as bright and reaches the edge too.
    """
    border = np.zeros_like(bright)
    for turns in range(4):
        side, marked = np.rot90(bright, turns), np.rot90(border, turns)  # views: the edge is the first row
        depth = max(2, round(BORDER * side.shape[0]))
        runs = np.logical_and.accumulate(side[:depth], axis=0)
        runs &= ~runs[-1]
        if runs[0].mean() > 0.5:
            marked[:depth] |= runs
    return border


def _labels(bright: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Bright regions that fill a rectangle; what is written on them does not count against that."""
    labels = np.zeros(bright.shape, dtype=np.uint8)
    contours, _ = cv2.findContours(bright.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        width, height = cv2.minAreaRect(contour)[1]
        if min(width, height) > 3 and cv2.contourArea(contour) > RECTANGLE * width * height:
            cv2.drawContours(labels, [contour], -1, 1, cv2.FILLED)
    return labels.astype(bool)


def _largest(above: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The largest region that holds together without thin bridges, with its own edge and without holes."""
    size = 2 * round(BRIDGE * max(above.shape) / 2) + 1
    disc, wider = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n)) for n in (size, size + 2))
    # What lies beyond the frame counts as tissue, or the breast would be eaten away at the chest wall.
    core = cv2.erode(above.astype(np.uint8), disc)
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=4)
    if count < 2:
        return np.zeros_like(above)
    body = (numbers == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    whole = cv2.dilate(body, wider) & above
    contours, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(body)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return filled.astype(bool)
