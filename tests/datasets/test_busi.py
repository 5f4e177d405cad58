from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from mammoseg_lib.datasets import DataError, busi


def _mask(box, shape=(20, 30)):
    mask = np.zeros(shape, dtype=np.uint8)
    mask[box] = 255
    return mask


@pytest.fixture
def release(tmp_path):
    """One picture a PNG mode of the masks, one of two masks, one normal."""
    small, other = np.s_[2:6, 3:9], np.s_[10:14, 20:28]
    for name, modes in {
        "benign (1)": "1",
        "benign (2)": "L",
        "malignant (1)": "RGB",
        "malignant (2)": "RGBA",
    }.items():
        folder = tmp_path / name.split(" ")[0]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 30), 51, np.uint8)).save(folder / f"{name}.png")
        Image.fromarray(_mask(small)).convert(modes).save(folder / f"{name}_mask.png")
    Image.fromarray(_mask(other)).save(tmp_path / "benign" / "benign (2)_mask_1.png")
    (tmp_path / "normal").mkdir()
    Image.fromarray(np.full((20, 30, 3), 102, np.uint8)).save(tmp_path / "normal" / "normal (1).png")
    Image.fromarray(_mask(np.s_[0:0, 0:0])).save(tmp_path / "normal" / "normal (1)_mask.png")
    return tmp_path


def test_masks_of_every_mode_are_read_alike_and_several_are_merged(release):
    table = busi.index(release).set_index("sample_id")
    assert table["n_masses"].to_dict() == {
        "benign (1)": 1, "benign (2)": 2, "malignant (1)": 1, "malignant (2)": 1, "normal (1)": 0,
    }  # fmt: skip
    fraction = (table["mass_fraction"] * 600).round().astype(int)
    assert fraction.tolist() == [24, 24 + 32, 24, 24, 0]
    assert table["pathology"].tolist() == ["benign"] * 2 + ["malignant"] * 2 + ["normal"]
    assert table["patient_id"].isna().all()


def test_gray_and_color_pictures_become_gray(release):
    table = busi.index(release)
    gray, color = busi.load(table.iloc[0]), busi.load(table.iloc[4])
    np.testing.assert_allclose(gray.image, 0.2, rtol=1e-6)
    np.testing.assert_allclose(color.image, 0.4, rtol=1e-6)
    assert gray.spacing_mm is None
    assert not color.mask.any()


def test_a_color_mask_of_16_bits_is_read_like_one_of_8(release):
    path = release / "malignant" / "malignant (1)_mask.png"
    before = busi.load(busi.index(release, with_masses=True).iloc[2])
    color = cv2.imread(str(path), cv2.IMREAD_COLOR).astype(np.uint16) * 257
    assert cv2.imwrite(str(path), color)
    after = busi.load(busi.index(release, with_masses=True).iloc[2])
    assert after.mask.sum() == 24
    np.testing.assert_array_equal(after.mask, before.mask)


def test_a_gap_in_the_numbers_of_masks_leaves_the_picture_out(release):
    path = release / "benign" / "benign (2)_mask_1.png"
    moved = path.rename(path.with_name("benign (2)_mask_2.png"))
    table, problems = busi.scan(release)
    assert "benign (2)" not in table["sample_id"].tolist()
    assert [(problem.path, problem.kind) for problem in problems] == [(str(moved), "broken")]


def test_filters(release):
    assert len(busi.index(release, with_masses=True)) == 4
    assert busi.index(release, with_masses=False)["sample_id"].tolist() == ["normal (1)"]
    # 24 of 600 pixels are 4 %, the merged masks 9.3 %.
    assert len(busi.index(release, with_masses=True, max_area=0.05)) == 3


def test_a_mask_of_another_size_names_the_file(release):
    row = busi.index(release).iloc[0]
    path = release / "benign" / "benign (1)_mask.png"
    Image.fromarray(_mask(np.s_[0:3, 0:3], (10, 10))).save(path)
    _, problems = busi.scan(release)
    assert [(p.path, p.reason) for p in problems] == [
        (str(path), "mask has shape (10, 10), expected (20, 30)")
    ]
    with pytest.raises(DataError, match=r"benign \(1\)_mask\.png: mask has shape \(10, 10\)"):
        busi.load(row)


@pytest.mark.parametrize(
    ("name", "content"),
    [("benign (1)_mask.png", b""), ("benign (1)_mask.png", b"\x89PNG no"), ("benign (3)_mask_7.png", None)],
)
def test_a_fault_is_one_problem_and_the_rest_is_read(release, name, content):
    path = release / "benign" / name
    path.write_bytes(
        content if content is not None else cv2.imencode(".png", _mask(np.s_[0:3, 0:3]))[1].tobytes()
    )
    table, problems = busi.scan(release)
    assert [problem.path for problem in problems if problem.kind == "broken"] == [str(path)]
    assert len(table) == (5 if content is None else 4)


def test_a_missing_mask_is_a_fault_of_the_picture(release):
    (release / "benign" / "benign (1)_mask.png").unlink()
    _, problems = busi.scan(release)
    assert [(p.path, p.reason) for p in problems] == [
        (str(release / "benign" / "benign (1).png"), "has no mask file")
    ]


def test_a_folder_that_is_no_release_is_an_error(tmp_path):
    with pytest.raises(DataError, match="not a BUSI folder"):
        busi.index(tmp_path)


def test_real_release(real_busi):
    table, problems = busi.scan(real_busi)
    tumors = busi.select(table, with_masses=True)
    assert not problems
    assert len(tumors) == 647
    assert tumors["pathology"].value_counts().to_dict() == {"benign": 437, "malignant": 210}
    assert (tumors["n_masses"] > 1).sum() == 17
    assert len(busi.select(tumors, max_area=0.10)) == 425
    assert len(busi.select(tumors, max_area=0.05)) == 291
