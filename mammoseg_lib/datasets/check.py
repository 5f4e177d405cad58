"""Reading every file of a source once, and saying what is whole, left out or broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd
from tqdm import tqdm

from mammoseg_lib import paths
from mammoseg_lib.datasets import DataError, Problem, Source


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        table: The samples that can be used.
        problems: The files that cannot, with the reason.
    """

    table: pd.DataFrame
    problems: tuple[Problem, ...]

    @property
    def broken(self) -> tuple[Problem, ...]:
        """The problems that are faults of a file, not exclusions by rule."""
        return tuple(problem for problem in self.problems if problem.kind == "broken")

    def text(self) -> str:
        """Counts, then one line per problem."""
        with_mass = self.table[self.table["n_masses"] > 0]
        kinds = Counter(problem.kind for problem in self.problems)
        lines = [
            f"images that can be used   {len(self.table):6d}",
            f"  with a mass             {len(with_mass):6d}",
            f"  without                 {len(self.table) - len(with_mass):6d}",
            f"masses                    {int(with_mass['n_masses'].sum()):6d}",
            f"patients with a mass      {with_mass['patient_id'].nunique() or 'unknown':>6}",
            f"left out by rule          {kinds['excluded']:6d}",
            f"broken                    {kinds['broken']:6d}",
        ]
        lines += [f"{p.kind}: {paths.shown(p.path)}: {p.reason}" for p in self.problems]
        return "\n".join(lines)


def check_source(source: Source, *, progress: bool = False) -> Report:
    """Read every image and mask of a source, not only the headers that indexing reads."""
    table, problems = source.scan()
    whole = pd.Series(True, index=table.index)
    for i, row in tqdm(table.iterrows(), total=len(table), desc="check", unit="image", disable=not progress):
        try:
            source.load(row)
        except DataError as error:
            problems.append(Problem(error.path, "broken", error.reason))
            whole[i] = False
    return Report(table[whole].reset_index(drop=True), tuple(problems))
