"""What a DICOM header may say of an image, in every source that reads such files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.faults.fault import Fault, edit_dicom
from tests.faults.sources import SMALL_SOURCES

IMAGES = {
    "inbreast": SMALL_SOURCES["inbreast"].files["dicom"],
    "cbis_ddsm": SMALL_SOURCES["cbis_ddsm"].files["image"],
    "folder": SMALL_SOURCES["folder"].files["dicom"],
}
"""A DICOM image of each source that has any, and the samples that are made from it."""

WRONG = {
    "in color": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    "with a spacing of 0": {"ImagerPixelSpacing": [0, 0]},
    "with a spacing below 0": {"ImagerPixelSpacing": [-0.5, -0.5]},
    "with oblong pixels": {"ImagerPixelSpacing": [0.5, 0.4]},
    "with a magnification of 0.5": {"EstimatedRadiographicMagnificationFactor": 0.5},
}
# Of these the check says something, see `test_readings`, and the image is read as ever.
UNUSUAL = {
    "with a window of width 0": {"WindowCenter": 50, "WindowWidth": 0},
    "for processing": {"PresentationIntentType": "FOR PROCESSING"},
    "of a film": {"DetectorType": "FILM"},
    "with padding that no pixel has": {"PixelPaddingValue": 5000},
}


def header_faults() -> Iterator[Fault]:
    """What no image can be, and what only few are."""
    for source, (file, hit) in IMAGES.items():
        for name, tags in (WRONG | UNUSUAL).items():

            def apply(root: Path, file=file, tags=tags) -> None:
                edit_dicom(root / file, **tags)

            named = file if name in WRONG else None
            yield Fault(source, f"DICOM {name}", apply, named, hit if named else frozenset())
