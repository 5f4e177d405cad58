"""What a data set holds, as tables of numbers, and how far two sets are apart.

summary = summarize(open_source("inbreast"), size=256)
distances(summary["distributions"], other["distributions"])

Distributions are kept as counts in fixed bins, so that those of images that may not be handed on can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from mammoseg_lib.datasets import sample_table
from mammoseg_lib.datasets.cbis_ddsm.table import read_cases
from mammoseg_lib.reports.dataset_measures import GRID, Measured, measure
from mammoseg_lib.sources import Source

KINDS = ("overview", "quantities", "distributions", "classes", "positions", "contrasts")  # of tables
CLASSES = ("acr_density", "view", "laterality", "birads", "pathology", "n_masses")
OF_PATIENTS = "images per patient"


@dataclass(frozen=True)
class Quantity:
    """A measured number whose distribution is kept.

    Attributes:
        label: For axes, with the unit.
        edges: Of the bins; what lies outside counts for the first or the last.
    """

    label: str
    edges: Float[np.ndarray, " n"]


def _decades(low: int, high: int) -> Float[np.ndarray, " n"]:
    return np.logspace(low, high, 20 * (high - low) + 1).round(6)


_PARTS = np.linspace(0, 1, 41).round(3)
QUANTITIES = {  # of images, or, from the diameter to y, of masses
    "mass_fraction": Quantity("masses in % of the frame", _decades(-2, 2)),
    "box_fraction": Quantity("masses in % of the breast's box", _decades(-2, 2)),
    "working_area": Quantity("tumor in % of the picture at 256x256", np.arange(101.0)),
    "diameter_mm": Quantity("diameter of a mass in mm", _decades(0, 2)),
    "x": Quantity("centroid, chest wall (0) to nipple (1)", _PARTS),
    "y": Quantity("centroid, top (0) to bottom (1)", _PARTS),
    "separability": Quantity("P(mass brighter)", np.linspace(0, 1, 101).round(3)),
    "fine_detail": Quantity("share of fine detail", _decades(-3, 0)),
}


def summarize(
    source: Source, size: int, run_map: Callable[[Callable, Iterable], Iterable] = map
) -> dict[str, pd.DataFrame]:
    """The tables of numbers of one data set.

    Args:
        source: What `open_source` found.
        size: Longest side in pixels at which gray values are measured; see `measure`.
        run_map: What measures the images: `map`, or one that shares the work among processes.

    Returns:
        By name, each with `source` as first column:

        overview: images, with_mass, masses, patients (with a mass), measured (images whose pixels were; none
        where there are fewer than half of the images that the source's own tables list).
        quantities: quantity, n, mean, median, min, max.
        distributions: quantity, low, high, count: see `QUANTITIES`.
        classes: property, value, images: images with a mass by density, view, ...; patients by how many.
        positions: y, x, percent: how much of each of `GRID` x `GRID` cells of the breast's box masses cover
        on average over the images; the chest wall is at x = 0.
        contrasts: acr_density, images, mean, low, high: separability by density, and its quartiles.
    """
    found = source.scan(run_map)[0]
    table = listed(source, found)
    n_images, table, found = len(table), *(t[t["n_masses"] > 0] for t in (table, found))
    rows = [row for _, row in found.iterrows()] if 2 * len(found) >= len(table) else []
    measured = list(run_map(partial(measure, source, size), rows))
    images = pd.DataFrame([m.image for m in measured])
    masses = pd.DataFrame([mass for m in measured for mass in m.masses])
    columns = {name: data[name].dropna() for data in (images, masses) for name in data if name in QUANTITIES}
    values = {name: columns[name] for name in QUANTITIES if len(columns.get(name, ()))}
    overview = {
        "images": n_images,
        "with_mass": len(table),
        "masses": int(table["n_masses"].sum()),
        "patients": table["patient_id"].nunique() or pd.NA,
        "measured": len(measured),
    }
    tables = {
        "overview": pd.DataFrame([overview]).astype({"patients": "Int64"}),
        "quantities": _statistics(values),
        "distributions": _distributions(values),
        "classes": class_counts(table),
        "positions": _positions(measured),
        "contrasts": _contrasts(images),
    }
    for kind in KINDS:
        tables[kind].insert(0, "source", source.name)
    return tables


def together(summaries: Sequence[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """The tables of several data sets as one table of each kind."""
    return {
        kind: pd.concat(
            [s[kind] for s in summaries if len(s[kind])] or [summaries[0][kind]], ignore_index=True
        )
        for kind in KINDS
    }


def stored(folder: Path, notebook: str) -> dict[str, pd.DataFrame]:
    """The tables that a notebook wrote to a folder."""
    types = {"value": str, "patients": "Int64"}  # grades are words: 4a stands beside 5
    return {kind: pd.read_csv(folder / f"{notebook}-{kind}.csv", dtype=types) for kind in KINDS}


def listed(source: Source, found: pd.DataFrame) -> pd.DataFrame:
    """Every image that a source knows of: those found, or, of CBIS-DDSM, all in its two tables."""
    if source.name != "cbis_ddsm":
        return found
    names = ("patient_id", "laterality", "view", "acr_density", "birads", "pathology", "split")
    return sample_table(
        [
            {"sample_id": case.name, "n_masses": len(case.abnormalities)}
            | {n: getattr(case, n) for n in names}
            for case in read_cases(source.root)[0].values()
        ]
    )


def class_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Images by class, and patients by their images: property, value, images; nothing of what is unknown."""
    columns = {name: table[name] for name in CLASSES} | {OF_PATIENTS: table["patient_id"].value_counts()}
    return pd.DataFrame(
        [
            {"property": name, "value": str(value), "images": int(n)}
            for name, column in columns.items()
            for value, n in column.dropna().value_counts().sort_index().items()
        ],
        columns=["property", "value", "images"],
    )


def histogram(values: pd.Series, edges: Float[np.ndarray, " n"]) -> pd.DataFrame:
    """Counts of values in low <= value < high; what lies outside counts for the first or the last bin."""
    counts = np.histogram(values.to_numpy(float).clip(edges[0], edges[-1]), edges)[0]
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "count": counts})


def distances(a: pd.DataFrame, b: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """How far the distributions of two sets are apart: the Kolmogorov-Smirnov distance of binned values.

    The largest difference of the two cumulative distributions at an edge of a bin. Between edges it may be
    larger: this is a lower bound of the distance of the values themselves.

    Args:
        a: A table of distributions.
        b: The other one.
        level: Of the test: independent draws of one distribution exceed `critical` with this probability.

    Returns:
        One row for each quantity of each source that is in both: source, quantity, n_a, n_b, distance in
        0..1, at (the edge), critical (asymptotic).
    """
    pairs = a.merge(b, on=["source", "quantity", "low", "high"], suffixes=("_a", "_b"))
    rows = []
    for (source, quantity), pair in pairs.groupby(["source", "quantity"], sort=False):
        n, m = int(pair["count_a"].sum()), int(pair["count_b"].sum())
        gaps = (pair["count_a"].cumsum() / n - pair["count_b"].cumsum() / m).abs()
        critical = float(stats.kstwobign.isf(level) * np.sqrt((n + m) / (n * m)))
        rows.append((source, quantity, n, m, gaps.max(), pair["high"][gaps.idxmax()], critical))
    names = ["source", "quantity", "n_a", "n_b", "distance", "at", "critical"]
    return pd.DataFrame(rows, columns=names)


def class_distances(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """How far the classes of two sets are apart: the total variation distance.

    Half the sum of the differences of shares, in 0..1: the share of one set's images that would have to be
    of another class for the two to agree.

    Args:
        a: A table of classes.
        b: The other one.

    Returns:
        One row for each property of each source that is known in both: source, property, n_a, n_b, distance.
    """
    pairs = a.merge(b, on=["source", "property", "value"], suffixes=("_a", "_b"), how="outer")
    rows = []
    for (source, name), pair in pairs.groupby(["source", "property"]):
        counts = pair[["images_a", "images_b"]].fillna(0)
        n, m = counts.sum().astype(int)
        if n and m:
            shares = counts / counts.sum()
            rows.append((source, name, n, m, (shares["images_a"] - shares["images_b"]).abs().sum() / 2))
    return pd.DataFrame(rows, columns=["source", "property", "n_a", "n_b", "distance"])


def _statistics(values: dict[str, pd.Series]) -> pd.DataFrame:
    names = ["mean", "median", "min", "max"]
    rows = [{"quantity": name, "n": len(v), **v.agg(names).round(3)} for name, v in values.items()]
    return pd.DataFrame(rows, columns=["quantity", "n", *names])


def _distributions(values: dict[str, pd.Series]) -> pd.DataFrame:
    parts = [histogram(v, QUANTITIES[name].edges).assign(quantity=name) for name, v in values.items()]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return table.reindex(columns=["quantity", "low", "high", "count"])


def _positions(measured: list[Measured]) -> pd.DataFrame:
    if not measured:
        return pd.DataFrame(columns=["y", "x", "percent"])
    percent = 100 * np.mean([m.cells for m in measured], axis=0)
    y, x = np.indices((GRID, GRID))
    return pd.DataFrame({"y": y.ravel(), "x": x.ravel(), "percent": percent.ravel().astype(float).round(2)})


def _contrasts(images: pd.DataFrame) -> pd.DataFrame:
    names = ["acr_density", "images", "mean", "low", "high"]
    if images.empty or images["acr_density"].isna().all():
        return pd.DataFrame(columns=names)
    groups = images.dropna(subset="separability").groupby("acr_density")["separability"]
    rows = [(acr, len(v), v.mean(), v.quantile(0.25), v.quantile(0.75)) for acr, v in groups]
    return pd.DataFrame(rows, columns=names).round({"mean": 3, "low": 3, "high": 3})
