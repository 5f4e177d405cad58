"""Faults of outlines, images and tables of INbreast."""

from __future__ import annotations

import plistlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.faults.fault import Fault, claim_syntax, edit_dicom
from tests.faults.sources import SMALL_SOURCES, SQUARE
from tests.release import HEADER, write_outlines


def outline_faults() -> Iterator[Fault]:
    file, hit = SMALL_SOURCES["inbreast"].files["outlines"]

    def fault(name, apply, file=file, hit=hit, kind="broken"):
        return Fault(
            "inbreast", f"outlines {name}", lambda root: apply(root / "AllXML" / "101.xml"), file, hit, kind
        )

    def points(name, *outlines):
        return fault(name, lambda path: write_outlines(path, [("Mass", points) for points in outlines]))

    nan, inf = float("nan"), float("inf")
    yield points("wholly outside", [(100, 100), (120, 100), (120, 120)])
    yield points("partly outside to the right", [(20, 8), (40, 8), (20, 20)])
    yield points("partly outside below", [(5, 20), (15, 20), (10, 50)])
    yield points("partly outside to the left", [(-9, 8), (15, 8), (15, 20)])
    yield points("partly outside above", [(5, -9), (15, 8), (15, 20)])
    yield points("second outside", SQUARE, [(100, 100), (120, 100), (120, 120)])
    for value in (nan, inf, -inf, 1e300, -1e300, 1e18, 2.0**31, -(2.0**31), 2.0**63):
        yield points(f"with the coordinate {value}", [(5, 8), (value, 8), (15, 20)])
        yield points(f"with the row {value}", SQUARE, [(5, 8), (15, value), (15, 20)])
    # Of these a mass would be missing in the mask.
    for number in (0, 1, 2):
        yield points(f"of {number} points", SQUARE[:number])
    yield points("of one pixel's corner", [(5.2, 5.2), (5.3, 5.2), (5.3, 5.3)])
    yield points("of points in one line", [(5.5, 8.5), (5.5, 12.5), (5.5, 20.5)])
    yield points("of one point many times", [(5.5, 8.5)] * 40)
    yield points("with one point beside a mass", SQUARE, SQUARE[:1])

    good = '<plist version="1.0"><dict><key>Images</key><array>{}</array></dict></plist>'
    image = "<dict><key>ROIs</key><array>{}</array></dict>"
    roi = "<dict><key>Name</key><string>Mass</string><key>Point_px</key><array>{}</array></dict>"
    point = "<string>(5, 8)</string><string>(15, 8)</string>"

    def text(name, body, start="<?xml version='1.0' encoding='UTF-8'?>"):
        return fault(name, lambda path: path.write_text(start + body, encoding="utf-8") and None)

    def mass(body):
        return good.format(image.format(roi.format(body)))

    bomb = '<!DOCTYPE p [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    third = "<string>{}</string>"
    yield text("with a billion laughs", mass(point + third.format("&i;")), bomb + "]>")
    yield text(
        "with an external entity",
        mass(point + third.format("&x;")),
        '<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    )
    yield text(
        "with an external parameter entity",
        mass(point),
        '<!DOCTYPE p [<!ENTITY % x SYSTEM "http://[::1]:9/"> %x;]>',
    )
    yield text("nested too deep", "<plist>" + "<array>" * 100_000)
    yield text("that is empty", "<plist/>")
    yield text("of no images", "<plist><dict/></plist>")
    yield text("whose images are text", "<plist><dict><key>Images</key><string>no</string></dict></plist>")
    yield text("whose images are numbers", good.format("<integer>1</integer>"))
    yield text("without ROIs", good.format("<dict/>"))
    yield text("whose ROIs are text", good.format(image.format("<string>Mass</string>")))
    yield text("whose ROIs are numbers", good.format(image.format("<integer>1</integer>")))
    yield text("whose ROIs are no list", good.format("<dict><key>ROIs</key><true/></dict>"))
    yield text(
        "whose points are missing",
        good.format(image.format("<dict><key>Name</key><string>Mass</string></dict>")),
    )
    for body in (
        "(1)",
        "(1, 2, 3)",
        "1, 2",
        "(a, b)",
        "()",
        "",
        "(1e, 2)",
        "(0x10, 2)",
        "(1; 2)",
        "(1, 2) (3, 4)",
    ):
        yield text(f"with the point {body!r}", mass(point + third.format(body)))
    yield text("with a point that is a number", mass(point + "<integer>4</integer>"))
    yield text(
        "whose points are text",
        mass("").replace("<array></array></dict></array>", "<string>(5, 8)</string></dict></array>"),
    )
    yield text("in another encoding than they say", mass(point), "<?xml version='1.0' encoding='no-such'?>")
    yield fault("as a binary property list", _binary_plist)
    yield fault("with a wrong number of points", _wrong_number)
    yield fault("deleted, but the table says BI-RADS 4a", Path.unlink, kind="excluded")
    yield fault(
        "in a file of another name",
        lambda path: path.rename(path.with_name("101 (1).xml")) and None,
        "AllXML/101 (1).xml",
    )
    yield fault(
        "with a suffix in capitals",
        lambda path: path.rename(path.with_suffix(".XML")) and None,
        "AllXML/101.XML",
    )
    yield fault(
        "of no image",
        lambda path: write_outlines(path.with_name("999.xml"), []),
        "AllXML/999.xml",
        frozenset(),
    )
    yield fault(
        "twice",
        lambda path: path.with_name("101_old.xml").write_bytes(path.read_bytes()) and None,
        "AllXML/101_old.xml",
    )


def _binary_plist(path: Path) -> None:
    path.write_bytes(plistlib.dumps(plistlib.loads(path.read_bytes()), fmt=plistlib.FMT_BINARY))


def _wrong_number(path: Path) -> None:
    path.write_text(path.read_text().replace("<integer>4</integer>", "<integer>9</integer>"))


def dicom_faults() -> Iterator[Fault]:
    dicom, hit = SMALL_SOURCES["inbreast"].files["dicom"]

    def fault(name, apply, file=dicom, hit=hit):
        return Fault("inbreast", f"dicom {name}", lambda root: apply(root / dicom), file, hit)

    def tags(name, **values):
        return fault(name, lambda path: edit_dicom(path, **values))

    for tag in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelData", "PhotometricInterpretation",
                "SamplesPerPixel", "PixelRepresentation"):  # fmt: skip
        yield tags(f"without {tag}", **{tag: None})
    for tag, values in {
        "Rows": (0, 1, 31, 33, 60000),
        "Columns": (0, 1, 23, 25, 60000),
        "BitsAllocated": (0, 1, 8, 12, 32, 64),
        "BitsStored": (0, 17, 200),
        "SamplesPerPixel": (0, 3),
        "NumberOfFrames": (2, 1000000),
        "PhotometricInterpretation": ("RGB", "YBR_FULL", "PALETTE COLOR", "NONSENSE"),
    }.items():
        for value in values:
            named = "AllXML/100.xml" if value == 1 and tag in ("Rows", "Columns") else dicom
            yield fault(f"with {tag} {value}", partial(edit_dicom, **{tag: value}), named)
    yield tags("of 60000x60000 pixels", Rows=60000, Columns=60000)
    yield tags("with one row too few of pixels", PixelData=bytes(2 * 31 * 24))
    for uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.3.4"):
        yield fault(f"that calls itself {uid}", lambda path, uid=uid: claim_syntax(path, uid))
    yield fault("missing, its outlines are there", Path.unlink, "AllXML/100.xml")
    yield fault("twice under two patients", _second_patient)
    for name in (
        "whatever.dcm",
        "100.dcm",
        "100_aa_MG_L_ML_ANON (1).dcm",
        "104_AA_MG_L_ML_ANON.dcm",
    ):
        yield fault(
            f"named {name}",
            lambda path, name=name: path.with_name(name).write_bytes(path.read_bytes()) and None,
            f"AllDICOMs/{name}",
            frozenset(),
        )


def _second_patient(path: Path) -> None:
    path.with_name(path.name.replace("_aa_", "_bb_")).write_bytes(path.read_bytes())


def table_faults() -> Iterator[Fault]:
    row = "removed;removed;L;MLO;201001;{};{};{}"
    rows = [row.format(100 + i, 2, "4a" if i < 3 else "1") for i in range(4)]
    whole = "\n".join([HEADER, *rows])

    def table(name, content, file="INbreast.csv", hit=None, kind="broken"):
        data = content if isinstance(content, bytes) else content.encode()
        return Fault(
            "inbreast",
            f"table {name}",
            lambda root: (root / "INbreast.csv").write_bytes(data) and None,
            file,
            hit,
            kind,
        )

    def unknown(name, content):  # a density or BI-RADS that is none is missing, and every image is there
        return table(name, content, hit=frozenset(), kind="excluded")

    yield table("with commas", whole.replace(";", ","))
    yield table("with tabs", whole.replace(";", "\t"))
    yield table("in UTF-16", whole.encode("utf-16"))
    yield table("in Latin-1", whole.replace("removed", "größer").encode("latin-1"))
    for column in ("File Name", "ACR", "Bi-Rads", "View", "Laterality"):
        yield table(f"without {column}", whole.replace(column, "Something"))
    yield table("with ACR twice", whole.replace("Patient age", "ACR"))
    yield table("of a header only", HEADER.replace("ACR", ""))
    yield table("with a surplus cell in each row", "\n".join([HEADER, *(f"{r};x" for r in rows)]))
    yield table("with a cell too few in a row", "\n".join([HEADER, rows[0][:20]]))
    yield table(
        "with an open quote",
        whole.replace("removed;removed;L;MLO;201001;101", '"removed;removed;L;MLO;201001;101'),
    )
    yield table("with one huge cell", whole.replace("201001;101", "2" * 200_000 + ";101"))
    for value in ("0", "5", "-1", "2.5", "nan", "inf", "1e0", "four", "２", "2 3", "²"):
        yield unknown(f"with the density {value}", whole.replace("101;2", f"101;{value}"))
    for value in ("0", "7", "4d", "abc"):
        yield unknown(f"with BI-RADS {value}", whole.replace("101;2;4a", f"101;2;{value}"))
    yield unknown("with two rows that differ", whole + "\n" + row.format(101, 3, "4a"))
    yield table("with a BOM", "\ufeff" + whole, file=None)
    yield table("with line ends of Windows", whole.replace("\n", "\r\n"), file=None)
    yield table("with line ends of old Macs", whole.replace("\n", "\r"), file=None)
    yield table("with more columns", whole.replace("\n", ";x\n") + ";x", file=None)
    yield table("with empty cells at the end", whole.replace("\n", ";;\n") + ";;", file=None)
    yield table("with empty lines", whole.replace("\n", "\n\n"), file=None)
    yield table("with spaces", whole.replace(";", " ; "), file=None)
    yield table("with quotes", whole.replace("removed", '"re;moved"'), file=None)
    yield table("with a row twice", whole + "\n" + rows[1], file=None)
    yield table("with rows in another order", "\n".join([HEADER, *rows[::-1]]), file=None)
    yield table(
        "with a path for an image", whole + "\n" + row.format("../../../../etc/passwd", 2, 1), file=None
    )
    yield Fault(
        "inbreast", "table missing", lambda root: (root / "INbreast.csv").unlink(), "root", kind="excluded"
    )
    yield Fault(
        "inbreast",
        "table beside a broken Excel file",
        lambda root: (root / "INbreast.xls").write_bytes(b"no") and None,
        "INbreast.xls",
    )
    yield Fault(
        "inbreast",
        "no images",
        lambda root: (root / "AllDICOMs").rename(root / "other") and None,
        "root",
        None,
    )
