from __future__ import annotations

import cv2
import numpy as np
import pytest

from mammoseg_lib.datasets.cbis_ddsm.artifacts import BORDER, remove_artifacts, tissue_mask
from mammoseg_lib.phantoms.cases import inbreast_cases
from mammoseg_lib.phantoms.film import Film, develop
from mammoseg_lib.phantoms.mammogram import draw_mammogram
from mammoseg_lib.phantoms.population import Population

FILMS = 44
WHITE = 1.0


@pytest.fixture(scope="module")
def films() -> list[Film]:
    drawn = []
    for number, case in enumerate(inbreast_cases(FILMS, 0, Population(), np.random.default_rng(4))):
        rng = np.random.default_rng([4, number])
        drawn.append(develop(draw_mammogram(case.mammogram, 512, rng), case.mammogram, rng))
    return drawn


def gray(film: Film) -> np.ndarray:
    return film.pixels.astype(np.float32) / np.float32(65535)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A half disc of tissue at the left edge of a film with fog; the image and the tissue."""
    y, x = np.indices((512, 340))
    breast = np.hypot(y - 256, x) < 190
    rng = np.random.default_rng(0)
    image = np.where(breast, 0.55, 0.05) + 0.005 * rng.standard_normal(breast.shape)
    return image.astype(np.float32), breast


def test_films_have_what_is_to_be_removed(films):
    for film in films:
        assert film.foreign.mean() > 0.005
        assert (gray(film)[~film.breast & ~film.foreign] > 0.005).mean() > 0.95  # fog: not black
    assert sum(bool((film.foreign & (gray(film) < 0.8)).sum() > 500) for film in films) >= FILMS // 5  # tape


def test_the_breast_is_kept_and_labels_borders_and_tape_are_lost(films):
    for film in films:
        tissue = tissue_mask(gray(film))
        assert tissue[film.breast].mean() > 0.99
        assert not tissue[film.foreign].any()
        assert (tissue & ~film.breast).sum() < 0.02 * film.breast.sum()  # a line along the skin
        for mass in film.masks:
            assert tissue[mass & film.breast].mean() > 0.99


def test_what_is_not_tissue_becomes_black_and_the_rest_stays_as_it_is(films):
    image = gray(films[0])
    tissue, cleaned = tissue_mask(image), remove_artifacts(image)
    assert cleaned.dtype == np.float32
    assert (cleaned[tissue] == image[tissue]).all()
    assert (cleaned[~tissue] == 0).all()


def test_the_mirror_image_has_the_mirrored_mask(films):
    for film in films[:8]:
        assert (tissue_mask(gray(film)[:, ::-1].copy()) == tissue_mask(gray(film))[:, ::-1]).all()


def test_a_scan_of_more_pixels_gives_the_same_breast(films):
    image = gray(films[1])
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    tissue = tissue_mask(large)
    assert tissue.shape == large.shape
    small = cv2.resize(tissue.astype(np.uint8), image.shape[::-1], interpolation=cv2.INTER_AREA)
    assert (small.astype(bool) == tissue_mask(image)).mean() > 0.995


@pytest.mark.parametrize("angle", [0, 4, 90])
def test_a_label_on_the_skin_is_cut_out_of_the_breast(angle):
    image, breast = scene()
    label = np.zeros(image.shape, dtype=np.uint8)
    box = cv2.boxPoints(((180.0, 170.0), (100.0, 40.0), angle))
    cv2.fillPoly(label, [box.round().astype(np.int32)], 1)
    assert (breast & (label > 0)).any()
    image[label > 0] = WHITE
    image[167:172, 166:194] = 0.1  # writing
    tissue = tissue_mask(image)
    assert not tissue[label > 0].any()
    assert tissue[breast & (label == 0)].mean() > 0.99


def test_a_thin_bridge_does_not_join_something_else_to_the_breast():
    image, breast = scene()
    image[30:480, 250:280] = 0.4  # tape
    image[256:258, 180:260] = 0.4
    tissue = tissue_mask(image)
    assert not tissue[30:480, 250:280].any()
    assert tissue[breast].mean() > 0.99


def test_tissue_as_bright_as_paper_is_kept_where_it_reaches_the_edge():
    image, breast = scene()
    y, x = np.indices(image.shape)
    muscle = breast & (x + y < 200)
    assert BORDER * image.shape[1] < muscle.any(0).sum()
    image[muscle] = WHITE
    assert tissue_mask(image)[breast].mean() > 0.99


def test_a_bright_spot_at_the_edge_is_no_border():
    image, breast = scene()
    y, x = np.indices(image.shape)
    spot = x + np.abs(y - 256) / 2 < 12
    image[spot] = WHITE
    assert tissue_mask(image)[spot].all()
    assert tissue_mask(image)[breast].mean() > 0.99


def test_faint_haze_beside_the_breast_is_background():
    """Most of the background is one value, so that its median deviation is 0 and says nothing."""
    image, breast = scene()
    image = np.where(breast, image, np.float32(0))
    image[:, :220][~breast[:, :220]] = 0.008
    tissue = tissue_mask(image)
    assert tissue[breast].mean() > 0.99
    assert (tissue & ~breast).sum() < 0.02 * breast.sum()


@pytest.mark.parametrize("edge", range(4))
def test_a_white_border_is_lost_at_any_edge(edge):
    image, breast = scene()
    border = np.zeros(image.shape, dtype=bool)
    np.rot90(border, edge)[:6] = True
    image[border] = WHITE
    tissue = tissue_mask(image)
    assert not tissue[border].any()
    assert tissue[breast & ~border].mean() > 0.985


def test_nothing_of_a_border_is_left_that_ends_within_a_working_pixel():
    image, breast = (cv2.resize(part.astype(np.float32), (1020, 1536)) for part in scene())
    image[:, :19] = WHITE
    tissue = tissue_mask(image)
    assert tissue[:, :19].mean() < 0.001  # a pixel at either end of the skin
    assert tissue[:, 22:][breast[:, 22:] == 1].mean() > 0.99


def test_holes_in_the_breast_belong_to_it():
    image, breast = scene()
    image[240:280, 50:90] = 0.05
    assert tissue_mask(image)[240:280, 50:90].all()
    assert tissue_mask(image)[breast].mean() > 0.99


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_an_image_without_contrast_is_all_tissue(value):
    assert tissue_mask(np.full((40, 30), value, dtype=np.float32)).all()


def test_a_digital_mammogram_loses_nothing_but_a_line_of_skin():
    for number, case in enumerate(inbreast_cases(8, 0, Population(), np.random.default_rng(5))):
        pixels = draw_mammogram(case.mammogram, 384, np.random.default_rng(number)).pixels
        tissue = tissue_mask((pixels / 4095).astype(np.float32))
        assert tissue[pixels > 0].mean() > 0.985
        assert not tissue[cv2.blur(pixels.astype(np.float32), (5, 5)) == 0].any()
