"""Whose masses are drawn: those of the published sets, or ones that a small network soon learns to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mammoseg_lib.checks import check_choice


@dataclass(frozen=True)
class Population:
    """How large the masses of a phantom set are, and how far they stand out from the tissue around them.

    Attributes:
        log_area_mm2: All masses of a mammogram together, log of mm^2: mean and deviation. None: those of the
            data set whose layout is written.
        logit_area: The tumors' part of an ultrasound picture, logit: mean and deviation. None: as above.
        contrast: Brightness of a mass of 230 mm^2 above the tissue around it, in detector counts: median, and
            deviation of its log.
        echo: Factor on the echo of a tumor, which is darker the smaller it is.
    """

    log_area_mm2: tuple[float, float] | None = None
    logit_area: tuple[float, float] | None = None
    contrast: tuple[float, float] = (510.0, 0.35)
    echo: float = 1.0


POPULATIONS: Mapping[str, Population] = {
    "realistic": Population(),
    # Masses of about 33 mm instead of 19 mm, and almost twice as bright. Tumors of about 6 % of the
    # picture: 002 leaves out those of 10 % and more.
    "easy": Population(
        log_area_mm2=(float(np.log(850)), 0.4),
        logit_area=(-2.7, 0.3),
        contrast=(850.0, 0.2),
        echo=0.5,
    ),
}
"""What phantoms can show, by name. Breasts, tissue, densities and views are those of "realistic" in all."""


def named_population(name: str) -> Population:
    """The population of that name.

    Raises:
        ValueError: There is none; the message lists those that there are.
    """
    check_choice("population", name, tuple(POPULATIONS))
    return POPULATIONS[name]
