"""Reading gray images from DICOM files: stored values, modality LUT, VOI LUT, 0..1; higher is brighter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float, Num
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from mammoseg_lib.datasets.files.gray_scale import padding, shown, stored_range, value_range
from mammoseg_lib.datasets.sample import DataError, check_file, check_size

# CC and MLO in the code lists of ViewCodeSequence: SNOMED RT, SNOMED CT.
VIEW_CODES = {"R-10242": "CC", "399162004": "CC", "R-10226": "MLO", "399368009": "MLO"}
SQUARE = 1e-3  # a pixel's two sides may differ by this part
# The start-of-frame markers of JPEG.
FRAME_HEADERS = {
    0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7,
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What the readers need from a DICOM header, without its pixels.

    Attributes:
        height: Rows.
        width: Columns.
        spacing_mm: Side of a pixel in the breast: PixelSpacing, else ImagerPixelSpacing, which is that of the
            detector, over the magnification; None where neither is given.
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


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, whatever its name: 128 bytes, and a word."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_header(path: Path, *, spacing: bool = True) -> Header:
    """The frame's size and pixel spacing, and whose breast it shows.

    A spacing that no pixel has (zero, negative, not finite, not square) is an error and does not count as
    unknown: where one number of a header is damaged, millimeters would be wrong or missing without a word.

    Args:
        path: A DICOM file.
        spacing: Read the spacing; False where it is known from elsewhere, and gives None.

    Raises:
        DataError: If the file is no DICOM image, is in color, or has more than one frame.
    """
    return _header(path, open_dicom(path), spacing)


def read_image(
    path: Path, *, voi: bool = False, spacing: bool = True
) -> tuple[Float[np.ndarray, "h w"], Header]:
    """The gray values in 0..1 and the header.

    Without `voi` the range that stored values can have (`BitsStored`, or that of a Modality LUT Sequence) is
    mapped to 0..1, so that images of one detector stay comparable and windowing to the values that occur is a
    later step. RescaleSlope and RescaleIntercept drop out of that, up to the slope's sign.

    With `voi` the gray values are those that a workstation shows first: the first item of the VOI LUT
    Sequence, else the first of the windows (WindowCenter, WindowWidth, VOILUTFunction), both after the
    modality LUT; a file with neither is read as without `voi`. A window that has no width is passed over.

    Where compressed pixels have fewer bits than `BitsStored` says, as 14 in 16, their own number counts.
    Padding (PixelPaddingValue, to PixelPaddingRangeLimit) is background: 0, whatever its value.

    MONOCHROME1 and a PresentationLUTShape of INVERSE say the same, that low values are bright, and often come
    together; either inverts the image once.

    Args:
        path: A DICOM file of one gray frame. Compressed transfer syntaxes other than RLE Lossless need the
            extra `compressed`.
        voi: Apply the file's own VOI LUT or window.
        spacing: As in `read_header`.

    Raises:
        DataError: If the file is truncated, no gray single-frame image, or cannot be decoded.
    """
    dataset = open_dicom(path, pixels=True)
    header = _header(path, dataset, spacing)
    pixels, bits = _pixels(path, dataset, header)
    try:
        image = shown(dataset, pixels) if voi else None
        if image is None:
            image = stored_range(dataset, pixels, bits)
        inverted = (
            dataset.PhotometricInterpretation == "MONOCHROME1"
            or dataset.get("PresentationLUTShape") == "INVERSE"
        )
        image = 1 - image if inverted else image
        if (around := padding(dataset, pixels)) is not None:
            image[around] = 0
    except Exception as error:  # tags of the wrong type, number or length fail in many ways
        raise DataError(path, f"its gray scale cannot be used ({error})") from error
    return image.clip(0, 1), header


def magnification(dataset: pydicom.Dataset) -> float:
    """By how much the breast is larger on the detector than it is; 1 where the file does not say."""
    return float(dataset.get("EstimatedRadiographicMagnificationFactor") or 1)


def open_dicom(path: Path, *, pixels: bool = False) -> pydicom.Dataset:
    """The tags of a DICOM file, with those of its pixels or without.

    Raises:
        DataError: If the file is missing, or no DICOM file.
    """
    check_file(path)
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except InvalidDicomError:
        raise DataError(path, "not a DICOM file") from None
    except Exception as error:  # a damaged file fails inside pydicom in many ways
        raise DataError(path, f"cannot be read as DICOM ({error})") from error


def _header(path: Path, dataset: pydicom.Dataset, with_spacing: bool) -> Header:
    try:
        height, width = int(dataset.Rows), int(dataset.Columns)
        frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
        interpretation = str(dataset.PhotometricInterpretation)
        sides = _sides(dataset) if with_spacing else None
        side, view = dataset.get("ImageLaterality") or dataset.get("Laterality"), _view(dataset)
        patient = str(dataset.get("PatientID") or "").strip() or None
    except Exception as error:  # missing tags, and values that pydicom cannot convert
        raise DataError(path, f"no usable image header ({error})") from error
    check_size(path, height, width)
    if frames != 1:
        raise DataError(path, f"{frames} frames; only single images are read")
    if samples != 1 or interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(path, f"is in color ({interpretation}); only gray images are read: save it as PNG")
    if sides and not (math.isfinite(sum(sides)) and min(sides) > 0):
        raise DataError(path, f"pixel spacing of {sides[0]} and {sides[1]} mm")
    if sides and not math.isclose(*sides, rel_tol=SQUARE):
        raise DataError(path, f"pixels of {sides[0]} by {sides[1]} mm; only square ones are read")
    side = side if side in ("L", "R") else None
    return Header(height, width, sides[0] if sides else None, patient, side, view)


def _sides(dataset: pydicom.Dataset) -> list[float] | None:
    """Height and width of a pixel in mm; where it is that on the detector, over the magnification."""
    given, on_detector = dataset.get("PixelSpacing"), dataset.get("ImagerPixelSpacing")
    spacing = given or on_detector
    if not spacing:
        return None
    # Another PixelSpacing is calibrated; the same one is a copy.
    factor = magnification(dataset) if not given or given == on_detector else 1.0
    if not factor >= 1:
        raise ValueError(f"a magnification of {factor}")
    return [float(spacing[0]) / factor, float(spacing[1]) / factor]


def _view(dataset: pydicom.Dataset) -> str | None:
    if dataset.get("ViewPosition"):
        return str(dataset.ViewPosition).strip()
    codes = dataset.get("ViewCodeSequence") or []
    return VIEW_CODES.get(str(codes[0].get("CodeValue"))) if codes else None


def _pixels(path: Path, dataset: pydicom.Dataset, header: Header) -> tuple[Num[np.ndarray, "h w"], int]:
    """The stored values, and of how many bits they are.

    Overlays of old files, which lie in the bits above them, are cleared by pydicom.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    _check_decoder(path, syntax)
    try:
        allocated, bits, high = int(dataset.BitsAllocated), int(dataset.BitsStored), int(dataset.HighBit)
        if not syntax.is_compressed:
            _check_length(path, len(dataset.PixelData), header, allocated)
        pixels = dataset.pixel_array
        coded = (
            _coded_bits(get_frame(dataset.PixelData, 0, number_of_frames=1)) if syntax.is_compressed else None
        )
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
    least, most = value_range(dataset, bits)
    if pixels.min() < least or pixels.max() > most:  # beyond it they would all come out black or white
        raise DataError(path, f"gray values from {pixels.min()} to {pixels.max()}, where it says {bits} bits")
    return pixels, min(bits, coded or bits)


def _coded_bits(frame: bytes) -> int | None:
    """The bits of a value by the header of JPEG 2000, JPEG or JPEG-LS data; None for others."""
    if frame[:4] == b"\xff\x4f\xff\x51":  # JPEG 2000: the size of the image comes first, and then the bits
        return (frame[42] & 0x7F) + 1
    start = 2
    while frame[:2] == b"\xff\xd8" and frame[start] == 0xFF:
        if frame[start + 1] in FRAME_HEADERS:
            return frame[start + 4]
        start += 2 + int.from_bytes(frame[start + 2 : start + 4])
    return None


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
