from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from mammoseg_lib.datasets import COLUMNS, DataError, cbis_ddsm
from mammoseg_lib.datasets.cbis_ddsm import table as cbis_ddsm_table
from mammoseg_lib.phantoms.cbis_ddsm import HEADER, IMAGES, SEVERAL
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.sources import Source, open_source
from tests.release import cbis_row as row
from tests.release import write_cbis_table as write_table
from tests.release import write_dicom, write_phantoms

SHAPE = (60, 40)
FIRST, SECOND = np.s_[10:20, 5:15], np.s_[15:30, 10:20]  # they overlap by 5 x 5 pixels
CC, MLO = "Mass-Training_P_00001_LEFT_CC", "Mass-Training_P_00001_LEFT_MLO"
RIGHT, FOURTH = "Mass-Test_P_00002_RIGHT_CC", "Mass-Test_P_00003_RIGHT_MLO"
TRAIN, TEST = cbis_ddsm_table.TABLES.values()


def picture() -> np.ndarray:
    """A gray ramp with every value but black, so that no one takes it for a mask."""
    return np.linspace(400, 3600, SHAPE[0] * SHAPE[1]).reshape(SHAPE).astype(int)


def mask(box, shape=SHAPE) -> np.ndarray:
    lit = np.zeros(shape, dtype=int)
    lit[box] = 4095
    return lit


@pytest.fixture
def release(tmp_path) -> Path:
    """Two masses; swapped files of the newer names; two series and a smaller mask; a plain image."""
    root = tmp_path / cbis_ddsm.FOLDER
    plain = {"1.2.1/1.3.1/000000.dcm": "crop", "1.2.1/1.3.1/000001.dcm": mask(FIRST)}
    files = {
        f"{CC}/1.1/1.9/000000.dcm": picture(),
        **{f"{CC}_1/{name}": pixels for name, pixels in plain.items()},
        f"{CC}_2/1.2.2/1.3.2/000000.dcm": mask(SECOND),  # swapped
        f"{CC}_2/1.2.2/1.3.2/000001.dcm": "crop",
        f"{MLO}/1.1/1.9/1-1.dcm": picture(),
        f"{MLO}_1/07-20-2016-DDSM/1.000000-ROI mask images-1/1-1.dcm": mask(FIRST),
        f"{MLO}_1/07-20-2016-DDSM/1.000000-ROI mask images-1/1-2.dcm": "crop",
        f"{RIGHT}/1.1/1.9/000000.dcm": picture(),
        f"{RIGHT}_1/1.2.1/1.3.1/000000.dcm": "crop",
        f"{RIGHT}_1/1.2.7/1.3.7/000000.dcm": mask(np.s_[5:10, 3:8], (30, 20)),
        f"{FOURTH}/1.1/1.9/000000.dcm": picture(),
        **{f"{FOURTH}_1/{name}": pixels for name, pixels in plain.items()},
    }
    for name, pixels in files.items():
        pixels = picture()[FIRST] if isinstance(pixels, str) else pixels
        write_dicom(root / name, pixels, ImagerPixelSpacing=None)
    write_table(
        root / TRAIN,
        [row(CC), row(CC, 2, pathology="MALIGNANT", assessment="5"), row(MLO, breast_density="1")],
    )
    write_table(root / TEST, [row(RIGHT), row(FOURTH, pathology="BENIGN_WITHOUT_CALLBACK", assessment="0")])
    return root


def test_index_has_the_columns_and_values_of_the_contract(release):
    table, problems = cbis_ddsm.scan(release)
    assert problems == []
    assert list(table.columns) == list(COLUMNS)
    assert table["sample_id"].tolist() == sorted([CC, MLO, RIGHT, FOURTH])
    table = table.set_index("sample_id").loc[[CC, MLO, RIGHT, FOURTH]]
    assert table["patient_id"].tolist() == ["P_00001", "P_00001", "P_00002", "P_00003"]
    assert table["laterality"].tolist() == ["L", "L", "R", "R"]
    assert table["view"].tolist() == ["CC", "MLO", "CC", "MLO"]
    assert table["acr_density"].tolist() == [3, 1, 3, 3]
    assert table["birads"].tolist() == ["5", "4", "4", "0"]  # the highest of an image's abnormalities
    assert table["pathology"].tolist() == ["malignant", "benign", "benign", "benign"]
    assert table["n_masses"].tolist() == [2, 1, 1, 1]
    assert table["mass_fraction"].isna().all()
    assert table["split"].tolist() == ["train", "train", "test", "test"]


def test_the_official_parts_can_be_selected(release):
    assert set(cbis_ddsm.index(release, split="train")["sample_id"]) == {CC, MLO}
    assert set(cbis_ddsm.index(release, split="test", with_masses=True)["sample_id"]) == {RIGHT, FOURTH}
    assert cbis_ddsm.index(release, with_masses=False).empty
    with pytest.raises(ValueError, match="split='validation' is not one of None, 'train', 'test'"):
        cbis_ddsm.index(release, split="validation")


def test_masks_are_merged_found_where_they_were_swapped_and_brought_to_the_size_of_the_image(release):
    samples = {row["sample_id"]: cbis_ddsm.read(row) for _, row in cbis_ddsm.index(release).iterrows()}
    assert (samples[CC].mask == ((mask(FIRST) > 0) | (mask(SECOND) > 0))).all()
    assert samples[CC].mask.sum() == 10 * 10 + 15 * 10 - 5 * 5
    assert (samples[MLO].mask == (mask(FIRST) > 0)).all()
    assert (samples[RIGHT].mask == (mask(np.s_[10:20, 6:16]) > 0)).all()
    for sample in samples.values():
        np.testing.assert_allclose(sample.image, picture() / 4095, rtol=1e-6)
        assert sample.spacing_mm is None


def test_a_spacing_is_used_where_a_file_has_one(release):
    path = next((release / CC).rglob("*.dcm"))
    write_dicom(path, picture())
    assert (
        cbis_ddsm.load(cbis_ddsm.index(release).set_index("sample_id", drop=False).loc[CC]).spacing_mm == 0.5
    )


def test_a_scan_reads_headers_only_and_loading_reads_each_file_once(release, monkeypatch):
    read = []

    def counted(path):
        read.append(path.relative_to(release).as_posix())
        return read_image(path)

    read_image = cbis_ddsm.read_image
    monkeypatch.setattr(cbis_ddsm, "read_image", counted)
    table = cbis_ddsm.index(release).set_index("sample_id", drop=False)
    # Only where no size decides are pixels looked at.
    assert {name.split("/")[0] for name in read} == {f"{RIGHT}_1"}
    for case, expected in {CC: 3, MLO: 2, RIGHT: 3}.items():
        read.clear()
        cbis_ddsm.load(table.loc[case])
        assert len(read) == len(set(read)) == expected


def _two_masks(release):
    path = release / f"{CC}_1"
    write_dicom(path / "1.2.1" / "1.3.1" / "000000.dcm", mask(SECOND))
    return path


def _no_mask(release):
    path = release / f"{CC}_1"
    write_dicom(path / "1.2.1" / "1.3.1" / "000001.dcm", picture()[:50, :30])
    return path


def _crop_alone(release):
    path = release / f"{CC}_1"
    (path / "1.2.1" / "1.3.1" / "000001.dcm").unlink()
    return path


def _image_of_fewer_columns(release):
    path = release / CC / "1.1" / "1.9" / "000000.dcm"
    data = pydicom.dcmread(path)
    data.Columns -= 2
    data.save_as(path)
    return path


def _no_abnormality(release):
    shutil.rmtree(release / f"{CC}_2")
    return release / f"{CC}_2"


def _no_image(release):
    shutil.rmtree(release / CC)
    return release / CC


def _two_images(release):
    shutil.copytree(release / CC / "1.1", release / CC / "again")
    return release / CC


def _folder_for_file(release):
    path = release / CC / "1.1" / "1.9" / "000000.dcm"
    path.unlink()
    path.mkdir()
    return path


def _not_dicom(release):
    path = release / f"{CC}_1" / "1.2.1" / "1.3.1" / "000001.dcm"
    path.write_bytes(b"not a DICOM file")
    return path


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (_two_masks, "cannot tell mask from crop: of 2 files 2 have the image's size, and 2"),
        (_no_mask, "cannot tell mask from crop: of 2 files 0 have the image's size, and 0"),
        (_crop_alone, "no mask here, only a crop"),
        (_image_of_fewer_columns, "pixel data has 4800 bytes, the header says 4560"),
        (_no_abnormality, "no mask here"),
        (_no_image, "no image here"),
        (_two_images, "2 images here"),
        (_folder_for_file, "is a folder"),
        (_not_dicom, "not a DICOM file"),
    ],
)
def test_a_fault_is_one_problem_that_names_file_and_line_and_the_rest_is_read(release, fault, reason):
    path = fault(release)
    table, problems = cbis_ddsm.scan(release)
    assert [(problem.path, problem.kind) for problem in problems] == [(str(path), "broken")]
    assert problems[0].reason.startswith(reason)
    # A row spans two lines, since the mask's path ends with a line break.
    assert problems[0].reason.endswith(f"({TRAIN} lines 2, 4)")
    assert set(table["sample_id"]) == {MLO, RIGHT, FOURTH}


@pytest.mark.parametrize(
    ("shape", "fits"), [((30, 20), True), ((61, 40), True), ((62, 40), False), ((60, 38), False)]
)
def test_a_mask_of_another_aspect_excludes_its_image(release, shape, fits):
    folder = release / f"{CC}_1" / "1.2.1" / "1.3.1"
    write_dicom(folder / "000001.dcm", mask(np.s_[5:10, 3:8], shape))
    table, problems = cbis_ddsm.scan(release)
    assert (CC in set(table["sample_id"])) == fits
    if not fits:
        assert [(problem.path, problem.kind) for problem in problems] == [
            (str(folder / "000001.dcm"), "excluded")
        ]
        assert f"mask has shape {shape} and its image {SHAPE}" in problems[0].reason


def test_a_mask_alone_of_another_aspect_is_told_from_a_crop_alone(release):
    folder = release / f"{CC}_1" / "1.2.1" / "1.3.1"
    (folder / "000000.dcm").unlink()
    write_dicom(folder / "000001.dcm", mask(np.s_[5:10, 3:8], (60, 38)))
    _, problems = cbis_ddsm.scan(release)
    assert [(p.path, p.kind) for p in problems] == [(str(folder / "000001.dcm"), "excluded")]


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(mask(np.s_[0:0]), "without a pixel of a mass"), (picture(), "more than two gray values")],
)
def test_a_mask_that_shows_nothing_or_is_none_is_an_error(release, pixels, reason):
    path = release / f"{CC}_1" / "1.2.1" / "1.3.1" / "000001.dcm"
    write_dicom(path, pixels)
    table = cbis_ddsm.index(release).set_index("sample_id", drop=False)
    with pytest.raises(DataError, match=reason) as error:
        cbis_ddsm.load(table.loc[CC])
    assert error.value.path == str(path)


@pytest.mark.parametrize("name", [f"{FOURTH}/1.1/1.9/000000.dcm", f"{FOURTH}_1/1.2.1/1.3.1/000001.dcm"])
def test_a_file_cut_anywhere_is_never_a_sample(release, name):
    path = release / name
    whole = path.read_bytes()
    cuts = [*range(0, len(whole), 97), len(whole) - 2, len(whole) - 1]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        table, problems = cbis_ddsm.scan(release)
        assert {CC, MLO, RIGHT} <= set(table["sample_id"])
        if FOURTH not in set(table["sample_id"]):
            assert len(problems) == 1
            continue
        with pytest.raises(DataError) as error:
            cbis_ddsm.load(table[table["sample_id"] == FOURTH].iloc[0])
        assert error.value.path == str(path)


def test_prepare_leaves_out_what_cannot_be_loaded_and_goes_on(release):
    write_dicom(release / f"{CC}_1" / "1.2.1" / "1.3.1" / "000001.dcm", mask(np.s_[0:0]))
    prepared = prepare(Source("cbis_ddsm", release, real=True), Preprocessing(size=16), jobs=1)
    assert prepared.table["sample_id"].tolist() == [RIGHT, FOURTH, MLO]
    assert [problem.kind for problem in prepared.problems] == ["broken"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("image file path", "../secret/1.1/1.9/000000.dcm"),
        ("image file path", f"{CC}/../../000000.dcm"),
        ("image file path", f"{MLO}/1.1/1.9/000000.dcm"),  # another image's
        ("image file path", "/etc/passwd"),
        ("ROI mask file path", f"{CC}_1/1.2.1/..1/000001.dcm"),
        ("cropped image file path", ""),
        ("abnormality id", "../1"),
        ("patient_id", "P_1/../2"),
        ("image view", "XX"),
        ("pathology", "UNKNOWN"),
        ("assessment", "four"),
    ],
)
def test_a_row_that_does_not_fit_leaves_its_image_out(release, column, value):
    write_table(release / TRAIN, [row(CC, **{column: value}), row(CC, 2), row(MLO)])
    table, problems = cbis_ddsm.scan(release)
    lines = [problem for problem in problems if problem.reason.startswith("line 2: ")]
    assert [(problem.path, problem.kind) for problem in lines] == [(str(release / TRAIN), "broken")]
    assert CC not in set(table["sample_id"])  # a mass of it would be missing
    assert {RIGHT, FOURTH} <= set(table["sample_id"])


@pytest.mark.parametrize("value", ["", "0", "5", "2.5", "n/a"])
def test_unknown_density_is_missing_and_counted(release, value):
    write_table(release / TEST, [row(RIGHT), row(FOURTH, breast_density=value)])
    table, problems = cbis_ddsm.scan(release)
    assert table.set_index("sample_id")["acr_density"].isna().to_dict() == {
        CC: False, MLO: False, RIGHT: False, FOURTH: True,
    }  # fmt: skip
    assert [(problem.kind, problem.path) for problem in problems] == [("excluded", str(release / TEST))]
    assert f"density {value!r} is not 1 to 4" in problems[0].reason


def test_rows_that_disagree_on_density_leave_it_unknown(release):
    write_table(release / TRAIN, [row(CC), row(CC, 2, breast_density="2"), row(MLO)])
    table, problems = cbis_ddsm.scan(release)
    assert pd.isna(table.set_index("sample_id").loc[CC, "acr_density"])
    assert "lines 2, 4: density '2' and '3'" in problems[0].reason


def test_a_repeated_row_is_counted_once(release):
    write_table(release / TEST, [row(RIGHT), row(FOURTH), row(RIGHT)])
    table, problems = cbis_ddsm.scan(release)
    assert table.set_index("sample_id").loc[RIGHT, "n_masses"] == 1
    assert [(problem.kind, problem.path) for problem in problems] == [("excluded", str(release / TEST))]
    assert problems[0].reason == f"line 6: abnormality 1 of {RIGHT} stands in line 2 already"


def _delete(path):
    path.unlink()


def _folder(path):
    path.unlink()
    path.mkdir()


def _latin1(path):
    write_table(path, [row(RIGHT) | {"mass shape": "unregelmäßig"}], encoding="latin-1")


def _column(path):
    path.write_text(path.read_text().replace("ROI mask file path", "mask", 1).replace("pathology", "p", 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_delete, f"no {TEST} here"),
        (_folder, "is a folder"),
        (_latin1, "not text in UTF-8"),
        (_column, "columns are missing: pathology, ROI mask file path"),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error(release, damage, message):
    damage(release / TEST)
    with pytest.raises(DataError, match=message):
        cbis_ddsm.scan(release)


def test_folders_that_no_row_names_are_told_and_a_mass_without_a_row_leaves_its_image_out(release):
    write_table(release / TRAIN, [row(CC)])
    table, problems = cbis_ddsm.scan(release)
    assert set(table["sample_id"]) == {RIGHT, FOURTH}
    reason = f"2 folders of masses are in no row that can be used, such as {MLO}"
    assert [(problem.path, problem.kind) for problem in problems] == [
        (str(release / f"{CC}_2"), "broken"),
        (str(release / TRAIN), "broken"),
    ]
    assert problems[1].reason == reason


def test_a_table_without_a_row_is_broken_also_where_no_folder_is_called_by_its_case(release, jpeg):
    reasons = ["4 folders of masses are in no row that can be used", "lists no mass"]
    for root, table, reason in zip(
        (release, jpeg), (release / TEST, jpeg / "csv" / TEST), reasons, strict=True
    ):
        write_table(table, [])
        found, problems = cbis_ddsm.scan(root)
        assert set(found["split"]) == {"train"}
        assert [(p.kind, p.path) for p in problems] == [("broken", str(table))]
        assert problems[0].reason.startswith(reason)


def test_a_table_cut_within_a_row_is_an_error(release):
    path = release / TRAIN
    path.write_bytes(path.read_bytes()[:-5])  # the last path is in quotes, for its line break
    with pytest.raises(DataError, match="cannot be read as a table"):
        cbis_ddsm.scan(release)


def test_a_table_is_read_again_when_it_changes(release):
    assert len(cbis_ddsm.index(release)) == 4
    write_table(release / TEST, [row(RIGHT)])
    assert len(cbis_ddsm.index(release)) == 3


def test_an_image_outside_a_release_is_an_error(release, tmp_path):
    found = cbis_ddsm.index(release).iloc[0]
    shutil.move(release / TRAIN, tmp_path / "elsewhere.csv")
    with pytest.raises(DataError, match="not in a CBIS-DDSM folder"):
        cbis_ddsm.load(found)


def test_hidden_files_of_a_copy_are_not_read(release):
    path = release / CC / "1.1" / "1.9" / "._000000.dcm"
    path.write_bytes(b"attributes")
    assert len(cbis_ddsm.index(release)) == 4
    assert path not in cbis_ddsm.files(release)


def test_files_are_tables_images_masks_and_crops(release):
    found = {path.relative_to(release).as_posix() for path in cbis_ddsm.files(release)}
    everything = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    assert found == everything
    (release / "Calc-Test_P_00001_LEFT_CC").mkdir()
    (release / "Calc-Test_P_00001_LEFT_CC" / "x.dcm").touch()
    assert len(cbis_ddsm.files(release)) == len(everything)


@pytest.fixture
def jpeg(tmp_path) -> Path:
    """The JPEG edition: folders by series alone, and masks that are not quite two-valued."""
    root = tmp_path / "jpeg-edition"
    (root / "csv").mkdir(parents=True)
    write_table(root / "csv" / TRAIN, [row(CC)])
    write_table(root / "csv" / TEST, [row(RIGHT) | {"image file path": f"{RIGHT}/1.1/1.8/000000.dcm"}])
    # Series are unique in the release; here those of the second case stay away.
    lit = np.zeros((240, 160), np.uint8)
    lit[40:120, 30:100] = 255
    gray = (np.linspace(30, 220, lit.size).reshape(lit.shape)).astype(np.uint8)
    for name, pixels in {"1.9/1-1": gray, "1.3.1/1-1": lit, "1.3.1/2-1": gray[40:120, 30:100]}.items():
        path = root / "jpeg" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=85)
    return root


def test_the_jpeg_edition_is_read(jpeg):
    table, problems = cbis_ddsm.scan(jpeg)
    assert table["sample_id"].tolist() == [CC]
    assert [problem.path for problem in problems] == [str(jpeg / "jpeg" / "1.8")]
    sample = cbis_ddsm.read(table.iloc[0])
    assert sample.image.shape == (240, 160)
    assert sample.mask.sum() == pytest.approx(80 * 70, rel=0.01)
    assert len(cbis_ddsm.files(jpeg)) == 5
    cut = jpeg / "jpeg" / "1.3.1" / "1-1.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    with pytest.raises(DataError, match="JPEG file is cut short"):
        cbis_ddsm.load(table.iloc[0])


@pytest.mark.parametrize("place", ["", "sample_pairs"])
@pytest.mark.parametrize("label", [1, 2, 255])
def test_pairs_of_png_files_are_read(tmp_path, place, label):
    write_table(tmp_path / TRAIN, [row(CC), row(CC, 2)])
    write_table(tmp_path / TEST, [row(RIGHT)])
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    Image.fromarray((picture() // 16).astype(np.uint8)).save(folder / f"{CC}_FULL.png")
    Image.fromarray((mask(FIRST) // 4095 * label).astype(np.uint8)).save(folder / f"{CC}_MASK.png")
    table, problems = cbis_ddsm.scan(tmp_path)
    assert (table["sample_id"].tolist(), len(problems)) == ([CC], 1)
    sample = cbis_ddsm.read(table.iloc[0])
    assert (sample.mask == (mask(FIRST) > 0)).all()
    np.testing.assert_allclose(sample.image, picture() // 16 / 255, rtol=1e-6)
    classes = (mask(np.s_[5:10, 3:8], (30, 20)) > 0) * 2 + (mask(np.s_[20:25, 3:8], (30, 20)) > 0)
    Image.fromarray(classes.astype(np.uint8)).save(folder / f"{CC}_MASK.png")  # half the size, two classes
    assert cbis_ddsm.read(cbis_ddsm.index(tmp_path).iloc[0]).mask.sum() == 2 * 10 * 10
    (folder / f"{CC}_MASK.png").unlink()
    assert cbis_ddsm.scan(tmp_path)[1][0].path == str(folder / f"{CC}_MASK.png")


# ------------------------------------------------------------------------------------------------ phantoms


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> Path:
    return write_phantoms("cbis_ddsm", tmp_path_factory.mktemp("cbis") / cbis_ddsm.FOLDER, 120, 128, seed=1)


def test_phantoms_have_the_proportions_of_the_release(phantoms):
    table, problems = cbis_ddsm.scan(phantoms)
    assert problems == []
    assert len(table) == 120
    assert (table["n_masses"] > 1).sum() == round(120 * SEVERAL / IMAGES)
    assert set(table["split"]) == {"train", "test"}
    patients = table.groupby("split")["patient_id"].agg(set)
    assert not patients["train"] & patients["test"]
    assert (len(patients["train"]), len(patients["test"])) == (52, 15)
    assert (table["split"] == "train").mean() == pytest.approx(1231 / 1592, abs=0.04)
    for acr, n in {1: 290, 2: 716, 3: 435, 4: 151}.items():
        assert (table["acr_density"] == acr).sum() == pytest.approx(120 * n / IMAGES, abs=3)
    assert table.groupby("patient_id")["acr_density"].nunique().max() == 1
    assert (table["pathology"] == "malignant").mean() == pytest.approx(747 / 1592, abs=0.1)
    # Numbers that no patient of the release has.
    assert table["patient_id"].str.removeprefix("P_").astype(int).min() > 90000


def test_phantoms_have_the_faults_of_the_release(phantoms):
    cases, _ = cbis_ddsm_table.read_cases(phantoms)
    printed = {path for name in (TRAIN, TEST) for path in _paths(phantoms / name)}
    there = {path.relative_to(phantoms).as_posix() for path in phantoms.rglob("*.dcm")}
    assert 0.1 * len(there) < len(there - printed) < 0.5 * len(there)  # other names than printed
    swapped = resized = separate = 0
    for case, _, images in cbis_ddsm._images(phantoms):
        shape = cbis_ddsm._shape(images[0])
        for folder, candidates in cbis_ddsm._candidates(images[0], case).items():
            chosen, _ = cbis_ddsm._choose(folder, candidates, shape)
            separate += candidates[0].parent != candidates[1].parent
            swapped += chosen == candidates[0] and candidates[0].parent == candidates[1].parent
            resized += cbis_ddsm._shape(chosen) != shape
    n = sum(len(case.abnormalities) for case in cases.values())
    assert 0.15 * n < swapped < 0.45 * n
    assert 2 <= resized <= 8
    assert 4 <= separate <= 12


def _paths(table: Path) -> list[str]:
    frame = pd.read_csv(table, dtype=str)
    return [path.strip() for column in HEADER[-3:] for path in frame[column]]


def test_phantom_masses_cover_as_much_as_those_of_the_release(phantoms):
    table = cbis_ddsm.index(phantoms)
    fractions = [cbis_ddsm.read(found).mask.mean() for _, found in table.iterrows()]
    assert min(fractions) > 0
    # 0.575-0.582 % of the frame is what the tables of paper 001 imply.
    assert np.mean(fractions) == pytest.approx(0.0058, abs=0.001)


def test_phantom_files_are_valid_and_name_no_patient(phantoms):
    seen = set()
    for path in sorted(phantoms.rglob("*.dcm"))[:60]:
        data = pydicom.dcmread(path)
        assert data.Manufacturer == str(data.PatientName) == "PHANTOM"
        assert data.PatientID == path.relative_to(phantoms).parts[0]
        assert (data.StudyInstanceUID, data.SeriesInstanceUID) == path.relative_to(phantoms).parts[1:3]
        assert "PixelSpacing" not in data
        assert "ImagerPixelSpacing" not in data
        assert data.BitsStored == data.BitsAllocated == (8 if data.pixel_array.dtype == np.uint8 else 16)
        seen.add(data.SOPInstanceUID)
    assert len(seen) == 60


@pytest.mark.parametrize("n_images", [1, 2, 5])
def test_small_sets_are_complete(n_images, tmp_path):
    root = write_phantoms("cbis_ddsm", tmp_path / "small", n_images, 48)
    table, problems = cbis_ddsm.scan(root)
    assert (len(table), problems) == (n_images, [])
    assert all(cbis_ddsm.load(found).mask.any() for _, found in table.iterrows())
    with pytest.raises(FileExistsError, match="new folder"):
        write_phantoms("cbis_ddsm", root, n_images, 48)


def test_the_source_opens_as_phantoms_and_is_prepared_without_artifacts(monkeypatch):
    monkeypatch.delenv("MAMMOSEG_DATA", raising=False)
    source = open_source("cbis_ddsm", n_images=6, size=128)
    assert not source.real
    prepared = prepare(source, Preprocessing(size=32), jobs=1, split="train")
    assert (prepared.table["split"] == "train").all()
    for _, found in source.index().iterrows():
        raw, cleaned = cbis_ddsm.read(found), cbis_ddsm.load(found)
        assert (raw.image > 0.9).any()  # white paper
        assert not (cleaned.image > 0.95).any()
        kept = cleaned.image > 0
        assert (cleaned.image[kept] == raw.image[kept]).all()
        assert (cleaned.mask == raw.mask).all()


# ------------------------------------------------------------------------------------------------ real tables


def test_counts_of_the_real_tables(real_cbis_ddsm):
    """Paper 001 trains on 1231 images and tests on 360; the tables have one image more in the test part."""
    cases, problems = cbis_ddsm_table.read_cases(real_cbis_ddsm)
    assert problems == ()
    frames = {
        part: pd.read_csv(real_cbis_ddsm / name, dtype=str) for part, name in cbis_ddsm_table.TABLES.items()
    }
    for part, (rows, images, patients) in {"train": (1318, 1231, 691), "test": (378, 361, 201)}.items():
        of_part = [case for case in cases.values() if case.split == part]
        assert len(frames[part]) == sum(len(case.abnormalities) for case in of_part) == rows
        # Counted once more without the reader.
        assert len(of_part) == frames[part]["image file path"].str.strip().nunique() == images
        assert len({case.patient_id for case in of_part}) == frames[part]["patient_id"].nunique() == patients
    assert not {*frames["train"]["patient_id"]} & {*frames["test"]["patient_id"]}
    both = pd.concat(frames)
    assert not both.duplicated().any()
    assert sum(len({a.pathology for a in case.abnormalities}) > 1 for case in cases.values()) == 8
    assert all(case.acr_density in (1, 2, 3, 4) for case in cases.values())
    whole = cbis_ddsm.WHOLE
    assert whole["images"] == len(cases)
    assert whole["masses"] == len(both)
    assert whole["patients"] == both["patient_id"].nunique()
    for pathology in ("benign", "malignant"):
        assert whole[pathology] == sum(case.pathology == pathology for case in cases.values())
