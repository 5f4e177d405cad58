"""Small whole sources, one entry each: what is broken in them is up to the suites of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mammoseg_lib.datasets import DataError, Problem, Source
from mammoseg_lib.datasets.folder_layout import write_table
from tests.release import HEADER, write_dicom, write_outlines

SHAPE = (32, 24)
SQUARE = [(5, 8), (15, 8), (15, 20), (5, 20)]  # (x, y)
SMALL = [(12, 15), (20, 15), (20, 25), (12, 25)]


@dataclass(frozen=True)
class Small:
    """A source of a few tiny images.

    Attributes:
        name: Key of `SOURCES`.
        write: Writes it into a folder.
        files: By kind, one file of the source and the ids of the samples that are made from it; None stands
            for all samples, as for a table.
    """

    name: str
    write: Callable[[Path], object]
    files: dict[str, tuple[str, frozenset[str] | None]]


def read(name: str, root: Path) -> tuple[dict[str, tuple], list[Problem]]:
    """All samples of a source by id, as comparable bytes, with their density, and all problems.

    Raises:
        DataError: If the source as a whole cannot be used.
    """
    source = Source(name, root, real=True)
    table, problems = source.scan()
    samples = {}
    for _, row in table.iterrows():
        try:
            sample = source.load(row)
        except DataError as error:
            problems.append(Problem.broken(error))
            continue
        assert sample.image.dtype == np.float32
        assert sample.image.shape == sample.mask.shape
        assert np.isfinite(sample.image).all()
        assert sample.image.min() >= 0
        assert sample.image.max() <= 1
        assert sample.spacing_mm is None or 0 < sample.spacing_mm < np.inf
        samples[row["sample_id"]] = (sample.image.tobytes(), sample.mask.tobytes(), sample.spacing_mm)
    return samples, problems


def write_inbreast(root: Path) -> None:
    """One image with a mass, one with two, one with another finding, one without any."""
    rng, rows = np.random.default_rng(0), [HEADER]
    images = {
        "100_aa": [("Mass", SQUARE)],
        "101_aa": [("Mass", SQUARE), ("Mass", SMALL)],
        "102_bb": [("Calcification", SMALL), ("Point 1", [(3, 3)])],
        "103_cc": [],
    }
    for name, rois in images.items():
        number = name.split("_")[0]
        write_dicom(root / "AllDICOMs" / f"{name}_MG_L_ML_ANON.dcm", rng.integers(0, 4096, SHAPE))
        if rois:
            write_outlines(root / "AllXML" / f"{number}.xml", rois)
        rows.append(f"removed;removed;L;MLO;201001;{number};2;{'4a' if rois else '1'}")
    (root / "INbreast.csv").write_text("\r\n".join(rows) + "\r\n")


def write_busi(root: Path) -> None:
    """Benign with one mask and with two, malignant with a color mask, normal."""
    rng = np.random.default_rng(0)
    masks = {
        "benign (1)": [("1", np.s_[4:12, 5:15])],
        "benign (2)": [("L", np.s_[4:12, 5:15]), ("1", np.s_[20:26, 10:20])],
        "malignant (1)": [("RGBA", np.s_[6:20, 3:18])],
        "normal (1)": [("RGB", np.s_[0:0, 0:0])],
    }
    for name, files in masks.items():
        folder = root / name.split(" ")[0]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, SHAPE, dtype=np.uint8)).save(folder / f"{name}.png")
        for number, (mode, box) in enumerate(files):
            mask = np.zeros(SHAPE, np.uint8)
            mask[box] = 255
            suffix = f"_{number}" if number else ""
            Image.fromarray(mask).convert(mode).save(folder / f"{name}_mask{suffix}.png")


def write_folder(root: Path) -> None:
    """Images of one's own as PNG and DICOM, with one mask and with none."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    rows = []
    for name, suffix in (("a", ".png"), ("b", ".dcm"), ("c", ".png")):
        path = root / "images" / f"{name}{suffix}"
        if suffix == ".dcm":
            write_dicom(path, rng.integers(0, 4096, SHAPE))
        else:
            Image.fromarray(rng.integers(0, 256, SHAPE, dtype=np.uint8)).save(path)
        row = {"sample_id": name, "patient_id": name, "image_path": f"images/{path.name}"}
        if name != "c":
            mask = np.zeros(SHAPE, np.uint8)
            mask[4:12, 5:15] = 255
            Image.fromarray(mask).save(root / "masks" / f"{name}.png")
            row["mask_path"] = f"masks/{name}.png"
        rows.append(row)
    write_table(root, rows)


SMALL_SOURCES = {
    small.name: small
    for small in (
        Small(
            "inbreast",
            write_inbreast,
            {
                "dicom": ("AllDICOMs/100_aa_MG_L_ML_ANON.dcm", frozenset({"100"})),
                "outlines": ("AllXML/101.xml", frozenset({"101"})),
                "table": ("INbreast.csv", None),
            },
        ),
        Small(
            "busi",
            write_busi,
            {
                "picture": ("benign/benign (1).png", frozenset({"benign (1)"})),
                "mask": ("benign/benign (2)_mask.png", frozenset({"benign (2)"})),
                "second mask": ("benign/benign (2)_mask_1.png", frozenset({"benign (2)"})),
            },
        ),
        Small(
            "folder",
            write_folder,
            {
                "picture": ("images/a.png", frozenset({"a"})),
                "dicom": ("images/b.dcm", frozenset({"b"})),
                "mask": ("masks/a.png", frozenset({"a"})),
                "table": ("samples.csv", None),
            },
        ),
    )
}
