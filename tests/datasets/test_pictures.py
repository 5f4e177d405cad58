"""PNG, TIFF and JPEG files: what is read, and what must not pass for a picture."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mammoseg_lib.datasets import DataError
from mammoseg_lib.datasets.files.pictures import picture_size, read_picture
from mammoseg_lib.datasets.files.png import read_png
from tests.faults.fault import png_claiming

GRAY = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)


def encoded(kind: str, pixels: np.ndarray = GRAY, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "PNG"), (".tif", "TIFF"), (".TIFF", "TIFF")])
@pytest.mark.parametrize("bits", [8, 16])
def test_lossless_pictures_come_back(tmp_path, suffix, kind, bits):
    pixels = GRAY if bits == 8 else GRAY.astype(np.uint16) * 200
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encoded(kind, pixels))
    np.testing.assert_allclose(read_picture(path), pixels / (2**bits - 1), rtol=1e-6)
    assert picture_size(path) == (20, 30)


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_jpeg_is_read_and_refused_without_its_end(tmp_path, options):
    data, path = encoded("JPEG", quality=95, **options), tmp_path / "a.jpg"
    path.write_bytes(data + b"\0" * 9)  # what follows its end does no harm
    np.testing.assert_allclose(read_picture(path), GRAY / 255, atol=0.1)
    for missing in (1, 2, 40):
        path.write_bytes(data[:-missing])
        with pytest.raises(DataError, match=r"a\.jpg: JPEG file is cut short"):
            read_picture(path)


def test_color_becomes_gray_by_its_luma_and_alpha_is_left_out(tmp_path):
    color = np.random.default_rng(1).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encoded("PNG", color))
    expected = color[..., :3] @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(read_picture(tmp_path / "a.png"), expected, atol=1 / 255)


def test_a_color_picture_of_16_bits_keeps_them(tmp_path):
    color = np.random.default_rng(1).integers(0, 65536, (6, 5, 3), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), color)
    assert read_png(tmp_path / "a.png").dtype == np.uint16
    expected = color @ [0.114, 0.587, 0.299] / 65535
    np.testing.assert_allclose(read_picture(tmp_path / "a.png"), expected, atol=1e-4)


@pytest.mark.parametrize("content", ["PNG", "TIFF", "JPEG", "GIF", "BMP"])
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_another_type_under_a_name_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(encoded(content))
    if {"png": "PNG", "tif": "TIFF", "jpg": "JPEG"}[suffix] == content:
        assert read_picture(path).shape == (20, 30)
        return
    with pytest.raises(DataError, match=r"not a PNG file|cannot be opened as a"):
        picture_size(path)


def test_a_damaged_chunk_length_is_refused_before_it_is_believed(tmp_path):
    data, path = bytearray(encoded("PNG")), tmp_path / "a.png"
    start = data.index(b"IDAT") - 4
    for length in (0, 1, 2**31 - 1, 2**32 - 1):
        data[start : start + 4] = struct.pack(">I", length)
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"cut short|checksum"):
            read_picture(path)


@pytest.mark.parametrize(
    ("size", "reason"),
    [((60000, 60000), "claims 60000x60000"), ((10000, 10000), "bytes cannot hold"), ((0, 5), "claims 0x5")],
)
def test_a_png_file_that_claims_more_than_it_can_hold_is_refused(tmp_path, size, reason):
    (tmp_path / "a.png").write_bytes(png_claiming(*size))
    for read in (read_picture, picture_size):
        with pytest.raises(DataError, match=reason):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("tag", [256, 257])  # ImageWidth, ImageLength
def test_a_tiff_file_that_claims_more_than_it_can_hold_is_refused(tmp_path, tag):
    data, path = encoded("TIFF"), tmp_path / "a.tif"
    (start,) = (at for kind in (3, 4) if (at := data.find(struct.pack("<HHI", tag, kind, 1))) > 0)
    for claimed in (60000, 40, 0):
        path.write_bytes(data[: start + 8] + struct.pack("<I", claimed) + data[start + 12 :])
        with pytest.raises(DataError, match=r"a\.tif"):
            read_picture(path)


def test_a_png_file_without_its_header_or_with_a_wrong_checksum_is_refused(tmp_path):
    data, path = bytearray(encoded("PNG")), tmp_path / "a.png"
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    path.write_bytes(data[:8] + end)
    with pytest.raises(DataError, match="no header"):
        read_picture(path)
    data[-20] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="checksum"):
        read_picture(path)
