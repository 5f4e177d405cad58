"""Phantom data sets: their bytes, their layout, and how close their numbers are to the real ones."""

from __future__ import annotations

import hashlib
import plistlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy.stats import ks_2samp

from mammoseg_lib.datasets import busi, inbreast
from mammoseg_lib.datasets.sample import Sample
from mammoseg_lib.phantoms import inbreast as phantoms_like_inbreast
from mammoseg_lib.phantoms import writing
from mammoseg_lib.phantoms.mammogram import Lesion, Mammogram, draw_mammogram
from mammoseg_lib.phantoms.population import POPULATIONS
from mammoseg_lib.phantoms.textures import (
    lesion_outline,
    polygon_area,
    polygon_mask,
    power_law_noise,
)
from mammoseg_lib.preprocessing import breast_mask
from mammoseg_lib.sources import SOURCES, Source, open_source
from tests.release import write_phantoms

IMAGES = 107  # with a mass, as in INbreast


@pytest.fixture(scope="module")
def mammograms(tmp_path_factory) -> Path:
    return write_phantoms("inbreast", tmp_path_factory.mktemp("in") / inbreast.FOLDER, IMAGES, 256, seed=1)


@pytest.fixture(scope="module")
def ultrasound(tmp_path_factory) -> Path:
    return write_phantoms("busi", tmp_path_factory.mktemp("bu") / busi.FOLDER, 150, 128, seed=1)


def content(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(name, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "THREADS", 1)
    first = content(write_phantoms(name, tmp_path / "first", 12, 64, seed=3))
    assert content(write_phantoms(name, tmp_path / "again", 12, 64, seed=3)) == first
    monkeypatch.setattr(writing, "THREADS", 3)
    assert content(write_phantoms(name, tmp_path / "threads", 12, 64, seed=3)) == first
    other = content(write_phantoms(name, tmp_path / "other", 12, 64, seed=4))
    images = [path for path in first if path.endswith((".dcm", ".png")) and "mask" not in path]
    assert images
    assert not {first[path] for path in images} & set(other.values())


def test_a_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def fails(*args):
        calls.append(args)
        if len(calls) == 5:
            raise OSError("disk full")
        return draw_mammogram(*args)

    monkeypatch.setattr(phantoms_like_inbreast, "draw_mammogram", fails)
    with pytest.raises(OSError, match="disk full"):
        write_phantoms("inbreast", tmp_path / "release", 10, 64)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SOURCES)
def test_refuses_to_overwrite_and_to_write_nothing(name, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="new folder"):
        write_phantoms(name, tmp_path / "there", 4, 64)
    with pytest.raises(ValueError, match="at least 1 image"):
        write_phantoms(name, tmp_path / "new", 0, 64)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_masses_of_the_easy_population_are_larger_and_stand_out_and_all_else_is_as_in_the_other(
    name, tmp_path
):
    areas, contrasts, tables = {}, {}, {}
    for population in POPULATIONS:
        root = write_phantoms(name, tmp_path / population, 40, 128, seed=2, population=population)
        source = Source(name, root, real=False)
        table = source.index(with_masses=True)
        samples = [source.load(row) for _, row in table.iterrows()]
        areas[population] = np.array([sample.mask.mean() for sample in samples])
        contrasts[population] = np.array([abs(_contrast(sample)) for sample in samples])
        tables[population] = table
    same = ["sample_id", "patient_id", "laterality", "view", "acr_density", "pathology", "n_masses"]
    assert tables["easy"][same].equals(tables["realistic"][same])
    if name == "busi":
        # Tumors are large as they are; here none is small, and few so large that 002 omits them.
        assert np.mean(areas["easy"] < 0.1) > 0.85
    else:
        assert np.median(areas["easy"]) > 1.5 * np.median(areas["realistic"])
    assert areas["easy"].min() > 2 * areas["realistic"].min()
    assert np.median(contrasts["easy"]) > 1.3 * np.median(contrasts["realistic"])
    assert contrasts["easy"].min() > 0


def _contrast(sample: Sample) -> float:
    """By how much the masses are brighter than the ring around them, as a part of what the ring is."""
    near = cv2.dilate(sample.mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    around = cv2.dilate(sample.mask.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool) & ~near
    around &= sample.image > 0.05
    return sample.image[sample.mask].mean() / sample.image[around].mean() - 1


def test_a_population_that_does_not_exist_is_refused_and_no_folder_made(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="population='eazy' is not one of 'realistic', 'easy'"):
        open_source("busi", phantoms=True, n_images=4, size=48, population="eazy")
    assert list(tmp_path.iterdir()) == []


def test_each_population_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    monkeypatch.delenv("MAMMOSEG_DATA", raising=False)
    plain = open_source("busi", n_images=4, size=48)
    assert open_source("busi", n_images=4, size=48, population="realistic") == plain
    easy = open_source("busi", n_images=4, size=48, population="easy")
    assert content(easy.root) != content(plain.root)


@pytest.mark.parametrize("n_images", [1, 2, 3, 7])
def test_small_sets_are_complete(n_images, tmp_path):
    table, problems = inbreast.scan(write_phantoms("inbreast", tmp_path / "in", n_images, 48))
    assert problems == []
    assert (table["n_masses"] > 0).sum() == n_images
    # However small the picture, no mass slips between its pixels.
    assert (table["mass_fraction"] > 0).sum() == n_images
    table, problems = busi.scan(write_phantoms("busi", tmp_path / "bu", n_images, 48))
    assert problems == []
    assert len(table) == n_images


def test_inbreast_counts_are_those_of_the_release(mammograms):
    table, problems = inbreast.scan(mammograms)
    assert problems == []
    masses = inbreast.select(table, with_masses=True)
    assert (len(masses), len(table) - len(masses)) == (IMAGES, 21)
    assert Counter(masses["view"]) == {"CC": 54, "MLO": 53}
    assert set(masses["laterality"]) == {"L", "R"}
    assert masses["n_masses"].sum() == 116
    assert Counter(masses["n_masses"]) == {1: 98, 2: 9}
    assert masses["patient_id"].nunique() == 50
    assert set(table["patient_id"]) == set(masses["patient_id"])
    for acr, expected in {1: 42, 2: 36, 3: 21, 4: 8}.items():
        assert abs((masses["acr_density"] == acr).sum() - expected) <= 3
    assert table["birads"].notna().all()
    # Density belongs to the patient.
    assert table.groupby("patient_id")["acr_density"].nunique().max() == 1


def test_some_masses_overlap_and_others_of_the_same_image_do_not(mammograms):
    table = inbreast.index(mammograms)
    together = []
    for row in table[table["n_masses"] == 2].itertuples():
        shape = inbreast.read_header(Path(row.image_path))
        first, second = inbreast.mass_masks(Path(row.image_path), (shape.height, shape.width))
        together.append(bool((first & second).any()))
    assert 1 <= sum(together) < len(together)


def test_masses_lie_in_the_breast_and_shine(mammograms):
    brighter = 0
    for _, row in inbreast.index(mammograms, with_masses=True).iterrows():
        sample = inbreast.load(row)
        assert sample.mask.any()
        assert (sample.image[sample.mask] > 0).all()
        # The frame outside the breast is exactly black, as in the release.
        assert (sample.image[~breast_mask(sample.image)] == 0).mean() > 0.98
        ring = cv2.dilate(sample.mask.astype(np.uint8), np.ones((9, 9))).astype(bool) & ~sample.mask
        brighter += sample.image[sample.mask].mean() > sample.image[ring & (sample.image > 0)].mean()
    assert brighter > 0.9 * IMAGES


def test_right_breasts_are_at_the_right_edge(mammograms):
    for _, row in inbreast.index(mammograms).head(20).iterrows():
        columns = inbreast.load(row).image.mean(0)
        half = len(columns) // 2
        assert (columns[half:].sum() > columns[:half].sum()) == (row["laterality"] == "R")


def test_both_views_of_a_breast_show_a_mass_of_much_the_same_size(mammograms):
    table = inbreast.index(mammograms, with_masses=True)
    table["area"] = [
        float(s.mask.sum() * s.spacing_mm**2) for _, r in table.iterrows() for s in [inbreast.load(r)]
    ]
    pairs = table[table["n_masses"] == 1].pivot_table(
        index=["patient_id", "laterality"], columns="view", values="area"
    )
    pairs = np.log(pairs.dropna().astype(float))
    assert len(pairs) > 25
    assert np.corrcoef(pairs["CC"], pairs["MLO"])[0, 1] > 0.9


def test_a_breast_has_its_real_size_at_every_image_size(tmp_path):
    areas = []
    for size in (96, 384):
        table = inbreast.index(write_phantoms("inbreast", tmp_path / str(size), 3, size))
        samples = [inbreast.load(row) for _, row in table.iterrows()]
        areas.append([(s.image > 0).sum() * s.spacing_mm**2 / 100 for s in samples])
    assert np.allclose(areas[0], areas[1], rtol=0.1)
    assert 30 < np.mean(areas) < 400  # square centimeters


def test_dicom_files_are_valid_and_name_no_patient(mammograms):
    seen = set()
    for path in sorted(mammograms.glob("AllDICOMs/*.dcm"))[:20]:
        data = pydicom.dcmread(path)
        assert data.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert (data.Modality, data.PhotometricInterpretation) == ("MG", "MONOCHROME2")
        assert data.Manufacturer == data.SeriesDescription == str(data.PatientName) == "PHANTOM"
        assert data.PatientID == path.name.split("_")[1]
        assert data.pixel_array.max() < 2**data.BitsStored
        assert len(data.PixelData) == 2 * data.Rows * data.Columns
        patient = {element.keyword for element in data if element.tag.group == 0x0010}
        assert patient == {"PatientName", "PatientID"}
        assert not [element.keyword for element in data if element.VR in ("DA", "TM", "DT")]
        seen.add(data.SOPInstanceUID)
    assert len(seen) == 20


def test_outline_files_hold_what_the_release_holds(mammograms):
    names = Counter()
    for path in mammograms.glob("AllXML/*.xml"):
        (image,) = plistlib.loads(path.read_bytes())["Images"]
        assert image["NumberOfROIs"] == len(image["ROIs"])
        for roi in image["ROIs"]:
            names[roi["Name"]] += 1
            assert roi["NumberOfPoints"] == len(roi["Point_px"]) == len(roi["Point_mm"])
            assert roi["Min"] <= roi["Mean"] <= roi["Max"]
    assert names["Mass"] == 116
    assert names["Calcification"] > 20
    assert names["Point 1"] > 10
    without = inbreast.index(mammograms, with_masses=False)["sample_id"]
    files = {path.stem for path in mammograms.glob("AllXML/*.xml")}
    # Of the images without a mass some have an outline file all the same, and some have none.
    assert 0 < len(files & set(without)) < len(without)


def spectral_slope(patch: np.ndarray) -> float:
    """The exponent of the radially averaged power spectrum, by a straight line in log-log."""
    window = np.outer(np.hanning(len(patch)), np.hanning(len(patch)))
    power = np.abs(np.fft.fftshift(np.fft.fft2((patch - patch.mean()) * window))) ** 2
    half = len(patch) // 2
    ring = np.hypot(*np.mgrid[-half:half, -half:half]).round().astype(int).ravel()
    profile = np.bincount(ring, power.ravel()) / np.bincount(ring)
    rings = np.arange(3, half // 2)
    return -np.polyfit(np.log(rings), np.log(profile[rings]), 1)[0]


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_noise_has_the_spectrum_it_is_asked_for(exponent):
    rng = np.random.default_rng(0)
    slopes = [spectral_slope(power_law_noise(rng, (128, 128), exponent)) for _ in range(12)]
    assert np.mean(slopes) == pytest.approx(exponent, abs=0.15)


def test_the_spectrum_of_tissue_falls_with_an_exponent_of_about_3():
    slopes = []
    for number in range(12):
        case = Mammogram("L", "CC", 1 + number % 4, 0, (0.75, 0.95))
        pixels = draw_mammogram(case, 768, np.random.default_rng(number)).pixels.astype(float)
        slopes.append(spectral_slope(pixels[320:448, 100:228]))
    assert 2.6 < np.mean(slopes) < 3.4


def test_the_same_mass_is_harder_to_tell_apart_in_a_dense_breast():
    def as_bright(acr: int, seed: int) -> float:
        """The part of the breast outside the mass that is brighter than half of the mass."""
        lesion = Lesion("lobulated", 250.0, 500.0, 0.8, 1.0, 0.5, 0.5)
        case = Mammogram("L", "CC", acr, 0, (0.6, 0.9), (lesion,))
        drawn = draw_mammogram(case, 256, np.random.default_rng(seed))
        mask = polygon_mask(drawn.pixels.shape, drawn.outlines[0])
        rest = (drawn.pixels > 0) & ~mask
        return (drawn.pixels[rest] > np.median(drawn.pixels[mask])).mean()

    fatty, dense = (np.mean([as_bright(acr, seed) for seed in range(8)]) for acr in (1, 4))
    assert 0 < 2 * fatty < dense < 0.3


@pytest.mark.parametrize("kind", ["round", "lobulated", "irregular", "spiculated"])
def test_outlines_enclose_an_area_of_one_and_grow_ragged(kind):
    rng = np.random.default_rng(0)
    outlines = [lesion_outline(rng, kind, 1.3) for _ in range(20)]
    assert np.allclose([polygon_area(outline) for outline in outlines], 1)
    length = [np.hypot(*(np.roll(outline, -1, 0) - outline).T).sum() for outline in outlines]
    roundness = 4 * np.pi / np.square(length).mean()  # 1 for a disc
    low, high = {
        "round": (0.9, 1.0),
        "lobulated": (0.75, 0.97),
        "irregular": (0.4, 0.9),
        "spiculated": (0.15, 0.6),
    }[kind]
    assert low < roundness < high


def test_busi_layout_and_proportions(ultrasound):
    table, problems = busi.scan(ultrasound)
    assert problems == []
    assert Counter(table["pathology"]) == {"benign": 84, "malignant": 40, "normal": 26}
    assert set(table["n_masses"][table["pathology"] == "normal"]) == {0}
    assert set(table["n_masses"][table["pathology"] != "normal"]) == {1, 2}
    several = table[table["n_masses"] == 2]
    assert 1 <= len(several) <= 6
    modes = {True: set(), False: set()}
    for path in ultrasound.glob("*/*.png"):
        with Image.open(path) as image:
            modes["_mask" in path.name].add(image.mode)
            assert image.info == {}  # no dates, no comments
    assert modes == {True: {"1", "L", "RGB", "RGBA"}, False: {"L", "RGB"}}


def test_busi_tumors_are_darker_than_what_is_around_them(ultrasound):
    darker = []
    for _, row in busi.index(ultrasound, with_masses=True).iterrows():
        sample = busi.load(row)
        assert max(sample.image.shape) == 128
        ring = cv2.dilate(sample.mask.astype(np.uint8), np.ones((9, 9))).astype(bool) & ~sample.mask
        darker.append(sample.image[sample.mask].mean() < sample.image[ring].mean())
    assert np.mean(darker) > 0.9


def test_busi_tumor_areas_follow_the_release(ultrasound):
    fraction = busi.index(ultrasound, with_masses=True)["mass_fraction"].to_numpy(float)
    assert (fraction < 0.10).mean() == pytest.approx(425 / 647, abs=0.06)
    assert (fraction < 0.05).mean() == pytest.approx(291 / 647, abs=0.06)


def test_busi_tumor_areas_are_close_to_the_real_ones(ultrasound, real_busi):
    ours, real = (
        busi.index(root, with_masses=True)["mass_fraction"].to_numpy(float)
        for root in (ultrasound, real_busi)
    )
    assert ks_2samp(ours, real).statistic <= 0.15


def test_mass_fractions_are_close_to_the_real_ones(mammograms, real_inbreast):
    """Of the whole frame, and of the box around the breast, on which the papers' numbers rest."""

    def fractions(root: Path) -> np.ndarray:
        values = []
        for _, row in inbreast.index(root, with_masses=True).iterrows():
            sample = inbreast.load(row)
            _, _, width, height = cv2.boundingRect(breast_mask(sample.image).astype(np.uint8))
            values.append((sample.mask.mean(), sample.mask.sum() / (width * height)))
        return np.array(values).T

    for ours, real in zip(fractions(mammograms), fractions(real_inbreast), strict=True):
        assert ks_2samp(ours, real).statistic <= 0.2
