"""The gray scale of a DICOM file by its tags: range of its values, padding, modality LUT, VOI LUT, window."""

from __future__ import annotations

import math

import numpy as np
import pydicom
from jaxtyping import Bool, Float, Num

from mammoseg_lib.datasets.files.windowing import WINDOWS, look_up


def value_range(dataset: pydicom.Dataset, bits: int) -> tuple[int, int]:
    """The least and the largest value of so many bits."""
    least = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    return least, least + 2**bits - 1


def padding(dataset: pydicom.Dataset, pixels: Num[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Where there is padding around the image; None where the file says nothing of it."""
    if dataset.get("PixelPaddingValue") is None:
        return None
    value, limit = dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit")
    # Written as a number without sign, or with one: of the values themselves only the bits are the same.
    low, high = sorted(np.array([value, value if limit is None else limit]).astype(pixels.dtype))
    return (pixels >= low) & (pixels <= high)


def stored_range(
    dataset: pydicom.Dataset, pixels: Num[np.ndarray, "h w"], bits: int
) -> Float[np.ndarray, "h w"]:
    """The stored values in 0..1: the range that so many bits, or a Modality LUT Sequence, can have."""
    if dataset.get("ModalityLUTSequence"):
        return _look_up(dataset.ModalityLUTSequence[0], pixels)
    low, high = value_range(dataset, bits)
    image = (pixels.astype(np.float32) - low) * np.float32(1 / (high - low))
    return 1 - image if _rescale(dataset)[0] < 0 else image


def shown(dataset: pydicom.Dataset, pixels: Num[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"] | None:
    """The values after the file's VOI LUT, in 0..1; None where it has none."""
    table = dataset.get("VOILUTSequence")
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    if not table and len(centers) != len(widths):
        raise ValueError(f"{len(centers)} window centers, {len(widths)} widths")
    window = next((window for window in zip(centers, widths, strict=False) if window[1] != 0), None)
    if not table and window is None:
        return None
    if dataset.get("ModalityLUTSequence"):
        values = _entries(dataset.ModalityLUTSequence[0], pixels)[0]
    else:
        slope, intercept = _rescale(dataset)
        values = pixels if (slope, intercept) == (1, 0) else pixels.astype(np.float32) * slope + intercept
    if table:
        return _look_up(table[0], values)
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if function not in WINDOWS:
        raise ValueError(f"VOILUTFunction {function}; known: {', '.join(WINDOWS)}")
    return WINDOWS[function](values, *window)


def _look_up(item: pydicom.Dataset, values: Num[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    entries, bits = _entries(item, values)
    return entries.astype(np.float32) * np.float32(1 / (2**bits - 1))


def _entries(item: pydicom.Dataset, values: Num[np.ndarray, "h w"]) -> tuple[Num[np.ndarray, "h w"], int]:
    """The table's entry for each value, and how many bits an entry has."""
    length, first, bits = (int(number) for number in item.LUTDescriptor)
    if not 8 <= bits <= 16:
        raise ValueError(f"a lookup table of {bits} bits")
    data, length = item.LUTData, length or 2**16  # 2**16 does not fit into the descriptor's 16 bits
    if isinstance(data, bytes):
        order = "<" if item.original_encoding[1] is not False else ">"
        # Entries of 8 bits fill bytes, or the lower halves of words where a writer gave each one a word.
        data = np.frombuffer(data, f"{order}u2" if bits > 8 or len(data) >= 2 * length else "u1")
    table = np.asarray(data).reshape(-1)
    if len(table) < length:
        raise ValueError(f"a lookup table of {length} entries holds {len(table)}")
    return look_up(values, table[:length].astype(np.uint16), first), bits


def _rescale(dataset: pydicom.Dataset) -> tuple[float, float]:
    slopes, intercepts = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    slope, intercept = (slopes or [1.0])[0], (intercepts or [0.0])[0]
    if slope == 0 or not math.isfinite(slope + intercept):
        raise ValueError(f"rescale slope {slope}, intercept {intercept}")
    return slope, intercept


def numbers(dataset: pydicom.Dataset, name: str) -> list[float]:
    """The numbers of a tag; none where it is absent or empty."""
    value = dataset.get(name)
    return [] if value is None or value == "" else [float(number) for number in np.atleast_1d(value)]
