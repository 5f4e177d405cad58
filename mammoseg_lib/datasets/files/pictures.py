"""Reading gray pictures: PNG, TIFF and JPEG files, each by the suffix of its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from PIL import Image

from mammoseg_lib.datasets.files.png import png_size, read_png
from mammoseg_lib.datasets.sample import DataError, check_size, read_bytes

FORMATS = {".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG"}  # read by Pillow; all others are read as PNG
GRAY = {"1", "L", "LA", "P", "RGB", "RGBA"}  # modes of Pillow that are converted to 8 bits
GRAY_16 = {"I;16", "I;16L", "I;16B"}
SCAN, END = b"\xff\xda", b"\xff\xd9"  # in JPEG, neither occurs within the data of a scan


def read_picture(path: Path) -> Float[np.ndarray, "h w"]:
    """The gray values in 0..1, where 1 is the largest value of the file's 8 or 16 bits.

    Color becomes gray by its luma, and an alpha channel is left out.

    Raises:
        DataError: If the file is missing, cut short, damaged, not of the type that its name says, has several
            pages, or other pixels than 8 or 16 bits without sign.
    """
    if path.suffix.lower() not in FORMATS:
        pixels = read_png(path)
        if pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY)
    else:
        with _opened(path) as picture:
            try:
                pixels = np.asarray(picture if picture.mode in GRAY_16 else picture.convert("L"))
            except Exception as error:  # a damaged file fails inside Pillow in many ways
                raise DataError(path, f"cannot be decoded ({error})") from error
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width, without decoding the pixels; raises as `read_picture` does."""
    if path.suffix.lower() not in FORMATS:
        return png_size(path)
    with _opened(path) as picture:
        return picture.size[::-1]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    kind, data = FORMATS[path.suffix.lower()], read_bytes(path)
    try:
        picture = Image.open(BytesIO(data), formats=[kind])
        pages = getattr(picture, "n_frames", 1)
    except Exception as error:  # as above
        raise DataError(path, f"cannot be opened as a {kind} image") from error
    with picture:
        check_size(path, picture.height, picture.width)
        if kind == "JPEG" and data.rfind(END) < data.rfind(SCAN):  # decoders fill up what is missing
            raise DataError(path, "JPEG file is cut short")
        there = [max((tile[1][edge] for tile in picture.tile), default=0) for edge in (2, 3)]
        if there[0] < picture.width or there[1] < picture.height:  # what is not there would come out black
            claimed = f"{picture.width}x{picture.height} pixels"
            raise DataError(path, f"claims {claimed} and holds {there[0]}x{there[1]}")
        if pages != 1:
            raise DataError(path, f"{pages} pages; only single images are read")
        if picture.mode not in GRAY | GRAY_16:
            reason = f"pixels of the kind {picture.mode}; only 8 or 16 bits without sign are read"
            raise DataError(path, reason)
        yield picture
