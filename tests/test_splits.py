from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mammoseg_lib.datasets import DataError, inbreast, sample_table
from mammoseg_lib.splits import PARTS, make_split, read_split, shared_patients, write_split


@pytest.fixture
def table():
    """100 images of 40 patients with 1 to 4 images each."""
    patients = np.repeat(np.arange(40), [1, 2, 3, 4] * 10)
    return sample_table([{"sample_id": f"{i:03d}", "patient_id": f"p{p}"} for i, p in enumerate(patients)])


def test_patient_folds_test_every_image_once_and_share_no_patient(table):
    split = make_split(table)
    tested = [i for fold in split.folds for i in fold.test]
    assert sorted(tested) == table["sample_id"].tolist()
    for fold in split.folds:
        parts = [set(getattr(fold, part)) for part in PARTS]
        assert set.union(*parts) == set(table["sample_id"])
        assert sum(map(len, parts)) == len(table)
        assert not shared_patients(table, fold)
        owners = table.set_index("sample_id")["patient_id"]
        assert not set(owners[list(fold.train)]) & set(owners[list(fold.validation)])
        assert 5 <= len(fold.validation) <= 15


def test_the_papers_protocol_tests_half_of_the_images_and_shares_most_patients(table):
    split = make_split(table, "repeated_holdout")
    assert [tuple(len(getattr(fold, part)) for part in PARTS) for fold in split.folds] == [(80, 10, 10)] * 5
    tested = {i for fold in split.folds for i in fold.test}
    assert 30 <= len(tested) <= 50
    assert all(len(shared_patients(table, fold)) > 0 for fold in split.folds)


def test_random_validation_reports_the_images_that_choose_the_epoch(table):
    split = make_split(table, "random_validation")
    assert [tuple(len(getattr(fold, part)) for part in PARTS) for fold in split.folds] == [(80, 20, 20)] * 5
    for fold in split.folds:
        assert fold.test == fold.validation
        assert not set(fold.test) & set(fold.train)
    assert len({fold.test for fold in split.folds}) == 5


def test_holdout_folds_test_one_fifth_of_the_patients_and_validate_on_every_other_image_once(table):
    split = make_split(table, "holdout_folds")
    (test,) = {fold.test for fold in split.folds}
    validated = [i for fold in split.folds for i in fold.validation]
    assert sorted([*validated, *test]) == table["sample_id"].tolist()
    assert 10 <= len(test) <= 30
    owners = table.set_index("sample_id")["patient_id"]
    assert owners[list(test)].nunique() == 8
    for fold in split.folds:
        parts = [set(owners[list(getattr(fold, part))]) for part in PARTS]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 40
        assert sum(len(getattr(fold, part)) for part in PARTS) == 100


@pytest.mark.parametrize("protocol", ["patient_folds", "holdout_folds"])
def test_too_few_patients_for_folds(table, protocol):
    few = table[table["patient_id"].isin(["p0", "p1", "p2", "p3"])]
    with pytest.raises(ValueError, match=r"[34] patients are too few to be divided into 5 folds"):
        make_split(few, protocol)


def test_the_official_division_is_kept(table):
    with pytest.raises(DataError, match="no training or no test images"):
        make_split(table, "official")
    owners = table["patient_id"].str[1:].astype(int)
    official = table.assign(split=np.where(owners < 30, "train", "test"))
    split = make_split(official, "official")
    for fold in split.folds:
        assert set(fold.test) == set(official.loc[official["split"] == "test", "sample_id"])
        assert not shared_patients(official, fold)
        assert sorted(fold.train + fold.validation + fold.test) == table["sample_id"].tolist()
        assert not set(fold.train) & set(fold.validation)
    assert len({fold.validation for fold in split.folds}) > 1


def test_real_inbreast_patients_on_both_sides(real_inbreast):
    table = inbreast.index(real_inbreast, with_masses=True)
    assert [len(shared_patients(table, fold)) for fold in make_split(table).folds] == [0] * 5
    shared = [len(shared_patients(table, fold)) for fold in make_split(table, "repeated_holdout").folds]
    tested = [len(fold.test) for fold in make_split(table, "repeated_holdout").folds]
    # Nearly every patient tested by the paper's protocol is trained on, too.
    assert tested == [11] * 5
    assert min(shared) >= 6


def test_images_without_a_patient_id_are_kept_apart(table):
    alone = table.assign(patient_id=pd.Series(pd.NA, index=table.index, dtype="string"))
    fold = make_split(alone).folds[0]
    assert len(fold.test) == 20
    assert not shared_patients(alone, fold)


def test_the_seed_decides(table):
    assert make_split(table, seed=3) == make_split(table, seed=3)
    assert make_split(table, seed=3).checksum != make_split(table, seed=4).checksum


def test_written_and_read_back(table, tmp_path):
    split = make_split(table)
    write_split(split, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split


def test_a_changed_file_is_noticed(table, tmp_path):
    path = tmp_path / "split.json"
    write_split(make_split(table), path)
    content = json.loads(path.read_text())
    fold = content["folds"][0]
    fold["train"].append(fold["test"].pop())
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="was changed"):
        read_split(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"checksum": 1, "folds": [{}]}'])
def test_a_file_that_is_no_split(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(DataError, match=r"split\.json"):
        read_split(tmp_path / "split.json")


def test_unknown_protocol(table):
    with pytest.raises(ValueError, match="patient_folds, repeated_holdout"):
        make_split(table, "leave_one_out")
