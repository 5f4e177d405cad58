"""Small whole sources, one entry each: what is broken in them is up to the suites of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mammoseg_lib.datasets import DataError, Problem
from mammoseg_lib.datasets.folder.layout import write_table
from mammoseg_lib.sources import Source
from tests.release import HEADER, cbis_row, write_cbis_table, write_dicom, write_outlines

SHAPE = (32, 24)
SQUARE = [(5, 8), (15, 8), (15, 20), (5, 20)]  # (x, y)
SMALL = [(12, 15), (20, 15), (20, 25), (12, 25)]


@dataclass(frozen=True)
class Small:
    """A source of a few tiny images.

    Attributes:
        name: What it is called here.
        source: Key of `SOURCES`.
        write: Writes it into a folder.
        files: By kind, one file of the source and the ids of the samples that are made from it; None stands
            for all samples, as for a table.
    """

    name: str
    source: str
    write: Callable[[Path], object]
    files: dict[str, tuple[str, frozenset[str] | None]]


def read(name: str, root: Path) -> tuple[dict[str, tuple], list[Problem]]:
    """All samples of a source by id, as comparable bytes, with their spacing, and all problems.

    Warnings are ignored, as they are in commands: one that is raised must not stand in for an error.

    Raises:
        DataError: If the source as a whole cannot be used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _read(Source(SMALL_SOURCES[name].source, root, real=True))


def _read(source: Source) -> tuple[dict[str, tuple], list[Problem]]:
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
    """Images of one's own as PNG, DICOM and TIFF, with one mask and with none."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    rows = []
    for name, suffix in (("a", ".png"), ("b", ".dcm"), ("c", ".tif")):
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


def write_cbis_ddsm(root: Path) -> None:
    """One film with a mass, one with two, of which one is swapped with its crop, and one of the test part."""
    rng = np.random.default_rng(0)
    for case, boxes in CBIS.items():
        write_dicom(root / case / "1.1" / "1.9" / "000000.dcm", rng.integers(400, 4096, SHAPE))
        for number, box in enumerate(boxes, 1):
            folder = root / f"{case}_{number}" / f"1.2.{number}" / f"1.3.{number}"
            names = ("000000.dcm", "000001.dcm")[:: 1 if number == 1 else -1]
            write_dicom(folder / names[0], rng.integers(400, 4096, (12, 12)))
            write_dicom(folder / names[1], lit(box) * 4095)
    write_cbis_tables(root)


def write_cbis_jpeg(root: Path) -> None:
    """The same masses in the layout of the JPEG edition, one series a case."""
    rng = np.random.default_rng(0)
    for k, boxes in enumerate(CBIS.values()):
        for number in range(len(boxes) + 1):
            folder = root / "jpeg" / (f"1.{k}.{number}" if number else f"1.{k}.9")
            folder.mkdir(parents=True)
            gray = rng.integers(40, 220, SHAPE).astype(np.uint8)
            if number:
                Image.fromarray(lit(boxes[number - 1]).astype(np.uint8) * 255).save(folder / "2-1.jpg")
                gray = gray[:12, :12]
            Image.fromarray(gray).save(folder / "1-1.jpg")
    (root / "csv").mkdir()
    write_cbis_tables(root / "csv", jpeg=True)


def write_cbis_tables(folder: Path, *, jpeg: bool = False) -> None:
    """The two tables of these films."""
    for part in ("Training", "Test"):
        rows = []
        for k, (case, boxes) in enumerate(CBIS.items()):
            for number in range(1, len(boxes) + 1):
                row = cbis_row(case, number)
                if jpeg:
                    row["image file path"] = f"{case}/1.1/1.{k}.9/000000.dcm"
                    for column in ("cropped image file path", "ROI mask file path"):
                        row[column] = f"{case}_{number}/1.2/1.{k}.{number}/000000.dcm\n"
                rows += [row] if f"-{part}_" in case else []
        name = {"Training": "train", "Test": "test"}[part]
        write_cbis_table(folder / f"mass_case_description_{name}_set.csv", rows)


def lit(box: tuple[slice, slice]) -> np.ndarray:
    """1 in a box, 0 elsewhere."""
    pixels = np.zeros(SHAPE, int)
    pixels[box] = 1
    return pixels


CBIS = {
    "Mass-Training_P_00001_LEFT_CC": [np.s_[8:16, 0:16]],
    "Mass-Training_P_00001_LEFT_MLO": [np.s_[8:16, 8:16], np.s_[16:24, 0:16]],
    "Mass-Test_P_00002_RIGHT_CC": [np.s_[16:24, 8:16]],
}
ONE, TWO, TESTED = CBIS

SMALL_SOURCES = {
    small.name: small
    for small in (
        Small(
            "inbreast",
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
            "folder",
            write_folder,
            {
                "picture": ("images/a.png", frozenset({"a"})),
                "dicom": ("images/b.dcm", frozenset({"b"})),
                "tiff": ("images/c.tif", frozenset({"c"})),
                "mask": ("masks/a.png", frozenset({"a"})),
                "table": ("samples.csv", None),
            },
        ),
        Small(
            "cbis_ddsm",
            "cbis_ddsm",
            write_cbis_ddsm,
            {
                "image": (f"{ONE}/1.1/1.9/000000.dcm", frozenset({ONE})),
                "mask": (f"{ONE}_1/1.2.1/1.3.1/000001.dcm", frozenset({ONE})),
                "swapped mask": (f"{TWO}_2/1.2.2/1.3.2/000000.dcm", frozenset({TWO})),
                "table": ("mass_case_description_train_set.csv", None),
            },
        ),
        Small(
            "cbis_ddsm as JPEG",
            "cbis_ddsm",
            write_cbis_jpeg,
            {
                "image": ("jpeg/1.0.9/1-1.jpg", frozenset({ONE})),
                "mask": ("jpeg/1.1.2/2-1.jpg", frozenset({TWO})),
            },
        ),
    )
}
