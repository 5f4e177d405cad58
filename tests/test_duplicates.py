"""Pictures that are in a data set twice: found whatever their size and contrast, and no others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mammoseg_lib.check import check_source
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.preprocessing.duplicates import connected, groups, near_duplicates, structure
from mammoseg_lib.sources import SOURCES, Source
from mammoseg_lib.splits import make_split
from tests.release import write_phantoms


def ultrasound(seed: int, shape=(96, 128)) -> np.ndarray:
    """Speckle with a dark lesion."""
    random = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(random.normal(0, 1, shape).astype(np.float32), (0, 0), 3)
    texture = (texture - texture.min()) / np.ptp(texture)
    lesion = np.zeros(shape, np.uint8)
    cv2.ellipse(lesion, (64, 48), (20, 12), 10 * seed, 0, 360, 1, -1)
    return np.where(lesion > 0, 0.4 * texture, texture).astype(np.float32)


def mammogram(seed: int, shape=(192, 128)) -> np.ndarray:
    """A half-ellipse of tissue, the same in all, on black."""
    random = np.random.default_rng(seed)
    y, x = np.indices(shape)
    breast = ((y - 96) / 90) ** 2 + (x / 100) ** 2 < 1
    texture = cv2.GaussianBlur(random.normal(0, 1, shape).astype(np.float32), (0, 0), 4)
    return np.where(breast, 0.5 + 0.3 * texture / np.abs(texture).max(), 0).astype(np.float32)


KINDS = {"ultrasound": ultrasound, "mammogram": mammogram}
CHANGES = {
    "the same": lambda image: image,
    "2 % larger": lambda image: cv2.resize(image, None, fx=1.02, fy=1.02),
    "half as large": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "other sides": lambda image: cv2.resize(image, (100, 150)),
    "less contrast": lambda image: 0.6 * image + 0.05 * (image > 0),
    "gamma .6": lambda image: image**0.6,
    "gamma 1.6": lambda image: image**1.6,
    "8 bits": lambda image: np.rint(255 * image) / 255,
    "as JPEG": lambda image: cv2.imdecode(cv2.imencode(".jpg", np.rint(255 * image))[1], 0) / 255,
    "with noise": lambda image: (image + np.random.default_rng(9).normal(0, 0.02, image.shape)).clip(0, 1),
    "1 % cut off": lambda image: image[: -image.shape[0] // 100, : -image.shape[1] // 100],
    "with marks": lambda image: cv2.line(image.copy(), (10, 10), (60, 60), 1.0, 2),
}


def pairs(images: list[np.ndarray]) -> list[tuple[int, int]]:
    found = near_duplicates(np.stack([structure(image.astype(np.float32)) for image in images]))
    assert all(0.49 < correlation <= 1 + 1e-5 for *_, correlation in found)
    return [pair[:2] for pair in found]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_is_found_again(kind, change):
    images = [KINDS[kind](seed) for seed in range(20)]
    twins = [CHANGES[change](image) for image in images]
    assert pairs([*images, *twins]) == [(i, 20 + i) for i in range(20)]


def test_more_pictures_than_are_compared_at_a_time(monkeypatch):
    monkeypatch.setattr("mammoseg_lib.preprocessing.duplicates.CHUNK", 3)
    images = [ultrasound(seed) for seed in range(8)]
    assert pairs([*images, images[7], images[0]]) == [(0, 9), (7, 8)]


def test_blank_pictures_are_no_twins():
    assert pairs([np.full((50, 60), value, np.float32) for value in (0, 0, 0.5, 0.5, 1, 1)]) == []
    assert near_duplicates(np.zeros((0, 2, 48, 48), np.float32)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("size", [64, 256])
def test_no_phantom_is_drawn_twice(name, size, tmp_path):
    source = Source(name, write_phantoms(name, tmp_path / "phantoms", 40, size), real=False)
    assert pairs([source.load(row).image for _, row in source.index().iterrows()]) == []


def test_groups_join_over_others():
    names = list("abcdef")
    assert groups(names, [(0, 2), (4, 2), (1, 5)]) == (("a", "c", "e"), ("b", "f"))
    assert groups(names, []) == ()
    assert connected(3, [(0, 2)]) in ([0, 1, 0], [1, 0, 1])


def test_twins_in_two_classes_are_told_and_never_trained_on_and_tested(tmp_path, monkeypatch):
    """As in BUSI: every lesion saved twice, two hundredths larger and in other contrast."""
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    twins = {}
    for n in range(1, 21):
        image = np.rint(200 * ultrasound(n)).astype(np.uint8)
        mask = cv2.ellipse(np.zeros_like(image), (64, 48), (20, 12), 10 * n, 0, 360, 255, -1)
        larger = {"fx": 1.02, "fy": 1.02, "interpolation": cv2.INTER_NEAREST}
        saved = {
            "benign": (image, mask),
            "malignant": (
                0.9 * cv2.resize(image, None, fx=1.02, fy=1.02) + 12,
                cv2.resize(mask, None, **larger),
            ),
        }
        for name, pictures in saved.items():
            (tmp_path / "busi" / name).mkdir(parents=True, exist_ok=True)
            for picture, suffix in zip(pictures, ("", "_mask"), strict=True):
                path = tmp_path / "busi" / name / f"{name} ({n}){suffix}.png"
                cv2.imwrite(str(path), picture.astype(np.uint8))
        twins[f"benign ({n})"] = f"malignant ({n})"
    source = Source("busi", tmp_path / "busi", real=True)
    assert dict(check_source(source).duplicates) == twins
    prepared = prepare(source, Preprocessing(size=64, crop="none"), jobs=1)
    for fold in make_split(prepared, "patient_folds").folds:
        for part in (fold.train, fold.validation, fold.test):
            assert {twins[name] for name in part if name in twins} <= set(part)
