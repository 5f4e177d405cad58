from __future__ import annotations

import math
import os
import shutil
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
from PIL import Image

from mammoseg_lib import paths
from mammoseg_lib.check import check_source
from mammoseg_lib.datasets import DataError, Sample, inbreast
from mammoseg_lib.datasets.folder.layout import write_table
from mammoseg_lib.phantoms.mammogram import Mammogram, draw_mammogram
from mammoseg_lib.preprocessing import (
    Preprocessing,
    breast_mask,
    cache,
    crop_and_window,
    prepare,
    prepare_sample,
    prepared_key,
    without_frame,
)
from mammoseg_lib.sources import Source, open_source
from mammoseg_lib.splits import make_split, patients, shared_duplicates
from tests.release import SQUARE, write_inbreast, write_phantoms


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))


@pytest.fixture
def sample():
    """A breast of 40x20 pixels at the left of a 60x50 frame, a mass of 8x4, a marker of 3x3 at the right."""
    image, mask = np.zeros((60, 50), np.float32), np.zeros((60, 50), bool)
    image[10:50, :20] = np.linspace(0.2, 0.8, 20)
    image[2:5, 44:47] = 1
    mask[20:28, 8:12] = True
    return Sample(image, mask, 0.1)


def _source(tmp_path, n=6):
    images = {f"{100 + i}_{i:02x}": [("Mass", [(x + i, y) for x, y in SQUARE])] for i in range(n)}
    return Source("inbreast", write_inbreast(tmp_path / "release", images), real=True)


def test_the_breast_is_the_largest_bright_region_not_the_marker(sample):
    mask = breast_mask(sample.image)
    assert mask[10:50, :20].all()
    assert not mask[:, 25:].any()


def test_crop_keeps_the_breast_and_stretch_changes_the_spacing(sample):
    prepared = prepare_sample(sample, Preprocessing(size=40, window=None))
    rows, columns = (breast_mask(sample.image).any(axis) for axis in (1, 0))
    height, width = rows.sum(), columns.sum()
    assert abs(height - 40) <= 2
    assert abs(width - 20) <= 1
    np.testing.assert_allclose(prepared.spacing_mm, [0.1 * height / 40, 0.1 * width / 40], rtol=1e-6)
    # The mass covers the same share of the breast's box before and after.
    assert prepared.mask.mean() == pytest.approx(8 * 4 / (height * width), rel=0.15)


def test_the_whole_frame_keeps_the_mass_fraction_of_the_frame(sample):
    prepared = prepare_sample(sample, Preprocessing(size=100, crop="none", window=None))
    assert prepared.mask.mean() == pytest.approx(sample.mask.mean(), rel=0.1)


def test_pad_keeps_the_aspect(sample):
    prepared = prepare_sample(sample, Preprocessing(size=60, crop="none", resize="pad", window=None))
    np.testing.assert_array_equal(prepared.mask[:, :50], sample.mask)
    assert not prepared.mask[:, 50:].any()
    np.testing.assert_allclose(prepared.image[:, :50], sample.image, atol=1e-6)
    np.testing.assert_allclose(prepared.spacing_mm, [0.1, 0.1])


def test_the_window_maps_percentiles_of_the_breast_to_zero_and_one(sample):
    prepared = prepare_sample(sample, Preprocessing(size=40, window=(10.0, 90.0)))
    assert prepared.image.min() == 0
    assert prepared.image.max() == 1
    plain = prepare_sample(sample, Preprocessing(size=40, window=None))
    assert plain.image.max() < 0.85


def test_the_supplied_sigmoid_is_that_of_the_standard_on_the_breast(sample):
    breast = breast_mask(sample.image)
    low, high = np.percentile(sample.image[breast], (0.5, 99.5)).astype(float)
    center, width = (low + high) / 2, (high - low) / 2
    expected = [[1 / (1 + math.exp(-4 * (x - center) / width)) for x in row] for row in sample.image.tolist()]
    shown = crop_and_window(sample, Preprocessing(crop="none", window="sigmoid"))
    np.testing.assert_allclose(shown.image, expected, atol=1e-6)
    # The background is black and the ends of the window are where the docstring says.
    assert shown.image[sample.image == 0].max() < 0.018
    ends = shown.image[breast].min(), np.quantile(shown.image[breast], 0.995)
    assert ends[1] == pytest.approx(0.982, abs=0.002)
    # It depends on the breast alone: another marker, the same image of the breast.
    other = sample.image.copy()
    other[2:5, 44:47] = 0.3
    again = crop_and_window(Sample(other, sample.mask), Preprocessing(crop="none", window="sigmoid"))
    np.testing.assert_array_equal(again.image[10:50], shown.image[10:50])


def test_the_setting_of_003_keeps_the_aspect_of_image_and_mask():
    image, mask = np.zeros((1024, 768), np.float32), np.zeros((1024, 768), bool)
    image[100:900, :500] = 0.3  # the breast: 800 by 500
    image[300:540, 100:260] = 0.9  # a mass: 240 by 160
    mask[300:540, 100:260] = True
    setting = Preprocessing(size=512, crop="none", resize="pad", window="sigmoid")
    prepared = prepare_sample(Sample(image, mask, 0.1), setting)
    for lit, box in (
        (prepared.image > 0.9, np.s_[150:270, 50:130]),
        (prepared.mask, np.s_[150:270, 50:130]),
        (prepared.image > 0.015, np.s_[50:450, :250]),
    ):
        expected = np.zeros((512, 512), bool)
        expected[box] = True
        np.testing.assert_array_equal(lit, expected)
    assert not prepared.image[:, 384:].any()  # the frame is 384 wide, the rest is filled up
    np.testing.assert_allclose(prepared.spacing_mm, 0.2, rtol=1e-6)


def test_a_blank_image_has_a_sigmoid_too():
    prepared = prepare_sample(
        Sample(np.zeros((20, 20), np.float32), np.eye(20, dtype=bool)),
        Preprocessing(size=20, window="sigmoid"),
    )
    assert np.isfinite(prepared.image).all()


@pytest.fixture(scope="module")
def mammogram():
    drawn = draw_mammogram(Mammogram("L", "MLO", 2, 0, (0.5, 0.9)), 128, np.random.default_rng(0))
    return (drawn.pixels / 16383).astype(np.float32)


def framed(image, depth, value, sides="tblr"):
    burned = image.copy()
    for side, line in {
        "t": np.s_[:depth],
        "b": np.s_[-depth:],
        "l": np.s_[:, :depth],
        "r": np.s_[:, -depth:],
    }.items():
        if side in sides:
            burned[line] = value
    return burned


@pytest.mark.parametrize("sides", ["tblr", "l", "tb", "r"])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("value", [0.05, 1.0])
def test_a_burned_in_frame_is_removed_before_the_breast_is_looked_for(mammogram, sides, depth, value):
    burned = framed(mammogram, depth, value, sides)
    np.testing.assert_array_equal(without_frame(burned), framed(mammogram, depth, 0, sides))
    clean, mask = framed(mammogram, depth, 0, sides), np.zeros(mammogram.shape, bool)
    for settings in (Preprocessing(size=64), Preprocessing(size=64, crop="none", window="sigmoid")):
        found, wanted = (prepare_sample(Sample(image, mask), settings) for image in (burned, clean))
        np.testing.assert_array_equal(found.image, wanted.image)


def test_with_a_frame_left_in_the_breast_would_be_the_whole_picture(mammogram):
    burned = framed(mammogram, 1, 1.0)
    assert breast_mask(burned).any(0).all()
    assert breast_mask(without_frame(burned)).any(0).mean() < 0.8


@pytest.mark.parametrize("shape", [(40, 40), (3, 3), (1, 5)])
def test_an_even_image_has_no_frame(shape):
    for value in (0, 0.5, 1):
        image = np.full(shape, value, np.float32)
        assert without_frame(image) is image


def test_tissue_at_the_edge_is_no_frame(mammogram):
    assert without_frame(mammogram) is mammogram
    full = mammogram + np.float32(0.2)  # fog: the edge is bright all along, but not of one gray value
    full[:, 0] *= np.linspace(1, 1.3, len(full), dtype=np.float32)
    np.testing.assert_array_equal(without_frame(full)[:, 0], full[:, 0])


def test_a_mass_too_small_to_fill_a_pixel_is_not_lost():
    mask = np.zeros((100, 100), bool)
    mask[33, 47] = True
    prepared = prepare_sample(Sample(np.ones((100, 100), np.float32), mask), Preprocessing(size=10))
    assert np.argwhere(prepared.mask).tolist() == [[3, 4]]
    assert np.isnan(prepared.spacing_mm).all()


def test_a_blank_image_is_kept_whole():
    prepared = prepare_sample(
        Sample(np.zeros((20, 20), np.float32), np.eye(20, dtype=bool)), Preprocessing(size=20)
    )
    assert prepared.mask.sum() == 20
    assert np.isfinite(prepared.image).all()


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="size is positive"):
        Preprocessing(size=0)


@pytest.mark.parametrize("window", ["siemens", "", (99.5, 0.5), (1.0, 1.0), (-1.0, 50.0), (0.0, 101.0)])
def test_unknown_windows_are_refused(window):
    with pytest.raises(ValueError, match=r"two percentiles in rising order, 'sigmoid' or None; got"):
        Preprocessing(window=window)


def test_the_names_of_cached_folders_are_those_of_before():
    # The digest of the settings is part of a cached folder's name.
    assert asdict(Preprocessing()) == {
        "size": 256,
        "crop": "breast",
        "resize": "stretch",
        "window": (0.5, 99.5),
    }


def test_cache_is_filled_once_and_the_same_whatever_the_number_of_processes(tmp_path, monkeypatch):
    source = _source(tmp_path)
    one = prepare(source, Preprocessing(size=32), jobs=1)
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "other"))
    two = prepare(source, Preprocessing(size=32), jobs=2)
    assert one.key == two.key
    for name in ("images", "masks", "spacing_mm"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert isinstance(two.images, np.memmap)
    monkeypatch.setattr(cache, "_fill", lambda *args: pytest.fail("filled again"))
    again = prepare(source, Preprocessing(size=32))
    assert again.table.equals(two.table)
    assert again.table["image_path"].map(lambda p: p.startswith(str(source.root))).all()


def test_the_key_depends_on_settings_filters_and_content(tmp_path):
    source = _source(tmp_path)
    keys = [prepare(source, Preprocessing(size=32), jobs=1).key]
    keys.append(prepare(source, Preprocessing(size=33), jobs=1).key)
    keys.append(prepare(source, Preprocessing(size=32), jobs=1, with_masses=True).key)
    (source.root / "AllXML" / "100.xml").unlink()
    keys.append(prepare(source, Preprocessing(size=32), jobs=1).key)
    assert len(set(keys)) == 4


def test_a_file_that_cannot_be_read_is_left_out_and_named(tmp_path):
    source = _source(tmp_path)
    path = source.root / "AllDICOMs" / "102_02_MG_L_ML_ANON.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    prepared = prepare(source, Preprocessing(size=32), jobs=2)
    assert prepared.table["sample_id"].tolist() == ["100", "101", "103", "104", "105"]
    assert len(prepared.images) == len(prepared.masks) == 5
    assert [(p.kind, p.path) for p in prepared.problems] == [("broken", str(path))]
    alone = prepare_sample(inbreast.load(prepared.table.iloc[2]), Preprocessing(size=32))
    np.testing.assert_array_equal(prepared.masks[2], alone.mask)


def test_an_interrupted_fill_leaves_nothing_that_reads_as_complete(tmp_path, monkeypatch):
    source = _source(tmp_path)

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cache, "_prepare_row", interrupted)
        prepare(source, Preprocessing(size=32), jobs=1)
    filled = tmp_path / "home" / "data" / "cache"
    assert [p for p in filled.iterdir() if p.is_dir() and p.name != "fingerprints"] == []
    assert len(prepare(source, Preprocessing(size=32), jobs=1)) == 6


def test_prepared_images_are_read_without_the_images_they_came_from(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MAMMOSEG_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match="does not exist"):
        open_source("inbreast", phantoms=False)
    absent = open_source("inbreast", phantoms=False, absent=True)
    assert str(absent) == "inbreast: real images that are not on this machine"
    with pytest.raises(DataError, match=r"is not here, and data/cache holds none of it; see data/README\.md"):
        prepare(absent, Preprocessing(size=32))
    source = _source(tmp_path)
    here = prepare(source, Preprocessing(size=32), jobs=1, with_masses=True)
    shutil.rmtree(source.root)
    away = prepare(absent, Preprocessing(size=32), with_masses=True)
    assert caplog.messages == [
        f"the images of inbreast are not here: what was prepared from them is read from "
        f"data/cache/inbreast-{here.key}"
    ]
    assert away.key == here.key == prepared_key(absent, Preprocessing(size=32), with_masses=True)
    assert away.real
    np.testing.assert_array_equal(away.images, here.images)
    np.testing.assert_array_equal(away.masks, here.masks)
    assert away.table.drop(columns="image_path").equals(here.table.drop(columns="image_path"))
    for settings, filters in ((Preprocessing(size=33), {"with_masses": True}), (Preprocessing(size=32), {})):
        with pytest.raises(DataError, match="of the 1 sets in it none has these settings and this code"):
            prepare(absent, settings, **filters)
    monkeypatch.setattr(cache, "code_digest", lambda *objects: "other")
    with pytest.raises(DataError, match="none has these settings and this code"):
        prepare(absent, Preprocessing(size=32), with_masses=True)


def test_phantoms_are_never_read_in_place_of_real_images_that_are_not_here(tmp_path, monkeypatch):
    """Although they were prepared in the same way."""
    settings = Preprocessing(size=32)
    prepare(replace(_source(tmp_path), real=False), settings, jobs=1)
    absent = open_source("inbreast", tmp_path / "nowhere", phantoms=False, absent=True)
    with pytest.raises(DataError, match="holds none of it; of the 1 sets in it none has these settings"):
        prepare(absent, settings)
    write_phantoms("inbreast", tmp_path / "there" / "INbreast Release 1.0", n_images=2, size=32)
    monkeypatch.setenv("MAMMOSEG_DATA", str(tmp_path))
    with pytest.raises(DataError, match="there: set MAMMOSEG_DATA to that"):
        prepare(absent, settings)


def test_of_several_prepared_sets_without_images_the_newest_is_read(tmp_path):
    settings = Preprocessing(size=32)
    sources = [_source(tmp_path / name, n) for name, n in (("first", 5), ("second", 6), ("third", 7))]
    keys = [prepare(source, settings, jobs=1).key for source in sources]
    for age, key in enumerate((keys[1], keys[2], keys[0])):
        os.utime(tmp_path / "home" / "data" / "cache" / f"inbreast-{key}", (1e9 - age, 1e9 - age))
    absent = open_source("inbreast", tmp_path / "nowhere", phantoms=False, absent=True)
    assert prepare(absent, settings).key == keys[1]


def test_near_duplicates_are_kept_with_the_prepared_images(tmp_path):
    root = write_phantoms("busi", tmp_path / "busi", 12, 64)
    first, second = root / "benign" / "benign (1).png", root / "malignant" / "malignant (1).png"
    picture = np.asarray(Image.open(first).convert("L"))
    mask = np.zeros((80, 100), np.uint8)
    mask[10:30, 10:30] = 255
    Image.fromarray(picture).resize((100, 80)).point(lambda v: 20 + 0.7 * v).save(second)
    Image.fromarray(mask).save(second.with_name("malignant (1)_mask.png"))
    source = Source("busi", root, real=True)
    for size in (16, 64):
        prepared = prepare(source, Preprocessing(size=size, crop="none"), jobs=1, with_masses=True)
        assert prepared.duplicates == (("benign (1)", "malignant (1)"),)
        for fold in make_split(prepared).folds:
            assert shared_duplicates(prepared, fold) == []
    report = check_source(source)
    assert (report.same_pixels, report.duplicates) == ((), (("benign (1)", "malignant (1)"),))
    assert "the same picture: benign (1) ~ malignant (1) (benign, malignant)" in report.text()


def test_ids_that_look_like_missing_values_or_numbers_stay_text(tmp_path):
    names = ["NA", "null", "nan", "01", "None", "n/a", "1.0", "1e3", "True", "-", "a,b", 'say "no"', "é\tb"]
    rows = []
    for n, name in enumerate(names):
        pixels = np.random.default_rng(n).integers(1, 250, (32, 32)).astype(np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[8:16, 8:16] = 255
        for path, values in ((f"{n}.png", pixels), (f"{n}_mask.png", mask)):
            (tmp_path / "own").mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / "own" / path)
        rows.append({"sample_id": f"{name}.", "patient_id": name, "image_path": f"{n}.png",
                     "mask_path": f"{n}_mask.png", "split": name})  # fmt: skip
    write_table(tmp_path / "own", rows)
    source = open_source("folder", tmp_path / "own")
    prepared = prepare(source, Preprocessing(size=16, crop="none"), jobs=1)
    for table in (source.index(), prepared.table, check_source(source).table):
        assert sorted(table["patient_id"]) == sorted(names)
        assert table["sample_id"].tolist() == [f"{name}." for name in table["patient_id"]]
        assert table["split"].tolist() == table["patient_id"].tolist()
        assert patients(table).tolist() == table["patient_id"].tolist()


def test_open_source_says_what_it_took(tmp_path, monkeypatch):
    root = _source(tmp_path).root
    assert open_source("inbreast", root).root == root
    with pytest.raises(ValueError, match="no source is called 'ddsm'; there are 'inbreast', 'cbis_ddsm'"):
        open_source("ddsm")
    with pytest.raises(DataError, match="no such folder"):
        open_source("inbreast", tmp_path / "nowhere")
    monkeypatch.delenv("MAMMOSEG_DATA", raising=False)
    with pytest.raises(DataError, match="INbreast Release"):
        open_source("inbreast", phantoms=False)
    monkeypatch.setenv("MAMMOSEG_DATA", str(tmp_path / "mistyped"))
    with pytest.raises(DataError, match="mistyped: MAMMOSEG_DATA names a folder that does not exist"):
        open_source("inbreast")
    data = tmp_path / "data"
    data.mkdir()
    root.rename(data / inbreast.FOLDER)
    monkeypatch.setenv("MAMMOSEG_DATA", str(data))
    found = open_source("inbreast")
    assert found.real
    assert str(found) == "inbreast: real images in $MAMMOSEG_DATA/INbreast Release 1.0"


def test_no_real_image_has_a_frame(real_inbreast):
    for _, row in inbreast.index(real_inbreast).iterrows():
        image = inbreast.load(row).image
        assert without_frame(image) is image


def test_real_mass_fractions_are_those_the_paper_implies(real_inbreast):
    source = Source("inbreast", real_inbreast, real=True)
    breast = prepare(source, Preprocessing(), with_masses=True).masks.mean((1, 2))
    frame = prepare(source, Preprocessing(crop="none"), with_masses=True).masks.mean((1, 2))
    # The rows of 000 and 001 imply 2.39-2.63 %, which only the cropped images have.
    assert breast.mean() == pytest.approx(0.0254, abs=0.0010)
    assert np.median(breast) == pytest.approx(0.0122, abs=0.0005)
    assert frame.mean() == pytest.approx(0.0104, abs=0.0003)
    assert (breast > 0).all()


@pytest.mark.parametrize(("level", "noise"), [(40, 0), (40, 10), (40, 40), (100, 20), (20, 20)])
def test_a_background_that_is_raised_or_noisy_is_none_of_the_breast(level, noise):
    """Of 4095 gray values; the breast is that on a black background, to a pixel or two."""
    image = np.zeros((192, 160), np.float32)
    cv2.ellipse(image, (0, 90), (80, 70), 0, 0, 360, 0.3, -1)
    image = cv2.GaussianBlur(image, (0, 0), 2)
    background = level + noise * np.random.default_rng(0).standard_normal(image.shape)
    raised = (image + background.clip(0) / 4095).astype(np.float32)
    expected, found = (cv2.boundingRect(breast_mask(each).astype(np.uint8)) for each in (image, raised))
    assert expected[2:] < (96, 160)
    np.testing.assert_allclose(found, expected, atol=3)


@pytest.mark.parametrize("size", [(10, 24), (14, 40), (8, 60)])
def test_a_label_that_touches_the_breast_does_not_widen_it(size):
    image = np.zeros((192, 160), np.float32)
    cv2.ellipse(image, (0, 90), (80, 70), 0, 0, 360, 0.3, -1)
    before = breast_mask(image)
    height, width = size
    image[80 : 80 + height, 78 : 78 + width] = 1
    after = breast_mask(image)
    assert not after[:, 100:].any()  # a stump of less than the thickness of a label
    assert (after & before).sum() > 0.99 * before.sum()
    assert (before | after)[:, :80].sum() == before[:, :80].sum()


def test_a_source_of_which_nothing_can_be_prepared_says_why(tmp_path):
    source = _source(tmp_path, n=2)
    for path in (source.root / "AllDICOMs").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"(?s)no image that is asked for.*2 problems.*broken: .*not a DICOM"):
        prepare(source, Preprocessing(size=16), jobs=1, with_masses=True)
    assert not [path for path in paths.cache().glob("inbreast-*") if path.is_dir()]
