"""Published numbers beside measured ones, as one long table: a row for each number that a paper prints."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from mammoseg_lib.metrics import OVERLAP
from mammoseg_lib.papers import Method, Paper
from mammoseg_lib.reports.arms import REST, Arm, Results, common, networks_of, plural, rows_of
from mammoseg_lib.reports.estimate import LEVEL, origin, spread_of_one, value
from mammoseg_lib.reports.panel import SD, Panel

NOT_RUN = "not run yet"
NUMBERS = ("should_low", "should_high", "value", "low", "high", "best", "best_low", "best_high")
COLUMNS = (
    "table", "row", "column", "method", "metric", "published", "published_unit", "published_as", *NUMBERS,
    "unit", "average", "left_out", "images", "patients", "folds", "seeds", "origin", "current",
    "measured_with",
)  # fmt: skip
UNITS = {"components": "per image", "false_blobs": "per image"}


def compare(paper: Paper, results: Results, *, n: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Every published number, the interval that it should have carried, and what was measured here.

    Args:
        paper: Whose numbers.
        results: Measured numbers; methods of the paper in other variants are left aside. May be empty.
        n: Resamples.
        seed: Of the resampling.

    Returns:
        One row per published number: `table, row, column, method, metric, published, published_unit,
        published_as` (as printed); `should_low, should_high`: 95 % about the printed number, from the images
        that it rests on and the spread of one training that was measured here (`estimate.spread_of_one`);
        `value, low, high` (the last ten epochs) and `best` with the same (the epoch that validation liked
        best), in the paper's unit; `unit, average, left_out` (share of images without a value), `images,
        patients, folds, seeds, origin, current` (False: numbers of earlier code), `measured_with`: settings,
        "not run yet", or why there is nothing to run.
    """
    measured = {method.id: arm for method in paper.methods if (arm := arm_of(paper, results, method.id))}
    panels = {id: Panel(results, [arm], n=n, seed=seed) for id, arm in measured.items()}
    rows = []
    for method in paper.methods:
        arm = measured.get(method.id)
        status = settings_text(paper, results, arm) if arm else _status(method)
        for cell in method.published:
            row = dict.fromkeys(NUMBERS, np.nan)
            row |= {name: getattr(cell, name) for name in ("table", "row", "column", "metric")}
            row |= {"published": cell.value, "published_unit": cell.unit, "published_as": cell.printed}
            row |= {"method": method.id, "measured_with": status}
            if arm:
                tested = paper.table(cell.table).tested
                row |= _measure(
                    panels[method.id], arm, cell, paper.aggregate, tested.images if tested else None
                )
                own = rows_of(results.runs, arm)
                row |= {"origin": origin(own), "current": bool(own["current"].all())}
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def arm_of(paper: Paper, results: Results, method: str) -> Arm | None:
    """The arm that is a method as the paper has it: in the study of the paper's name, or else in another.

    On the paper's data set only: what was measured on other images stands beside none of its numbers.
    """
    if results.runs.empty:
        return None
    runs = results.runs
    own = runs[(runs["paper"] == paper.key) & (runs["method"] == method) & (runs["variant"] == "")]
    own = own[own["source"].str.split().str[0] == paper.find(method).data["source"]]
    studies = own["study"].unique().tolist()
    order = [paper.key, paper.key + REST, *studies]
    return next(((study, method) for study in order if study in studies), None)


def settings_text(paper: Paper, results: Results, arm: Arm) -> str:
    """How an arm was run, and whether that is less than what the paper did or something else, as one line.

    For example "reduced: inbreast (real), 128 px, base width 8, 60 epochs, 5 folds, 2 seeds". "Full size" is
    only what differs in nothing. What is a reconstruction of the method says so first.
    """
    runs = rows_of(results.runs, arm)
    first, method = runs.iloc[0], paper.find(runs["method"].iloc[0])
    folds, seeds = (len(part) for part in common([networks_of(runs, arm)]))  # those that are reported
    parts = [first["source"], f"{first['image_size']:.0f} px"]
    if pd.notna(first["base_width"]):
        parts.append(f"base width {first['base_width']:.0f}")
    start = method.model.get("weights", "none")
    if (first["start"], start) != ("none", "none"):
        parts.append("random start" if first["start"] == "none" else f"start: {first['start']}")
    parts += [plural(int(first["epochs"]), "epoch"), plural(folds, "fold"), plural(seeds, "seed")]
    parts += [text for text in (first["variant"], first["differs"]) if text]
    done = {"n_folds": folds, "size": first["image_size"], "epochs": first["epochs"]}
    if pd.notna(first["base_width"]):
        done["base_width"] = first["base_width"]
    wanted = {**method.data, **method.preprocessing, **method.training, **method.model}
    less = any(value < wanted[name] for name, value in done.items() if name in wanted)
    more = any(done[name] > wanted[name] for name in ("size", "epochs"))
    if "phantoms" in first["source"] or less or first["start"] != start:
        what = "reduced"
    else:
        what = "changed" if more or first["variant"] or first["differs"] else "full size"
    text = f"{what}: {', '.join(parts)}"
    return f"reconstruction; {text}" if "(reconstruction)" in method.label else text


def unit_of(metric: str) -> tuple[str, float]:
    """The unit that a metric is reported in, and the factor from the library's own."""
    if metric.removesuffix(SD) in OVERLAP:
        return "%", 100.0
    return UNITS.get(metric, "mm" if metric.endswith("_mm") else "px"), 1.0


def _measure(panel: Panel, arm: Arm, cell, aggregate: str, tested: int | None) -> dict:
    """What was measured of one number, in the unit that the paper prints."""
    unit, factor = unit_of(cell.metric)
    if cell.unit == "fraction" and unit == "%":
        # A paper that prints 0.798 is compared with 0.812, not with 81.2 %.
        unit, factor = "fraction", 1.0
    row = {"unit": unit, "average": aggregate if unit in ("%", "fraction") else "macro"}
    for prefix, at in (("", None), ("best_", "best")):
        found = value(panel, arm, cell.metric, aggregate, at)
        row |= {f"{prefix}{name}": factor * getattr(found, name) for name in ("low", "high")}
        row["best" if prefix else "value"] = factor * found.value
        row |= {name: getattr(found, name) for name in ("left_out", "images", "patients", "folds", "seeds")}
    if tested is not None and cell.unit in ("%", "fraction"):
        # What is no distance; HAU has no unit in which our spread could be put.
        half = ndtri((1 + LEVEL) / 2) * factor * spread_of_one(panel, arm, cell.metric, aggregate, tested)
        top = np.inf if cell.metric == "da" else {"%": 100.0, "fraction": 1.0}[cell.unit]
        row |= {"should_low": max(0.0, cell.value - half), "should_high": min(top, cell.value + half)}
    return row


def _status(method: Method) -> str:
    return NOT_RUN if method.available else f"not available: {method.reason}"
