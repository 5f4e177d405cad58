from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mammoseg_lib import splits
from mammoseg_lib.datasets import DataError, inbreast, sample_table
from mammoseg_lib.splits import (
    PARTS,
    PROTOCOLS,
    SEPARATES,
    check_checksum,
    read_split,
    shared_duplicates,
    shared_patients,
    write_split,
)


def images(table, *duplicates):
    """What is divided: a table, and its groups of near-duplicates."""
    return SimpleNamespace(table=table, duplicates=duplicates)


def make_split(table, *arguments, duplicates=(), **options):
    return splits.make_split(images(table, *duplicates), *arguments, **options)


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
    with pytest.raises(
        ValueError, match=r"[34] patients, images without one and groups of near-duplicates are too few"
    ):
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
    with pytest.raises(ValueError, match="'patient_folds', 'repeated_holdout'"):
        make_split(table, "leave_one_out")


def without_patients(n):
    return sample_table([{"sample_id": f"{i:03d}"} for i in range(n)])


TWINS = [("000", "001"), ("010", "050", "090"), ("091", "092"), ("007", "099")]


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS.keys() - SEPARATES.keys()))
@pytest.mark.parametrize("seed", range(5))
def test_near_duplicates_are_on_one_side(protocol, seed):
    twins = images(without_patients(100), *TWINS)
    for fold in splits.make_split(twins, protocol, seed).folds:
        assert shared_duplicates(twins, fold) == []
        parts = [set(getattr(fold, part)) for part in PARTS]
        for group in TWINS:
            assert sum(bool(part & set(group)) for part in (parts[0], parts[1] | parts[2])) == 1
        assert set.union(*parts) == set(twins.table["sample_id"])


@pytest.mark.parametrize("protocol", sorted(SEPARATES.keys() - {"official"}))
def test_the_papers_own_divisions_know_of_no_group(table, protocol):
    groups = [tuple(table["sample_id"][i : i + 5]) for i in range(0, 100, 5)]
    split = make_split(table, protocol, duplicates=groups)
    assert split == make_split(table, protocol)
    assert all(shared_duplicates(images(table, *groups), fold) for fold in split.folds)


def test_patients_and_near_duplicates_join_each_other(table):
    """A twin of two patients makes one group of them: p0 - p9 here, image by image."""
    owners = table.set_index("sample_id")["patient_id"]
    ones = [owners.index[owners == f"p{k}"][0] for k in range(10)]
    chain = [(ones[k], ones[k + 1]) for k in range(9)]
    joined = set(owners.index[owners.isin([f"p{k}" for k in range(10)])])
    for protocol in ("patient_folds", "holdout_folds", "grouped_validation"):
        for fold in make_split(table, protocol, duplicates=chain).folds:
            assert sum(bool(joined & set(part)) for part in {fold.train, fold.validation, fold.test}) == 1


def test_without_duplicates_folds_are_those_of_patients_alone(table):
    from sklearn.model_selection import GroupKFold

    rest = GroupKFold(5, shuffle=True, random_state=7).split(table, groups=table["patient_id"].to_numpy(str))
    tested = [tuple(table["sample_id"].iloc[test]) for _, test in rest]
    assert [fold.test for fold in make_split(table, seed=7).folds] == tested


def test_grouped_validation_is_the_papers_division_but_for_the_groups():
    twins = images(without_patients(200), *TWINS)
    random = np.random.default_rng(3)
    for own, fold in zip(
        splits.make_split(twins, "random_validation", 3).folds,
        splits.make_split(twins, "grouped_validation", 3).folds,
        strict=True,
    ):
        order = [f"{i:03d}" for i in random.permutation(200)]
        assert own.train == tuple(sorted(order[:160]))
        assert own.test == own.validation == tuple(sorted(order[160:]))
        assert fold.test == fold.validation
        assert 160 <= len(fold.train) <= 162
        # Only the twins, and as many others as they push over the edge, have changed sides.
        assert len(set(own.train) ^ set(fold.train)) <= 2 * sum(map(len, TWINS))
    alone = images(without_patients(200))
    assert [f.train for f in splits.make_split(alone, "grouped_validation", 3).folds] == [
        f.train for f in splits.make_split(alone, "random_validation", 3).folds
    ]


def test_one_group_larger_than_the_training_part_leaves_nothing_half(table):
    everything = [tuple(table["sample_id"])]
    for fold in make_split(table, "grouped_validation", duplicates=everything).folds:
        assert (len(fold.train), len(fold.test)) == (100, 0)


def test_another_split_than_the_one_recorded_is_refused(table, tmp_path):
    split = make_split(table)
    check_checksum(split, split.checksum, tmp_path)
    with pytest.raises(DataError, match="was made with another split") as error:
        check_checksum(make_split(table, seed=1), split.checksum, tmp_path / "run")
    assert error.value.path == str(tmp_path / "run")
