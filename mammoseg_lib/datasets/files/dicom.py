"""Reading gray images from DICOM files: stored values, modality LUT, VOI LUT, 0..1; higher is brighter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float, Num
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from mammoseg_lib.datasets.files.windowing import WINDOWS, look_up
from mammoseg_lib.datasets.sample import DataError, check_file, check_size

# CC and MLO in the code lists of ViewCodeSequence: SNOMED RT, SNOMED CT.
VIEW_CODES = {"R-10242": "CC", "399162004": "CC", "R-10226": "MLO", "399368009": "MLO"}
SQUARE = 1e-3  # a pixel's two sides may differ by this part


@dataclass(frozen=True)
class Header:
    """What the readers need from a DICOM header, without its pixels.

    Attributes:
        height: Rows.
        width: Columns.
        spacing_mm: Side of a pixel: PixelSpacing, else ImagerPixelSpacing; None where neither is given.
        patient_id: As in the file; None where it is empty. Never to be written to a file.
        laterality: L or R.
        view: CC, MLO, or another as the file writes it.
    """

    height: int
    width: int
    spacing_mm: float | None
    patient_id: str | None = None
    laterality: str | None = None
    view: str | None = None


def read_header(path: Path) -> Header:
    """The frame's size and pixel spacing, and whose breast it shows.

    A spacing that no pixel has (zero, negative, not finite, not square) is an error and does not count as
    unknown: where one number of a header is damaged, millimeters would be wrong or missing without a word.

    Raises:
        DataError: If the file is no DICOM image, is in color, or has more than one frame.
    """
    return _header(path, _open(path, pixels=False))


def read_image(path: Path, *, voi: bool = False) -> tuple[Float[np.ndarray, "h w"], Header]:
    """The gray values in 0..1 and the header.

    Without `voi` the range that stored values can have (`BitsStored`, or that of a Modality LUT Sequence) is
    mapped to 0..1, so that images of one detector stay comparable and windowing to the values that occur is a
    later step. RescaleSlope and RescaleIntercept drop out of that, up to the slope's sign.

    With `voi` the gray values are those that a workstation shows first: the first item of the VOI LUT
    Sequence, else the first of the windows (WindowCenter, WindowWidth, VOILUTFunction), both after the
    modality LUT; a file with neither is read as without `voi`.

    MONOCHROME1 and a PresentationLUTShape of INVERSE say the same, that low values are bright, and often come
    together; either inverts the image once.

    Args:
        path: A DICOM file of one gray frame. Compressed transfer syntaxes other than RLE Lossless need the
            extra `compressed`.
        voi: Apply the file's own VOI LUT or window.

    Raises:
        DataError: If the file is truncated, no gray single-frame image, or cannot be decoded.
    """
    dataset = _open(path, pixels=True)
    header = _header(path, dataset)
    pixels = _pixels(path, dataset, header)
    try:
        image = _shown(dataset, pixels) if voi else None
        if image is None:
            image = _stored_range(dataset, pixels)
        inverted = (
            dataset.PhotometricInterpretation == "MONOCHROME1"
            or dataset.get("PresentationLUTShape") == "INVERSE"
        )
    except Exception as error:  # tags of the wrong type, number or length fail in many ways
        raise DataError(path, f"its gray scale cannot be used ({error})") from error
    return (1 - image if inverted else image).clip(0, 1), header


def _open(path: Path, *, pixels: bool) -> pydicom.Dataset:
    check_file(path)
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except InvalidDicomError:
        raise DataError(path, "not a DICOM file") from None
    except Exception as error:  # a damaged file fails inside pydicom in many ways
        raise DataError(path, f"cannot be read as DICOM ({error})") from error


def _header(path: Path, dataset: pydicom.Dataset) -> Header:
    try:
        height, width = int(dataset.Rows), int(dataset.Columns)
        frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
        interpretation = str(dataset.PhotometricInterpretation)
        spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
        sides = [float(spacing[0]), float(spacing[1])] if spacing else None
        side, view = dataset.get("ImageLaterality") or dataset.get("Laterality"), _view(dataset)
        patient = str(dataset.get("PatientID") or "").strip() or None
    except Exception as error:  # missing tags, and values that pydicom cannot convert
        raise DataError(path, f"no usable image header ({error})") from error
    check_size(path, height, width)
    if frames != 1:
        raise DataError(path, f"{frames} frames; only single images are read")
    if samples != 1 or interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(path, f"is in color ({interpretation}); only gray images are read")
    if sides and not (math.isfinite(sum(sides)) and min(sides) > 0):
        raise DataError(path, f"pixel spacing of {sides[0]} and {sides[1]} mm")
    if sides and not math.isclose(*sides, rel_tol=SQUARE):
        raise DataError(path, f"pixels of {sides[0]} by {sides[1]} mm; only square ones are read")
    side = side if side in ("L", "R") else None
    return Header(height, width, sides[0] if sides else None, patient, side, view)


def _view(dataset: pydicom.Dataset) -> str | None:
    if dataset.get("ViewPosition"):
        return str(dataset.ViewPosition).strip()
    codes = dataset.get("ViewCodeSequence") or []
    return VIEW_CODES.get(str(codes[0].get("CodeValue"))) if codes else None


def _pixels(path: Path, dataset: pydicom.Dataset, header: Header) -> Num[np.ndarray, "h w"]:
    """The stored values; overlays of old files, which lie in the bits above them, are cleared by pydicom."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    _check_decoder(path, syntax)
    try:
        allocated, bits, high = int(dataset.BitsAllocated), int(dataset.BitsStored), int(dataset.HighBit)
        if not syntax.is_compressed:
            _check_length(path, len(dataset.PixelData), header, allocated)
        pixels = dataset.pixel_array
    except DataError:
        raise
    except Exception as error:  # pydicom raises many kinds here; each means that there is no image
        raise DataError(path, f"pixel data cannot be decoded ({error})") from error
    if pixels.shape != (header.height, header.width):
        raise DataError(
            path, f"pixel data has shape {pixels.shape}, the header says {header.height, header.width}"
        )
    if not np.issubdtype(pixels.dtype, np.integer) or high != bits - 1 or not 1 <= bits <= allocated:
        raise DataError(path, f"gray values of {bits} bits up to bit {high} of {allocated} are not read")
    return pixels


def _check_length(path: Path, length: int, header: Header, allocated: int) -> None:
    """Raise DataError where uncompressed pixels are too few or too many for the header.

    Of too many pydicom would only warn, and read the first ones as rows of another width.
    """
    expected = math.ceil(header.height * header.width * allocated / 8)
    if length not in (expected, expected + expected % 2):  # a byte of padding makes the length even
        size = f"{header.width}x{header.height} pixels of {allocated} bits"
        raise DataError(path, f"pixel data has {length} bytes, the header says {expected} ({size})")


def _check_decoder(path: Path, syntax: UID | None) -> None:
    """Raise DataError where pixels cannot be decoded for want of a package, or at all."""
    if syntax is None:
        raise DataError(path, "does not say its transfer syntax")
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:  # video, and what pydicom does not know
        raise DataError(path, f"transfer syntax {syntax.name} ({syntax}) is not read") from None
    if not available:
        extra = "the extra 'compressed' (python-gdcm)"
        raise DataError(path, f"compressed as {syntax.name} ({syntax}); to read it, install {extra}")


def _stored_range(dataset: pydicom.Dataset, pixels: Num[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    if dataset.get("ModalityLUTSequence"):
        return _look_up(dataset.ModalityLUTSequence[0], pixels)
    bits = int(dataset.BitsStored)
    low = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    image = (pixels.astype(np.float32) - low) * np.float32(1 / (2**bits - 1))
    return 1 - image if _rescale(dataset)[0] < 0 else image


def _shown(dataset: pydicom.Dataset, pixels: Num[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"] | None:
    """The values after the file's VOI LUT, in 0..1; None where it has none."""
    centers, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    table = dataset.get("VOILUTSequence")
    if not table and not centers and not widths:
        return None
    if dataset.get("ModalityLUTSequence"):
        values = _entries(dataset.ModalityLUTSequence[0], pixels)[0]
    else:
        slope, intercept = _rescale(dataset)
        values = pixels if (slope, intercept) == (1, 0) else pixels.astype(np.float32) * slope + intercept
    if table:
        return _look_up(table[0], values)
    if len(centers) != len(widths):
        raise ValueError(f"{len(centers)} window centers, {len(widths)} widths")
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if function not in WINDOWS:
        raise ValueError(f"VOILUTFunction {function}; known: {', '.join(WINDOWS)}")
    return WINDOWS[function](values, centers[0], widths[0])


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
    slopes, intercepts = _numbers(dataset, "RescaleSlope"), _numbers(dataset, "RescaleIntercept")
    slope, intercept = (slopes or [1.0])[0], (intercepts or [0.0])[0]
    if slope == 0 or not math.isfinite(slope + intercept):
        raise ValueError(f"rescale slope {slope}, intercept {intercept}")
    return slope, intercept


def _numbers(dataset: pydicom.Dataset, name: str) -> list[float]:
    value = dataset.get(name)
    return [] if value is None or value == "" else [float(number) for number in np.atleast_1d(value)]
