"""What is unusual and not wrong: read as it should be, and told by `data check`, in every source alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from mammoseg_lib.check import check_source
from mammoseg_lib.datasets.files.remarks import MAGNIFICATION, NO_WINDOW, RAW, SCANNED
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.sources import Source
from tests.faults.fault import edit_dicom
from tests.faults.of_dicom import IMAGES, UNUSUAL
from tests.faults.sources import CBIS, ONE, SHAPE, SMALL_SOURCES, TESTED

SPACING = 0.5  # of `write_dicom`
SAID = {
    "with a window of width 0": NO_WINDOW,
    "for processing": RAW,
    "of a film": SCANNED,
}
# Two images of each source: the file and the sample.
TWINS = {
    "inbreast": {
        "AllDICOMs/100_aa_MG_L_ML_ANON.dcm": "100",
        "AllDICOMs/103_cc_MG_L_ML_ANON.dcm": "103",
    },
    "busi": {"benign/benign (1).png": "benign (1)", "malignant/malignant (1).png": "malignant (1)"},
    "folder": {"images/a.png": "a", "images/c.tif": "c"},
    "cbis_ddsm": {f"{name}/1.1/1.9/000000.dcm": name for name in (ONE, TESTED)},
    "cbis_ddsm as JPEG": {
        f"jpeg/1.{list(CBIS).index(name)}.9/1-1.jpg": name for name in (ONE, TESTED)
    },
}  # fmt: skip


@pytest.fixture
def source(request, tmp_path, monkeypatch) -> Source:
    """A small source as one of real images."""
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    small = SMALL_SOURCES[request.param]
    small.write(tmp_path / "source")
    return Source(small.source, tmp_path / "source", real=True)


def _sample(source: Source, name: str):
    return source.load(source.index().set_index("sample_id", drop=False).loc[name])


@pytest.mark.parametrize("source", IMAGES, indirect=True)
def test_what_a_header_says_of_an_image_is_told(source):
    file, (name,) = IMAGES[source.name]
    pixels = _sample(source, name).image
    for what, remark in SAID.items():
        edit_dicom(source.root / file, **UNUSUAL[what])
        assert check_source(source).remarks[remark] == [name]
    np.testing.assert_array_equal(_sample(source, name).image, pixels)


@pytest.mark.parametrize("source", IMAGES, indirect=True)
def test_spacing_is_that_in_the_breast_and_magnification_is_told(source):
    file, (name,) = IMAGES[source.name]
    assert _sample(source, name).spacing_mm == SPACING
    edit_dicom(source.root / file, EstimatedRadiographicMagnificationFactor=1.8)
    assert _sample(source, name).spacing_mm == pytest.approx(SPACING / 1.8)
    assert check_source(source).remarks[MAGNIFICATION] == [name]


@pytest.mark.parametrize("source", IMAGES, indirect=True)
def test_padding_is_background_where_low_values_are_bright(source):
    file, (name,) = IMAGES[source.name]
    pixels = pydicom.dcmread(source.root / file).pixel_array.clip(1).copy()
    pixels[:, 16:] = 0
    edit_dicom(
        source.root / file,
        PhotometricInterpretation="MONOCHROME1",
        PixelPaddingValue=0,
        PixelData=pixels.tobytes(),
    )
    image = _sample(source, name).image
    assert (image[:, 16:] == 0).all()
    np.testing.assert_allclose(image[:, :16], 1 - pixels[:, :16] / 4095, atol=1e-6)


@pytest.mark.parametrize("source", TWINS, indirect=True)
def test_the_same_picture_in_other_contrast_is_told_and_kept_together(source, request):
    twins = TWINS[request.node.callspec.params["source"]]
    first, second = (source.root / file for file in twins)
    assert check_source(source).duplicates == ()
    # A breast with a pattern in it, which outlasts JPEG better than noise does.
    rows, columns = np.indices(SHAPE)
    pattern = 150 + 50 * np.sin(rows / 1.5) * np.cos(columns / 2) + 30 * np.sin((rows + columns) / 3)
    breast = np.where(np.hypot((rows - 15.5) / 16, columns / 20) < 1, pattern, 0)
    _overwrite(first, breast)
    _overwrite(second, 0.8 * breast)
    prepared = prepare(source, Preprocessing(size=16, crop="none"), jobs=1)
    for found in (check_source(source).duplicates, prepared.duplicates):
        assert list(map(set, found)) == [set(twins.values())]


def _overwrite(path: Path, picture: np.ndarray) -> None:
    """Other gray values in an image file of any kind."""
    if path.suffix == ".dcm":
        edit_dicom(path, PixelData=np.rint(16 * picture).astype(np.uint16).tobytes())
    else:
        Image.fromarray(np.rint(picture).astype(np.uint8)).save(path)
