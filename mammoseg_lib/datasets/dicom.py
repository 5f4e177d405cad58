"""Reading gray images from DICOM files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float
from pydicom.errors import InvalidDicomError

from mammoseg_lib.datasets.base import DataError


@dataclass(frozen=True)
class Header:
    """What the readers need from a DICOM header, without its pixels."""

    height: int
    width: int
    spacing_mm: float | None


def read_header(path: Path) -> Header:
    """The frame's size and pixel spacing.

    Raises:
        DataError: If the file is no DICOM image or has more than one frame.
    """
    return _header(path, _open(path, pixels=False))


def read_image(path: Path) -> tuple[Float[np.ndarray, "h w"], Header]:
    """The gray values in 0..1 and the header.

    The stored range (`BitsStored`) is mapped to 0..1, so that images of one detector stay comparable;
    windowing to the values that occur is a later step. MONOCHROME1 is inverted: higher is brighter.

    Raises:
        DataError: If the file is truncated, no DICOM image, or cannot be decoded.
    """
    dataset = _open(path, pixels=True)
    header = _header(path, dataset)
    try:
        pixels = dataset.pixel_array
    except Exception as error:  # pydicom raises many kinds here; each means that there is no image
        raise DataError(path, f"pixel data cannot be decoded ({error})") from error
    if pixels.shape != (header.height, header.width):
        raise DataError(
            path, f"pixel data has shape {pixels.shape}, the header says {header.height, header.width}"
        )
    bits = int(dataset.BitsStored)
    low = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    image = (pixels.astype(np.float32) - low) * np.float32(1 / (2**bits - 1))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        image = 1 - image
    return image.clip(0, 1), header


def _open(path: Path, *, pixels: bool) -> pydicom.Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except FileNotFoundError:
        raise DataError(path, "file is missing") from None
    except InvalidDicomError:
        raise DataError(path, "not a DICOM file") from None
    except Exception as error:  # a damaged file fails inside pydicom in many ways
        raise DataError(path, f"cannot be read as DICOM ({error})") from error


def _header(path: Path, dataset: pydicom.Dataset) -> Header:
    try:
        height, width = int(dataset.Rows), int(dataset.Columns)
        spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
        spacing_mm = float(spacing[0]) if spacing else None
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise DataError(path, f"no usable image header ({error})") from error
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise DataError(path, f"{dataset.NumberOfFrames} frames; only single images are read")
    return Header(height, width, spacing_mm)
