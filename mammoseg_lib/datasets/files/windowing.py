"""The gray scale functions of DICOM: windows and lookup tables.

A window maps gray values to 0..1 (DICOM PS3.3 C.11.2.1); the standard's ymin and ymax are 0 and 1 here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Num


def linear(values: Num[np.ndarray, "*shape"], center: float, width: float) -> Float[np.ndarray, "*shape"]:
    """LINEAR: (x - (c - 0.5)) / (w - 1) + 0.5, cut at 0 and 1 (PS3.3 C.11.2.1.2.1); w = 1 is a threshold.

    Made for whole numbers: the window holds the w gray values from c - w/2 to c + w/2 - 1.

    Raises:
        ValueError: If the width is below 1.
    """
    _check(width >= 1, center, width, "at least 1")
    if width == 1:
        return (values > center - 0.5).astype(np.float32)
    return _ramp(values, center - 0.5, width - 1)


def linear_exact(
    values: Num[np.ndarray, "*shape"], center: float, width: float
) -> Float[np.ndarray, "*shape"]:
    """LINEAR_EXACT: (x - c) / w + 0.5, cut at 0 and 1 (PS3.3 C.11.2.1.3.2).

    Raises:
        ValueError: If the width is not positive.
    """
    _check(width > 0, center, width, "positive")
    return _ramp(values, center, width)


def sigmoid(values: Num[np.ndarray, "*shape"], center: float, width: float) -> Float[np.ndarray, "*shape"]:
    """SIGMOID: 1 / (1 + exp(-4 (x - c) / w)) (PS3.3 C.11.2.1.3.1).

    As steep at the center as LINEAR_EXACT, but no end is cut off.

    Raises:
        ValueError: If the width is not positive.
    """
    from scipy.special import expit  # takes .4 s, and few need it

    _check(width > 0, center, width, "positive")
    return expit((values.astype(np.float32) - np.float32(center)) * np.float32(4 / width))


WINDOWS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


def look_up(
    values: Num[np.ndarray, "*shape"], table: Num[np.ndarray, " n"], first: int
) -> Num[np.ndarray, "*shape"]:
    """The table's entry for each gray value, as in the Modality LUT (PS3.3 C.11.1) and the VOI LUT (C.11.2).

    The first entry is that of the gray value `first` and of all below, the last that of all above.
    """
    return table[(np.rint(values).astype(np.int64) - first).clip(0, len(table) - 1)]


def _ramp(values: np.ndarray, center: float, width: float) -> np.ndarray:
    scaled = (values.astype(np.float32) - np.float32(center)) * np.float32(1 / width)
    return (scaled + np.float32(0.5)).clip(0, 1)


def _check(ok: bool, center: float, width: float, wanted: str) -> None:
    if not ok or not np.isfinite([center, width]).all():
        raise ValueError(f"window center is finite and width {wanted}; got center {center}, width {width}")
