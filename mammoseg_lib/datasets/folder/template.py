"""A first `samples.csv` for a folder of images: what names and headers tell; a person adds the rest."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mammoseg_lib.datasets.files.dicom import read_header
from mammoseg_lib.datasets.folder.layout import EXTRA, MASKS, SEPARATOR, TABLE, is_picture, write_table
from mammoseg_lib.datasets.sample import COLUMNS, DataError, Problem, printable

MEASURED = ("n_masses", "mass_fraction")  # from the masks, when the table is read
BY_HAND = [name for name in [*COLUMNS, *EXTRA] if name not in MEASURED]
MASK_NAME = re.compile(r"(?P<image>.+?)_mask.*", re.IGNORECASE)


@dataclass(frozen=True)
class Template:
    """What was found.

    Attributes:
        rows: The lines written.
        orphans: Mask files of no image.
        unknown: Files that are no DICOM (by the 128 bytes and the word with which it begins), PNG or TIFF.
        problems: Files that could not be read as DICOM, which are left out.
    """

    rows: tuple[dict[str, str], ...]
    orphans: tuple[str, ...]
    unknown: tuple[str, ...]
    problems: tuple[Problem, ...]

    def text(self) -> str:
        """What was found and what a person must fill in."""
        filled = Counter(name for row in self.rows for name, value in row.items() if value)
        lines = [
            f"images            {len(self.rows):5d}",
            f"  with a mask     {filled['mask_path']:5d}  those without count as images without a mass",
            *(
                f"{name:17} {filled[name]:5d}  of {len(self.rows)} filled in" + _hint(name)
                for name in BY_HAND
                if name not in ("sample_id", "image_path", "mask_path") and filled[name]
            ),
            *(f"mask of no image: {name}" for name in self.orphans),
            *(f"{p.kind}: {p.path}: {p.reason}" for p in self.problems),
            *(f"{len(self.unknown)} files were not recognized, such as {name}" for name in self.unknown[:1]),
        ]
        empty = [name for name in BY_HAND if filled[name] < len(self.rows) and name != "mask_path"]
        lines.append(f"to fill in by hand, as far as known: {', '.join(empty) or 'nothing'}")
        return "\n".join(lines)


def _hint(name: str) -> str:
    return ", as hashes with a key that was thrown away" if name == "patient_id" else ""


def write_template(root: Path) -> Template:
    """Write `samples.csv` for the images in and below a folder.

    Images are DICOM files (of any name), PNG and TIFF files. The masks of NAME.* are `NAME_mask*` and
    `masks/NAME`, `masks/NAME_mask*` in its folder or beside it, as PNG or TIFF. A DICOM header tells patient,
    laterality, view and spacing; no tag of a mammogram tells the density. Patient ids become hashes with a
    random key that is kept nowhere: equal ids stay equal, and none can be found again by trying ids.

    Raises:
        DataError: If there is no such folder, it has a table already, or there is no image.
    """
    table = root / TABLE
    if not root.is_dir():
        raise DataError(root, "no such folder")
    if os.path.lexists(table):
        raise DataError(table, "exists already; it is not changed")
    files = [path for path in sorted(root.rglob("[!.]*")) if path.is_file()]
    masks = [path for path in files if is_picture(path) and _is_mask(path)]
    images = [path for path in files if (not _is_mask(path) if is_picture(path) else _is_dicom(path))]
    if not images:
        raise DataError(root, "no DICOM, PNG or TIFF image in it or below")
    of_image: dict[tuple[Path, str], list[Path]] = {}
    for mask in masks:
        name = MASK_NAME.fullmatch(mask.stem)
        of_image.setdefault((mask.parent, name["image"] if name else mask.stem), []).append(mask)
    times = Counter(path.stem for path in images)
    key, rows, problems, used = secrets.token_bytes(16), [], [], set()
    for path in images:
        places = (path.parent, path.parent / MASKS, path.parent.parent / MASKS)
        found = [mask for place in places for mask in of_image.get((place, path.stem), [])]
        used.update(found)
        name = path.relative_to(root).as_posix()
        row = {
            "sample_id": path.stem if times[path.stem] == 1 else name,
            "image_path": name,
            "mask_path": SEPARATOR.join(mask.relative_to(root).as_posix() for mask in found),
        }
        try:
            rows.append(row | ({} if is_picture(path) else _from_header(path, key)))
        except DataError as error:
            problems.append(Problem(name, "broken", error.reason))
    write_table(root, rows)
    orphans, unknown = (
        tuple(printable(path.relative_to(root).as_posix()) for path in files if path in left)
        for left in ({*masks} - used, {*files} - {*images, *masks})
    )
    return Template(tuple(rows), orphans, unknown, tuple(problems))


def _is_mask(path: Path) -> bool:
    return path.parent.name == MASKS or MASK_NAME.fullmatch(path.stem) is not None


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _from_header(path: Path, key: bytes) -> dict[str, str]:
    header = read_header(path)
    hashed = hashlib.blake2b((header.patient_id or "").encode(), key=key, digest_size=6).hexdigest()
    return {
        # A letter first, or a spreadsheet reads 12e4 as a number.
        "patient_id": f"p{hashed}" if header.patient_id else "",
        "laterality": header.laterality or "",
        "view": header.view or "",
        "spacing_mm": "" if header.spacing_mm is None else f"{header.spacing_mm:.10g}",
    }
