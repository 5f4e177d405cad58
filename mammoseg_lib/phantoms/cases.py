"""Who has what: the patients, views, densities and masses of a phantom data set, before anything is drawn.

Counts follow the real sets in fixed proportions, and sizes are drawn one from each of n equal parts of
their distribution, so that even a small phantom set has the spread of the real one whatever its seed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from mammoseg_lib.phantoms.mammogram import Lesion, Mammogram
from mammoseg_lib.phantoms.population import Population
from mammoseg_lib.phantoms.ultrasound import Tumor, Ultrasound

# INbreast, images with masses: 107 of 50 patients with 116 outlines; images by ACR class.
IMAGES, PATIENTS, OUTLINES = 107, 50, 116
ACR_IMAGES = {1: 42, 2: 36, 3: 21, 4: 8}
# BI-RADS by kind of margin: the more irregular, the more suspicious.
BIRADS = {
    "round": {"2": 0.4, "3": 0.4, "4a": 0.2},
    "lobulated": {"2": 0.1, "3": 0.3, "4a": 0.2, "4b": 0.2, "4c": 0.2},
    "spiculated": {"4c": 0.2, "5": 0.65, "6": 0.15},
}
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


def inbreast_cases(
    n_images: int, n_without: int, population: Population, rng: np.random.Generator
) -> list[InbreastCase]:
    """Plan `n_images` mammograms with masses and `n_without` without, of the same patients."""
    studies, free = plan_studies(n_images, max(1, round(n_images * PATIENTS / IMAGES)), rng)
    acr = plan_densities([patient for patient, _, _ in studies], ACR_IMAGES, rng)
    sides = sorted({(patient, side) for patient, side, _ in studies})
    mean, deviation = population.log_area_mm2 or LOG_AREA_MM2
    log_area = stratified_normal(len(sides), rng) * deviation + mean
    areas = dict(zip(sides, np.exp(log_area.clip(*LOG_AREA_RANGE)), strict=True))
    traits = {side: plan_lesion(areas[side], population, rng) for side in sides}
    graded = {side: _birads(traits[side].kind, rng) for side in sides}
    # Two masses: in both views of a breast, until there are as many as in INbreast.
    n_double = max(round(n_images * (OUTLINES - IMAGES) / IMAGES), int(n_images >= 4))
    order = {sides[k]: place for place, k in enumerate(rng.permutation(len(sides)))}
    double = sorted(range(n_images), key=lambda i: order[studies[i][:2]])[:n_double]
    breasts = {patient: rng.standard_normal(2) for patient in acr}
    detectors = {patient: int(rng.random() < 0.45) for patient in acr}
    cases = []
    for i in range(n_images + n_without):
        patient, side, view = studies[i] if i < n_images else free[(i - n_images) % len(free)]
        lesions, birads = (), str(rng.choice(["1", "2"]))
        if i < n_images:
            lesions, birads = (in_view(traits[patient, side], view, rng),), graded[patient, side]
        if i in double:
            lesions = with_second(lesions[0], rng)
        mammogram = Mammogram(
            laterality=side,
            view=view,
            acr_density=acr[patient],
            detector=detectors[patient],
            extent=breast_extent(view, breasts[patient], rng),
            lesions=lesions,
            overlapping=i in double and double.index(i) % 3 == 0,
            calcifications=int(rng.integers(1, 9)) if rng.random() < 0.5 else 0,
            markers=int(i < n_images and rng.random() < 0.28),
        )
        cases.append((patient, birads, mammogram))
    # Ids start with 9, which those of the release do not: no phantom is taken for a patient's image.
    numbers = rng.permutation(len(cases))
    planned = [InbreastCase(f"9{7 * int(k) + 1:07d}", *case) for k, case in zip(numbers, cases, strict=True)]
    return sorted(planned, key=lambda case: case.image_id)


def plan_studies(n_images: int, n_patients: int, rng: np.random.Generator) -> tuple[list[tuple], list[tuple]]:
    """(patient, side, view) of every image with a mass, and of images of the same patients' other breasts.

    Most patients have both views of one breast, a few both breasts, and the rest a single view.
    """
    counts = np.ones(n_patients, dtype=int)
    extra = n_images - n_patients
    while extra > 0:  # first a second view for (almost) everyone, then a second breast for some
        pairs, bilateral = np.flatnonzero(counts == 1), np.flatnonzero(counts == 2)
        if len(pairs) > 0.15 * n_patients or extra == 1 or not len(bilateral):
            counts[pairs[0] if len(pairs) else 0] += 1
            extra -= 1
        else:
            counts[bilateral[0]] += 2
            extra -= 2
    rng.shuffle(counts)
    studies, free, single = [], [], 0
    for patient, count in enumerate(counts):
        sides = rng.permutation(["L", "R"]).tolist()
        for side in sides[: (count + 1) // 2]:
            views = ["CC", "MLO"]
            if count % 2 and side == sides[(count - 1) // 2]:  # alternately, so that views stay balanced
                views, single = [views[single % 2]], single + 1
            studies += [(patient, side, view) for view in views]
        free += [(patient, sides[1], view) for view in ("CC", "MLO") if count <= 2]
    return studies, free or [(0, "L", "CC")]


def plan_densities(patients: list[int], images: dict[int, int], rng: np.random.Generator) -> dict[int, int]:
    """An ACR class for each patient, such that the images' counts by class follow those of a data set."""
    counts = Counter(patients)
    total = sum(images.values())
    wanted = {acr: len(patients) * n / total for acr, n in images.items()}
    chosen = {}
    # Those with many images first: the others then even out what is left.
    for patient in sorted(rng.permutation(list(counts)).tolist(), key=lambda p: -counts[p]):
        acr = max(wanted, key=wanted.__getitem__)
        wanted[acr] -= counts[patient]
        chosen[patient] = acr
    return chosen


def plan_lesion(area_mm2: float, population: Population, rng: np.random.Generator) -> Lesion:
    """A mass of this area; kind, contrast and position are drawn."""
    kind = str(rng.choice(["round", "lobulated", "spiculated"], p=[0.3, 0.3, 0.4]))
    contrast, spread = population.contrast
    return Lesion(
        kind=kind,
        area_mm2=float(area_mm2),
        # Thicker masses are brighter. Density adds nothing to that but glandular tissue around: it is harder.
        contrast=float(rng.lognormal(np.log(contrast), spread) * (area_mm2 / 230) ** 0.12),
        softness_mm=float(rng.uniform(0.3, 1.2) * (1.6 if kind == "spiculated" else 1)),
        aspect=float(rng.lognormal(0, 0.22)),
        depth=float(rng.uniform(0.15, 0.85)),
        height=float(rng.beta(2.5, 2.5)),
    )


def _birads(kind: str, rng: np.random.Generator) -> str:
    grades, weights = zip(*BIRADS[kind].items(), strict=True)
    return str(rng.choice(grades, p=weights))


def in_view(lesion: Lesion, view: str, rng: np.random.Generator) -> Lesion:
    """The lesion as one view shows it: as deep, nearly as large, but at another height."""
    return replace(
        lesion,
        area_mm2=lesion.area_mm2 * float(rng.lognormal(0, 0.12)),
        contrast=lesion.contrast * float(rng.lognormal(0, 0.12)),
        height=float((lesion.height if view == "CC" else rng.beta(3, 3)) + rng.normal(0, 0.03)),
    )


def with_second(lesion: Lesion, rng: np.random.Generator) -> tuple[Lesion, Lesion]:
    """The lesion and a smaller one, which share its area."""
    share = float(rng.uniform(0.6, 0.85))
    second = replace(
        lesion,
        area_mm2=(1 - share) * lesion.area_mm2,
        aspect=float(rng.lognormal(0, 0.2)),
        depth=float(rng.uniform(0.2, 0.85)),
        height=float(rng.uniform(0.2, 0.8)),
    )
    return replace(lesion, area_mm2=share * lesion.area_mm2), second


def breast_extent(
    view: str, breast: Float[np.ndarray, " 2"], rng: np.random.Generator
) -> tuple[float, float]:
    """Width and height of the breast as parts of the frame; fitted, correlated by 0.54."""
    wide = breast[0]
    tall = 0.54 * wide + 0.84 * breast[1]
    width, width_sd, height, height_sd = (
        (0.475, 0.20, 0.80, 0.10) if view == "CC" else (0.515, 0.17, 0.90, 0.08)
    )
    jitter = rng.normal(0, 0.02)
    extent = (width * np.exp(width_sd * wide + jitter), height + height_sd * tall)
    return float(np.clip(extent[0], 0.27, 0.78)), float(np.clip(extent[1], 0.56, 1.0))


def stratified_normal(n: int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """One standard normal number from each of n parts of equal probability, in random order."""
    from scipy.special import ndtri  # takes .4 s, and readers need no phantoms

    return ndtri((rng.permutation(n) + rng.uniform(0, 1, n)) / n)


@dataclass(frozen=True)
class BusiCase:
    """One picture of a BUSI-like set: where it is filed, and what it shows."""

    pathology: str
    number: int
    mask_mode: str
    color: bool
    picture: Ultrasound


def busi_cases(n_images: int, population: Population, rng: np.random.Generator) -> list[BusiCase]:
    """Plan `n_images` ultrasound pictures in the proportions of BUSI."""
    total = sum(PICTURES.values())
    # Rounding the running sums keeps the parts adding up to the whole.
    ends = [round(n_images * int(end) / total) for end in np.cumsum(list(PICTURES.values()))]
    cases = []
    for pathology, n in zip(PICTURES, np.diff(ends, prepend=0).tolist(), strict=True):
        several = round(n * SEVERAL_MASKS[pathology])
        several = max(several, int(pathology == "benign" and n >= 4))
        doubled = set(rng.permutation(n)[:several].tolist())
        mean, deviation = population.logit_area or LOGIT_AREA.get(pathology, (0.0, 1.0))
        logit = stratified_normal(n, rng) * deviation + mean if n else np.empty(0)
        areas = (1 / (1 + np.exp(-logit))).clip(*AREA_RANGE)
        for i in range(n):
            tumors = ()
            if pathology != "normal":
                n_tumors = 1 + (i in doubled)
                tumors = tuple(
                    _tumor(pathology, areas[i] / n_tumors, population, rng) for _ in range(n_tumors)
                )
            picture = Ultrasound(
                aspect=float(np.clip(rng.normal(1.25, 0.16), 0.9, 1.6)),
                tumors=tumors,
                depth_gain=float(rng.uniform(0.3, 1.4)),
                brightness=float(rng.normal(0, 0.05)),
                calipers=bool(pathology != "normal" and rng.random() < 0.2),
            )
            mode = str(rng.choice(["1", "L", "RGB", "RGBA"], p=[0.85, 0.05, 0.05, 0.05]))
            if pathology == "normal":
                mode = "RGB"
            cases.append(BusiCase(pathology, i + 1, mode, bool(rng.random() < 0.05), picture))
    return cases


def _tumor(pathology: str, area: float, population: Population, rng: np.random.Generator) -> Tumor:
    if pathology == "malignant":
        return Tumor(
            kind="irregular" if rng.random() < 0.75 else "lobulated",
            area=float(area),
            aspect=float(rng.lognormal(np.log(1.3), 0.25)),
            echo=population.echo * float(rng.uniform(0.15, 0.7)),
            softness=float(rng.uniform(0.006, 0.02)),
            posterior=float(-rng.beta(2, 2)),
            x=float(rng.normal(0.475, 0.14)),
            y=float(rng.normal(0.39, 0.10)),
        )
    cyst = rng.random() < 0.25
    return Tumor(
        kind="round" if rng.random() < 0.75 else "lobulated",
        area=float(area),
        aspect=float(rng.lognormal(np.log(1.75), 0.25)),
        echo=population.echo * float(rng.uniform(0.01, 0.05) if cyst else rng.uniform(0.2, 0.8)),
        softness=float(rng.uniform(0.002, 0.006)),
        posterior=float(rng.uniform(0.4, 1.0) if cyst else rng.uniform(-0.2, 0.5)),
        x=float(rng.normal(0.49, 0.15)),
        y=float(rng.normal(0.33, 0.10)),
    )
