"""Phantom ultrasound in the release layout of BUSI: PNG files by class, with mask files of mixed modes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mammoseg_lib.phantoms.cases import BusiCase, busi_cases
from mammoseg_lib.phantoms.population import named_population
from mammoseg_lib.phantoms.ultrasound import draw_ultrasound
from mammoseg_lib.phantoms.writing import draw_all, plan_seeds
from mammoseg_lib.storage import atomic_folder


def write(
    root: Path,
    *,
    n_images: int,
    size: int,
    seed: int,
    population: str = "realistic",
    progress: bool = False,
) -> Path:
    """A `Writer` of `n_images` pictures in all: benign, malignant and normal as 437, 210 and 133."""
    plan, *children = plan_seeds(root, n_images, size, seed, n_images)
    cases = busi_cases(n_images, named_population(population), np.random.default_rng(plan))
    with atomic_folder(root) as folder:
        for name in ("benign", "malignant", "normal"):
            (folder / name).mkdir()
        work = partial(_write_ultrasound, folder, size)
        draw_all(work, zip(cases, children, strict=True), len(cases), "BUSI", progress)
    return root


def _write_ultrasound(folder: Path, size: int, case: BusiCase, child: np.random.SeedSequence) -> None:
    pixels, masks = draw_ultrasound(case.picture, size, np.random.default_rng(child))
    stem = folder / case.pathology / f"{case.pathology} ({case.number})"
    picture = Image.fromarray(pixels)
    (picture.convert("RGB") if case.color else picture).save(f"{stem}.png")
    for number, mask in enumerate(masks or [np.zeros(pixels.shape, dtype=bool)]):
        suffix = f"_{number}" if number else ""
        lit = Image.fromarray(mask.astype(np.uint8) * 255)
        lit.convert(case.mask_mode, dither=Image.Dither.NONE).save(f"{stem}_mask{suffix}.png")
