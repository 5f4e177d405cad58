"""Paper against reproduced: what was published and what the runs gave, never in the same column.

comparison = compare(paper, results)               # one row per published number
table = layout(paper, comparison, "Table 1")       # as the paper lays it out
print(markdown(table))                             # or styled(table) in a notebook, flat(table) for a CSV
"""

from mammoseg_lib.reports.ablation import ablation, by_run
from mammoseg_lib.reports.compare import NOT_RUN, SETTINGS, compare, reproduced, settings_text
from mammoseg_lib.reports.tables import (
    flat,
    layout,
    markdown,
    reading_guide,
    settings_table,
    styled,
    text,
)

__all__ = [
    "NOT_RUN",
    "SETTINGS",
    "ablation",
    "by_run",
    "compare",
    "flat",
    "layout",
    "markdown",
    "reading_guide",
    "reproduced",
    "settings_table",
    "settings_text",
    "styled",
    "text",
]
