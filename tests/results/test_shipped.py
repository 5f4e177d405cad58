"""The results that come with the project: of today's studies, of real images, and of nobody."""

from __future__ import annotations

import pandas as pd
import pytest

from mammoseg_lib import paths, results
from mammoseg_lib.results import shipped
from mammoseg_lib.studies import load_study

SHIPPED = [
    tuple(path.name.removesuffix(".runs.csv").rsplit(".", 1))
    for path in sorted(paths.results().glob("*.runs.csv"))
]


def test_there_are_some_and_each_is_two_files():
    assert ("spatial_matching", "reduced") in SHIPPED
    expected = {file for one in SHIPPED for file in shipped.files(*one)}
    assert expected == set(paths.results().glob("*.csv"))


@pytest.mark.parametrize(("study", "profile"), SHIPPED)
def test_shipped_results_are_what_the_study_asks_for_today(study, profile):
    assert results.check(load_study(study), profile) == []


@pytest.mark.parametrize(("study", "profile"), SHIPPED)
def test_shipped_results_are_of_real_images_and_name_no_patient(study, profile):
    numbers, origin = shipped.files(study, profile)
    runs = pd.read_csv(origin, dtype=str, keep_default_na=False)
    assert runs["source"].str.endswith(" (real)").all()
    assert runs[["device", "commit", "torch", "minutes"]].ne("").all(axis=None)
    images = pd.read_csv(numbers, dtype=str, keep_default_na=False)
    # BUSI names no patients; INbreast's are numbered anew.
    assert images["patient_id"].str.fullmatch(r"(p[0-9a-f]{8})?").all()
