"""A first `samples.csv` for a folder of images: what names and headers tell; a person adds the rest."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mammoseg_lib.datasets.files.dicom import is_dicom, read_header
from mammoseg_lib.datasets.folder.layout import EXTRA, SEPARATOR, TABLE, is_picture, write_table
from mammoseg_lib.datasets.folder.pairing import masks_among, pairs, pathology
from mammoseg_lib.datasets.sample import COLUMNS, DataError, Problem, printable

MEASURED = ("n_masses", "mass_fraction")  # from the masks, when the table is read
BY_HAND = [name for name in [*COLUMNS, *EXTRA] if name not in MEASURED]
TO_CONVERT = {
    ".bmp", ".gif", ".jpeg", ".jpg", ".mat", ".mha", ".mhd", ".nii", ".npy", ".nrrd", ".pgm", ".pnm", ".ppm",
    ".webp",
}  # fmt: skip
ADVICE = (
    "call the masks of NAME.png NAME_mask.png, or masks/NAME.png and the images images/NAME.png, as PNG or "
    f"TIFF; or write {TABLE} by hand, as for images none of which shows a mass"
)


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
            *_counted(
                "cannot be read: convert them to PNG or TIFF", [n for n in self.unknown if _to_convert(n)]
            ),
            *_counted("were not recognized", [n for n in self.unknown if not _to_convert(n)]),
        ]
        empty = [name for name in BY_HAND if filled[name] < len(self.rows) and name != "mask_path"]
        lines.append(f"to fill in by hand, as far as known: {', '.join(empty) or 'nothing'}")
        return "\n".join(lines)


def _to_convert(name: str) -> bool:
    return Path(name).suffix.lower() in TO_CONVERT


def _counted(what: str, names: list[str]) -> list[str]:
    return [f"{len(names)} files {what}, such as {names[0]}"] if names else []


def _hint(name: str) -> str:
    return ", as hashes with a key that was thrown away" if name == "patient_id" else ""


def write_template(root: Path) -> Template:
    """Write `samples.csv` for the images in and below a folder.

    Images are DICOM files (of any name), PNG and TIFF files; masks are PNG and TIFF files that names pair
    with an image, see `pairing`. A DICOM header tells patient, laterality, view and spacing, names the
    pathology; no tag of a mammogram tells the density. Patient ids become hashes with a random key that is
    kept nowhere: equal ids stay equal, and none can be found again by trying ids.

    Raises:
        DataError: If there is no such folder, it has a table already, or there is no image with a mask.
    """
    table = root / TABLE
    if not root.is_dir():
        raise DataError(root, "no such folder")
    if os.path.lexists(table):
        raise DataError(table, "exists already; it is not changed")
    files = [path for path in sorted(root.rglob("[!.]*")) if path.is_file()]
    masks = dict.fromkeys(masks_among(root, files))
    images = [path for path in files if (path not in masks if is_picture(path) else is_dicom(path))]
    image_of = pairs(root, images, list(masks))
    masks_of: dict[Path, list[Path]] = {path: [] for path in images}
    for mask in masks:
        if mask in image_of:
            masks_of[image_of[mask]].append(mask)
    times = Counter(path.stem for path in images)
    key, rows, problems = secrets.token_bytes(16), [], []
    for path in images:
        found = masks_of[path]
        name = path.relative_to(root).as_posix()
        row = {
            "sample_id": path.stem if times[path.stem] == 1 else name,
            "image_path": name,
            "mask_path": SEPARATOR.join(mask.relative_to(root).as_posix() for mask in found),
            "pathology": pathology(root, path),
        }
        try:
            rows.append(row | ({} if is_picture(path) else _from_header(path, key)))
        except DataError as error:
            problems.append(Problem(name, "broken", error.reason))
    orphans, unknown = (
        tuple(printable(path.relative_to(root).as_posix()) for path in files if path in left)
        for left in (masks.keys() - image_of.keys(), {*files} - {*images, *masks})
    )
    template = Template(tuple(rows), orphans, unknown, tuple(problems))
    if not any(row["mask_path"] for row in rows):
        raise DataError(root, f"0 images with a mask, so no {TABLE} was written; {ADVICE}\n{template.text()}")
    write_table(root, rows)
    return template


def _from_header(path: Path, key: bytes) -> dict[str, str]:
    try:
        header = read_header(path)
    except DataError:  # one that has no usable spacing may get one in the table
        header = read_header(path, spacing=False)
    hashed = hashlib.blake2b((header.patient_id or "").encode(), key=key, digest_size=6).hexdigest()
    return {
        # A letter first, or a spreadsheet reads 12e4 as a number.
        "patient_id": f"p{hashed}" if header.patient_id else "",
        "laterality": header.laterality or "",
        "view": header.view or "",
        "spacing_mm": "" if header.spacing_mm is None else f"{header.spacing_mm:.10g}",
    }
