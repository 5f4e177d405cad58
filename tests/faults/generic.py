"""What may befall the files of any source."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tests.faults.fault import IMPOSTORS, Fault
from tests.faults.sources import SMALL_SOURCES

# Tables that end between two lines look like shorter ones: what no line is about is named, and excluded.
ENDS_WITH_A_LINE = {("inbreast", 33), ("inbreast", 66), ("folder", 88)}
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif"}


def file_faults() -> Iterator[Fault]:
    """What may befall a file of any kind."""
    for source in SMALL_SOURCES.values():
        for kind, (file, hit) in source.files.items():

            def fault(name, apply, as_kind="broken", source=source, kind=kind, file=file, hit=hit):
                apply_to = lambda root: apply(root / file)  # noqa: E731
                return Fault(source.name, f"{kind} {name}", apply_to, file, hit, as_kind)

            for part in [*range(0, 100, 11), 100]:
                shorter = kind == "table" and (source.name, part) in ENDS_WITH_A_LINE
                as_kind = "excluded" if shorter else "broken"
                yield fault(f"cut at {part} %", lambda path, part=part: _cut(path, part), as_kind)
            for name, content in IMPOSTORS.items():
                if Path(file).suffix == SUFFIXES.get(name):
                    continue  # another picture of the right type is no fault
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


def place_faults() -> Iterator[Fault]:
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
