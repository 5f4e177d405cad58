"""Faults of images of one's own, and of how any source may have been unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.fault import Fault, edit_dicom
from tests.faults.sources import SHAPE, SMALL_SOURCES

IMAGE_FILES = {
    "inbreast": "AllDICOMs/*.dcm",
    "busi": "*/*).png",
    "folder": "images/*",
    "cbis_ddsm": "Mass-*/*/*/*.dcm",
    "cbis_ddsm as JPEG": "jpeg/*/*.jpg",
}


def folder_faults() -> Iterator[Fault]:
    """What may be wrong with masks, spacing and gray scale, and what only looks so."""

    def fault(name, file, apply, hit=None, named="", kind="broken"):
        named = file if named == "" else named
        hits = frozenset({hit} if hit else ())
        return Fault("folder", name, lambda root: apply(root / file) and None, named, hits, kind)

    yield fault("mask with gray edges", "masks/a.png", soften, named="samples.csv", kind="excluded")
    yield fault("mask of two labels", "masks/a.png", _two_labels, "a")
    yield fault("mask of many labels that are areas", "masks/a.png", _areas, "a")
    # None of these is wrong.
    yield Fault("folder", "spacing of 0 where the table has one", _spacing_in_table, None)
    yield Fault("folder", "picture with a suffix in capitals", _capitals_in_table, None)


def unpacked_faults() -> Iterator[Fault]:
    """How files of any source may have been unpacked, or have been lost altogether."""
    for source in SMALL_SOURCES.values():
        pattern = IMAGE_FILES[source.name]
        first = next(iter(source.files.values()))[0]

        def lost(root: Path, pattern=pattern) -> None:
            for path in root.glob(pattern):
                path.write_bytes(b"404 Not Found")

        yield Fault(source.name, "every image is text", lost, first, None)
        if source.name not in ("busi", "folder"):  # where a mistake is told from it, and a table names files

            def capitals(root: Path, pattern=pattern) -> None:
                for path in root.glob(pattern):
                    path.rename(path.with_suffix(path.suffix.upper()))

            yield Fault(source.name, "every suffix in capitals", capitals, None)
        yield Fault(source.name, "everything one folder deeper", _deeper, "root", None)
        for kind in ("pgm", "bmp", "zip"):  # a copy that is not read, nor in the way of what is

            def copied(root: Path, first=first, kind=kind) -> None:
                path = root / first
                path.with_name(f"copy.{kind}").write_bytes(path.read_bytes())

            yield Fault(source.name, f"copy as {kind} beside the files", copied, None)


def _deeper(root: Path) -> None:
    files = list(root.iterdir())
    (root / root.name).mkdir()
    for path in files:
        path.rename(root / root.name / path.name)


def soften(path: Path) -> None:
    """The same mask where it is cut at half: gray falls off around it."""
    pixels = np.asarray(Image.open(path)).copy()
    rows, columns = np.nonzero(pixels)
    low, high = (rows.min(), columns.min()), (rows.max(), columns.max())
    for step, gray in enumerate((100, 60, 20), 1):
        ring = np.zeros(SHAPE, bool)
        ring[low[0] - step : high[0] + step + 1, low[1] - step : high[1] + step + 1] = True
        pixels[ring & (pixels == 0)] = gray
    Image.fromarray(pixels).save(path)


def _two_labels(path: Path) -> None:
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[4:12, 5:15], pixels[20:28, 5:15] = 1, 2
    Image.fromarray(pixels).save(path)


def _areas(path: Path) -> None:
    pixels = np.zeros(SHAPE, np.uint8)
    for n in range(4):
        pixels[8 * n : 8 * n + 7, 5:15] = 60 * (n + 1)
    Image.fromarray(pixels).save(path)


def _spacing_in_table(root: Path) -> None:
    edit_dicom(root / "images" / "b.dcm", ImagerPixelSpacing=[0, 0])
    table = root / "samples.csv"
    lines = table.read_text().splitlines()
    assert lines[2].startswith("b,")
    lines[2] += "0.5"  # as in the header before; the column is the last one
    assert lines[0].endswith(",spacing_mm")
    table.write_text("\n".join(lines) + "\n")


def _capitals_in_table(root: Path) -> None:
    picture, table = root / "images" / "a.png", root / "samples.csv"
    picture.rename(picture.with_suffix(".PNG"))
    table.write_text(table.read_text().replace("images/a.png", "images/a.PNG"))
