"""What was found of a claim, as Markdown: for the notebooks that are about one or a few of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mammoseg_lib.papers import Paper
from mammoseg_lib.reports import claims
from mammoseg_lib.reports.arms import Results, plural

NAMES = {"dsc": "DSC", "da": "ΔA", "hd": "HD", "iou": "IoU"}


def claim_text(paper: Paper, results: Results, *ids: str, n: int = claims.RESAMPLES) -> str:
    """The words of some claims, their rules, and what was measured, with the verdict of each by itself.

    The verdict that counts is that of the ledger (`claims.ledger`), which corrects for all claims of the
    paper; it may be "undecided" where this one is not.

    Args:
        paper: Whose claims.
        results: Measured numbers, of all studies that these claims name.
        ids: Of the claims.
        n: Resamples of each interval.
    """
    chosen = tuple(paper.claim(id) for id in ids)
    table = claims.measured(paper.model_copy(update={"claims": chosen}), results, n=n)
    parts = []
    for claim in chosen:
        rows = table[table["claim"] == claim.id]
        lines = [f"> {claim.quote}", "", f"**Rule** ({claim.id}): {claim.rule(paper.aggregate)}.", ""]
        if claim.note:
            lines += [claim.note, ""]
        parts.append("\n".join([*lines, *(f"- {_found(row)}" for _, row in rows.iterrows())]))
    return "\n\n".join(parts)


def missing_text(results: object) -> str:
    """How many of the runs that were asked for are there, in words: `results` of `load_results`."""
    there, absent = len(results.runs), len(results.absent)
    if not absent:
        return f"All {there} runs that the study asks for are there."
    return f"{there} of the {there + absent} runs that the study asks for are there."


def _found(row: pd.Series) -> str:
    name = NAMES.get(row["metric"], row["metric"])
    printed = f", printed {row['printed']}" if isinstance(row["printed"], str) else ""
    if not np.isfinite(row["value"]):
        return f"**{name}**{printed}: {row['verdict']} ({row['missing']})"
    digits = 2 if row["metric"] in ("accuracy", "components") else 1
    value, low, high = (f"{row[end]:+.{digits}f}" for end in ("value", "low", "high"))
    unit = "" if row["unit"] == "points" else f" {row['unit']}"
    seeds = plural(int(row["seeds"]), "seed")
    return (
        f"**{name}**{printed}: {value}{unit} [{low}, {high}], {row['patients']:.0f} patients, "
        f"{row['folds']:.0f} folds, {seeds}: **{row['verdict']}**"
    )
