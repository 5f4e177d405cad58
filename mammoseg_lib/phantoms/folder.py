"""Phantom mammograms as a folder of one's own: 16-bit PNG images, PNG masks and `samples.csv`.

They stand in for 003's private Finnish set, on which its networks are trained before they meet INbreast.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from skimage.draw import polygon2mask

from mammoseg_lib.datasets.folder.layout import IMAGES, MASKS, SEPARATOR, write_png, write_table
from mammoseg_lib.phantoms.cases import InbreastCase, inbreast_cases
from mammoseg_lib.phantoms.mammogram import draw_mammogram
from mammoseg_lib.phantoms.population import named_population
from mammoseg_lib.phantoms.writing import MARK, WITHOUT_MASS, draw_all, plan_seeds
from mammoseg_lib.storage import atomic_folder

DETECTOR_MAX = 2**14 - 1  # of the INbreast phantoms: one gray value means the same in both sets


def write(
    root: Path,
    *,
    n_images: int,
    size: int,
    seed: int,
    population: str = "realistic",
    progress: bool = False,
) -> Path:
    """A `Writer` of mammograms, as many with masses and without, and drawn as, those of `phantoms.inbreast`.

    The random numbers are others: whatever the seeds, the set shares no case with phantoms of INbreast.
    """
    n_without = round(WITHOUT_MASS * n_images)
    # A number of 64 bits that nobody gives as a seed.
    own = int.from_bytes(hashlib.sha256(f"{MARK} folder {seed}".encode()).digest()[:8], "big")
    plan, *children = plan_seeds(root, n_images, size, own, n_images + n_without)
    rng = np.random.default_rng(plan)
    cases = inbreast_cases(n_images, n_without, named_population(population), rng)
    with atomic_folder(root) as folder:
        for name in (IMAGES, MASKS):
            (folder / name).mkdir()
        rows: dict[str, dict] = {}
        work = partial(_write_mammogram, folder, size, seed, rows)
        draw_all(work, zip(cases, children, strict=True), len(cases), "own", progress)
        write_table(folder, [rows[name] for name in sorted(rows)])
    return root


def _write_mammogram(
    folder: Path,
    size: int,
    seed: int,
    rows: dict[str, dict],
    case: InbreastCase,
    child: np.random.SeedSequence,
) -> None:
    drawn, shown = draw_mammogram(case.mammogram, size, np.random.default_rng(child)), case.mammogram
    # Ids start with 8, those of INbreast phantoms with 9.
    name = f"8{case.image_id[1:]}"
    gray = np.rint(drawn.pixels * (65535 / DETECTOR_MAX)).astype(np.uint16)
    masks = [f"{MASKS}/{name}_mask_{n}.png" for n in range(len(drawn.outlines))]
    write_png(folder / IMAGES / f"{name}.png", gray)
    for mask, outline in zip(masks, drawn.outlines, strict=True):
        write_png(folder / mask, polygon2mask(gray.shape, outline[:, ::-1]).astype(np.uint8) * 255)
    rows[name] = {
        "sample_id": name,
        "patient_id": hashlib.sha256(f"{MARK} folder {seed} {case.patient}".encode()).hexdigest()[:16],
        "image_path": f"{IMAGES}/{name}.png",
        "laterality": shown.laterality,
        "view": shown.view,
        "acr_density": shown.acr_density,
        "birads": case.birads,
        "mask_path": SEPARATOR.join(masks),
        "spacing_mm": f"{drawn.spacing_mm:.8g}",
    }
