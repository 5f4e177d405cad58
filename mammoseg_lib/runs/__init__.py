"""A run: one method on one fold with one seed, in a folder named by a digest of all that decides its outcome.

configs = load_study("spatial_matching").plan("demo")   # what is to be trained
runs = [execute(config) for config in configs]          # trained, or read where it is complete already
mean = evaluate(runs, other_data)                       # their networks averaged, on other images
report = train_all(configs, minutes=30)                 # several at a time, until the time is up
"""

from mammoseg_lib.runs.averages import averaged, evaluate
from mammoseg_lib.runs.plan import check_plan, distinct
from mammoseg_lib.runs.run import Run, complete, find
from mammoseg_lib.runs.schedule import train_all
from mammoseg_lib.runs.work import execute
from mammoseg_lib.settings import Data, RunConfig

__all__ = [
    "Data", "Run", "RunConfig", "averaged", "check_plan", "complete", "distinct", "evaluate", "execute",
    "find", "train_all",
]  # fmt: skip
