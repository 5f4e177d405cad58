"""What runs gave, as tables: complete runs on this machine and the results that come with the project, alike.

results = load_results("spatial_matching", "reduced")
results.runs      # one row a run: what it was, where it came from, how long it took
results.best      # one row a run and test image: every metric of the epoch that validation liked best
results.last      # one row a run, epoch and test image: counts of each of the last ten epochs
"""

from mammoseg_lib.results.reference import (
    compare_reference,
    reference_numbers,
    reference_state,
    store_reference,
)
from mammoseg_lib.results.shipped import add, check, missing, overview
from mammoseg_lib.results.table import Results, load_results, results_of

__all__ = [
    "Results",
    "add",
    "check",
    "compare_reference",
    "load_results",
    "missing",
    "overview",
    "reference_numbers",
    "reference_state",
    "results_of",
    "store_reference",
]
