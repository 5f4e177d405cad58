"""The tables of a paper in their own layout, for notebooks, Markdown and CSV."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from mammoseg_lib.metrics import COUNT_MISSED, EmptyPolicy
from mammoseg_lib.papers import Paper, Table
from mammoseg_lib.reports.compare import FRACTIONS, compare


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
        `reproduced`, with `reproduced with` as the last header of each block. A reproduced cell is a value
        with its interval, and says how many images had to be left out of it; or it says "not run".

    Raises:
        ValueError: There is no such table or aggregate.
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
    """A table of `layout` for a notebook: what was published in italics, what was not run in light gray."""
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
    reason, rule = paper.aggregate_reason.strip(), _escape(str(policy))
    return (
        "*published* is what the paper prints; *reproduced* is what the runs of this project gave, with a "
        f"95 % bootstrap interval over patients. DSC, ΔA, SEN and accuracy are {how}. {reason} Distances are "
        "between outlines, in pixels of the image size given, and are means over the images that have one; "
        f"how many had to be left out stands beside them. Policy for empty masks: {rule}."
    )


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
    aggregate = aggregate if metric in FRACTIONS else "macro"  # distances, and deviations over images
    value, low, high = (cell[f"reproduced_{aggregate}{end}"] for end in ("", "_low", "_high"))
    if np.isnan(value):
        shown = "undefined"
    else:
        digits = 3 if cell["unit"] == "fraction" else 1
        shown = f"{value:.{digits}f}"
        shown += f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low) else ""
    if aggregate == "macro" and cell["undefined"]:
        shown += f"; {cell['undefined']:.0f} of {cell['images'] + cell['undefined']:.0f} images left out"
    return shown


def _escape(text: str) -> str:
    for character in "*_|":
        text = text.replace(character, f"\\{character}")
    return text
