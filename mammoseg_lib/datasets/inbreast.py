"""INbreast in its release layout: `AllDICOMs/*.dcm`, `AllXML/*.xml`, `INbreast.csv` or `INbreast.xls`.

The outlines in the XML files say which images show masses. The table also has a "Mass" column, but it marks
a different set of images. The patient is the hash in the DICOM's file name: the tables have it removed.
"""

from __future__ import annotations

import math
import plistlib
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from skimage.draw import polygon2mask

from mammoseg_lib.datasets.base import DataError, Problem, Sample, sample_table
from mammoseg_lib.datasets.dicom import read_header, read_image

FOLDER = "INbreast Release 1.0"
FILE_NAME = re.compile(
    r"(?P<id>\d+)_(?P<patient>[0-9a-f]+)_MG_(?P<laterality>[LR])_(?P<view>[A-Z]+)_ANON\.dcm"
)
VIEWS = {"ML": "MLO"}  # the release writes ML in the file name of a mediolateral oblique view
MASS_NAMES = {"mass", "masses"}
POINT = re.compile(r"\(\s*([^,\s]+)\s*,\s*([^,\s]+)\s*\)")
EDGE = 1.0  # px an outline may pass the frame's edge: readers clicked on the last column


def files(root: Path) -> list[Path]:
    """Every file that the samples are made from, for the fingerprint of the data."""
    return sorted(
        [
            *root.glob("AllDICOMs/*.dcm"),
            *root.glob("AllXML/*.xml"),
            *root.glob("INbreast.csv"),
            *root.glob("INbreast.xls"),
        ]
    )


def scan(
    root: Path, run_map: Callable[[Callable, Iterable], Iterable] = map
) -> tuple[pd.DataFrame, list[Problem]]:
    """The table of all images that can be used, and every file that cannot, with the reason.

    Args:
        root: The release folder.
        run_map: What examines the images: `map`, or one that shares the work among processes.
    """
    images = sorted(root.glob("AllDICOMs/*.dcm"))
    if not images:
        raise DataError(root, "no AllDICOMs/*.dcm here; this is not an INbreast release folder")
    problems: list[Problem] = []
    metadata = _metadata(root, problems).to_dict("index")
    records = []
    for record, found in run_map(partial(_examine, metadata), images):
        records += record
        problems += found
    return sample_table(records), problems


def index(root: Path, **filters: object) -> pd.DataFrame:
    """The sample table of a release folder; the filters are those of `select`."""
    return select(scan(root)[0], **filters)


def select(table: pd.DataFrame, *, with_masses: bool | None = None) -> pd.DataFrame:
    """The rows to use: with a mass outline (107 images in the release), without one, or, for None, all."""
    keep = (
        pd.Series(True, index=table.index) if with_masses is None else (table["n_masses"] > 0) == with_masses
    )
    return table[keep].reset_index(drop=True)


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


def union(masks: list[np.ndarray], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The union of some masks, empty where there are none."""
    return np.any(masks, axis=0) if masks else np.zeros(shape, dtype=bool)


def mass_outlines(
    xml_path: Path, shape: tuple[int, int], problems: list[Problem] | None = None
) -> list[Float[np.ndarray, "n 2"]]:
    """The mass outlines in one XML file, each as (x, y) points in pixels; none when there is no file.

    ROIs of other names (calcifications, points) are no masses, and neither is an outline of one or two
    points, which encloses nothing; such an outline is left out and, if a list is given, reported there.

    Raises:
        DataError: If the file is no outline file, or an outline lies outside the image.
    """
    outlines = []
    for number, roi in enumerate(_rois(xml_path)):
        if str(roi.get("Name", "")).strip().casefold() not in MASS_NAMES:
            continue
        points = _points(xml_path, number, roi)
        if len(points) < 3:
            if problems is not None:
                problems.append(
                    Problem(str(xml_path), "excluded", f"ROI {number}: a mass of {len(points)} point(s)")
                )
            continue
        (x_max, y_max), (x_min, y_min) = points.max(0), points.min(0)
        if min(x_min, y_min) < -EDGE or x_max > shape[1] + EDGE or y_max > shape[0] + EDGE:
            raise DataError(
                xml_path, f"ROI {number}: outline leaves the image of {shape[1]}x{shape[0]} pixels"
            )
        outlines.append(points)
    return outlines


def _xml_path(image_path: Path) -> Path:
    return image_path.parents[1] / "AllXML" / f"{image_path.name.split('_')[0]}.xml"


def _rois(path: Path) -> list[dict]:
    try:
        content = plistlib.loads(path.read_bytes())
        return [roi for image in content["Images"] for roi in image["ROIs"]]
    except FileNotFoundError:
        return []
    except Exception as error:  # expat, plistlib and missing keys all mean the same: not an outline file
        raise DataError(path, f"cannot be read as an outline file ({error!r})") from error


def _points(path: Path, number: int, roi: dict) -> np.ndarray:
    try:
        matches = [POINT.fullmatch(point.strip()) for point in roi["Point_px"]]
        points = np.array([(float(m[1]), float(m[2])) for m in matches]).reshape(-1, 2)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(path, f"ROI {number}: points cannot be read ({error!r})") from error
    if not np.isfinite(points).all():
        raise DataError(path, f"ROI {number}: a coordinate is not finite")
    return points


def _examine(metadata: dict[str, dict], path: Path) -> tuple[list[dict], list[Problem]]:
    """The record of one image, or none, and what was left out."""
    problems: list[Problem] = []
    try:
        return [_record(path, metadata, problems)], problems
    except DataError as error:
        return [], [*problems, Problem(error.path, "broken", error.reason)]


def _record(path: Path, metadata: dict[str, dict], problems: list[Problem]) -> dict:
    name = FILE_NAME.fullmatch(path.name)
    if name is None:
        raise DataError(path, "file name is not <image>_<patient>_MG_<side>_<view>_ANON.dcm")
    header = read_header(path)
    shape = (header.height, header.width)
    outlines = mass_outlines(_xml_path(path), shape, problems)
    mask = union([polygon2mask(shape, outline[:, ::-1]) for outline in outlines], shape)
    known = metadata.get(name["id"], {})
    return {
        "sample_id": name["id"],
        "patient_id": name["patient"],
        "image_path": str(path),
        "laterality": name["laterality"],
        "view": VIEWS.get(name["view"], name["view"]),
        "acr_density": known.get("ACR", pd.NA),
        "birads": known.get("Bi-Rads", pd.NA),
        "pathology": pd.NA,  # the release has no biopsy results
        "n_masses": len(outlines),
        "mass_fraction": float(mask.mean()),
        "split": pd.NA,
    }


def _metadata(root: Path, problems: list[Problem]) -> pd.DataFrame:
    """ACR density and BI-RADS by image id, from the CSV or, failing that, the Excel file."""
    csv, xls = root / "INbreast.csv", root / "INbreast.xls"
    try:
        if csv.exists():
            table = pd.read_csv(csv, sep=";", dtype=str, encoding="utf-8-sig")
        elif xls.exists():
            table = pd.read_excel(xls, dtype=str, engine="calamine")
        else:
            problems.append(
                Problem(str(root), "excluded", "no INbreast.csv or .xls: density and BI-RADS are unknown")
            )
            return pd.DataFrame(columns=["ACR", "Bi-Rads"])
        table = table[["File Name", "ACR", "Bi-Rads"]].dropna(subset="File Name")
    except Exception as error:  # pandas, calamine and missing columns: the table cannot be used
        raise DataError(
            csv if csv.exists() else xls, f"cannot be read as the INbreast table ({error})"
        ) from error
    table.index = table.pop("File Name").str.strip().str.removesuffix(".0")
    table = table.apply(lambda column: column.str.strip()).replace("", pd.NA)
    table["ACR"] = table["ACR"].map(_acr, na_action="ignore").astype("Int64")
    return table[~table.index.duplicated()]


def _acr(value: str) -> int | None:
    number = float(value) if re.fullmatch(r"[0-9.]+", value) else math.nan
    return int(number) if number in (1, 2, 3, 4) else None
