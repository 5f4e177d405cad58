"""The ledger: every claim of the papers, what was measured, and the verdict that its rule gives.

ledger()          # one row a claim, of all papers or of some, from the results that are there
measured(paper, results)   # one row a claim and metric of a paper
judged(paper, rows)        # what the ledger says of a paper whose claims were measured
readme_table()    # the claims of the first screen as Markdown
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Float

from mammoseg_lib.metrics import OVERLAP
from mammoseg_lib.papers import LOWER_IS_BETTER, VERDICTS, Claim, Paper, load_paper, paper_keys
from mammoseg_lib.papers.claims import regions
from mammoseg_lib.reports.arms import REST, NotRunError, Results, find_arm, plural
from mammoseg_lib.reports.estimate import Estimate, difference, gather, origin, point
from mammoseg_lib.reports.panel import Panel
from mammoseg_lib.results import load_results
from mammoseg_lib.splits import N_FOLDS
from mammoseg_lib.studies import load_study, study_names

NOT_RUN, UNTESTABLE, UNDECIDED = "not run yet", "cannot be tested here", "undecided"
DECIDED = ("held", "reversed", "no difference")
RESAMPLES = 10_000
ALPHA = 0.05
PROFILE = "reduced"
Load = Callable[[str], Results]


def measured(paper: Paper, results: Results, *, n: int = RESAMPLES) -> pd.DataFrame:
    """What was measured of every claim, in every metric that it speaks of.

    Args:
        paper: Whose claims.
        results: Of the studies that its claims name, as far as they are there.
        n: Resamples of each interval.

    Returns:
        One row per claim and metric: `claim, metric, unit, printed` (the difference that the text states, or
        by its tables), `value, low, high` (in points, pixels or components an image), `best` (the same at the
        epoch that validation liked best), `verdict` of the metric alone, `p_held, p_reversed,
        p_no_difference` (the smallest level's complement at which the interval says so), `images, patients,
        folds, seeds, origin, missing` (arms that were not run).
    """
    rows = []
    for claim in paper.claims:
        if claim.count is not None:
            rows.append({"claim": claim.id, "verdict": claim.count.verdict})
        elif not claim.arms:
            rows.append({"claim": claim.id, "verdict": UNTESTABLE})
        else:
            for metric in claim.metrics:
                row = {"claim": claim.id, "metric": metric, "unit": unit(metric)}
                row["printed"] = _printed(paper, claim, metric)
                rows.append({**row, **_measure(paper, claim, metric, results, n)})
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = (
    "claim", "metric", "unit", "printed", "value", "low", "high", "best", "verdict", "p_held", "p_reversed",
    "p_no_difference", "images", "patients", "folds", "seeds", "origin", "missing",
)  # fmt: skip


def ledger(
    papers: Iterable[str] | None = None, load: Load | None = None, *, n: int = RESAMPLES
) -> pd.DataFrame:
    """Every claim with its rule, what was measured and the verdict.

    Args:
        papers: Keys of papers; all by default.
        load: The results of a study by its name; by default those of the profile `reduced`.
        n: Resamples of each interval.

    Returns:
        The rows of `judged`, paper after paper.
    """
    load = load or _shipped_or_here
    chosen = sorted(map(load_paper, papers or paper_keys()), key=lambda paper: paper.cite)
    parts = [judged(paper, measured(paper, gather(map(load, studies_of(paper))), n=n)) for paper in chosen]
    return pd.concat(parts, ignore_index=True)


def judged(paper: Paper, rows: pd.DataFrame) -> pd.DataFrame:
    """The verdict on every claim of a paper, with Holm's correction over all of them.

    Args:
        paper: Whose claims.
        rows: What was measured of them, from `measured`.

    Returns:
        One row per claim: `paper` (as cited), `claim, section, quote, rule, printed, measured` (of the metric
        that decides, with its interval), `n` (patients and seeds), `verdict`, `alone` (the verdict without
        Holm's correction), `p` (corrected), `reason` (why it cannot be tested, what was not run, or what else
        to know), `study, notebooks` (that read the study), `figure` (that shows the intervals) and `origin`.
    """
    entries = [_decide(claim, rows[rows["claim"] == claim.id]) for claim in paper.claims]
    tested = [number for number, entry in enumerate(entries) if entry["p"] is not None]
    # Claims that were not run count as well, so that a verdict does not change when they are.
    family = sum(bool(claim.arms) and claim.untestable is None for claim in paper.claims)
    for number, p in zip(tested, holm([entries[i]["p"] for i in tested], family), strict=True):
        entry = entries[number]
        entry["p"] = p
        entry["verdict"] = entry["alone"] if p <= ALPHA else UNDECIDED
    return pd.DataFrame(
        {
            "paper": paper.cite,
            "claim": claim.id,
            "headline": claim.headline,
            "section": claim.section,
            "quote": claim.quote,
            "rule": claim.rule(paper.aggregate),
            **entry,
            "study": claim.study,
            "notebooks": ", ".join(load_study(claim.study).file.notebooks) if claim.study else "",
            "figure": f"figures/52_verdicts/{paper.key}.svg",
        }
        for claim, entry in zip(paper.claims, entries, strict=True)
    )


def holm(p: Sequence[float], m: int | None = None) -> list[float]:
    """Holm's step-down: each p corrected for `m` tests (by default as many as there are)."""
    m, largest, corrected = m or len(p), 0.0, [0.0] * len(p)
    for rank, place in enumerate(np.argsort(p, kind="stable")):
        largest = max(largest, min(1.0, (m - rank) * p[place]))
        corrected[place] = largest
    return corrected


def readme_table(table: pd.DataFrame | None = None) -> str:
    """The claims with a headline, as a Markdown table, and how many of all have which verdict.

    Args:
        table: From `ledger`; by default of all papers.
    """
    table = ledger() if table is None else table
    lines = ["| paper | claim | printed | measured | verdict |", "|---|---|---|---|---|"]
    for row in table[table["headline"].notna()].itertuples():
        cells = (row.paper, row.headline, row.printed or "–", row.measured or "–", f"**{row.verdict}**")
        lines.append("| " + " | ".join(cells) + " |")
    counts = table["verdict"].value_counts()
    found = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts)
    return "\n".join([*lines, "", f"All {len(table)} claims: {found}."])


def unit(metric: str) -> str:
    """What a difference in a metric is measured in."""
    if metric in OVERLAP:
        return "points"
    return "per image" if metric == "components" else "px"


def studies_of(paper: Paper) -> list[str]:
    """The studies whose runs its claims need, those that hold their remaining arms included."""
    tested = [claim for claim in paper.claims if claim.untestable is None]
    named = [name for claim in tested for name in (claim.study, claim.against_study) if name]
    rest = [name + REST for name in named if name + REST in study_names()]
    return list(dict.fromkeys([*named, *rest]))


def _decide(claim: Claim, rows: pd.DataFrame) -> dict:
    """The verdict of a claim by those of its metrics, before Holm's correction, and what is shown with it."""
    first = rows.iloc[0]
    entry = {"printed": "", "measured": "", "n": "", "verdict": first["verdict"], "alone": first["verdict"]}
    entry |= {"p": None, "reason": claim.untestable or claim.note or "", "origin": ""}
    if claim.count is not None:
        counts = {"printed": claim.count.printed, "measured": claim.count.ours}
        texts = {name: ", ".join(f"{value:,}" for value in values) for name, values in counts.items()}
        return {**entry, **texts, "reason": claim.count.how}
    if not claim.arms:
        return entry
    entry["printed"] = first["printed"] if isinstance(first["printed"], str) else ""
    if first["verdict"] == NOT_RUN:
        return {**entry, "reason": f"not run yet: {first['missing']}"}
    if claim.untestable is None:
        entry |= _combined(rows) if claim.decided_by == "all" else _alone(first)
    if np.isfinite(first["value"]):
        seeds = plural(int(first["seeds"]), "seed")
        entry |= {"measured": _text(first), "n": f"{first['patients']:.0f} patients, {seeds}"}
        entry["origin"] = first["origin"]
    return entry


def _alone(row: pd.Series) -> dict:
    return _with_p(row["verdict"], {name: row[f"p_{name.replace(' ', '_')}"] for name in DECIDED})


def _combined(rows: pd.DataFrame) -> dict:
    """Of a sentence about all metrics: held if all are, reversed if one is, no difference if none differs."""
    said = set(rows["verdict"])
    verdict = "reversed" if "reversed" in said else said.pop() if len(said) == 1 else UNDECIDED
    # That one of several metrics is reversed is found by chance more often than that a given one is.
    some = min(1.0, len(rows) * rows["p_reversed"].min())
    p = {"held": rows["p_held"].max(), "reversed": some, "no difference": rows["p_no_difference"].max()}
    return _with_p(verdict, p)


def _with_p(verdict: str, p: dict[str, float]) -> dict:
    """A verdict with the smallest a at which the interval of level 1 - a says so, or would say anything."""
    return {"alone": verdict, "p": float(p[verdict] if verdict in p else min(p.values()))}


def _measure(paper: Paper, claim: Claim, metric: str, results: Results, n: int) -> dict:
    if claim.untestable is not None:
        return {"verdict": UNTESTABLE}
    average = claim.average or paper.aggregate
    left = [(claim.study, arm) for arm in claim.arms]
    right = [(claim.against_study or claim.study, arm) for arm in claim.against]
    missing = [arm for arm in (*left, *right) if not _is_there(results, arm)]
    if missing:
        text = ", ".join(f"{arm} of {study}" for study, arm in missing)
        return {"verdict": NOT_RUN, "missing": text}
    try:
        panel = _panel(_Key(results), (*left, *right), n)
    except NotRunError as error:
        return {"verdict": NOT_RUN, "missing": str(error)}
    if len(panel.folds) < N_FOLDS:
        return {"verdict": NOT_RUN, "missing": f"folds other than {', '.join(map(str, panel.folds))}"}
    factor = 100.0 if unit(metric) == "points" else 1.0
    found = difference(panel, left, right, metric, average)
    best = point(panel, left, right, metric, average, "best")
    numbers = {name: factor * getattr(found, name) for name in ("value", "low", "high")}
    lower, margin = metric in LOWER_IS_BETTER, claim.margin_of(metric)
    row = {**numbers, "best": factor * best}
    row |= _said(found, factor, claim.expects, margin, lower)
    row |= {name: getattr(found, name) for name in ("images", "patients", "folds", "seeds")}
    used = pd.MultiIndex.from_frame(results.runs[["study", "arm"]]).isin(panel.arms)
    return {**row, "origin": origin(results.runs[used])}


def _said(found: Estimate, factor: float, expects: str, margin: float, lower: bool) -> dict:
    """What the interval says, and at which level it would begin to say each of the other things."""
    replicates = factor * found.replicates[~np.isnan(found.replicates)]
    row = {"verdict": UNDECIDED, "p_held": 1.0, "p_reversed": 1.0, "p_no_difference": 1.0}
    low, high = factor * found.low, factor * found.high
    for name, above, below in regions(expects, margin, lower_is_better=lower):
        key = f"p_{name.replace(' ', '_')}"
        row[key] = min(row[key], _p(replicates, above, below))
        if row["verdict"] == UNDECIDED and above < low and high < below:
            row["verdict"] = name
    return row


def _p(replicates: Float[np.ndarray, " n"], above: float, below: float) -> float:
    """1 minus the level of the widest percentile interval that lies between two bounds."""
    if len(replicates) == 0:
        return 1.0
    outside = max(np.count_nonzero(replicates <= above), np.count_nonzero(replicates >= below))
    return min(1.0, 2 * (outside + 1) / (len(replicates) + 1))


def _printed(paper: Paper, claim: Claim, metric: str) -> str | None:
    """The difference that the text states; or, in parentheses, what its tables say."""
    if metric in claim.printed:
        text = claim.printed[metric]
        return f"{100 * float(text):+.1f}" if _in_fractions(paper) else text
    for table in paper.tables:
        cells = {
            method.id: cell.value
            for method in paper.methods
            for cell in method.published
            if (cell.table, cell.metric) == (table.id, metric)
        }
        if all(arm in cells for arm in (*claim.arms, *claim.against)):
            ours, theirs = (np.mean([cells[arm] for arm in group]) for group in (claim.arms, claim.against))
            return f"({(ours - theirs) * (100 if _in_fractions(paper) else 1):+.2f})"
    return None


def _in_fractions(paper: Paper) -> bool:
    return "fraction" in paper.tables[0].units


def _text(row: pd.Series) -> str:
    digits = 2 if row["metric"] in ("accuracy", "components") else 1
    value, low, high = (f"{row[name]:+.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]" if np.isfinite(row["low"]) else value


def _is_there(results: Results, arm: tuple[str, str]) -> bool:
    try:
        find_arm(results, arm)
    except NotRunError:
        return False
    return True


class _Key:
    """Results as a key: the same tables are the same key, for as long as they live."""

    def __init__(self, results: Results):
        self.results = results

    def __hash__(self) -> int:
        return id(self.results.last)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.results.last is other.results.last


@lru_cache(maxsize=4)
def _panel(key: _Key, arms: tuple, n: int) -> Panel:
    """Kept, as a claim is measured in several metrics."""
    return Panel(key.results, arms, n=n)


def _shipped_or_here(study: str) -> Results:
    return load_results(study, PROFILE)
