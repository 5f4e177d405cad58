"""What a DICOM header says that one should know before one trusts the image."""

from __future__ import annotations

from pathlib import Path

import pydicom

from mammoseg_lib.datasets.files.dicom import is_dicom, magnification, open_dicom
from mammoseg_lib.datasets.files.gray_scale import numbers

FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"  # Digital Mammography X-Ray Image Storage
MAGNIFIED = 1.2  # a breast on the detector's cover is magnified by less
MAGNIFICATION_VIEWS = {"R-102D6", "399163009"}  # in the code lists of ViewModifierCodeSequence

RAW = "that are raw (FOR PROCESSING): values of a detector, unlike those of images to be read"
MAGNIFICATION = "that are magnification views: a part of a breast, enlarged"
SCANNED = "that are scans of film"
NO_WINDOW = "with a window of width 0, which is passed over"
DAMAGED = "with damaged tags beside those that are needed"


def remarks(path: Path) -> list[str]:
    """What there is to say of a file; nothing of one that is no DICOM file.

    Raises:
        DataError: If it cannot be read.
    """
    if not is_dicom(path):
        return []
    dataset = open_dicom(path)
    try:
        return [what for what, here in _found(dataset).items() if here]
    except Exception:  # tags of the wrong type fail in many ways, and the image is read without them
        return [DAMAGED]


def _found(dataset: pydicom.Dataset) -> dict[str, bool]:
    return {
        RAW: dataset.get("PresentationIntentType") == "FOR PROCESSING"
        or dataset.get("SOPClassUID") == FOR_PROCESSING,
        MAGNIFICATION: magnification(dataset) > MAGNIFIED or _magnification_view(dataset),
        SCANNED: dataset.get("ConversionType") in ("DF", "SI") or dataset.get("DetectorType") == "FILM",
        NO_WINDOW: 0 in numbers(dataset, "WindowWidth"),
    }


def _magnification_view(dataset: pydicom.Dataset) -> bool:
    views = dataset.get("ViewCodeSequence") or []
    modifiers = [code for view in views for code in view.get("ViewModifierCodeSequence") or []]
    return any(str(code.get("CodeValue")) in MAGNIFICATION_VIEWS for code in modifiers)
