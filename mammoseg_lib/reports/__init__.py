"""What was measured, beside what papers print: estimates with intervals, comparisons, tables, claims.

comparison = compare(paper, results)               # one row per published number
page_table(paper, comparison, "Table 1")           # narrow, for a page; flat(comparison) for a CSV file
ablation(results)                                  # arms of a study, with their differences to the first
claims.ledger()                                    # every claim of the papers, with its verdict
"""

from mammoseg_lib.reports.ablation import ablation
from mammoseg_lib.reports.arms import NotRunError
from mammoseg_lib.reports.compare import NOT_RUN, compare, settings_text
from mammoseg_lib.reports.estimate import Estimate, arms_table, difference, gather, value
from mammoseg_lib.reports.panel import Panel
from mammoseg_lib.reports.tables import (
    flat,
    footnotes,
    markdown,
    page_table,
    reading_guide,
    settings_table,
    study_table,
    text,
)

__all__ = [
    "NOT_RUN",
    "Estimate",
    "NotRunError",
    "Panel",
    "ablation",
    "arms_table",
    "compare",
    "difference",
    "flat",
    "footnotes",
    "gather",
    "markdown",
    "page_table",
    "reading_guide",
    "settings_table",
    "settings_text",
    "study_table",
    "text",
    "value",
]
