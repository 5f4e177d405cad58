"""Reading PNG files that may be damaged."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Num

from mammoseg_lib.datasets.sample import DataError, check_size, read_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIB")  # width, height, bits a sample
CHUNK = struct.Struct(">I4s")  # length and type, before the content and its checksum
DEFLATE_RATIO = 1032  # what the compression of PNG reaches at most


def read_png(path: Path) -> Num[np.ndarray, "h w"] | Num[np.ndarray, "h w c"]:
    """The pixels as stored; palettes become colors, in the order blue, green, red, alpha.

    The decoder is given whole files only: it takes memory for whatever a damaged length or size claims, and
    reads files of other types under the name of a PNG file.

    Raises:
        DataError: If the file is missing, no PNG file, cut short or damaged.
    """
    data = read_bytes(path)
    _check(path, data)
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(path, "cannot be decoded as a PNG image")
    return pixels


def png_size(path: Path) -> tuple[int, int]:
    """Height and width of a PNG file, whose pixels are not decoded.

    Raises:
        DataError: As `read_png` does.
    """
    return _check(path, read_bytes(path))


def _check(path: Path, data: bytes) -> tuple[int, int]:
    if not data.startswith(SIGNATURE):
        raise DataError(path, "not a PNG file")
    start, kinds = len(SIGNATURE), []
    while kinds[-1:] != [b"IEND"]:
        if start + CHUNK.size > len(data):
            raise DataError(path, "PNG file is cut short")
        length, kind = CHUNK.unpack_from(data, start)
        end = start + CHUNK.size + length
        if end + 4 > len(data):
            raise DataError(path, "PNG file is cut short")
        if zlib.crc32(data[start + 4 : end]).to_bytes(4) != data[end : end + 4]:
            raise DataError(path, "PNG file is damaged: a checksum is wrong")
        kinds.append(kind)
        start = end + 4
    if kinds[0] != b"IHDR" or len(data) < len(SIGNATURE) + CHUNK.size + 13:
        raise DataError(path, "PNG file has no header")
    width, height, bits = HEADER.unpack_from(data, len(SIGNATURE) + CHUNK.size)
    check_size(path, height, width)
    if height * width * bits > 8 * DEFLATE_RATIO * len(data):
        raise DataError(path, f"{len(data)} bytes cannot hold the {width}x{height} pixels that it claims")
    return height, width
