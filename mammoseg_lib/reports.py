"""Paper against reproduced: what was published and what the runs gave, never in the same column.

comparison = compare(load_paper("spatial_matching"), results)     # one row per published number
table = layout(paper, comparison, "Table 1")                      # as the paper lays it out
print(markdown(table))                                            # or styled(table) in a notebook
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from mammoseg_lib.metrics import (
    COUNT_MISSED,
    METRICS,
    OVERLAP,
    EmptyPolicy,
    bootstrap_interval,
    summarize,
)
from mammoseg_lib.papers import Method, Paper, Table

NOT_RUN = "not run"
SETTINGS = ("profile", "source", "protocol", "image_size", "base_width", "epochs")
"""Columns of the results that say how a method was run; they must not differ within a method."""

FRACTIONS = (*OVERLAP, "lesion_sensitivity")
ESTIMATES = tuple(
    f"reproduced_{aggregate}{end}" for aggregate in ("micro", "macro") for end in ("", "_low", "_high")
)


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
        metrics: Names in `METRICS`.
        policy: What empty masks give.
        n: Resamples.
        seed: Of the resampling.

    Returns:
        One row per method and metric: `method, metric, unit` ("%", "px", "mm" or "per image"); pooled over
        pixels `reproduced_micro` with `_low` and `_high`, averaged over images `reproduced_macro` with the
        same; `images, undefined, missed, false_alarms, policy` as in `metrics.summarize`; and `folds`, `seeds`.

    Raises:
        ValueError: A method was run with several settings, or an image is there twice; the message says which.
    """
    rows = []
    for method, table in _by_method(results):
        summary = summarize(table, policy)
        counts = {"folds": table["fold"].nunique(), "seeds": table["seed"].nunique()}
        for metric in metrics:
            unit, factor = _unit(metric)
            row = {"method": method, "metric": metric, "unit": unit}
            for aggregate in ("micro", "macro"):
                interval = bootstrap_interval(table, metric, aggregate, n=n, seed=seed, policy=policy)
                values = (summary.loc[metric, aggregate], *interval)
                for end, value in zip(("", "_low", "_high"), values, strict=True):
                    row[f"reproduced_{aggregate}{end}"] = factor * value
            rest = summary.loc[metric, ["images", "undefined", "missed", "false_alarms", "policy"]]
            rows.append({**row, **rest.to_dict(), **counts})
    return pd.DataFrame(rows)


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
    if ours.empty:
        columns = (
            "unit",
            *ESTIMATES,
            "images",
            "undefined",
            "missed",
            "false_alarms",
            "policy",
            "folds",
            "seeds",
        )
        ours = pd.DataFrame(columns=["method", "metric", *columns])
    comparison = cells.merge(ours, how="left", on=["method", "metric"])
    comparison = comparison.astype(dict.fromkeys(ESTIMATES, "float64"))
    return comparison.assign(reproduced_with=comparison["method"].map(with_what))


def settings_text(paper: Paper, table: pd.DataFrame) -> str:
    """How a method was run, and whether that is less than what the paper did, as one line.

    For example "reduced: inbreast phantoms, 64 px, base width 8, 6 epochs, 1 fold, 1 seed".
    """
    first, folds, seeds = table.iloc[0], table["fold"].nunique(), table["seed"].nunique()
    reduced = "phantoms" in first["source"]
    wanted = {
        "data.n_folds": folds,
        "preprocessing.size": first["image_size"],
        "training.epochs": first["epochs"],
    }
    parts = [first["source"], f"{first['image_size']:.0f} px"]
    if pd.notna(first["base_width"]):
        parts.append(f"base width {first['base_width']:.0f}")
        wanted["model.base_width"] = first["base_width"]
    parts += [_plural(first["epochs"], "epoch"), _plural(folds, "fold"), _plural(seeds, "seed")]
    known = {setting.name: setting.value for setting in paper.hyperparameters}
    reduced |= any(value < known[name] for name, value in wanted.items() if name in known)
    return f"{'reduced' if reduced else 'full size'}: {', '.join(parts)}"


def layout(paper: Paper, comparison: pd.DataFrame, table: str, aggregate: str | None = None) -> pd.DataFrame:
    """One table of the paper in its own layout, with a column `published` and a column `reproduced` for each.

    Args:
        paper: Whose table.
        comparison: From `compare`.
        table: Its id, such as "Table 1".
        aggregate: "micro" or "macro" for what is not a distance; None takes what the paper most likely used.
            Distances are means over images always.

    Returns:
        Text in every cell. Rows as printed; columns of three levels: block, header, and `published` or
        `reproduced`, with `reproduced with` as the last header of each block. A reproduced cell is a value with
        its interval, and says how many images had to be left out of it; or it says "not run".
    """
    aggregate = aggregate or paper.aggregate
    if aggregate not in ("micro", "macro"):
        raise ValueError(f"aggregate={aggregate!r} is not one of 'micro', 'macro'")
    plan = paper.table(table)
    own = comparison[comparison["table"] == table].set_index(["method", "metric"])
    columns: dict[tuple[str, str, str], list[str]] = {}
    for number, block in enumerate(plan.blocks):
        methods = [row.methods[number] for row in plan.rows]
        for header, metric in zip(_headers(plan), plan.metrics, strict=True):
            cells = [own.loc[(id, metric)] if (id, metric) in own.index else None for id in methods]
            columns[block, header, "published"] = [_published_text(cell) for cell in cells]
            columns[block, header, "reproduced"] = [
                _reproduced_text(cell, metric, aggregate) for cell in cells
            ]
        columns[block, "reproduced with", ""] = [own.loc[id, "reproduced_with"].iloc[0] for id in methods]
    index = pd.Index([row.label for row in plan.rows], name=table)
    result = pd.DataFrame(columns, index=index)
    result.columns.names = ["block", "column", "source"]
    return result


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `layout` with one line of column names, for CSV files: "L*_G-A, DSC, published"."""
    names = [", ".join(level for level in column if level) for column in table.columns]
    return table.set_axis(names, axis=1).reset_index()


def markdown(table: pd.DataFrame) -> str:
    """A table of `layout` as Markdown, its blocks below one another so that it stays legible."""
    parts = []
    for block in table.columns.get_level_values(0).unique():
        part = flat(table.loc[:, [block]].droplevel(0, axis=1))
        heading = [f"**{_escape(block)}**", ""] if block else []
        lines = [part.columns.tolist(), ["---"] * part.shape[1], *part.to_numpy().tolist()]
        parts.append(
            "\n".join(
                [*heading, *("| " + " | ".join(_escape(str(c)) for c in line) + " |" for line in lines)]
            )
        )
    return "\n\n".join(parts)


def styled(table: pd.DataFrame, caption: str = "") -> Styler:
    """A table of `layout` for a notebook: published numbers in gray italics, what was not run in light gray."""
    published = [column for column in table.columns if column[2] == "published"]
    others = [column for column in table.columns if column[2] != "published"]
    return (
        table.style.set_caption(caption)
        .set_properties(subset=published, **{"color": "#555", "font-style": "italic"})
        .map(lambda cell: "color: #999" if cell.startswith("not ") else "", subset=others)
        .set_table_styles([{"selector": "th, td", "props": "text-align: left; vertical-align: top"}])
    )


def settings_table(paper: Paper) -> pd.DataFrame:
    """Every hyper-parameter with its value, whether the paper states it, and where or why."""
    return pd.DataFrame(
        {
            "setting": setting.name,
            "value": str(setting.value),
            "stated by the paper": "yes" if setting.stated else "no: our choice",
            "source": setting.source,
        }
        for setting in paper.hyperparameters
    )


def text(paper: Paper, results: pd.DataFrame, *, policy: EmptyPolicy = COUNT_MISSED) -> str:
    """All tables of a paper beside what the runs gave, as one Markdown text with what a reader must know."""
    comparison = compare(paper, results, policy=policy)
    parts = [f"# {paper.title} ({paper.cite})", paper.venue]
    for table in paper.tables:
        parts += [f"## {table.id}: {table.title}", markdown(layout(paper, comparison, table.id))]
    parts += ["## How to read this", reading_guide(paper, policy)]
    parts += [
        "## Notes on the published numbers",
        *(f"- {note.about}. {note.text.strip()}" for note in paper.notes),
    ]
    return "\n\n".join(_escape(part) if part.startswith("- ") else part for part in parts)


def reading_guide(paper: Paper, policy: EmptyPolicy = COUNT_MISSED) -> str:
    """What the columns of a table of `layout` mean, in one paragraph."""
    how = "pooled over the pixels of all test images" if paper.aggregate == "micro" else "means over images"
    return (
        "*published* is what the paper prints; *reproduced* is what the runs of this project gave, with a 95 % "
        f"bootstrap interval over patients. DSC, ΔA, SEN and accuracy are {how}. {paper.aggregate_reason.strip()} "
        "Distances are between outlines, in pixels of the image size given, and are means over the images that "
        f"have one; how many had to be left out stands beside them. Policy for empty masks: {_escape(str(policy))}."
    )


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
        patient = table["patient_id"].astype("object")
        tables.append(
            (method, table.assign(patient_id=patient.fillna("image " + table["sample_id"].astype(str))))
        )
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


def _headers(table: Table) -> list[str]:
    """The headers as printed; one that occurs twice is told apart by what the column holds."""
    return [
        f"{header} ({metric})" if table.headers.count(header) > 1 else header
        for header, metric in zip(table.headers, table.metrics, strict=True)
    ]


def _published_text(cell: pd.Series | None) -> str:
    return "-" if cell is None else cell["published_as"]


def _reproduced_text(cell: pd.Series | None, metric: str, aggregate: str) -> str:
    if cell is None:
        return "-"
    if pd.isna(cell["images"]):
        return cell["reproduced_with"].partition(":")[0]
    aggregate = aggregate if metric in FRACTIONS else "macro"
    value, low, high = (cell[f"reproduced_{aggregate}{end}"] for end in ("", "_low", "_high"))
    if np.isnan(value):
        shown = "undefined"
    else:
        shown = f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if np.isfinite(low) else "")
    if aggregate == "macro" and cell["undefined"]:
        shown += f"; {cell['undefined']:.0f} of {cell['images'] + cell['undefined']:.0f} images left out"
    return shown


def _plural(number: float, noun: str) -> str:
    return f"{number:.0f} {noun}{'' if number == 1 else 's'}"


def _escape(text: str) -> str:
    for character in "*_|":
        text = text.replace(character, f"\\{character}")
    return text
