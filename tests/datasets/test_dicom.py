from __future__ import annotations

import numpy as np
import pytest

from mammoseg_lib.datasets import DataError
from mammoseg_lib.datasets.dicom import read_header, read_image
from tests.release import write_dicom

PIXELS = np.arange(12).reshape(3, 4) * 100


def test_gray_values_are_stored_range_over_zero_to_one(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS)
    image, header = read_image(tmp_path / "a.dcm")
    np.testing.assert_allclose(image, PIXELS / 4095, rtol=1e-6)
    assert (header.height, header.width, header.spacing_mm) == (3, 4, 0.5)


def test_monochrome1_is_inverted(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read_image(tmp_path / "a.dcm")[0], 1 - PIXELS / 4095, rtol=1e-6)


def test_signed_pixels_are_shifted(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS - 600, PixelRepresentation=1)
    np.testing.assert_allclose(read_image(tmp_path / "a.dcm")[0], (PIXELS - 600 + 2048) / 4095, rtol=1e-6)


def test_pixel_spacing_goes_before_imager_pixel_spacing(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS, PixelSpacing=[0.25, 0.25])
    assert read_header(tmp_path / "a.dcm").spacing_mm == 0.25


def test_unknown_spacing_is_none(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS, ImagerPixelSpacing=None)
    assert read_header(tmp_path / "a.dcm").spacing_mm is None


def test_several_frames_are_refused(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS, NumberOfFrames=2)
    with pytest.raises(DataError, match=r"a\.dcm: 2 frames"):
        read_header(tmp_path / "a.dcm")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.dcm: file is missing"):
        read_header(tmp_path / "a.dcm")


@pytest.mark.parametrize("length", [0, 10, 140, 300])
def test_truncated_anywhere_is_one_error(tmp_path, length):
    path = tmp_path / "a.dcm"
    write_dicom(path, PIXELS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"a\.dcm"):
        read_image(path)
