"""Faults of the tables, images and masks of CBIS-DDSM."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.faults.fault import Fault, claim_syntax, edit_dicom
from tests.faults.of_folder import soften
from tests.faults.sources import CBIS, ONE, SHAPE, SMALL_SOURCES, TESTED, TWO, lit
from tests.release import cbis_row, write_cbis_table, write_dicom

TRAIN, TEST = (f"mass_case_description_{part}_set.csv" for part in ("train", "test"))
IMAGE, MASK, SWAPPED, _ = (file for file, _ in SMALL_SOURCES["cbis_ddsm"].files.values())
CROP = f"{ONE}_1/1.2.1/1.3.1/000000.dcm"
VALUES = {  # by column, what it cannot hold
    "patient_id": ("", "P_1", "../P_00001", "P_00001/.."),
    "left or right breast": ("", "MIDDLE", "left"),
    "image view": ("", "XX", "CC/.."),
    "abnormality id": ("", "one", "-1", "../1", "1.0", "4444"),
    "assessment": ("", "7", "four", "-1"),
    "pathology": ("", "UNKNOWN", "benign"),
    "image file path": ("", "/etc/passwd", f"{ONE}/../../x.dcm", f"../{ONE}/1.1/x.dcm"),
    "cropped image file path": ("", "..", f"{ONE}_2/1.2.1/1.3.1/000000.dcm", "C:\\x\\y\\z.dcm"),
    "ROI mask file path": ("", f"{ONE}_1/1.2.1/../x.dcm", f"{ONE}_1/1.2.1/1.3.1/x.exe", "%2e%2e/1/1/x.dcm"),
}  # fmt: skip
DENSITIES = ("", "0", "5", "-1", "2.5", "nan", "four", "２", "²")


def cbis_table_faults() -> Iterator[Fault]:
    """What may be wrong with a table, and what only looks so."""
    rows = [cbis_row(case, number) for case in (ONE, TWO) for number in range(1, len(CBIS[case]) + 1)]

    def table(name, change, hit=None, file=TRAIN, kind="broken"):
        return Fault("cbis_ddsm", f"table {name}", lambda root: change(root / TRAIN), file, hit, kind)

    def text(name, change, hit=None, file=TRAIN):
        def apply(path: Path) -> None:
            changed = change(path.read_bytes().decode())
            path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())

        return table(name, apply, hit, file)

    def written(name, rows, hit=frozenset(), kind="broken"):
        return table(name, lambda path: write_cbis_table(path, rows), hit, kind=kind)

    def first(name, values, hit, kind="broken"):
        return written(name, [rows[0] | values, *rows[1:]], hit, kind)

    for column, values in VALUES.items():
        for value in values:
            yield first(f"with {column} {value!r}", {column: value}, frozenset({ONE}))
        yield text(f"without {column}", lambda text, column=column: text.replace(column, "other", 1))
    for value in DENSITIES:
        yield first(f"with the density {value!r}", {"breast_density": value}, frozenset(), "excluded")
    yield first(
        "with a path to another image", {"image file path": f"{TESTED}/1.1/1.9/x.dcm"}, frozenset({ONE})
    )
    spoiled = [rows[0], rows[1], rows[2] | {"pathology": "?"}]
    yield written("with a broken row of two", spoiled, frozenset({TWO}))
    yield written("with a row twice", [*rows, rows[1]], kind="excluded")
    other = rows[1] | {"pathology": "MALIGNANT"}
    yield written("with two rows that differ", [*rows, other], kind="excluded")
    yield table(
        "without the second row of an image",
        lambda path: write_cbis_table(path, rows[:2]), frozenset({TWO}), f"{TWO}_2",
    )  # fmt: skip
    yield written("without an image", rows[:1], frozenset({TWO}))
    yield written("of a header only", [], frozenset({ONE, TWO}))
    ghost = cbis_row("Mass-Training_P_00009_LEFT_CC")
    yield table(
        "with an image that is not here",
        lambda path: write_cbis_table(path, [*rows, ghost]), frozenset(), "Mass-Training_P_00009_LEFT_CC",
    )  # fmt: skip
    yield table("missing", Path.unlink, None, "root")
    yield text("with semicolons", lambda text: text.replace(",", ";"))
    yield text("with tabs", lambda text: text.replace(",", "\t"))
    yield text("in UTF-16", lambda text: text.encode("utf-16"))
    yield text("in Latin-1", lambda text: text.replace(",x,", ",größer,").encode("latin-1"))
    yield text("with an open quote", lambda text: text.replace("\nP_00001", '\n"P_00001', 1))
    yield text("with a null byte", lambda text: text.replace("P_0", "P_\0", 1), frozenset({ONE}))
    yield text("with one huge cell", lambda text: text.replace(",x,", f",{'x' * 200_000},", 1))
    yield text("with a surplus cell in each row", lambda text: text.replace('.dcm\n"', '.dcm\n",y'))
    yield text("with a cell too few in a row", lambda text: text.replace(",x,", ",", 1), frozenset({ONE}))
    yield text("with a BOM", lambda text: "\ufeff" + text, file=None)
    yield text("with line ends of Unix", lambda text: text.replace("\r\n", "\n"), file=None)
    yield text("with empty lines", lambda text: text.replace("\r\n", "\r\n\r\n"), file=None)
    yield text("without line breaks in the paths", lambda text: text.replace('\n"', '"'), file=None)
    yield text("with a column more", lambda text: text.replace("patient_id", "x,patient_id").replace(
        "\r\nP_", "\r\n9,P_"), file=None)  # fmt: skip
    yield table(
        "with rows in another order", lambda path: write_cbis_table(path, rows[::-1]), frozenset(), None
    )


def cbis_file_faults() -> Iterator[Fault]:
    """What may be wrong with folders and DICOM files."""

    def fault(name, file, apply, hit=ONE, named="", kind="broken"):
        named = file if named == "" else named
        hits = frozenset({hit} if hit else ())
        return Fault("cbis_ddsm", name, lambda root: apply(root / file) and None, named, hits, kind)

    def pixels(name, file, values, **options):
        return fault(name, file, lambda path: write_dicom(path, values), **options)

    yield fault("image folder missing", ONE, shutil.rmtree)
    yield fault("abnormality folder missing", f"{ONE}_1", shutil.rmtree)
    yield fault("one of two abnormality folders missing", f"{TWO}_1", shutil.rmtree, hit=TWO)
    yield fault("image missing", IMAGE, Path.unlink, named=ONE)
    yield fault("mask missing", MASK, Path.unlink, named=f"{ONE}_1")
    yield fault("two images", IMAGE, lambda p: shutil.copy(p, p.with_name("1-2.dcm")), named=ONE)
    yield fault("mask twice", MASK, lambda p: shutil.copy(p, p.with_name("2.dcm")), named=f"{ONE}_1")
    yield fault("text beside the mask", MASK, lambda p: p.with_name("a.dcm").write_text("a"), named="a.dcm")
    yield fault("crop that is no DICOM file", CROP, lambda path: path.write_bytes(b"crop"))
    yield fault("swapped mask in color", SWAPPED, lambda p: edit_dicom(p, SamplesPerPixel=3), hit=TWO)
    for size in ((1, 1), (32, 12), (16, 24), (24, 32)):
        # A crop and a mask that both have another size than the image: the one of two values is the mask.
        yield pixels(f"mask of {size}", MASK, np.eye(*size, dtype=int) * 4095, kind="excluded")
    yield pixels("mask without a mass", MASK, np.zeros(SHAPE, int))
    yield pixels("mask of three values", MASK, lit(np.s_[8:16, 0:16]) * 2000 + lit(np.s_[0:8, 0:24]) * 4000)
    for tag, values in {
        "Rows": (0, 60000), "Columns": (0, 60000), "BitsAllocated": (0, 12, 64), "BitsStored": (0, 17),
        "SamplesPerPixel": (3,), "NumberOfFrames": (2,), "PhotometricInterpretation": ("RGB",),
        "PixelData": (bytes(100), None),
    }.items():  # fmt: skip
        for value in values:
            shown = f"{len(value)} bytes" if isinstance(value, bytes) else value
            for what, file in (("image", IMAGE), ("mask", MASK)):
                yield fault(
                    f"{what} with {tag} {shown}", file,
                    lambda path, tag=tag, value=value: edit_dicom(path, **{tag: value}),
                )  # fmt: skip
    for uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.3.4"):
        yield fault(f"image that calls itself {uid}", IMAGE, lambda path, uid=uid: claim_syntax(path, uid))
    # None of these is wrong.
    yield fault(
        "mask and crop swapped", MASK, lambda path: _swap(path, path.with_name("000000.dcm")), named=None
    )
    yield fault("mask of a newer name", MASK, lambda p: p.rename(p.with_name("1-1.dcm")), named=None)
    yield fault(
        "mask twice as large", MASK,
        lambda path: write_dicom(path, np.kron(lit(CBIS[ONE][0]), np.ones((2, 2), int)) * 4095), named=None,
    )  # fmt: skip
    soft = "jpeg/1.0.1/2-1.jpg"
    yield Fault("cbis_ddsm as JPEG", "mask with gray edges", lambda root: soften(root / soft), None)
    yield fault("calcifications beside it", "Calc-Test_P_00001_LEFT_CC", Path.mkdir, hit=None, named=None)


def _swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
