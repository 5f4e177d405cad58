"""Who has what: the patients, views, densities and masses of a phantom data set, before anything is drawn.

Counts follow the real sets in fixed proportions, and sizes are drawn one from each of n equal parts of
their distribution, so that even a small phantom set has the spread of the real one whatever its seed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from mammoseg_lib.datasets.phantom_mammogram import Lesion, Mammogram
from mammoseg_lib.datasets.phantom_ultrasound import Tumor, Ultrasound

# INbreast, images with masses: 107 of 50 patients with 116 outlines; images by ACR class.
IMAGES, PATIENTS, OUTLINES = 107, 50, 116
ACR_IMAGES = {1: 42, 2: 36, 3: 21, 4: 8}
BIRADS = {"2": 0.10, "3": 0.14, "4a": 0.06, "4b": 0.06, "4c": 0.16, "5": 0.40, "6": 0.08}
# All masses of an image together, log of mm^2: mean, deviation; fitted, cut where INbreast ends.
LOG_AREA_MM2, LOG_AREA_RANGE = (5.60, 1.19), (2.76, 8.21)
# BUSI: pictures by class; those with several mask files; logit of the tumor's part of the picture, fitted.
PICTURES = {"benign": 437, "malignant": 210, "normal": 133}
SEVERAL_MASKS = {"benign": 16 / 437, "malignant": 1 / 210, "normal": 0.0}
LOGIT_AREA = {"benign": (-3.21, 1.22), "malignant": (-2.04, 0.95)}
AREA_RANGE = (0.003, 0.55)


@dataclass(frozen=True)
class InbreastCase:
    """One image of an INbreast-like set: where it is filed, and what it shows."""

    image_id: str
    patient: int
    birads: str
    mammogram: Mammogram


def inbreast_cases(n_images: int, n_without: int, rng: np.random.Generator) -> list[InbreastCase]:
    """Plan `n_images` mammograms with masses and `n_without` without, of the same patients."""
    studies, free = _studies(n_images, rng)
    acr = _densities([patient for patient, _, _ in studies], rng)
    sides = sorted({(patient, side) for patient, side, _ in studies})
    log_area = norm.ppf(_stratified(len(sides), rng)) * LOG_AREA_MM2[1] + LOG_AREA_MM2[0]
    several, n_several = set(), max(round(n_images * (OUTLINES - IMAGES) / IMAGES), int(n_images >= 4))
    for side in rng.permutation(len(sides)):
        if len(several) < n_several:
            several |= {i for i, study in enumerate(studies) if study[:2] == sides[side]}
    several = sorted(several)[:n_several]
    traits = {key: _lesion(log_area[i], acr[key[0]], rng) for i, key in enumerate(sides)}
    breasts = {patient: rng.standard_normal(2) for patient in acr}
    cases = []
    for number, (patient, side, view) in enumerate(studies):
        lesions = _in_view(traits[patient, side][0], view, rng)
        lesions = _with_second(lesions, rng) if number in several else (lesions,)
        mammogram = _mammogram(side, view, acr[patient], patient, breasts[patient], rng, lesions)
        # The first of them overlaps, and every third after it.
        overlapping = number in several and several.index(number) % 3 == 0
        cases.append((patient, traits[patient, side][1], _replace(mammogram, overlapping=overlapping)))
    for k in range(n_without):
        patient, side, view = free[k % len(free)]
        mammogram = _mammogram(side, view, acr[patient], patient, breasts[patient], rng, ())
        cases.append((patient, str(rng.choice(["1", "2"])), mammogram))
    # Ids start with 9, which those of the release do not: no phantom is taken for a patient's image.
    order = rng.permutation(len(cases))
    return [InbreastCase(f"9{7 * int(i) + 1:07d}", *case) for i, case in zip(order, cases, strict=True)]
