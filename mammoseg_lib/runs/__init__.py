"""A run: one frozen configuration, one folder, named by a digest of the configuration and of the data.

configs = plan(paper, **profile)         # what is to be trained
runs = [execute(c) for c in configs]     # trained, or read where it is complete already
mean = evaluate(runs, other_data)        # their networks averaged, on other images
table = results(runs)                    # one row per run and test image
"""

from mammoseg_lib.runs.config import Data, RunConfig, plan
from mammoseg_lib.runs.ensemble import averaged, evaluate
from mammoseg_lib.runs.table import results
from mammoseg_lib.runs.work import Run, complete, execute

__all__ = ["Data", "Run", "RunConfig", "averaged", "complete", "evaluate", "execute", "plan", "results"]
