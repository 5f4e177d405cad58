"""Faults: each breaks one file of a small source in one way."""

from __future__ import annotations

import io
import os
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from tests.faults.sources import SHAPE, SMALL_SOURCES, SQUARE
from tests.release import HEADER, write_outlines


@dataclass(frozen=True)
class Fault:
    """One way to break a source.

    Attributes:
        source: Key of `SMALL_SOURCES`.
        name: What is wrong.
        apply: Breaks the source in a folder; may move the source and then returns its new folder.
        file: Relative to that folder, the file that a message must name, by its name; None where nothing is
            wrong and every sample must come out as it was.
        hit: The samples that may be missing; None stands for all (the source as a whole is refused).
    """

    source: str
    name: str
    apply: Callable[[Path], Path | None]
    file: str | None
    hit: frozenset[str] | None = frozenset()

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
    import struct
    import zlib

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
    "JPEG": png(kind="JPEG"),
    "GIF": png(kind="GIF"),
    "BMP": png(kind="BMP"),
    "TIFF": png(kind="TIFF"),
    "a zip file": _zip(),
    "noise": np.random.default_rng(2).bytes(3000),
}


def _generic() -> Iterator[Fault]:
    """What may befall a file of any kind."""
    for source in SMALL_SOURCES.values():
        for kind, (file, hit) in source.files.items():

            def fault(name, apply, source=source, kind=kind, file=file, hit=hit):
                return Fault(source.name, f"{kind} {name}", lambda root: apply(root / file), file, hit)

            for part in [*range(0, 100, 6), 99, 100]:
                yield fault(f"cut at {part} %", lambda path, part=part: _cut(path, part))
            for name, content in IMPOSTORS.items():
                yield fault(f"is {name}", lambda path, content=content: path.write_bytes(content) and None)
            yield fault("is a folder", _folder)
            yield fault("is a link to itself", _link_to_itself)
            yield fault("is a link to nothing", _link_to_nothing)
            yield fault("is a link to an endless device", _link_to_zero)
            yield fault("is a named pipe", _pipe)
            yield fault("may not be read", _forbidden)


def _cut(path: Path, part: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: min(len(data) * part // 100, len(data) - 20)])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nothing"))


def _link_to_zero(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _forbidden(path: Path) -> None:
    path.chmod(0)


def _places() -> Iterator[Fault]:
    """Where a source may lie, and what may lie beside its files; none of it is wrong."""
    names = {
        "spaces": "my data  set",
        "NFC": unicodedata.normalize("NFC", "Bilder für Ärzte"),
        "NFD": unicodedata.normalize("NFD", "Bilder für Ärzte"),
        "signs": "a;b,c'd\"e%20[f]{g}*?",
        "length": "x" * 200,
        "a leading dot": ".hidden",
        "bytes that are not UTF-8": os.fsdecode(b"\xff\xfe"),
    }
    for source in SMALL_SOURCES.values():
        for what, name in names.items():
            yield Fault(
                source.name,
                f"folder with {what}",
                lambda root, name=name: root.rename(root.parent / name),
                None,
            )
        first = next(iter(source.files.values()))[0]

        def beside(name, content=b"", source=source, first=first):
            apply = lambda root: (root / first).with_name(name).write_bytes(content) and None  # noqa: E731
            return Fault(source.name, f"{name} beside the files", apply, None)

        yield beside(".DS_Store", b"\0\0\0\1Bud1")
        yield beside("Thumbs.db", b"\xd0\xcf\x11\xe0")
        yield beside("._" + Path(first).name, b"\0\5\x16\7")
        yield beside("notes.txt", b"remember")
        yield Fault(source.name, "whole source behind a link", _behind_link, None)


def _behind_link(root: Path) -> Path:
    link = root.parent / "link"
    link.symlink_to(root, target_is_directory=True)
    return link


def _outlines() -> Iterator[Fault]:
    file, hit = SMALL_SOURCES["inbreast"].files["outlines"]

    def fault(name, apply, file=file, hit=hit):
        return Fault(
            "inbreast", f"outlines {name}", lambda root: apply(root / "AllXML" / "101.xml"), file, hit
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
    # No mass is left of these: the image counts as one without, and the outlines are named.
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
    yield fault("deleted, but the table says BI-RADS 4a", Path.unlink)
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
    import plistlib

    path.write_bytes(plistlib.dumps(plistlib.loads(path.read_bytes()), fmt=plistlib.FMT_BINARY))


def _wrong_number(path: Path) -> None:
    path.write_text(path.read_text().replace("<integer>4</integer>", "<integer>9</integer>"))


def _dicom() -> Iterator[Fault]:
    dicom, hit = SMALL_SOURCES["inbreast"].files["dicom"]

    def fault(name, apply, file=dicom, hit=hit):
        return Fault("inbreast", f"dicom {name}", lambda root: apply(root / dicom), file, hit)

    def tags(name, **values):
        return fault(name, lambda path: _edit(path, **values))

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
            yield fault(f"with {tag} {value}", partial(_edit, **{tag: value}), named)
    yield tags("of 60000x60000 pixels", Rows=60000, Columns=60000)
    yield tags("with one row too few of pixels", PixelData=bytes(2 * 31 * 24))
    for uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.3.4"):
        yield fault(f"that calls itself {uid}", lambda path, uid=uid: _syntax(path, uid))
    yield fault("missing, its outlines are there", Path.unlink, "AllXML/100.xml")
    yield fault("twice under two patients", _second_patient)
    for name in (
        "whatever.dcm",
        "100.dcm",
        "100_aa_MG_L_ML_ANON (1).dcm",
        "104_AA_MG_L_ML_ANON.dcm",
        "104_aa_MG_L_ML_ANON.DCM",
    ):
        yield fault(
            f"named {name}",
            lambda path, name=name: path.with_name(name).write_bytes(path.read_bytes()) and None,
            f"AllDICOMs/{name}",
            frozenset(),
        )


def _edit(path: Path, **values: object) -> None:
    import warnings

    dataset = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the values are wrong is the point
        for tag, value in values.items():
            if value is None:
                delattr(dataset, tag)
            else:
                setattr(dataset, tag, value)
        dataset.save_as(path)


def _syntax(path: Path, uid: str) -> None:
    data, old = path.read_bytes(), b"1.2.840.10008.1.2.1\0"
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, uid.encode()[: len(old)].ljust(len(old), b"\0")))


def _second_patient(path: Path) -> None:
    path.with_name(path.name.replace("_aa_", "_bb_")).write_bytes(path.read_bytes())


def _table() -> Iterator[Fault]:
    row = "removed;removed;L;MLO;201001;{};{};{}"
    rows = [row.format(100 + i, 2, "4a" if i < 3 else "1") for i in range(4)]
    whole = "\n".join([HEADER, *rows])

    def table(name, content, file="INbreast.csv", hit=None):
        data = content if isinstance(content, bytes) else content.encode()
        return Fault(
            "inbreast",
            f"table {name}",
            lambda root: (root / "INbreast.csv").write_bytes(data) and None,
            file,
            hit,
        )

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
        yield table(f"with the density {value}", whole.replace("101;2", f"101;{value}"), hit=frozenset())
    for value in ("0", "7", "4d", "abc"):
        yield table(f"with BI-RADS {value}", whole.replace("101;2;4a", f"101;2;{value}"), hit=frozenset())
    yield table("with two rows that differ", whole + "\n" + row.format(101, 3, "4a"), hit=frozenset())
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
    yield Fault("inbreast", "table missing", lambda root: (root / "INbreast.csv").unlink(), "root")
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


def _busi() -> Iterator[Fault]:
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
    yield Fault(
        "busi",
        "a class missing",
        lambda root: (root / "malignant").rename(root / "_m") and None,
        "",
        frozenset({"malignant (1)"}),
    )
    for mode in ("LA", "RGB", "RGBA", "P"):
        yield Fault("busi", f"mask in mode {mode}", lambda root, mode=mode: _convert(root / mask, mode), None)
    yield Fault("busi", "interlaced mask of 16 bits", lambda root: _sixteen(root / mask), None)


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


def all_faults() -> list[Fault]:
    """Every fault, in a fixed order."""
    return [*_generic(), *_places(), *_outlines(), *_dicom(), *_table(), *_busi()]
