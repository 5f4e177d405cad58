from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from mammoseg_lib.datasets.files import remarks as told
from mammoseg_lib.datasets.files.remarks import remarks
from tests.release import write_any_dicom as write

PIXELS = np.arange(12).reshape(3, 4) * 100


def magnified() -> list[Dataset]:
    view, modifier = Dataset(), Dataset()
    modifier.CodeValue = "399163009"
    view.ViewModifierCodeSequence = [modifier]
    return [view]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, []),
        ({"PresentationIntentType": "FOR PRESENTATION", "WindowCenter": 5, "WindowWidth": 9}, []),
        ({"PresentationIntentType": "FOR PROCESSING"}, [told.RAW]),
        ({"SOPClassUID": told.FOR_PROCESSING}, [told.RAW]),
        ({"EstimatedRadiographicMagnificationFactor": 1.06}, []),
        ({"EstimatedRadiographicMagnificationFactor": 1.8}, [told.MAGNIFICATION]),
        ({"ViewCodeSequence": magnified()}, [told.MAGNIFICATION]),
        ({"ConversionType": "DF"}, [told.SCANNED]),
        ({"DetectorType": "FILM"}, [told.SCANNED]),
        ({"WindowCenter": [5, 9], "WindowWidth": [9, 0]}, [told.NO_WINDOW]),
        ({"PresentationIntentType": "FOR PROCESSING", "ConversionType": "SI"}, [told.RAW, told.SCANNED]),
    ],
)
def test_what_a_header_says_is_told(tmp_path, tags, expected):
    assert remarks(write(tmp_path / "a.dcm", PIXELS, **tags)) == expected


def test_there_is_nothing_to_say_of_a_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no DICOM file")
    assert remarks(tmp_path / "a.png") == []
