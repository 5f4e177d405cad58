"""Export into the folder layout and back again."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from mammoseg_lib import export as export_module
from mammoseg_lib.cli.app import app
from mammoseg_lib.datasets import COLUMNS, DataError, busi, folder, inbreast
from mammoseg_lib.export import export
from mammoseg_lib.preprocessing import Preprocessing, breast_mask, crop_and_window, prepare, prepare_sample
from mammoseg_lib.sources import Source
from tests.release import SQUARE, write_inbreast, write_phantoms

STEP = 1 / 65535


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))


@pytest.fixture
def source(tmp_path):
    return Source("inbreast", write_phantoms("inbreast", tmp_path / "in", 5, 96, seed=1), real=False)


def pairs(source, out):
    """Every sample of a source beside the one that was exported, by id."""
    found = {row["sample_id"]: row for _, row in folder.index(out).iterrows()}
    return [(source.load(row), folder.load(found[row["sample_id"]])) for _, row in source.index().iterrows()]


@pytest.mark.parametrize("window", ["sigmoid", "percentiles", "none"])
def test_images_come_back_as_they_are_after_windowing(source, tmp_path, window):
    done = export(source, tmp_path / "out", window=window, jobs=1)
    assert (done.n_images, done.problems) == (6, ())
    chosen = {"sigmoid": "sigmoid", "percentiles": (0.5, 99.5), "none": None}[window]
    for before, after in pairs(source, tmp_path / "out"):
        shown = crop_and_window(before, Preprocessing(crop="none", window=chosen))
        assert np.abs(after.image - shown.image).max() <= 0.51 * STEP
        np.testing.assert_array_equal(after.mask, before.mask)
        assert after.spacing_mm == pytest.approx(before.spacing_mm, rel=1e-9)


def test_the_exported_sigmoid_is_that_of_the_standard(source, tmp_path):
    export(source, tmp_path / "out", jobs=1)
    before, after = pairs(source, tmp_path / "out")[0]
    low, high = np.percentile(before.image[breast_mask(before.image)], (0.5, 99.5)).astype(float)
    for y, x in ((10, 5), (48, 10), (60, 20), (80, 3)):
        value = float(before.image[y, x])
        expected = 1 / (1 + math.exp(-4 * (value - (low + high) / 2) / ((high - low) / 2)))
        assert after.image[y, x] == pytest.approx(expected, abs=STEP)


def test_the_table_is_the_samples_own_and_nothing_else_leaves(source, tmp_path):
    out = tmp_path / "out"
    export(source, out, jobs=1)
    before, after = source.index(), folder.index(out)
    same = [name for name in COLUMNS if name != "image_path"]
    pd.testing.assert_frame_equal(after[same], before[same])
    assert {path.suffix for path in out.rglob("*") if path.is_file()} == {".png", ".csv", ".json"}
    for path in out.rglob("*.png"):
        with Image.open(path) as image:
            assert image.info == {}
            assert image.mode == ("I;16" if path.parent.name == "images" else "L")
            if path.parent.name == "masks":
                assert set(np.unique(np.asarray(image))) == {0, 255}
    with (out / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {*COLUMNS, "mask_path", "spacing_mm"}
    assert sorted(row["mask_path"] == "" for row in rows) == [False] * 5 + [True]
    recipe = json.loads((out / "export.json").read_text())
    assert recipe == {"source": "inbreast", "real": False, "window": "sigmoid", "size": None}


def test_a_size_pads_as_003_did(source, tmp_path):
    out = tmp_path / "out"
    export(source, out, size=64, jobs=1, with_masses=True)
    assert len(folder.index(out)) == 5
    setting = Preprocessing(size=64, crop="none", resize="pad", window="sigmoid")
    for _, row in source.index(with_masses=True).iterrows():
        before = source.load(row)
        prepared = prepare_sample(before, setting)
        after = folder.load(folder.index(out).set_index("sample_id", drop=False).loc[row["sample_id"]])
        assert np.abs(after.image - prepared.image).max() <= 0.51 * STEP
        np.testing.assert_array_equal(after.mask, prepared.mask)
        assert after.spacing_mm == pytest.approx(before.spacing_mm * 96 / 64, rel=1e-9)


def test_an_ultrasound_source_and_an_export_are_exported_too(tmp_path):
    source = Source("busi", write_phantoms("busi", tmp_path / "bu", 6, 48), real=False)
    export(source, tmp_path / "out", window="none", jobs=1)
    for before, after in pairs(source, tmp_path / "out"):
        assert np.abs(after.image - before.image).max() <= 0.51 * STEP
        np.testing.assert_array_equal(after.mask, before.mask)
        assert after.spacing_mm is None
    again = Source("folder", tmp_path / "out", real=False)
    export(again, tmp_path / "twice", window="none", jobs=1)
    for before, after in pairs(again, tmp_path / "twice"):
        np.testing.assert_array_equal(after.image, before.image)
    assert (
        busi.index(source.root)["sample_id"].tolist()
        == folder.index(tmp_path / "twice")["sample_id"].tolist()
    )


def test_the_files_do_not_depend_on_the_number_of_processes(source, tmp_path):
    for jobs in (1, 2):
        export(source, tmp_path / str(jobs), jobs=jobs)
    one, two = (
        {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "1", tmp_path / "2")
    )
    assert one == two


def test_a_broken_file_is_listed_and_counted_and_the_rest_is_written(tmp_path):
    images = {f"{100 + i}_{i:02x}": [("Mass", SQUARE)] for i in range(4)}
    root, out = write_inbreast(tmp_path / "release", images), tmp_path / "out"
    path = root / "AllDICOMs" / "102_02_MG_L_ML_ANON.dcm"
    path.write_bytes(path.read_bytes()[:-50])
    arguments = ["data", "export", "inbreast", "--root", root, "--out", out, "--jobs", 1]
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 1
    assert "3 images written, 1 broken" in result.output
    assert "102_02_MG_L_ML_ANON.dcm: " in result.output
    assert folder.index(out)["sample_id"].tolist() == ["100", "101", "103"]
    assert len(list(out.rglob("*.png"))) == 6


def test_an_interrupted_export_leaves_nothing_and_starts_again(source, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    (tmp_path / "exports").mkdir()
    out = tmp_path / "exports" / "out"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(export_module, "write_table", interrupted)
        export(source, out, jobs=1)
    assert list(out.parent.iterdir()) == []
    # What a killed process leaves lies beside the folder, under another name, and is cleared away.
    (out.parent / ".out.mammoseg-partial-killed" / "images").mkdir(parents=True)
    assert export(source, out, jobs=1).n_images == 6
    assert list(out.parent.iterdir()) == [out]


def test_nothing_is_overwritten_and_nothing_to_export_is_an_error(source, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(DataError, match="exists already"):
        export(source, tmp_path / "there", jobs=1)
    for path in (source.root / "AllDICOMs").iterdir():
        path.write_bytes(b"no DICOM")
    with pytest.raises(DataError, match=r"(?s)no image that is asked for can be used; 6 problems\nbroken: "):
        export(source, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="window='siemens' is not one of 'sigmoid', 'percentiles', 'none'"):
        export(source, tmp_path / "out", window="siemens")


def test_real_images_make_the_round_trip(real_inbreast, tmp_path):
    source = Source("inbreast", real_inbreast, real=True)
    export(source, tmp_path / "out", with_masses=True)
    table = folder.index(tmp_path / "out")
    assert (len(table), table["n_masses"].sum(), table["patient_id"].nunique()) == (107, 116, 50)
    for (_, before), (_, after) in zip(
        source.index(with_masses=True).iterrows(), table.iterrows(), strict=True
    ):
        original, read = inbreast.load(before), folder.load(after)
        shown = crop_and_window(original, Preprocessing(crop="none", window="sigmoid"))
        assert np.abs(read.image - shown.image).max() <= 0.51 * STEP
        np.testing.assert_array_equal(read.mask, original.mask)


@pytest.mark.parametrize("window", ["sigmoid", "percentiles", "none"])
@pytest.mark.parametrize("asked", ["sigmoid", (0.5, 99.5)])
def test_what_was_windowed_is_not_windowed_again(tmp_path, window, asked):
    source = Source("inbreast", write_phantoms("inbreast", tmp_path / "in", 3, 64), real=True)
    export(source, tmp_path / "out", window=window, jobs=1)
    back = Source("folder", tmp_path / "out", real=True)
    once, plain = (
        prepare(back, Preprocessing(size=32, crop="none", window=each), jobs=1).images
        for each in (asked, None)
    )
    assert np.array_equal(once, plain) == (window != "none")


def test_a_record_of_an_export_that_says_nothing_is_an_error(tmp_path):
    source = Source("inbreast", write_phantoms("inbreast", tmp_path / "in", 3, 64), real=True)
    export(source, tmp_path / "out", jobs=1)
    (tmp_path / "out" / "export.json").write_text("{")
    with pytest.raises(DataError, match=r"export\.json: does not say how"):
        prepare(Source("folder", tmp_path / "out", real=True), Preprocessing(size=32), jobs=1)


@pytest.mark.parametrize(
    ("ids", "files"),
    [
        (("a/b", "a:c", 'a"?*|<>\\d'), {"a_b.png", "a_c.png", "a_______d.png"}),
        (
            ("con", "NUL", "Com1", "aux.1", "console"),
            {"_con.png", "_NUL.png", "_Com1.png", "_aux.1.png", "console.png"},
        ),
    ],
)
def test_files_have_names_that_every_system_can_have(source, tmp_path, monkeypatch, ids, files):
    _rename(source, monkeypatch, ids)
    export(source, tmp_path / "out", jobs=1)
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == files
    assert set(folder.index(tmp_path / "out")["sample_id"]) == set(ids)


@pytest.mark.parametrize("ids", [("a/b", "a_b"), ("a", "A"), ("x:1", "x?1")])
def test_ids_that_would_be_one_file_somewhere_are_refused(source, tmp_path, monkeypatch, ids):
    _rename(source, monkeypatch, ids)
    with pytest.raises(DataError, match="differ in capitals or special characters alone"):
        export(source, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def _rename(source, monkeypatch, ids):
    """The source with its first images only, under these ids."""
    table, _ = source.scan()
    table = table.head(len(ids)).assign(sample_id=ids)
    monkeypatch.setattr(Source, "scan", lambda *_: (table, []))
