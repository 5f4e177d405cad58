from __future__ import annotations

import json
import shutil
from multiprocessing import get_all_start_methods

import pytest

from mammoseg_lib.check import WHOLE_FRAME, check_source
from mammoseg_lib.datasets.files.remarks import RAW
from mammoseg_lib.parallel import parallel_map
from mammoseg_lib.sources import SOURCES, Source, open_source
from tests.faults.fault import edit_dicom
from tests.faults.sources import write_busi, write_inbreast

KEYS = [
    "phantoms", "source", "root", "ok", "counts", "tallies", "whole", "release", "masses_digest",
    "same_pixels", "duplicates", "patients_across_splits", "disagreements", "remarks", "problems",
]  # fmt: skip

if "forkserver" in get_all_start_methods():
    from multiprocessing.context import ForkServerContext


@pytest.fixture
def inbreast(tmp_path):
    write_inbreast(tmp_path / "inbreast")
    return Source("inbreast", tmp_path / "inbreast", real=True)


@pytest.fixture
def busi(tmp_path):
    write_busi(tmp_path / "busi")
    return Source("busi", tmp_path / "busi", real=True)


def test_counts_and_tallies(inbreast):
    report = check_source(inbreast)
    assert report.counts() == {
        "images": 4, "images_with_mass": 2, "images_without_mass": 2, "masses": 3, "patients": 3,
        "patients_with_mass": 1, "most_images_of_a_patient": 2, "excluded": 0, "broken": 0, "same_pixels": 0,
        "duplicates": 0,
    }  # fmt: skip
    assert report.tallies() == {
        "acr_density": {"2": 4}, "birads": {"1": 1, "4a": 3}, "view": {"MLO": 4}, "laterality": {"L": 4},
    }  # fmt: skip


def test_the_document_has_its_keys_phantoms_first(busi):
    document = json.loads(json.dumps(check_source(busi).document()))
    assert list(document) == KEYS
    assert document["phantoms"] is False
    assert document["counts"]["patients"] is None
    assert document["tallies"] == {"pathology": {"benign": 2, "malignant": 1, "normal": 1}}


def test_broken_files_are_named_relative_to_the_source_and_are_not_counted(inbreast):
    path = inbreast.root / "AllDICOMs" / "100_aa_MG_L_ML_ANON.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    report = check_source(inbreast)
    assert report.counts()["images"] == 3
    assert report.document()["ok"] is False
    assert [p["path"] for p in report.document()["problems"]] == ["AllDICOMs/100_aa_MG_L_ML_ANON.dcm"]
    assert "broken: AllDICOMs/100_aa_MG_L_ML_ANON.dcm: " in report.text()


def test_the_same_pixels_twice_are_found_and_are_no_fault(busi):
    shutil.copy(busi.root / "benign" / "benign (1).png", busi.root / "malignant" / "malignant (1).png")
    report = check_source(busi)
    assert report.same_pixels == report.duplicates == (("benign (1)", "malignant (1)"),)
    assert report.broken == ()
    assert "the same pixels: benign (1) = malignant (1)" in report.text()


def test_whole_needs_every_count_and_the_digest(busi, monkeypatch):
    report = check_source(busi)
    assert report.is_whole() is False
    assert report.whole()["images"] == (4, 780)
    here = {"images": 4, "images_with_mass": 3, "benign": 2, "malignant": 1, "normal": 1}
    monkeypatch.setattr(SOURCES["busi"].reader, "WHOLE", here)
    assert report.is_whole() is False
    assert "NOT as in the release" in report.text()
    monkeypatch.setattr(SOURCES["busi"].reader, "MASSES_DIGEST", report.masses_digest())
    assert report.is_whole() is True
    assert "whole release: yes; images 4 of 4" in report.text()


def test_phantoms_are_called_so_first_of_all(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    monkeypatch.delenv("MAMMOSEG_DATA", raising=False)
    source = open_source("busi", n_images=6, size=32)
    for found in (source, open_source("busi", source.root)):  # by its folder it stays a phantom
        report = check_source(found)
        assert report.text().startswith("PHANTOMS, no images of patients: busi in data/phantoms/")
        assert next(iter(report.document().items())) == ("phantoms", True)
        assert report.is_whole() is None
        assert report.whole() == {}


def test_patients_in_several_parts_of_the_split_are_named(inbreast):
    report = check_source(inbreast)
    assert report.patients_across_splits() == []
    report.table["split"] = ["train", "train", "test", "test"]  # 100 and 101 are of one patient
    assert report.patients_across_splits() == []
    report.table["split"] = ["train", "test", "test", "test"]
    assert report.patients_across_splits() == ["aa"]
    assert "in several parts of the split: patient aa" in report.text()


def test_disagreements_of_the_table_are_named(inbreast):
    path = inbreast.root / "INbreast.csv"
    header, *rows = path.read_text().splitlines()
    marks = dict(zip(("100", "101", "102", "103"), ("X", "", "X", ""), strict=True))
    marked = [f"{row};{marks[row.split(';')[5]]}" for row in rows]
    path.write_text("\n".join([f"{header};Mass", *marked]).replace("L;MLO;201001;103", "R;MLO;201001;103"))
    report = check_source(inbreast)
    assert report.disagreements == {
        "marked as a mass in the table, not outlined": ["102"],
        "outlined as a mass, not marked in the table": ["101"],
        "of another side or view in the table": ["103"],
    }
    assert "outlined as a mass, not marked in the table: 1 (101)" in report.text()
    assert report.document()["ok"]


def test_the_number_of_processes_makes_no_difference(busi):
    (busi.root / "normal" / "normal (1)_mask.png").write_bytes(b"no")
    with parallel_map(2) as run_map:
        assert check_source(busi, run_map).document() == check_source(busi).document()


@pytest.mark.skipif("forkserver" not in get_all_start_methods(), reason="processes are spawned")
def test_the_module_with_the_work_is_imported_before_processes_are_forked(monkeypatch):
    preloaded = []
    monkeypatch.setattr(
        ForkServerContext, "set_forkserver_preload", lambda self, names: preloaded.extend(names)
    )
    with parallel_map(2, check_source.__module__) as run_map:
        assert list(run_map(abs, [-1, 2])) == [1, 2]
    assert preloaded == ["mammoseg_lib.check"]


def test_real_inbreast(real_inbreast):
    report = check_source(Source("inbreast", real_inbreast, real=True))
    assert report.broken == report.duplicates == ()
    here = {what: here for what, (here, _) in report.whole().items()}
    assert (here["images_with_mass"], here["masses"], here["patients_with_mass"]) == (107, 116, 50)
    assert report.masses_digest() == SOURCES["inbreast"].reader.MASSES_DIGEST
    assert report.disagreements["outlined as a mass, not marked in the table"] == ["24065584"]


def test_real_busi(real_busi):
    report = check_source(Source("busi", real_busi, real=True))
    assert report.broken == ()
    assert report.same_pixels == (("benign (433)", "malignant (145)"),)
    assert len(report.duplicates) == 162
    assert len({name for pair in report.duplicates for name in pair}) == 258
    assert report.masses_digest() == SOURCES["busi"].reader.MASSES_DIGEST


def test_what_should_be_known_of_whole_images_is_said(inbreast):
    for name in ("100_aa", "101_aa"):
        edit_dicom(
            inbreast.root / "AllDICOMs" / f"{name}_MG_L_ML_ANON.dcm", PresentationIntentType="FOR PROCESSING"
        )
    report = check_source(inbreast)
    assert report.remarks[RAW] == ["100", "101"]
    assert f"images {RAW}: 2 (100, 101)" in report.text()
    assert report.document()["remarks"] == report.remarks
    # Noise from edge to edge, as these four images are, has no background to crop.
    assert report.remarks[WHOLE_FRAME] == ["100", "101", "102", "103"]
    assert report.broken == ()


def test_nothing_that_can_be_used_is_a_report_not_a_traceback(inbreast, busi):
    for source, files in ((inbreast, "AllDICOMs/*"), (busi, "*/*")):
        for path in source.root.glob(files):
            path.write_bytes(b"no image")
        report = check_source(source)
        assert report.counts()["images"] == 0
        assert report.broken
        assert report.text().endswith("no image can be used")
        json.dumps(report.document())
