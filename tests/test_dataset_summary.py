from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mammoseg_lib.datasets import inbreast
from mammoseg_lib.preprocessing import Preprocessing, crop_and_window
from mammoseg_lib.reports.dataset_measures import fine_detail, in_box, mass_masks, measure, separability
from mammoseg_lib.reports.dataset_summary import (
    KINDS,
    class_counts,
    class_distances,
    distances,
    histogram,
    stored,
    summarize,
    together,
)
from mammoseg_lib.sources import Source
from tests.release import write_phantoms

ANYWHERE = np.ones((12, 12), dtype=bool)


@pytest.fixture(scope="module")
def mammograms(tmp_path_factory):
    root = tmp_path_factory.mktemp("inbreast") / inbreast.FOLDER
    return Source("inbreast", write_phantoms("inbreast", root, n_images=6, size=96, seed=1), real=False)


@pytest.fixture(scope="module")
def of_mammograms(mammograms):
    return summarize(mammograms, 64)


@pytest.fixture(scope="module")
def of_ultrasound(tmp_path_factory):
    root = write_phantoms("busi", tmp_path_factory.mktemp("busi") / "busi", n_images=16, size=64)
    return summarize(Source("busi", root, real=False), 64)


def square(size: int = 4) -> np.ndarray:
    mask = np.zeros((12, 12), dtype=bool)
    mask[4 : 4 + size, 4 : 4 + size] = True
    return mask


# Separability


def pairwise(inside, around) -> float:
    return np.mean([[(a > b) + 0.5 * (a == b) for b in around] for a in inside])


@given(seed=st.integers(0, 1000), levels=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_separability_is_the_share_of_pairs(seed, levels):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, levels + 1, (12, 12)).astype(np.float32) / 8
    tissue = rng.random((12, 12)) < 0.7
    mask = square()
    around = [
        image[y, x]
        for y in range(12)
        for x in range(12)
        if not mask[y, x]
        and tissue[y, x]
        # 16 pixels have an equivalent radius of 2.26: the nearest mass pixel is at most that far away.
        and min(np.hypot(y - v, x - u) for v in range(4, 8) for u in range(4, 8)) <= np.sqrt(16 / np.pi)
    ]
    assert separability(image, mask, tissue) == pytest.approx(pairwise(image[mask], around))
    assert separability(image**3, mask, tissue) == separability(image, mask, tissue)


@pytest.mark.parametrize(("inside", "expected"), [(0.9, 1.0), (0.5, 0.5), (0.1, 0.0)])
def test_a_brighter_an_equal_and_a_darker_mass(inside, expected):
    image = np.where(square(), inside, 0.5).astype(np.float32)
    assert separability(image, square(), ANYWHERE) == expected


def test_without_a_mass_or_surroundings_there_is_no_separability():
    image = np.zeros((12, 12), dtype=np.float32)
    assert np.isnan(separability(image, np.zeros((12, 12), dtype=bool), ANYWHERE))
    assert np.isnan(separability(image, ANYWHERE, ANYWHERE))
    assert np.isnan(separability(image, square(), square()))


# Fine detail


def test_fine_detail_of_a_wave_is_what_the_blur_removes_of_it():
    x = np.arange(120)
    tissue = np.ones((40, 120), dtype=bool)
    for period in (4, 8, 24):
        wave = np.tile(0.5 + 0.25 * np.sin(2 * np.pi * x / period), (40, 1)).astype(np.float32)
        kept = np.exp(-2 * (np.pi * 2 / period) ** 2)  # of the amplitude: a Gaussian with a sigma of 2
        inner = tissue.copy()
        inner[:, :4] = inner[:, -4:] = False  # the blur reflects at the frame
        assert fine_detail(wave, inner) == pytest.approx((1 - kept) ** 2, abs=0.01)
        assert fine_detail(0.5 * wave + 0.1, inner) == pytest.approx(fine_detail(wave, inner), rel=1e-3)


def test_fine_detail_does_not_see_the_edge_of_the_breast():
    noise = np.random.default_rng(0).random((64, 64), dtype=np.float32) / 10
    tissue = np.zeros((64, 64), dtype=bool)
    tissue[:, :40] = True
    cut = np.where(tissue, 0.8 + noise, 0).astype(np.float32)
    assert fine_detail(cut, tissue) == pytest.approx(fine_detail(0.8 + noise, tissue))
    assert fine_detail(cut, tissue) > 0.9


def test_without_tissue_or_contrast_there_is_no_fine_detail():
    assert np.isnan(fine_detail(np.zeros((32, 32), dtype=np.float32), np.ones((32, 32), dtype=bool)))
    assert np.isnan(fine_detail(np.eye(32, dtype=np.float32), np.zeros((32, 32), dtype=bool)))


# The breast's box


def test_the_chest_wall_comes_to_the_left():
    breast = np.zeros((6, 8), dtype=bool)
    breast[1:5, 6:] = True  # cut off at the right edge ...
    breast[2:4, 4:6] = True  # ... and narrower at the nipple
    mask = np.zeros((6, 8), dtype=bool)
    mask[1, 7] = True
    box = in_box(mask, breast, mirror=True)
    assert box.shape == (4, 4)
    assert np.argwhere(box).tolist() == [[0, 0]]
    assert np.argwhere(in_box(mask, breast)).tolist() == [[0, 3]]
    np.testing.assert_array_equal(in_box(mask[:, ::-1], breast[:, ::-1], mirror=True), box)


def test_phantoms_have_the_chest_wall_where_their_side_says(mammograms):
    table = mammograms.index()
    assert set(table["laterality"]) == {"L", "R"}
    for _, row in table.iterrows():
        breast = mammograms.load(row).image > 0
        turned = (in_box(breast, breast, mirror=True) != in_box(breast, breast)).any()
        assert turned == (row["laterality"] == "R")


# One image


def test_the_measures_of_a_phantom(mammograms):
    row = mammograms.index(with_masses=True).sort_values("n_masses").iloc[-1]
    sample, found = mammograms.load(row), measure(mammograms, 64, row)
    cut = crop_and_window(sample, Preprocessing(window=None))
    assert found.image["mass_fraction"] == pytest.approx(100 * row["mass_fraction"])
    assert found.image["box_fraction"] == pytest.approx(100 * cut.mask.mean())
    assert found.cells.mean() == pytest.approx(cut.mask.mean(), rel=1e-4)
    masks = mass_masks(mammograms, row, sample)
    assert len(found.masses) == len(masks) == row["n_masses"] == 2
    for mass, mask in zip(found.masses, masks, strict=True):
        assert np.pi / 4 * mass["diameter_mm"] ** 2 == pytest.approx(mask.sum() * sample.spacing_mm**2)
        box = in_box(mask, sample.image > 0, mirror=True)
        y, x = np.argwhere(box).mean(0)
        assert mass["x"] == pytest.approx((x + 0.5) / box.shape[1], abs=0.03)
        assert mass["y"] == pytest.approx((y + 0.5) / box.shape[0], abs=0.03)


# Tables


def test_every_table_counts_every_image(of_mammograms, mammograms):
    table = mammograms.index(with_masses=True)
    overview = of_mammograms["overview"].iloc[0]
    assert (overview["images"], overview["with_mass"], overview["measured"]) == (7, 6, 6)
    assert overview["masses"] == table["n_masses"].sum()
    assert overview["patients"] == table["patient_id"].nunique()
    counts = of_mammograms["distributions"].groupby("quantity")["count"].sum()
    assert set(counts[["mass_fraction", "box_fraction", "separability", "fine_detail"]]) == {6}
    assert set(counts[["diameter_mm", "x", "y"]]) == {overview["masses"]}
    assert "working_area" not in counts
    quantities = of_mammograms["quantities"].set_index("quantity")
    assert quantities["n"].to_dict() == counts.to_dict()
    positions = of_mammograms["positions"]["percent"]
    assert positions.mean() == pytest.approx(quantities["mean"]["box_fraction"], abs=0.01)
    assert of_mammograms["contrasts"]["images"].sum() == 6


def test_ultrasound_has_no_breast_to_crop_to(of_ultrasound):
    quantities = of_ultrasound["quantities"].set_index("quantity")
    assert set(quantities.index) == {
        *("mass_fraction", "working_area", "x", "y", "separability", "fine_detail")
    }
    assert quantities["mean"]["working_area"] == pytest.approx(quantities["mean"]["mass_fraction"], rel=0.02)
    assert of_ultrasound["contrasts"].empty
    assert of_ultrasound["overview"]["patients"].isna().all()
    assert quantities["mean"]["separability"] < 0.5  # tumors are darker


def test_where_only_tables_are_here_classes_are_counted_and_no_pixels(tmp_path):
    root = write_phantoms("cbis_ddsm", tmp_path / "films", n_images=8, size=64)
    whole = summarize(Source("cbis_ddsm", root, real=False), 64)
    for folder in root.glob("Mass-*"):
        shutil.rmtree(folder)
    bare = summarize(Source("cbis_ddsm", root, real=False), 64)
    assert whole["overview"]["measured"].item() == whole["overview"]["with_mass"].item() == 8
    assert (bare["overview"]["measured"].item(), bare["overview"]["with_mass"].item()) == (0, 8)
    pd.testing.assert_frame_equal(bare["classes"], whole["classes"])
    for kind in ("quantities", "distributions", "positions", "contrasts"):
        assert bare[kind].empty


def test_tables_come_back_as_they_were_stored(of_mammograms, of_ultrasound, tmp_path):
    tables = together([of_mammograms, of_ultrasound])
    for kind in KINDS:
        tables[kind].to_csv(tmp_path / f"atlas-{kind}.csv", index=False)
    back = stored(tmp_path, "atlas")
    for kind in KINDS:
        pd.testing.assert_frame_equal(back[kind], tables[kind], check_dtype=False)
    assert set(back["classes"]["value"].map(type)) == {str}
    assert set(tables["overview"]["source"]) == {"inbreast", "busi"}
    assert (distances(tables["distributions"], back["distributions"])["distance"] == 0).all()


def test_class_counts_leave_out_what_is_unknown():
    table = pd.DataFrame(
        {
            "acr_density": pd.array([1, 2, 2, pd.NA], dtype="Int64"),
            "birads": ["4a", "5", "5", None],
            "n_masses": [1, 1, 2, 1],
            "patient_id": ["a", "a", "b", None],
        }
    ).reindex(columns=["acr_density", "view", "laterality", "birads", "pathology", "n_masses", "patient_id"])
    counts = (
        class_counts(table)
        .groupby("property")
        .apply(lambda g: dict(zip(g["value"], g["images"], strict=True)))
    )
    assert counts.to_dict() == {
        "acr_density": {"1": 1, "2": 2},
        "birads": {"4a": 1, "5": 2},
        "n_masses": {"1": 3, "2": 1},
        "images per patient": {"1": 1, "2": 1},
    }


# Distances


def test_bins_are_closed_below_and_keep_what_lies_outside():
    counts = histogram(pd.Series([-1.0, 0.0, 1.0, 1.5, 2.0, 9.0]), np.array([0.0, 1.0, 2.0, 3.0]))
    assert counts["count"].tolist() == [2, 2, 2]


def as_table(values, edges, quantity: str = "q") -> pd.DataFrame:
    return histogram(pd.Series(values), np.array(edges, dtype=float)).assign(source="s", quantity=quantity)


@given(seed=st.integers(0, 1000), n=st.integers(3, 30), m=st.integers(3, 30))
@settings(max_examples=40, deadline=None)
def test_distance_is_that_of_kolmogorov_and_smirnov(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 10, n).astype(float), rng.integers(2, 12, m).astype(float)
    exact = stats.ks_2samp(a, b, method="asymp").statistic
    # With a bin for every value nothing is lost; with wide bins the distance can only be smaller.
    (fine,) = distances(as_table(a, range(13)), as_table(b, range(13))).to_dict("records")
    (wide,) = distances(as_table(a, range(0, 13, 4)), as_table(b, range(0, 13, 4))).to_dict("records")
    assert fine["distance"] == pytest.approx(exact)
    assert wide["distance"] <= exact + 1e-12
    assert (fine["n_a"], fine["n_b"]) == (n, m)
    gap = abs((a < fine["at"]).mean() - (b < fine["at"]).mean())
    assert gap == pytest.approx(exact)


def test_the_critical_distance_is_the_textbook_one():
    table = as_table(np.arange(10.0), range(11))
    # 1.358 sqrt((n + m) / (n m)) at 5 %, 1.628 at 1 %
    assert distances(table, table)["critical"].item() == pytest.approx(1.358 * np.sqrt(0.2), abs=1e-3)
    assert distances(table, table, 0.01)["critical"].item() == pytest.approx(1.628 * np.sqrt(0.2), abs=1e-3)


def test_only_what_both_have_is_compared():
    a = pd.concat([as_table([1.0], range(4)), as_table([1.0], range(4), "alone")])
    assert distances(a, as_table([2.0], range(4)))["quantity"].tolist() == ["q"]


def test_class_distance_of_hand_made_counts():
    def table(**counts) -> pd.DataFrame:
        rows = [{"source": "s", "property": "view", "value": v, "images": n} for v, n in counts.items()]
        return pd.DataFrame(rows)

    # Shares .6 .4 0 and .2 .4 .4: .4 of the images would have to change.
    (row,) = class_distances(table(CC=6, MLO=4), table(CC=1, MLO=2, XCC=2)).to_dict("records")
    assert row["distance"] == pytest.approx(0.4)
    assert (row["n_a"], row["n_b"]) == (10, 5)
    assert class_distances(table(CC=6), table(CC=6).assign(source="t")).empty
