"""Pictures that a data set holds twice: saved in another size or contrast, or one scan after the other.

BUSI has many of them. Where one is trained on and its twin is tested, a network is asked what it was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from jaxtyping import Float

from mammoseg_lib.preprocessing.steps import resample

SIDE = 48  # px of the thumbnails; two scans of one lesion differ in what is finer
DETAIL = 1.5  # px, sigma: what is wider is the same in many pictures
BACKGROUND = 0.1  # of the brightest tissue: what is darker is no tissue
SHARED = 0.6  # of the larger tissue that the two must have in common
CANDIDATES = 0.3  # correlation from which a pair is looked at with one moved by a pixel
CHUNK = 1024  # pictures compared with all others at a time
SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def structure(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "2 s s"]:
    """What tells a picture from others, whatever its size and contrast: a thumbnail's detail, and its tissue.

    Detail is what a thumbnail has beyond its own blurred version, divided by how strong that is round about:
    neither brightness nor contrast matter. The rim of a breast, which all breasts have, is left out.
    """
    small = resample(image, (SIDE, SIDE))
    if small.std() < 1e-3:  # nothing to be seen
        return np.zeros((2, SIDE, SIDE), np.float32)
    bright = cv2.blur(small, (3, 3)) > BACKGROUND * np.percentile(small, 99)
    tissue = cv2.erode(bright.astype(np.float32), np.ones((3, 3)))  # not from the edges of the picture
    share = _blur(tissue) + np.float32(1e-6)
    detail = tissue * (small - _blur(small * tissue) / share)
    strength = np.sqrt(_blur(detail**2) / share)
    return np.stack([detail / (strength + np.float32(0.02) * small.std()), tissue])


def near_duplicates(structures: Float[np.ndarray, "n 2 s s"]) -> list[tuple[int, int, float]]:
    """The pairs of pictures that are one: their positions, the smaller one first, and their correlation.

    The correlation is that of the details where both have tissue, at the best of nine positions one pixel
    of the thumbnail apart; how high it must be depends on how much tissue that is, see `alike`. Measured:
    in BUSI 162 pairs of 258 pictures, 9 of them in two classes; all 71 whose pixels correlate above .95 at
    256x256 are among them. In INbreast none, where 39 pairs of breasts do so: breasts have one shape.

    A picture that was mirrored, inverted or turned is not found, nor one cut by more than a twentieth.

    Args:
        structures: What `structure` gives for each picture.
    """
    found = []
    for start in range(0, len(structures), CHUNK):
        correlations, _ = _compared(structures[start : start + CHUNK], structures)
        for row, j in np.argwhere(correlations > CANDIDATES).tolist():
            if (i := start + row) < j:
                moved = np.stack([np.roll(structures[j], shift, (1, 2)) for shift in SHIFTS])
                correlations_, common = (each[0] for each in _compared(structures[i][None], moved))
                best = int(correlations_.argmax())
                if correlations_[best] > alike(float(common[best])):
                    found.append((i, j, float(correlations_[best])))
    return found


def alike(n_pixels: float) -> float:
    """The correlation over so many pixels of a thumbnail above which two pictures count as one.

    0.41 + 4 / sqrt(n): about .5 for a whole picture. What different pictures reach by chance grows with
    1 / sqrt(n), and of a small breast there is little to compare.
    """
    return 0.41 + 4 / max(n_pixels, 1) ** 0.5


def connected(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """A number for each of n things, the same for those that pairs join, be it over others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(list(pairs), dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].tolist()


def groups(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> tuple[tuple[str, ...], ...]:
    """The names of those that pairs of positions join, by group; who is alone is in none."""
    members: dict[int, list[str]] = {}
    for name, label in zip(names, connected(len(names), pairs), strict=True):
        members.setdefault(label, []).append(name)
    return tuple(tuple(group) for group in members.values() if len(group) > 1)


def _blur(image: Float[np.ndarray, "s s"]) -> Float[np.ndarray, "s s"]:
    return cv2.GaussianBlur(image, (0, 0), DETAIL)


def _compared(
    some: Float[np.ndarray, "m 2 s s"], all_: Float[np.ndarray, "n 2 s s"]
) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, "m n"]]:
    """The correlation of the details of each with each over the tissue of both, and its size in pixels."""
    (a, in_a), (b, in_b) = (each.reshape(len(each), 2, -1).swapaxes(0, 1) for each in (some, all_))
    common = in_a @ in_b.T
    strength = np.sqrt((a**2 @ in_b.T) * (in_a @ (b**2).T))
    enough = common > SHARED * np.maximum(in_a.sum(1)[:, None], in_b.sum(1)[None])
    return np.where(enough, (a @ b.T) / np.maximum(strength, np.float32(1e-6)), np.float32(0)), common
