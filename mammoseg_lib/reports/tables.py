"""The tables of a paper and of a study, narrow enough for a page, for notebooks, Markdown and CSV.

A cell of a paper stands in three columns: the number as printed, the interval that it should have carried,
and what was measured here with its own. One metric a table, DSC first; everything else goes to the CSV.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from mammoseg_lib.metrics import OVERLAP
from mammoseg_lib.papers import Paper
from mammoseg_lib.reports.ablation import ablation
from mammoseg_lib.reports.arms import Results
from mammoseg_lib.reports.compare import compare, unit_of
from mammoseg_lib.studies import Study

PRINTED, SHOULD, MEASURED, BEST = "printed", "should have carried", "measured here", "best epoch"


def page_table(paper: Paper, comparison: pd.DataFrame, table: str, metric: str | None = None) -> pd.DataFrame:
    """One metric of one table of a paper: a row for each setting that was measured, in the paper's order.

    Args:
        paper: Whose table.
        comparison: From `compare`.
        table: Its id, such as "Table 1".
        metric: Which of its metrics; None takes its first one, DSC.

    Returns:
        Text in every cell. The index is the row as printed, with its block; columns are `printed`, `should
        have carried`, `measured here` (with the interval, of the last ten epochs) and `best epoch`. If
        nothing of the table was measured, every row is there, with `measured here` saying why not.

    Raises:
        PaperError: There is no such table.
        ValueError: It has no such metric.
    """
    plan = paper.table(table)
    metric = metric or plan.metrics[0]
    if metric not in plan.metrics:
        raise ValueError(f"{table} of {paper.key} has no {metric!r}; it has {', '.join(plan.metrics)}")
    own = comparison[(comparison["table"] == table) & (comparison["metric"] == metric)].set_index("method")
    rows = {}
    for row in plan.rows:
        for block, id in zip(plan.blocks, row.methods, strict=True):
            if id in own.index:
                rows[", ".join(filter(None, (row.label, block)))] = own.loc[id]
    there = {label: cell for label, cell in rows.items() if np.isfinite(cell["value"])}
    cells = {label: _cells(cell) for label, cell in (there or rows).items()}
    header = plan.headers[plan.metrics.index(metric)]
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis(f"{table}, {header}")


def footnotes(paper: Paper, comparison: pd.DataFrame, table: str) -> list[str]:
    """What a reader of a table of `page_table` must know: settings, origin, the rows that are not there."""
    plan = paper.table(table)
    own = comparison[comparison["table"] == table].drop_duplicates("method")
    own = own.assign(label=[paper.find(id).label for id in own["method"]])
    there, absent = own[own["value"].notna()], own[own["value"].isna()]
    notes = []
    for settings, rows in there.groupby("measured_with", sort=False):
        which = "" if len(rows) == len(there) else f"{_listed(rows)}: "
        notes.append(f"{which}{settings}; numbers: {' and '.join(dict.fromkeys(rows['origin']))}.")
    if len(earlier := there[~there["current"].astype(bool)]):
        notes.append(f"Measured with earlier code: {_listed(earlier)}.")
    if plan.tested is not None and len(there):
        notes.append(f"The printed numbers rest on {plan.tested.images} images: {plan.tested.reason}.")
    for reason, rows in absent.groupby("measured_with", sort=False):
        notes.append(f"{reason[:1].upper()}{reason[1:]}: {_listed(rows)}.")
    return notes


def study_table(
    results: Results,
    metric: str = "dsc",
    average: str = "micro",
    *,
    arms: Iterable[str] | None = None,
    within: bool = False,
    n: int = 2000,
) -> pd.DataFrame:
    """Every arm of a study, with its difference to the first one or to its own method, as text for a page.

    Args:
        results: Measured numbers of the study.
        metric: As in `estimate.value`.
        average: As there.
        arms: Which, in this order; None takes all that there are.
        within: As in `ablation`.
        n: Resamples.

    Returns:
        One row per arm: `measured here`, `difference` to the first arm or to its own method (paired), and
        `best epoch`.
    """
    found = ablation(results, within=within, arms=arms, metric=metric, average=average, n=n)
    unit, factor = unit_of(metric)
    rows = [
        {
            MEASURED: _interval(*(factor * row[name] for name in ("value", "low", "high"))),
            "difference": _interval(
                *(factor * row[name] for name in ("difference", "difference_low", "difference_high")),
                sign=True,
            ),
            BEST: _interval(factor * row["best"]),
        }
        for row in found.to_dict("records")
    ]
    return pd.DataFrame(rows, index=pd.Index(found["label"], name=f"{metric}, {unit}, {average}"))


def flat(comparison: pd.DataFrame) -> pd.DataFrame:
    """The whole comparison for a CSV file: numbers rounded to what they are known to."""
    numbers = comparison.select_dtypes("floating").columns
    return comparison.assign(**comparison[numbers].round(4))


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, its index as the first column."""
    lines = [[table.index.name or "", *table.columns], ["---"] * (table.shape[1] + 1)]
    lines += [[label, *row] for label, row in zip(table.index, table.to_numpy().tolist(), strict=True)]
    return "\n".join("| " + " | ".join(_escape(str(cell)) for cell in line) + " |" for line in lines)


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


def text(study: Study, results: Results, *, n: int = 2000) -> str:
    """All arms of a study, and the tables of its paper beside them, as one Markdown text."""
    parts = [f"# {study.title}", study.file.question]
    if results.runs.empty:
        parts.append("Nothing of it has been run.")
    else:
        average = study.paper.aggregate if study.paper else "micro"
        there = set(results.runs["arm"])
        arms = [arm for arm in study_arms(study, results) if arm in there]
        for metric in ("dsc", "sensitivity"):
            table = study_table(results, metric, average, arms=arms, n=n)
            parts += [f"## Arms: {metric}", markdown(table)]
        if (results.runs["variant"] != "").any():
            table = study_table(results, "dsc", average, arms=arms, within=True, n=n)
            parts += ["## Variants, each against its own method: dsc", markdown(table)]
    if study.paper is not None:
        parts += _paper_parts(study.paper, compare(study.paper, results, n=n))
    return "\n\n".join(filter(None, parts))


def study_arms(study: Study, results: Results) -> list[str]:
    """The arms of a study as it lists them, in the profile that the results are of."""
    profile = results.runs["profile"].iloc[0]
    return ["/".join(filter(None, arm)) for arm in study.arms(profile)]


def _paper_parts(paper: Paper, comparison: pd.DataFrame) -> Iterable[str]:
    yield f"# {paper.title} ({paper.cite})"
    yield paper.venue
    for table in paper.tables:
        yield f"## {table.id}: {table.title}"
        metrics = [
            m for m in table.metrics if comparison.loc[comparison["table"] == table.id, "metric"].eq(m).any()
        ]
        measured = comparison[(comparison["table"] == table.id) & comparison["value"].notna()]
        for metric in metrics if len(measured) else metrics[:1]:
            yield markdown(page_table(paper, comparison, table.id, metric))
        yield "\n".join(f"- {_escape(note)}" for note in footnotes(paper, comparison, table.id))
    yield "## How to read this"
    yield reading_guide(paper)
    yield "## Notes on the published numbers"
    yield "\n".join(_escape(f"- {note.about}. {note.text.strip()}") for note in paper.notes)


def reading_guide(paper: Paper) -> str:
    """What the columns of a table of `page_table` mean, in one paragraph."""
    how = "pooled over the pixels of all test images" if paper.aggregate == "micro" else "means over images"
    return (
        f"*{PRINTED}* is what the paper prints. *{SHOULD}* is the 95 % interval that a number from so few "
        "images and one training a fold has, by the spread that was measured here; papers print none. "
        f"*{MEASURED}* is the mean over the last ten epochs with its 95 % interval, resampling patients "
        f"and networks together; *{BEST}* is the epoch that the validation images liked best, which alone is "
        f"what papers print. Overlap and area are {how}. {paper.aggregate_reason.strip()} Distances are "
        "between outlines, in pixels of the image size given, and are means over the images that have one."
    )


def _listed(rows: pd.DataFrame) -> str:
    return "; ".join(rows["label"])


def _cells(cell: pd.Series) -> dict[str, str]:
    digits = 3 if cell["published_unit"] == "fraction" else 1
    if not np.isfinite(cell["value"]):
        return {PRINTED: cell["published_as"], MEASURED: cell["measured_with"].partition(":")[0]}
    measured = _interval(cell["value"], cell["low"], cell["high"], digits)
    if cell["left_out"] > 0 and cell["metric"] not in OVERLAP:
        measured += f"; {100 * cell['left_out']:.0f} % left out"
    return {
        PRINTED: cell["published_as"],
        SHOULD: _range(cell["should_low"], cell["should_high"], digits),
        MEASURED: measured,
        BEST: _interval(cell["best"], digits=digits),
    }


def _interval(
    value: float, low: float = np.nan, high: float = np.nan, digits: int = 1, *, sign: bool = False
) -> str:
    if not np.isfinite(value):
        return "–"
    form = f"{{:{'+' if sign else ''}.{digits}f}}"
    return form.format(value) + (f" {_range(low, high, digits, sign=sign)}" if np.isfinite(low) else "")


def _range(low: float, high: float, digits: int, *, sign: bool = False) -> str:
    if not np.isfinite(low):
        return "–"
    form = f"{{:{'+' if sign else ''}.{digits}f}}"
    return f"[{form.format(low)}, {form.format(high)}]"


def _escape(text: str) -> str:
    for character in "*_|":
        text = text.replace(character, f"\\{character}")
    return text
