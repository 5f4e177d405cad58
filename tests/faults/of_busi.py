"""Faults of the pictures and masks of BUSI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.fault import Fault, png, png_claiming
from tests.faults.of_folder import soften
from tests.faults.sources import SHAPE, SMALL_SOURCES


def busi_faults() -> Iterator[Fault]:
    def fault(name, file, apply, hit, named=None):
        return Fault(
            "busi", name, lambda root: apply(root / file), named or file, frozenset({hit} if hit else ())
        )

    def content(name, file, data, hit):
        return fault(name, file, lambda path: path.write_bytes(data) and None, hit)

    picture, mask, second = (file for file, _ in SMALL_SOURCES["busi"].files.values())
    one, two, lit = "benign (1)", "benign (2)", "benign/benign (1)_mask.png"
    for size in ((31, 24), (32, 23), (24, 32), (1, 1), (64, 48), (16, 12)):
        yield content(f"mask of {size}", mask, png(size), two)
        yield content(f"second mask of {size}", second, png(size), two)
        yield fault(f"picture of {size}", picture, partial(_write, data=png(size)), one, lit)
    for width, height in (
        (60000, 60000),
        (30000, 30000),
        (0, 32),
        (24, 0),
        (2**31 - 1, 2**31 - 1),
        (2**32 - 1, 1),
        (2**20, 2**20),
    ):
        for file, hit in ((picture, one), (mask, two), (second, two)):
            yield content(
                f"{file} that claims {width}x{height} pixels", file, png_claiming(width, height), hit
            )
    for position in (8, 12, 20, 30, 45, 60, 70, -20, -14):
        yield fault(
            f"picture with byte {position} changed", picture, lambda path, p=position: _flip(path, p), one
        )
        yield fault(f"mask with byte {position} changed", mask, lambda path, p=position: _flip(path, p), two)
    yield fault("picture without its mask", lit, Path.unlink, one, picture)
    yield fault("first mask missing", mask, Path.unlink, two, second)
    yield fault(
        "mask numbers with a gap",
        second,
        lambda path: path.rename(path.with_name("benign (2)_mask_2.png")) and None,
        two,
        "benign/benign (2)_mask_2.png",
    )
    yield fault(
        "mask with a suffix in capitals",
        second,
        lambda path: path.rename(path.with_suffix(".PNG")) and None,
        two,
        "benign/benign (2)_mask_1.PNG",
    )
    yield fault(
        "mask copied",
        mask,
        lambda path: path.with_name("benign (2)_mask (1).png").write_bytes(path.read_bytes()) and None,
        two,
        "benign/benign (2)_mask (1).png",
    )
    yield fault("picture missing", picture, Path.unlink, one, lit)
    yield fault(
        "tumor with an empty mask",
        "benign/benign (1)_mask.png",
        lambda path: Image.new("1", SHAPE[::-1]).save(path),
        one,
        picture,
    )
    yield fault(
        "normal picture with a mask",
        "normal/normal (1)_mask.png",
        lambda path: path.write_bytes(png()) and None,
        "normal (1)",
        "normal/normal (1).png",
    )
    for name in (
        "benign (x).png",
        "benign 3.png",
        "malignant (9).png",
        "benign (3).PNG",
        "benign  (3).png",
        "Benign (3).png",
        os.fsdecode(b"benign (\xff).png"),
        "benign (3)\n.png",
    ):
        yield fault(
            f"picture named {name!r}",
            picture,
            lambda path, name=name: path.with_name(name).write_bytes(path.read_bytes()) and None,
            "",
            f"benign/{name}",
        )
    yield Fault(
        "busi",
        "no pictures",
        lambda root: [p.rename(p.with_name("_" + p.name)) for p in root.iterdir()] and None,
        "root",
        None,
    )
    for name in ("benign", "malignant", "normal"):
        yield Fault(
            "busi",
            f"{name} missing",
            lambda root, name=name: (root / name).rename(root / "_m") and None,
            name,
            frozenset({f"{name} (1)", f"{name} (2)"}),
            "excluded",
        )
    yield Fault("busi", "mask with gray edges", lambda root: soften(root / mask), None)
    for name in ("benign", "normal"):
        yield Fault(
            "busi",
            f"every suffix of {name} in capitals",
            partial(_capitals, name),
            f"{name}/{name} (1).PNG",
            frozenset({f"{name} (1)", f"{name} (2)"}),
        )
    for mode in ("LA", "RGB", "RGBA", "P"):
        yield Fault("busi", f"mask in mode {mode}", lambda root, mode=mode: _convert(root / mask, mode), None)
    yield Fault("busi", "interlaced mask of 16 bits", lambda root: _sixteen(root / mask), None)


def _capitals(name: str, root: Path) -> None:
    for path in (root / name).iterdir():
        path.rename(path.with_suffix(".PNG"))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x15
    path.write_bytes(data)


def _convert(path: Path, mode: str) -> None:
    Image.open(path).convert(mode).save(path)


def _sixteen(path: Path) -> None:
    Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 257).save(path)
