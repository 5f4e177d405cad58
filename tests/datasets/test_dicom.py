"""DICOM as it comes: each case is a small file written here, compared with pydicom."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder

from mammoseg_lib.datasets import DataError
from mammoseg_lib.datasets.files.dicom import read_header, read_image
from tests.release import write_any_dicom as write
from tests.release import write_dicom

PIXELS = np.arange(12).reshape(3, 4) * 100
RAMP = np.linspace(0, 1, 48).reshape(6, 8)
NATIVE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian]


def by_pydicom(path) -> np.ndarray:
    """What pydicom's own functions show, as a part of the range that they write to."""
    data = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = apply_modality_lut(data.pixel_array, data)
        shown = np.asarray(apply_voi_lut(values, data), float)
    if "VOILUTSequence" in data:
        return shown / (2 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1)
    # pydicom's windows write the range of the values after the modality LUT.
    if "ModalityLUTSequence" in data:
        low, high = 0, 2 ** data.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    else:
        low = -(2 ** (data.BitsStored - 1)) if data.PixelRepresentation else 0
        low, high = (
            float(data.get("RescaleSlope", 1)) * v + float(data.get("RescaleIntercept", 0))
            for v in (low, low + 2**data.BitsStored - 1)
        )
    return (shown - low) / (high - low)


def test_gray_values_are_stored_range_over_zero_to_one(tmp_path):
    write_dicom(tmp_path / "a.dcm", PIXELS)
    image, header = read_image(tmp_path / "a.dcm")
    np.testing.assert_allclose(image, PIXELS / 4095, rtol=1e-6)
    assert (header.height, header.width, header.spacing_mm) == (3, 4, 0.5)


@pytest.mark.parametrize("stored", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_every_depth_spans_zero_to_one(tmp_path, stored, signed):
    counts = np.rint(RAMP * (2**stored - 1)).astype(int)
    path = write(tmp_path / "a.dcm", counts - signed * 2 ** (stored - 1), stored=stored, signed=signed)
    image, _ = read_image(path)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, counts / (2**stored - 1), atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_overlay_bits_above_the_stored_ones_are_left_out(tmp_path, signed):
    counts = np.rint(RAMP * 4095).astype(int)
    values = counts - signed * 2048
    overlay = (np.indices(RAMP.shape).sum(0) % 2) << 12
    bits = (values & 0x0FFF) | overlay | (overlay << 3)
    words = bits.astype(np.uint16).view(np.int16) if signed else bits
    path = write(tmp_path / "a.dcm", words, signed=signed)
    np.testing.assert_allclose(read_image(path)[0], counts / 4095, atol=1e-6)


@pytest.mark.parametrize("syntax", [*NATIVE, uid.ExplicitVRBigEndian], ids=lambda s: s.name)
@pytest.mark.parametrize("stored", [8, 14])
def test_native_transfer_syntaxes(tmp_path, syntax, stored):
    counts = np.rint(RAMP * (2**stored - 1)).astype(int)
    path = write(tmp_path / "a.dcm", counts, stored=stored, syntax=syntax)
    np.testing.assert_allclose(read_image(path)[0], counts / (2**stored - 1), atol=1e-6)


def test_rle_lossless_needs_pydicom_alone(tmp_path):
    counts = np.rint(RAMP * 4095).astype(int)
    data = pydicom.dcmread(write(tmp_path / "a.dcm", counts))
    data.compress(uid.RLELossless, encoding_plugin="pydicom")
    data.save_as(tmp_path / "rle.dcm")
    np.testing.assert_allclose(read_image(tmp_path / "rle.dcm")[0], counts / 4095, atol=1e-6)


@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14_1", "JPEG2000Lossless", "JPEGLSLossless"])
def test_lossless_compression_gives_the_same_image(tmp_path, syntax):
    gdcm = pytest.importorskip("gdcm", reason="the extra 'compressed' is not installed")
    plain, packed = write(tmp_path / "a.dcm", np.rint(RAMP * 4095).astype(int)), tmp_path / "b.dcm"
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(packed))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID.is_encapsulated
    np.testing.assert_array_equal(read_image(packed)[0], read_image(plain)[0])


def test_without_its_decoder_a_compressed_file_names_the_extra_and_the_syntax(tmp_path, monkeypatch):
    data = pydicom.dcmread(write(tmp_path / "a.dcm", PIXELS))
    data.file_meta.TransferSyntaxUID = uid.JPEGLosslessSV1
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "b.dcm")
    monkeypatch.setattr(get_decoder(uid.JPEGLosslessSV1), "_available", {})
    with pytest.raises(DataError, match=r"b\.dcm: compressed as JPEG Lossless.*\.70\).*extra 'compressed'"):
        read_image(tmp_path / "b.dcm")
    assert read_header(tmp_path / "b.dcm").height == 3  # the header needs no decoder


def test_a_syntax_that_nothing_decodes_is_named(tmp_path):
    data = pydicom.dcmread(write(tmp_path / "a.dcm", PIXELS))
    data.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    data.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "b.dcm")
    with pytest.raises(DataError, match=r"transfer syntax MPEG2 .* is not read"):
        read_image(tmp_path / "b.dcm")


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("voi", [False, True])
def test_low_is_bright_is_inverted_once(tmp_path, tags, voi):
    window = {"WindowCenter": 500, "WindowWidth": 800}
    plain = read_image(write(tmp_path / "a.dcm", PIXELS, **window), voi=voi)[0]
    image, _ = read_image(write(tmp_path / "b.dcm", PIXELS, **window, **tags), voi=voi)
    np.testing.assert_allclose(image, 1 - plain, atol=1e-6)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [(1, 0), (2.5, -300), (-1, 2000)])
@pytest.mark.parametrize("signed", [False, True])
def test_windows_are_those_of_pydicom(tmp_path, function, rescale, signed):
    tags = {
        "WindowCenter": 900,
        "WindowWidth": 1500,
        "RescaleSlope": rescale[0],
        "RescaleIntercept": rescale[1],
    }
    if function:
        tags["VOILUTFunction"] = function
    values = np.rint(RAMP * 4095).astype(int) - signed * 2048
    path = write(tmp_path / "a.dcm", values, signed=signed, **tags)
    image, _ = read_image(path, voi=True)
    np.testing.assert_allclose(image, by_pydicom(path), atol=2e-5)
    assert 0 < image.mean() < 1
    assert image.std() > 0.1


def test_of_several_windows_the_first_is_applied(tmp_path):
    first = write(tmp_path / "a.dcm", PIXELS, WindowCenter=300, WindowWidth=200)
    both = write(tmp_path / "b.dcm", PIXELS, WindowCenter=[300, 900], WindowWidth=[200, 50])
    np.testing.assert_array_equal(read_image(both, voi=True)[0], read_image(first, voi=True)[0])
    np.testing.assert_allclose(read_image(both, voi=True)[0], by_pydicom(both), atol=1e-5)


GAMMA = np.rint((np.arange(3000) / 2999) ** 0.6 * 1023).astype(int).tolist()


@pytest.mark.parametrize("as_words", [False, True])
@pytest.mark.parametrize(
    "syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian], ids=lambda s: s.name
)
def test_a_voi_lut_sequence_goes_before_a_window(tmp_path, as_words, syntax):
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    entries = np.array(GAMMA, f"{order}u2").tobytes() if as_words else GAMMA
    lut = ("VOILUTSequence", [3000, 500, 10], entries)
    values = np.rint(RAMP * 4095).astype(int)
    path = write(tmp_path / "a.dcm", values, lut=lut, syntax=syntax, WindowCenter=9, WindowWidth=9)
    expected = [[GAMMA[min(max(v - 500, 0), 2999)] / 1023 for v in row] for row in values.tolist()]
    np.testing.assert_allclose(read_image(path, voi=True)[0], expected, atol=1e-6)
    np.testing.assert_allclose(by_pydicom(path), expected, atol=1e-6)
    # The stored range does not depend on it.
    np.testing.assert_allclose(read_image(path)[0], values / 4095, atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_a_modality_lut_sequence_comes_first(tmp_path, signed):
    first, table = -700 if signed else 500, [64 * entry for entry in GAMMA]
    values = np.rint(RAMP * 4095).astype(int) - signed * 2048
    tags = {"WindowCenter": 38400, "WindowWidth": 32000}
    lut = ("ModalityLUTSequence", [3000, first, 16], table)
    path = write(tmp_path / "a.dcm", values, lut=lut, signed=signed, **tags)
    entries = np.array([[table[min(max(v - first, 0), 2999)] for v in row] for row in values.tolist()])
    np.testing.assert_allclose(read_image(path)[0], entries / 65535, atol=1e-6)
    shown = ((entries - 38399.5) / 31999 + 0.5).clip(0, 1)
    np.testing.assert_allclose(read_image(path, voi=True)[0], shown, atol=1e-5)
    np.testing.assert_allclose(by_pydicom(path), shown, atol=1e-5)


@pytest.mark.parametrize("words", [False, True])
def test_lookup_tables_of_8_bits_in_bytes_or_in_words(tmp_path, words):
    table = (np.arange(256) ** 2 // 255).astype("<u2" if words else "u1")
    path = write(
        tmp_path / "a.dcm",
        np.arange(48).reshape(6, 8) * 5,
        lut=("VOILUTSequence", [256, 0, 8], table.tobytes()),
    )
    expected = (np.arange(48).reshape(6, 8) * 5) ** 2 // 255 / 255
    np.testing.assert_allclose(read_image(path, voi=True)[0], expected, atol=1e-6)


def test_a_table_of_65536_entries_says_0(tmp_path):
    table = np.arange(65535, -1, -1).astype("<u2")
    values = np.rint(RAMP * 65535).astype(int)
    path = write(tmp_path / "a.dcm", values, stored=16, lut=("VOILUTSequence", [0, 0, 16], table.tobytes()))
    np.testing.assert_allclose(read_image(path, voi=True)[0], 1 - values / 65535, atol=1e-6)


def test_without_a_voi_lut_voi_changes_nothing(tmp_path):
    path = write(tmp_path / "a.dcm", PIXELS, WindowCenter=None, WindowWidth=None)
    np.testing.assert_array_equal(read_image(path, voi=True)[0], read_image(path)[0])


@pytest.mark.parametrize("slope", [2, -2])
def test_a_rescale_shows_in_the_stored_range_by_its_sign_alone(tmp_path, slope):
    path = write(tmp_path / "a.dcm", PIXELS, RescaleSlope=slope, RescaleIntercept=-1000)
    expected = PIXELS / 4095 if slope > 0 else 1 - PIXELS / 4095
    np.testing.assert_allclose(read_image(path)[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"WindowCenter": 1, "WindowWidth": 0.5}, "width at least 1"),
        ({"WindowCenter": 1, "WindowWidth": -1, "VOILUTFunction": "SIGMOID"}, "width positive"),
        ({"WindowCenter": 1}, "1 window centers, 0 widths"),
        (
            {"WindowCenter": 1, "WindowWidth": 5, "VOILUTFunction": "CUBIC"},
            "CUBIC; known: LINEAR, LINEAR_EXACT",
        ),
        ({"WindowCenter": 1, "WindowWidth": 5, "RescaleSlope": 0}, "rescale slope 0"),
        ({"lut": ("VOILUTSequence", [9, 0, 12], [1, 2, 3])}, "of 9 entries holds 3"),
        ({"lut": ("VOILUTSequence", [3, 0, 20], [1, 2, 3])}, "of 20 bits"),
        ({"lut": ("ModalityLUTSequence", [3, 0], [1, 2, 3])}, "expected 3, got 2"),
    ],
)
def test_a_gray_scale_that_makes_no_sense_is_one_error(tmp_path, tags, words):
    path = write(tmp_path / "a.dcm", PIXELS, **tags)
    with pytest.raises(DataError, match=rf"a\.dcm: its gray scale cannot be used.*{words}"):
        read_image(path, voi=True)


def test_bits_that_do_not_start_at_the_lowest_are_refused(tmp_path):
    path = write(tmp_path / "a.dcm", PIXELS, HighBit=15)
    with pytest.raises(DataError, match=r"12 bits up to bit 15"):
        read_image(path)


def test_pixel_spacing_goes_before_imager_pixel_spacing(tmp_path):
    path = write(tmp_path / "a.dcm", PIXELS, PixelSpacing=[0.25, 0.25], ImagerPixelSpacing=[0.5, 0.5])
    assert read_header(path).spacing_mm == 0.25
    assert read_header(write(tmp_path / "b.dcm", PIXELS, ImagerPixelSpacing=[0.5, 0.5])).spacing_mm == 0.5


def test_unknown_spacing_is_none(tmp_path):
    assert read_header(write(tmp_path / "a.dcm", PIXELS, ImagerPixelSpacing=None)).spacing_mm is None


@pytest.mark.parametrize(
    ("spacing", "words"),
    [
        ([0, 0], "spacing of 0.0"),
        ([-0.1, 0.1], "spacing of -0.1"),
        ([0.1, 0.2], "only square"),
        ([0.1], "header"),
    ],
)
def test_a_spacing_that_no_pixel_has_is_an_error(tmp_path, spacing, words):
    path = write(tmp_path / "a.dcm", PIXELS, PixelSpacing=spacing)
    with pytest.raises(DataError, match=rf"a\.dcm: .*{words}"):
        read_header(path)


@pytest.mark.parametrize("text", [b"nan \\0.1", b"inf \\0.1", b"0,07\\0,07"])
def test_a_spacing_that_is_no_number_is_an_error(tmp_path, text):
    path = write(tmp_path / "a.dcm", PIXELS, PixelSpacing=[0.11, 0.11])
    content = path.read_bytes()
    assert content.count(b"0.11\\0.11") == 1
    path.write_bytes(content.replace(b"0.11\\0.11", text.ljust(9)[:9]))
    with pytest.raises(DataError, match=r"a\.dcm"):
        read_header(path)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, (None, None, None)),
        ({"PatientID": " 17 ", "ImageLaterality": "L", "ViewPosition": "MLO"}, ("17", "L", "MLO")),
        ({"Laterality": "R"}, (None, "R", None)),
        ({"ImageLaterality": "B", "PatientID": ""}, (None, None, None)),
    ],
)
def test_who_is_shown(tmp_path, tags, expected):
    header = read_header(write(tmp_path / "a.dcm", PIXELS, **tags))
    assert (header.patient_id, header.laterality, header.view) == expected


def test_a_view_given_as_a_code(tmp_path):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-10242", "SRT", "cranio-caudal"
    assert read_header(write(tmp_path / "a.dcm", PIXELS, ViewCodeSequence=[code])).view == "CC"


def test_several_frames_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.dcm: 2 frames"):
        read_header(write(tmp_path / "a.dcm", PIXELS, NumberOfFrames=2))


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0},
        {"PhotometricInterpretation": "PALETTE COLOR"},
    ],
    ids=["RGB", "palette"],
)
def test_color_is_refused(tmp_path, tags):
    with pytest.raises(DataError, match=r"a\.dcm: is in color"):
        read_header(write(tmp_path / "a.dcm", PIXELS, **tags))


@pytest.mark.parametrize("syntax", [*NATIVE, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("stored", [8, 16])
@pytest.mark.parametrize(("height", "width"), [(6, 7), (5, 8), (6, 9), (7, 8), (3, 8), (6, 4)])
def test_pixels_of_another_number_than_the_header_says_are_no_image(tmp_path, syntax, stored, height, width):
    path = write(tmp_path / "a.dcm", np.rint(RAMP * 255), stored=stored, syntax=syntax)
    data = pydicom.dcmread(path)
    data.Rows, data.Columns = height, width
    data.save_as(path)
    there, claimed = (pixels * stored // 8 for pixels in (RAMP.size, height * width))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as commands do: pydicom only warns of too many
        with pytest.raises(DataError, match=f"has {there} bytes, the header says {claimed} ") as error:
            read_image(path)
    assert error.value.path == str(path)


def test_a_byte_that_makes_the_length_even_is_no_pixel(tmp_path):
    values = np.arange(15).reshape(3, 5)
    path = write(tmp_path / "a.dcm", values, stored=8)
    assert len(pydicom.dcmread(path).PixelData) == 16
    np.testing.assert_allclose(read_image(path)[0], values / 255, atol=1e-7)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.dcm: file is missing"):
        read_header(tmp_path / "a.dcm")


def test_a_header_without_what_an_image_needs(tmp_path):
    path = write(tmp_path / "a.dcm", PIXELS)
    data = pydicom.dcmread(path)
    del data.PhotometricInterpretation
    data.save_as(path)
    with pytest.raises(DataError, match=r"a\.dcm: no usable image header.*PhotometricInterpretation"):
        read_header(path)


@pytest.mark.parametrize("length", [0, 10, 140, 300])
def test_truncated_anywhere_is_one_error(tmp_path, length):
    path = tmp_path / "a.dcm"
    write_dicom(path, PIXELS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"a\.dcm"):
        read_image(path)


# --- padding, bits of compressed data, magnification, windows of no width


@pytest.mark.parametrize("voi", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ([0], {"PixelPaddingValue": 0}),
        ([4000], {"PixelPaddingValue": 4000}),
        ([10, 11, 12], {"PixelPaddingValue": 10, "PixelPaddingRangeLimit": 12}),
        ([10, 11, 12], {"PixelPaddingValue": 12, "PixelPaddingRangeLimit": 10}),
    ],
)
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_background_whatever_its_value(tmp_path, interpretation, values, tags, signed, voi):
    counts = np.rint(1500 + RAMP * 500).astype(int)
    counts[:, 4:] = np.resize(values, (6, 4))
    shift = 2048 * signed
    tags = {name: value - shift for name, value in tags.items()}
    path = tmp_path / "a.dcm"
    window = {"WindowCenter": 1750 - shift, "WindowWidth": 600}
    write(path, counts - shift, signed=signed, PhotometricInterpretation=interpretation, **window)
    data = pydicom.dcmread(path)
    for name, value in tags.items():
        data.add_new(name, "SS" if signed else "US", value)
    data.save_as(path)
    image, _ = read_image(path, voi=voi)
    assert (image[:, 4:] == 0).all()
    assert (image[:, :4] > 0).all()


def test_the_padding_of_values_with_a_sign_may_be_written_without(tmp_path):
    path = tmp_path / "a.dcm"
    write(path, np.where(RAMP > 0.5, -2000, 100), signed=True, PhotometricInterpretation="MONOCHROME1")
    data = pydicom.dcmread(path)
    data.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    data.save_as(path)
    assert ((read_image(path)[0] == 0) == (RAMP > 0.5)).all()


def jpeg2000(path, values, *, coded: int, stored: int):
    """A file whose header says `stored` bits and whose JPEG 2000 data says `coded`."""
    file = BytesIO()
    # Written as 16 bits, whose values are moved by half of their range; those of fewer are moved by less.
    Image.fromarray((values - 2 ** (coded - 1) + 2**15).astype(np.uint16)).save(file, "JPEG2000", no_jp2=True)
    stream = bytearray(file.getvalue())
    stream[42] = coded - 1
    data = pydicom.dcmread(write(path, values, stored=stored))
    data.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    data.PixelData = pydicom.encaps.encapsulate([bytes(stream)])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    return path


@pytest.mark.parametrize(("coded", "stored"), [(14, 14), (14, 16), (12, 16), (10, 12), (16, 14)])
def test_the_bits_of_compressed_data_count_where_the_header_says_more(tmp_path, coded, stored):
    bits = min(coded, stored)
    values = np.rint(np.linspace(0, 2**bits - 1, 64 * 64).reshape(64, 64)).astype(int)
    path = jpeg2000(tmp_path / "a.dcm", values, coded=coded, stored=stored)
    np.testing.assert_allclose(read_image(path)[0], values / (2**bits - 1), atol=1e-6)


def test_values_that_the_header_has_no_bits_for_are_no_image(tmp_path):
    values = np.rint(np.linspace(0, 2**14 - 1, 64 * 64).reshape(64, 64)).astype(int)
    data = pydicom.dcmread(jpeg2000(tmp_path / "a.dcm", values, coded=14, stored=14))
    data.BitsStored, data.HighBit = 12, 11
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"a\.dcm: gray values from 0 to 16383, where it says 12 bits"):
        read_image(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, 0.1),
        ({"EstimatedRadiographicMagnificationFactor": None}, 0.1),
        ({"EstimatedRadiographicMagnificationFactor": 1.8}, 0.1 / 1.8),
        ({"EstimatedRadiographicMagnificationFactor": 1.8, "PixelSpacing": [0.1, 0.1]}, 0.1 / 1.8),
        ({"EstimatedRadiographicMagnificationFactor": 1.8, "PixelSpacing": [0.055, 0.055]}, 0.055),
    ],
)
def test_spacing_is_that_in_the_breast(tmp_path, tags, expected):
    path = write(tmp_path / "a.dcm", PIXELS, ImagerPixelSpacing=[0.1, 0.1], **tags)
    assert read_header(path).spacing_mm == pytest.approx(expected)


def test_a_magnification_that_is_none_is_an_error_and_may_be_left_aside(tmp_path):
    tags = {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": -1}
    path = write(tmp_path / "a.dcm", PIXELS, **tags)
    with pytest.raises(DataError, match="a magnification of -1"):
        read_header(path)
    assert read_header(path, spacing=False).spacing_mm is None


def test_a_window_without_a_width_is_passed_over(tmp_path):
    plain = read_image(write(tmp_path / "a.dcm", PIXELS))[0]
    path = write(tmp_path / "b.dcm", PIXELS, WindowCenter=500, WindowWidth=0)
    np.testing.assert_array_equal(read_image(path, voi=True)[0], plain)
    two = write(tmp_path / "c.dcm", PIXELS, WindowCenter=[500, 900], WindowWidth=[0, 50])
    one = write(tmp_path / "d.dcm", PIXELS, WindowCenter=900, WindowWidth=50)
    np.testing.assert_array_equal(read_image(two, voi=True)[0], read_image(one, voi=True)[0])
