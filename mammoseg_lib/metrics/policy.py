"""What a metric gives when the target, the prediction or both are empty: a choice with a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class EmptyPolicy:
    """How metrics treat empty masks. Print its name with every table that was made under it.

    Attributes:
        name: For tables.
        both_empty: An image without a mass in which none was predicted is "perfect" (fractions 1, dA and
            distances 0) or "undefined" (NaN).
        one_empty: Where only one mask is empty, what is then 0/0 or a distance to nothing is "undefined"
            (NaN, left out of the mean and counted beside it) or "worst" (sensitivity and precision 0,
            distances the diagonal of the image). dA is never bounded, so that without a mass in the
            target it is NaN either way.
    """

    name: str
    both_empty: Literal["perfect", "undefined"]
    one_empty: Literal["undefined", "worst"]

    @property
    def agreement(self) -> float:
        """A fraction such as DSC when both masks are empty."""
        return 1.0 if self.both_empty == "perfect" else np.nan

    @property
    def discrepancy(self) -> float:
        """Value of dA or of a distance when both masks are empty."""
        return 0.0 if self.both_empty == "perfect" else np.nan

    @property
    def fraction(self) -> float:
        """A fraction whose denominator is zero because one mask is empty."""
        return 0.0 if self.one_empty == "worst" else np.nan

    def table(self) -> pd.DataFrame:
        """What every metric gives in the three cases; rows are metrics, columns are cases."""
        distance = "diagonal" if self.one_empty == "worst" else np.nan
        rows = {
            "dsc, iou": (self.agreement, 0.0, 0.0),
            "sensitivity, lesion_sensitivity": (self.agreement, self.fraction, 0.0),
            "precision": (self.agreement, 0.0, self.fraction),
            "da": (self.discrepancy, np.nan, 1.0),
            "hd, hd95, assd": (self.discrepancy, distance, distance),
        }
        cases = ["both empty", "only target empty", "only prediction empty"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=cases, dtype=object)
        return table.rename_axis(f"policy: {self.name}")

    def __str__(self) -> str:
        return f"{self.name} (both empty: {self.both_empty}; one empty: {self.one_empty})"


COUNT_MISSED = EmptyPolicy("count_missed", both_empty="perfect", one_empty="undefined")
UNDEFINED = EmptyPolicy("undefined", both_empty="undefined", one_empty="undefined")
WORST_CASE = EmptyPolicy("worst_case", both_empty="perfect", one_empty="worst")
POLICIES = {policy.name: policy for policy in (COUNT_MISSED, UNDEFINED, WORST_CASE)}
"""Every policy by name; `COUNT_MISSED` is the default everywhere."""
