"""`make bench`: every ratio that has a bound, as one table.

`python -m tests.bench region metrics` runs only the sections named.
"""

from __future__ import annotations

import importlib
import sys

SECTIONS = ("spatial_matching", "pixel", "region", "boundary", "metrics", "models", "training", "data")


def main(names: list[str]) -> int:
    import torch  # here, since the processes that fill a cache import this module again

    torch.set_num_threads(min(2, torch.get_num_threads()))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; ratios of medians, timed in turn")
    print(f"{'what':72} {'ratio':>9}  {'bound':>9}  met")
    rows = []
    for name in names or SECTIONS:
        for row in importlib.import_module(f"tests.bench.{name}").rows():
            bound = f"{'<=' if row.at_most else '>='} {row.bound:6.2f}"
            met = "yes" if row.met else "NO "
            print(f"{row.what:72} {row.ratio:9.2f}  {bound}  {met}  {row.detail}", flush=True)
            rows.append(row)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
