"""Published numbers beside those of the runs, as one long table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mammoseg_lib.metrics import COUNT_MISSED, METRICS, OVERLAP, EmptyPolicy, bootstrap_interval, summarize
from mammoseg_lib.papers import Method, Paper
from mammoseg_lib.splits import patients

NOT_RUN = "not run"
SETTINGS = (
    "profile", "variant", "source", "trained_on", "networks", "start", "protocol", "image_size", "base_width",
    "epochs", "differs",
)  # fmt: skip
"""Columns of the results that say how a method was run; they must not differ within a method."""

FRACTIONS = (*OVERLAP, "lesion_sensitivity")
ESTIMATES = tuple(
    f"reproduced_{aggregate}{end}" for aggregate in ("micro", "macro") for end in ("", "_low", "_high")
)
COLUMNS = (
    "method", "metric", "unit", *ESTIMATES, "images", "undefined", "missed", "false_alarms", "policy", "folds",
    "seeds",
)  # fmt: skip


def reproduced(
    results: pd.DataFrame,
    metrics: Sequence[str] = METRICS,
    *,
    policy: EmptyPolicy = COUNT_MISSED,
    n: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """What the runs gave, with 95 % bootstrap intervals over patients.

    Args:
        results: One row per run and test image, from `runs.results`.
        metrics: Names in `METRICS`, or such a name with `_sd`: its standard deviation over images, in the
            place of the mean over images.
        policy: What empty masks give.
        n: Resamples.
        seed: Of the resampling.

    Returns:
        One row per method and metric: `method, metric, unit` ("%", "px", "mm" or "per image"); pooled over
        pixels `reproduced_micro` with `_low` and `_high`, averaged over images `reproduced_macro` with the
        same; `images, undefined, missed, false_alarms, policy` as in `summarize`; and `folds`, `seeds`.

    Raises:
        ValueError: A method was run with several settings, or an image is there twice.
    """
    rows = []
    for method, table in _by_method(results):
        summary = summarize(table, policy)
        counts = {"folds": table["fold"].nunique(), "seeds": table["seed"].nunique()}
        for metric in metrics:
            base = metric.removesuffix("_sd")
            kinds = {"micro": "micro", "macro": "macro"} if base == metric else {"macro": "sd"}
            unit, factor = _unit(base)
            row = {"method": method, "metric": metric, "unit": unit}
            for aggregate, kind in kinds.items():
                interval = bootstrap_interval(table, base, kind, n=n, seed=seed, policy=policy)
                values = (summary.loc[base, kind], *interval)
                for end, value in zip(("", "_low", "_high"), values, strict=True):
                    row[f"reproduced_{aggregate}{end}"] = factor * value
            rest = summary.loc[base, ["images", "undefined", "missed", "false_alarms", "policy"]]
            rows.append({**row, **rest.to_dict(), **counts})
    return pd.DataFrame(rows, columns=COLUMNS)


def compare(
    paper: Paper,
    results: pd.DataFrame,
    *,
    policy: EmptyPolicy = COUNT_MISSED,
    n: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every published number beside what the runs gave.

    Args:
        paper: Whose numbers.
        results: One row per run and test image, from `runs.results`; may be empty.
        policy: What empty masks give.
        n: Resamples of the bootstrap.
        seed: Of the resampling.

    Returns:
        One row per published number: `table, row, column, method, metric, published, published_unit,
        published_as` (as printed), then the columns of `reproduced`, NaN for a method that was not run, and
        `reproduced_with`: the settings of the runs, "not run", or why the method is not available.

    Raises:
        ValueError: The results hold an unknown method, several settings of one, or an image twice.
    """
    cells = pd.DataFrame(
        {
            "table": cell.table,
            "row": cell.row,
            "column": cell.column,
            "method": method.id,
            "metric": cell.metric,
            "published": cell.value,
            "published_unit": cell.unit,
            "published_as": cell.printed,
        }
        for method in paper.methods
        for cell in method.published
    )
    with_what = {method.id: _status(method) for method in paper.methods}
    with_what |= {paper.find(id).id: settings_text(paper, table) for id, table in _by_method(results)}
    ours = reproduced(results, sorted(set(cells["metric"])), policy=policy, n=n, seed=seed)
    comparison = cells.merge(ours, how="left", on=["method", "metric"])
    comparison = comparison.astype(dict.fromkeys(ESTIMATES, "float64"))
    # A paper that prints 0.798 is compared with 0.812, not with 81.2 %.
    fraction = (comparison["published_unit"] == "fraction") & (comparison["unit"] == "%")
    comparison.loc[fraction, list(ESTIMATES)] /= 100
    comparison.loc[fraction, "unit"] = "fraction"
    return comparison.assign(reproduced_with=comparison["method"].map(with_what))


def settings_text(paper: Paper, table: pd.DataFrame) -> str:
    """How a method was run, and whether that is less than what the paper did or something else, as one line.

    For example "reduced: inbreast phantoms, 64 px, base width 8, 6 epochs, 1 fold, 1 seed, batch size 8".
    "Full size" is only what differs in nothing. What is a reconstruction of the method says so first.
    """
    first, folds, seeds = table.iloc[0], table["fold"].nunique(), table["seed"].nunique()
    method = paper.find(first["method"])
    done = {
        "n_folds": folds * first["networks"],
        "size": first["image_size"],
        "epochs": first["epochs"],
        "base_width": first["base_width"],
    }
    parts = [first["source"], f"{first['image_size']:.0f} px"]
    if first["trained_on"] != first["source"]:
        parts[0] = f"trained on {first['trained_on']}, tested on {first['source']}"
    if pd.notna(first["base_width"]):
        parts.append(f"base width {first['base_width']:.0f}")
    start = method.model.get("weights", "none")
    if (first["start"], start) != ("none", "none"):
        parts.append("random start" if first["start"] == "none" else f"start: {first['start']}")
    parts.append(_plural(int(first["epochs"]), "epoch"))
    mean = f"mean of {first['networks']:.0f} networks"
    parts += [mean if first["networks"] > 1 else _plural(folds, "fold"), _plural(seeds, "seed")]
    parts += [text for text in (first["variant"], first["differs"]) if text]
    wanted = {**method.data, **method.preprocessing, **method.training, **method.model}
    less = any(value < wanted[name] for name, value in done.items() if name in wanted)
    more = any(done[name] > wanted[name] for name in ("size", "epochs"))
    if "phantoms" in first["source"] + first["trained_on"] or less or first["start"] != start:
        what = "reduced"
    else:
        what = "changed" if more or first["variant"] or first["differs"] else "full size"
    text = f"{what}: {', '.join(parts)}"
    return f"reconstruction; {text}" if "(reconstruction)" in method.label else text


def _by_method(results: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The results of each method, checked, with every image that has no patient as its own patient."""
    if results.empty:
        return []
    needed = ("method", "fold", "seed", "sample_id", "patient_id", *SETTINGS)
    if absent := [name for name in needed if name not in results]:
        raise ValueError(f"the results lack {', '.join(absent)}")
    tables = []
    for method, table in results.groupby("method", sort=False):
        for setting in SETTINGS:
            values = table[setting].unique()
            if len(values) > 1:
                found = ", ".join(map(str, values))
                raise ValueError(
                    f"method {method!r} was run with several values of {setting}: {found}; choose one"
                )
        twice = table.duplicated(["fold", "seed", "sample_id"])
        if twice.any():
            example = table.loc[twice, "sample_id"].iloc[0]
            raise ValueError(f"method {method!r}: image {example!r} is there twice in one fold of one seed")
        tables.append((method, table.assign(patient_id=patients(table))))
    return tables


def _status(method: Method) -> str:
    return NOT_RUN if method.available else f"not available: {method.reason}"


def _unit(metric: str) -> tuple[str, float]:
    """The unit that a metric is reported in, and the factor from the library's own."""
    if metric in FRACTIONS:
        return "%", 100.0
    if metric == "false_blobs":
        return "per image", 1.0
    return ("mm" if metric.endswith("_mm") else "px"), 1.0


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
