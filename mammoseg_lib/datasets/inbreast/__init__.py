"""INbreast in its release layout: `AllDICOMs/*.dcm`, `AllXML/*.xml`, `INbreast.csv` or `INbreast.xls`.

The outlines in the XML files say which images show masses. The Excel table also has a "Mass" column, but it
marks a different set of images; `disagreements` names them. The patient is the hash in the DICOM's file name:
the tables have it removed.
"""

from __future__ import annotations

import os
import plistlib
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from skimage.draw import polygon, polygon2mask

from mammoseg_lib.datasets.files.dicom import read_header, read_image
from mammoseg_lib.datasets.inbreast.table import disagreements as table_disagreements
from mammoseg_lib.datasets.inbreast.table import read_table, table_path
from mammoseg_lib.datasets.sample import (
    DataError,
    Problem,
    Sample,
    distinct,
    having_masses,
    read_bytes,
    sample_table,
    union,
)

FOLDER = "INbreast Release 1.0"
FILE_NAME = re.compile(
    r"(?P<id>\d+)_(?P<patient>[0-9a-f]+)_MG_(?P<laterality>[LR])_(?P<view>[A-Z]+)_ANON\.(?i:dcm)"
)
VIEWS = {"ML": "MLO"}  # the release writes ML in the file name of a mediolateral oblique view
MASS_NAMES = {"mass", "masses"}
POINT = re.compile(r"\(\s*([^,\s]+)\s*,\s*([^,\s]+)\s*\)")
EDGE = 1.0  # px an outline may pass the frame's edge: readers clicked on the last column
SUSPICIOUS = ("4", "5", "6")  # BI-RADS grades of which every image in the release has an outline file
# The whole release, and a digest of which of its images show how many masses.
WHOLE = {"images": 410, "images_with_mass": 107, "masses": 116, "patients_with_mass": 50}
MASSES_DIGEST = "3570a69f13e4c3c7"


def files(root: Path) -> list[Path]:
    """Every file that the samples are made from, for the fingerprint of the data."""
    tables = (root / name for name in ("INbreast.csv", "INbreast.xls"))
    return sorted([*_listed(root, "AllDICOMs"), *_listed(root, "AllXML"), *filter(Path.exists, tables)])


def scan(
    root: Path, run_map: Callable[[Callable, Iterable], Iterable] = map
) -> tuple[pd.DataFrame, list[Problem]]:
    """The table of all images that can be used, and every file that cannot, with the reason.

    An image without an outline file shows no mass, unless its table row says that something suspicious is
    there: then the file is missing, and the image is left out rather than taken for one without a mass.

    Args:
        root: The release folder.
        run_map: What examines the images: `map`, or one that shares the work among processes.

    Raises:
        DataError: If this is no release folder or its table cannot be read.
    """
    images = _listed(root, "AllDICOMs")
    if not images:
        raise DataError(root, "no AllDICOMs/*.dcm here; this is not an INbreast release folder")
    problems: list[Problem] = []
    metadata = read_table(root, problems)
    records = []
    for record, found in run_map(partial(_examine, metadata), images):
        records += record
        problems += found
    records, doubles = distinct(records)
    orphans = {path: re.match(r"\d*", path.name)[0] for path in _orphans(root, images)}
    reason = "is not named <image>.xml after an image that is here; an image with its number is left out"
    problems += doubles + [Problem(str(path), "broken", reason) for path in orphans]
    records = [r for r in records if r["sample_id"] not in orphans.values()]
    has_table = table_path(root) is not None
    unlisted = [r["sample_id"] for r in records if has_table and r["sample_id"] not in metadata]
    reason = "the table has no row for image {}: density and BI-RADS are unknown"
    problems += [Problem(str(table_path(root)), "excluded", reason.format(image)) for image in unlisted]
    return sample_table(records), problems


def index(root: Path, **filters: object) -> pd.DataFrame:
    """The sample table of a release folder; the filters are those of `select`."""
    return select(scan(root)[0], **filters)


def select(table: pd.DataFrame, *, with_masses: bool | None = None) -> pd.DataFrame:
    """The rows to use: with a mass outline (107 images in the release), without one, or, for None, all."""
    return having_masses(table, with_masses)


def disagreements(root: Path, table: pd.DataFrame) -> dict[str, list[str]]:
    """Images of which the release's table says something else than the sample table, by what it says."""
    return table_disagreements(table, read_table(root, []))


def load(row: pd.Series) -> Sample:
    """One image with the union of its mass outlines as mask.

    Raises:
        DataError: If the image or its outlines cannot be read.
    """
    path = Path(row["image_path"])
    image, header = read_image(path)
    return Sample(image, union(mass_masks(path, image.shape), image.shape), header.spacing_mm)


def mass_masks(image_path: Path, shape: tuple[int, int]) -> list[Bool[np.ndarray, "h w"]]:
    """One mask per mass outline of an image; masses that overlap stay two."""
    return [polygon2mask(shape, outline[:, ::-1]) for outline in mass_outlines(_xml_path(image_path), shape)]


def mass_outlines(xml_path: Path, shape: tuple[int, int]) -> list[Float[np.ndarray, "n 2"]]:
    """The mass outlines in one XML file, each as (x, y) points in pixels; none when there is no file.

    ROIs of other names (calcifications, points) are no masses. Where an outline crosses itself, what it goes
    around twice is outside (the even-odd rule).

    Raises:
        DataError: If the file is no outline file, or an outline leaves the image or encloses no pixel, as one
            or two points do: without it the image would come out with a part of its mask.
    """
    outlines = []
    for number, roi in enumerate(_rois(xml_path)):
        if str(roi.get("Name", "")).strip().casefold() not in MASS_NAMES:
            continue
        points = _points(xml_path, number, roi)
        (x_max, y_max), (x_min, y_min) = points.max(0, initial=0), points.min(0, initial=0)
        if min(x_min, y_min) < -EDGE or x_max > shape[1] + EDGE or y_max > shape[0] + EDGE:
            raise DataError(
                xml_path, f"ROI {number}: outline leaves the image of {shape[1]}x{shape[0]} pixels"
            )
        if len(points) < 3 or not polygon(points[:, 1], points[:, 0], shape)[0].size:
            raise DataError(
                xml_path, f"ROI {number}: a mass of {len(points)} point(s) that encloses no pixel"
            )
        outlines.append(points)
    return outlines


def _listed(root: Path, folder: str) -> list[Path]:
    """The files of a folder by their suffix in any case, but for those that macOS adds beside each file."""
    suffix = {"AllDICOMs": ".dcm", "AllXML": ".xml"}[folder]
    found = (root / folder).glob("*")
    return sorted(p for p in found if p.suffix.lower() == suffix and not p.name.startswith("._"))


def _xml_path(image_path: Path) -> Path:
    return image_path.parents[1] / "AllXML" / f"{image_path.name.split('_')[0]}.xml"


def _orphans(root: Path, images: list[Path]) -> list[Path]:
    """The outline files that belong to no image."""
    used = {_xml_path(path) for path in images}
    return [path for path in _listed(root, "AllXML") if path not in used]


def _rois(path: Path) -> list[dict]:
    if not os.path.lexists(path):
        return []
    data = read_bytes(path)
    try:
        # Named, or a binary property list would be read too; entities are refused, nothing is fetched.
        content = plistlib.loads(data, fmt=plistlib.FMT_XML)
        rois = [roi for image in content["Images"] for roi in image["ROIs"]]
    except Exception as error:  # expat, plistlib and missing keys all mean the same: not an outline file
        raise DataError(path, f"cannot be read as an outline file ({error!r})") from error
    if not all(isinstance(roi, dict) for roi in rois):
        raise DataError(path, "cannot be read as an outline file (an ROI is no dictionary)")
    return rois


def _points(path: Path, number: int, roi: dict) -> np.ndarray:
    try:
        matches = [POINT.fullmatch(point.strip()) for point in roi["Point_px"]]
        points = np.array([(float(m[1]), float(m[2])) for m in matches]).reshape(-1, 2)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(path, f"ROI {number}: points cannot be read ({error!r})") from error
    if not np.isfinite(points).all():
        raise DataError(path, f"ROI {number}: a coordinate is not finite")
    if roi.get("NumberOfPoints", len(points)) != len(points):
        raise DataError(path, f"ROI {number}: {len(points)} points, where it says {roi['NumberOfPoints']}")
    return points


def _examine(metadata: dict[str, dict], path: Path) -> tuple[list[dict], list[Problem]]:
    """The record of one image, or none, and what was left out."""
    problems: list[Problem] = []
    try:
        record = _record(path, metadata, problems)
        return [record] if record else [], problems
    except DataError as error:
        return [], [*problems, Problem.broken(error)]


def _record(path: Path, metadata: dict[str, dict], problems: list[Problem]) -> dict | None:
    name = FILE_NAME.fullmatch(path.name)
    if name is None:
        raise DataError(path, "file name is not <image>_<patient>_MG_<side>_<view>_ANON.dcm")
    header = read_header(path)
    shape, xml_path = (header.height, header.width), _xml_path(path)
    known = metadata.get(name["id"], {})
    claims = _claims(known)
    if claims and not os.path.lexists(xml_path):
        problems.append(Problem(str(xml_path), "excluded", f"file is missing, but the table {claims}"))
        return None
    outlines = mass_outlines(xml_path, shape)
    mask = union([polygon2mask(shape, outline[:, ::-1]) for outline in outlines], shape)
    return {
        "sample_id": name["id"],
        "patient_id": name["patient"],
        "image_path": str(path),
        "laterality": name["laterality"],
        "view": VIEWS.get(name["view"], name["view"]),
        "acr_density": known.get("ACR"),
        "birads": known.get("Bi-Rads"),
        "pathology": pd.NA,  # the release has no biopsy results
        "n_masses": len(outlines),
        "mass_fraction": float(mask.mean()),
        "split": pd.NA,
    }


def _claims(known: dict) -> str | None:
    """What a table row says for which there must be an outline file; None if it says no such thing."""
    if known.get("Mass"):
        return "marks a mass"
    birads = known.get("Bi-Rads")
    return f"says BI-RADS {birads}" if str(birads).startswith(SUSPICIOUS) else None
