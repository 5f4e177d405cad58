"""In how many pieces a mass is predicted, and how sure a difference between methods is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool
from scipy import ndimage

from mammoseg_lib.checks import check_choice
from mammoseg_lib.metrics.lesions import EIGHT_NEIGHBORS
from mammoseg_lib.runs import Run
from mammoseg_lib.splits import patients

KEYS = ["fold", "seed", "sample_id"]


def count_components(mask: Bool[np.ndarray, "h w"]) -> int:
    """The number of 8-connected components of a mask; 0 for an empty one."""
    return int(ndimage.label(mask, EIGHT_NEIGHBORS)[1])


def components_of(runs: Iterable[Run]) -> pd.DataFrame:
    """The components of every predicted mask (probability > .5) of some runs, and of the ground truth.

    Returns:
        One row per run and test image: method, fold, seed, sample_id, patient_id (the image itself where
        the patient is unknown), `true` and `predicted`.
    """
    tables = []
    for run in runs:
        config, maps = run.config, run.predictions()
        table = run.per_image
        tables.append(
            pd.DataFrame(
                {
                    "method": config["method"],
                    "fold": config["fold"],
                    "seed": config["seed"],
                    "sample_id": table["sample_id"],
                    "patient_id": patients(table),
                    "true": table["lesions"],
                    "predicted": [count_components(maps[i] > 0.5) for i in table["sample_id"]],
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def component_table(
    components: pd.DataFrame,
    against: str,
    *,
    both_predict: bool = False,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean number of components of each method, and the difference to one method on the same images.

    Compared are predictions of the same fold, seed and image. The interval is a percentile interval from
    resampling patients, each with all its images, folds and seeds.

    Args:
        components: From `components_of`.
        against: The method that the others are compared with.
        both_predict: Take the difference over images only for which both methods predict something: a
            method that finds nothing has no component, which is fewer but not better.
        n: Resamples.
        seed: Of the resampling.
        level: Coverage of the interval in 0..1.

    Returns:
        One row per method: method, predictions (how many), mean, true (mean of the ground truth), none and
        several (predictions without a component, and with more than one); pairs (how many are compared),
        difference, low and high, NaN for `against` itself and where there are fewer than two patients.

    Raises:
        ValueError: `against` is not among the methods, or a prediction is there twice.
    """
    methods = list(dict.fromkeys(components["method"]))
    check_choice("against", against, methods)
    if components.duplicated(["method", *KEYS]).any():
        raise ValueError("a prediction is there twice: the runs differ in more than method, fold and seed")
    counts = components.pivot_table(index=["patient_id", *KEYS], columns="method", values="predicted")
    rows = []
    for method in methods:
        own = components[components["method"] == method]
        row = {
            "method": method,
            "predictions": len(own),
            "mean": own["predicted"].mean(),
            "true": own["true"].mean(),
            "none": int((own["predicted"] == 0).sum()),
            "several": int((own["predicted"] > 1).sum()),
        }
        if method != against:
            pair = counts[[method, against]].dropna()
            if both_predict:
                pair = pair[(pair > 0).all(axis=1)]
            row |= _paired(pair[method] - pair[against], n, seed, level)
        rows.append(row)
    columns = [
        "method",
        "predictions",
        "mean",
        "true",
        "none",
        "several",
        "pairs",
        "difference",
        "low",
        "high",
    ]
    return pd.DataFrame(rows, columns=columns)


def _paired(difference: pd.Series, n: int, seed: int, level: float) -> dict[str, float | int]:
    """The mean of differences, with an interval from resampling patients."""
    patients = difference.groupby(level="patient_id").agg(["sum", "count"])
    result = {"pairs": len(difference), "difference": difference.mean(), "low": np.nan, "high": np.nan}
    if len(patients) > 1:
        random = np.random.default_rng(seed)
        draws = random.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=n)
        means = (draws @ patients["sum"].to_numpy(float)) / (draws @ patients["count"].to_numpy(float))
        result["low"], result["high"] = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return result
