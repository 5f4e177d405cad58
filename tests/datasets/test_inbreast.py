from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xlwt
from scipy import ndimage

from mammoseg_lib.datasets import COLUMNS, DataError, inbreast
from mammoseg_lib.datasets.inbreast.table import read_table
from tests.release import HEADER, SQUARE, write_dicom, write_inbreast, write_outlines

SHIFTED = [(x + 5, y + 10) for x, y in SQUARE]


@pytest.fixture
def release(tmp_path):
    return write_inbreast(
        tmp_path / "INbreast Release 1.0",
        {
            "100_aa": [("Mass", SQUARE), ("Calcification", SHIFTED), ("Point 1", [(3, 3)])],
            "101_aa": [(" mass ", SQUARE), ("Mass", SHIFTED)],  # two that overlap, one oddly named
            "102_bb": [("Point 1", [(3, 3)])],
            "103_cc": [],
        },
    )


def test_index_has_the_columns_and_counts_of_the_contract(release):
    table = inbreast.index(release)
    assert list(table.columns) == list(COLUMNS)
    assert table["sample_id"].tolist() == ["100", "101", "102", "103"]
    assert table["patient_id"].tolist() == ["aa", "aa", "bb", "cc"]
    assert table["n_masses"].tolist() == [1, 2, 0, 0]
    assert set(table["view"]) == {"MLO"}
    assert table["acr_density"].tolist() == [2] * 4
    assert table["birads"].tolist() == ["4a"] * 3 + ["1"]
    assert table["pathology"].isna().all()
    assert inbreast.index(release, with_masses=True)["sample_id"].tolist() == ["100", "101"]
    assert inbreast.index(release, with_masses=False)["sample_id"].tolist() == ["102", "103"]


def test_mask_is_the_union_and_overlapping_masses_stay_two(release):
    row = inbreast.index(release).iloc[1]
    sample = inbreast.load(row)
    masks = inbreast.mass_masks(inbreast.Path(row["image_path"]), sample.mask.shape)
    assert [int(mask.sum()) for mask in masks] == [11 * 21, 11 * 21]  # pixel centers on the line are inside
    overlap = (masks[0] & masks[1]).sum()
    assert overlap == 6 * 11
    assert sample.mask.sum() == 2 * 11 * 21 - overlap
    assert row["mass_fraction"] == sample.mask.mean()
    assert sample.mask[20, 10]
    assert not sample.mask[10, 20]


def test_image_is_scaled_by_the_stored_bits_and_has_its_spacing(release):
    sample = inbreast.load(inbreast.index(release).iloc[0])
    assert sample.image.dtype == np.float32
    np.testing.assert_allclose(sample.image, 2048 / 4095, rtol=1e-6)
    assert sample.spacing_mm == 0.5


def test_shape_comes_from_the_dicom(tmp_path):
    release = write_inbreast(tmp_path, {"1_aa": [("Mass", SQUARE)]}, shape=(41, 77))
    assert inbreast.load(inbreast.index(release).iloc[0]).image.shape == (41, 77)


def test_an_image_never_comes_out_with_a_part_of_its_masses(release):
    path = release / "AllXML" / "101.xml"
    for points in ([], [(3, 3)], [(3, 3), (9, 9)], [(5.2, 5.2), (5.3, 5.2), (5.3, 5.3)]):
        write_outlines(path, [("Mass", SQUARE), ("Mass", points)])
        table, problems = inbreast.scan(release)
        assert table["sample_id"].tolist() == ["100", "102", "103"]
        assert [(p.kind, p.path) for p in problems] == [("broken", str(path))]
        assert problems[0].reason == f"ROI 1: a mass of {len(points)} point(s) that encloses no pixel"


def test_xls_serves_where_the_csv_is_missing(release):
    book = xlwt.Workbook()
    sheet = book.add_sheet("Hoja1")
    for row, values in enumerate(
        [HEADER.split(";"), ["removed", "removed", "L", "MLO", 201001, 100, 3, "5"]]
    ):
        for column, value in enumerate(values):
            sheet.write(row, column, value)
    book.save(str(release / "INbreast.xls"))
    (release / "INbreast.csv").unlink()
    table = inbreast.index(release).set_index("sample_id")
    assert table.loc["100", "acr_density"] == 3
    assert pd.isna(table.loc["101", "acr_density"])


@pytest.mark.parametrize("value", ["", "7", "n/a", "2.5"])
def test_unknown_density_is_missing_never_made_up(release, value):
    (release / "INbreast.csv").write_text(f"{HEADER}\nremoved;removed;L;MLO;1;100;{value};1\n")
    assert inbreast.index(release)["acr_density"].isna().all()


def _break_dicom(release):
    path = release / "AllDICOMs" / "100_aa_MG_L_ML_ANON.dcm"
    path.write_bytes(b"not a DICOM file")
    return path


def _break_name(release):
    path = release / "AllDICOMs" / "whatever.dcm"
    write_dicom(path, np.zeros((8, 8)))
    return path


def _break_xml(release):
    path = release / "AllXML" / "100.xml"
    path.write_bytes(path.read_bytes()[:-40])
    return path


def _outside(release):
    path = release / "AllXML" / "100.xml"
    write_outlines(path, [("Mass", [(0, 0), (500, 0), (500, 500)])])
    return path


def _not_finite(release):
    path = release / "AllXML" / "100.xml"
    write_outlines(path, [("Mass", [(0, 0), (float("nan"), 0), (5, 5)])])
    return path


@pytest.mark.parametrize("fault", [_break_dicom, _break_name, _break_xml, _outside, _not_finite])
def test_a_fault_is_one_problem_that_names_the_file_and_the_rest_is_read(release, fault):
    path = fault(release)
    table, problems = inbreast.scan(release)
    broken = [problem for problem in problems if problem.kind == "broken"]
    assert [problem.path for problem in broken] == [str(path)]
    assert broken[0].reason
    assert {"101", "103"} <= set(table["sample_id"])


def test_a_table_of_a_header_only_leaves_density_unknown_and_says_so(release):
    path = release / "INbreast.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    table, problems = inbreast.scan(release)
    assert table["acr_density"].isna().all()
    told = [problem for problem in problems if problem.path == str(path)]
    assert len(told) == len(table)
    assert all("density and BI-RADS are unknown" in problem.reason for problem in told)


def test_truncated_pixels_are_an_error_not_an_image(release):
    path = release / "AllDICOMs" / "100_aa_MG_L_ML_ANON.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    row = inbreast.index(release).iloc[0]
    with pytest.raises(DataError, match="100_aa"):
        inbreast.load(row)


def test_a_folder_that_is_no_release_is_an_error(tmp_path):
    with pytest.raises(DataError, match="not an INbreast release"):
        inbreast.index(tmp_path)


def test_real_release(real_inbreast):
    table, problems = inbreast.scan(real_inbreast)
    masses = inbreast.select(table, with_masses=True)
    assert not problems
    assert len(masses) == 107
    assert masses["n_masses"].sum() == 116
    assert masses["patient_id"].nunique() == 50
    assert len(inbreast.select(table, with_masses=False)) == 24
    assert masses["acr_density"].value_counts().to_dict() == {1: 42, 2: 36, 3: 21, 4: 8}
    assert masses["view"].value_counts().to_dict() == {"CC": 54, "MLO": 53}
    # Three outlines of which two overlap stay three; and an image that the release does not mark.
    ids = masses.set_index("sample_id")
    assert ids.loc["51049107", "n_masses"] == 3
    sample = inbreast.load(ids.loc["51049107"])
    assert ndimage.label(sample.mask, structure=np.ones((3, 3)))[1] == 2
    assert "24065584" in ids.index
    assert not {"22614097", "22614150"} & set(ids.index)
    assert masses["mass_fraction"].mean() == pytest.approx(0.0104, abs=5e-4)


def test_real_release_reads_the_same_density_from_csv_and_xls(real_inbreast, tmp_path):
    both = read_table(real_inbreast, [])
    (tmp_path / "INbreast.xls").symlink_to(real_inbreast / "INbreast.xls")
    assert read_table(tmp_path, []) == both
    assert sum(row["ACR"] is not None for row in both.values()) == 409
