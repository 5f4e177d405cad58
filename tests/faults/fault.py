"""What a fault is, and files that are not what they should be."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.datadict import dictionary_VR

from tests.faults.sources import SHAPE


@dataclass(frozen=True)
class Fault:
    """One way to break a source.

    Attributes:
        source: Key of `SMALL_SOURCES`.
        name: What is wrong.
        apply: Breaks the source in a folder; may move the source and then returns its new folder.
        file: Relative to that folder, the file that a message must name, by its name; "root" for the folder
            itself; None where nothing is wrong with what is there, and nothing may be named.
        hit: The samples that may be missing; None stands for all (the source as a whole is refused).
        kind: What the message must call it: "broken", for which commands exit with 1, or "excluded".
    """

    source: str
    name: str
    apply: Callable[[Path], Path | None]
    file: str | None
    hit: frozenset[str] | None = frozenset()
    kind: str = "broken"

    def __str__(self) -> str:
        return f"{self.source}: {self.name}"


def png(size: tuple[int, int] = SHAPE, kind: str = "PNG", mode: str = "L") -> bytes:
    """A picture file of noise."""
    noise = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind)
    return file.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A picture file whose header claims another size, with the right checksum."""
    data = png()
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")
    return file.getvalue()


IMPOSTORS = {
    "empty": b"",
    "one byte": b"\0",
    "zeros": bytes(4096),
    "text": b"this is no image\n" * 40,
    "an HTML error page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "a git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    "PNG": png(),
    "JPEG": png(kind="JPEG"),
    "GIF": png(kind="GIF"),
    "BMP": png(kind="BMP"),
    "TIFF": png(kind="TIFF"),
    "a zip file": _zip(),
    "noise": np.random.default_rng(2).bytes(3000),
}


def edit_dicom(path: Path, **values: object) -> None:
    """Other values of tags; None deletes one."""
    dataset = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the values are wrong is the point
        for tag, value in values.items():
            if value is None:
                delattr(dataset, tag)
            elif dictionary_VR(tag) == "US or SS":
                dataset.add_new(tag, "US", value)
            else:
                setattr(dataset, tag, value)
        dataset.save_as(path)


def claim_syntax(path: Path, uid: str) -> None:
    """Another transfer syntax in the header of a file that stays as it is."""
    data, old = path.read_bytes(), b"1.2.840.10008.1.2.1\0"
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, uid.encode()[: len(old)].ljust(len(old), b"\0")))
