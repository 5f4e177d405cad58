"""Claims: the sentences of a paper that can be tested, each with the rule that decides, set before the runs.

Measured with the profile `reduced` on real images, all folds, and the seeds that all arms of a claim have.
The value of a run is the mean over its last ten epochs; distances and components are of the epoch that
validation liked best. `verdict` says how an interval is read, `REGIONS` says the same as data.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mammoseg_lib.papers.record import Record

Metric = Literal["dsc", "iou", "sensitivity", "precision", "accuracy", "da", "hd", "components"]
Expected = Literal["better", "worse", "similar"]
Arms = Annotated[tuple[str, ...], BeforeValidator(lambda names: [names] if isinstance(names, str) else names)]
Numbers = Annotated[tuple[int, ...], BeforeValidator(lambda n: [n] if isinstance(n, int) else n)]

LOWER_IS_BETTER = ("da", "hd", "components")

MARGINS: dict[str, float] = {
    "dsc": 2.0,
    "iou": 2.0,
    "sensitivity": 2.0,
    "precision": 2.0,
    "da": 6.0,
    "accuracy": 0.1,
    "hd": 2.0,
    "components": 0.1,
}
"""The largest difference that counts as none: in points of percent, pixels, or components per image.

Two points of DSC. At a DSC of .65, a sensitivity of .58 and a share f = .025 of mass pixels (000's baseline)
two points of DSC are worth about .1 point of accuracy, 1 - ACC = 2 f SEN (1 / DSC - 1), and two points of
sensitivity about 6 of dA = |2 SEN / DSC - 2|. One component more in every tenth image counts as none.
"""

LEVEL = 0.95
REGIONS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "better": (("no difference", -1, 1), ("held", 0, math.inf), ("reversed", -math.inf, 0)),
    "similar": (("held", -1, 1), ("reversed", 1, math.inf), ("reversed", -math.inf, -1)),
}
"""The rule as data: verdict, and between which bounds, in margins, the interval must lie for it."""

VERDICTS = ("held", "reversed", "no difference", "undecided", "cannot be tested here", "not run yet")


def verdict(
    low: float | int,
    high: float | int,
    expects: Expected,
    margin: float | int,
    *,
    lower_is_better: bool,
) -> str:
    """What an interval says about a claim.

    The interval is that of the difference d of the arms that the claim favors to what they are held against,
    at level .95, from resamples of the patients and, with them, of each fold's networks over its seeds; it is
    never narrower than the folds' own spread says. d is turned so that more is better.

    - better (and worse, for -d): *no difference* if -m < d < m throughout the interval, else *held* if d > 0
      throughout, *reversed* if d < 0 throughout.
    - similar: *held* if -m < d < m throughout, *reversed* if d > m or d < -m throughout: they differ.
    - *undecided* at this number of patients and networks if none of these.

    The claims of a paper are tested together: the p of a claim is the smallest a for which its interval at
    level 1 - a says the same, and where Holm's step-down at .05 over the claims of its paper (those not run
    yet included) does not reach it, the verdict is *undecided*.

    A claim over several metrics goes by its first one (DSC), and the others are listed with verdicts of their
    own; where the sentence says "all", it is *held* if all are, *reversed* if one is, *no difference* if all
    lie inside their margins, else *undecided*.

    Args:
        low: Lower limit of the difference, arms minus what they are held against.
        high: Upper limit.
        expects: What the sentence says of the arms.
        margin: m, in the unit of the difference.
        lower_is_better: Whether less of the metric is better.

    Returns:
        "held", "reversed", "no difference" or "undecided".

    Raises:
        ValueError: The limits are no interval, or the margin is not positive.
    """
    if not low <= high:
        raise ValueError(f"{low} to {high} is no interval")
    for name, above, below in regions(expects, margin, lower_is_better=lower_is_better):
        if above < low and high < below:
            return name
    return "undecided"


def regions(
    expects: Expected, margin: float | int, *, lower_is_better: bool
) -> list[tuple[str, float, float]]:
    """`REGIONS` in the unit of a difference: verdict, and the bounds between which its interval must lie.

    Args:
        expects: What the sentence says of the arms.
        margin: The largest difference that counts as none.
        lower_is_better: Whether less of the metric is better; bounds are then those of the mirror image.

    Raises:
        ValueError: The margin is not positive.
    """
    if not margin > 0:
        raise ValueError(f"margin={margin} must be positive")
    mirrored = expects != "similar" and (expects == "worse") != lower_is_better
    found = []
    for name, *bounds in REGIONS["similar" if expects == "similar" else "better"]:
        # 0 times infinity is not a number: what has no bound stays without one.
        above, below = (bound * margin if math.isfinite(bound) else bound for bound in bounds)
        found.append((name, -below, -above) if mirrored else (name, above, below))
    return found


class Count(Record):
    """Numbers that can be counted: held if ours are those printed.

    Attributes:
        printed: As the paper states them.
        ours: What counting gives here; tests count again.
        how: What was counted, in words.
    """

    printed: Numbers
    ours: Numbers
    how: str

    @property
    def verdict(self) -> str:
        """*held* or *reversed*."""
        return "held" if self.printed == self.ours else "reversed"


class Claim(Record):
    """A sentence of a paper and the rule that decides about it (see `verdict`).

    The difference is the mean of `arms` minus the mean of `against`, each arm with the same folds, seeds,
    patients and resamples.

    Attributes:
        id: Short name.
        section: Where it stands.
        quote: Its words.
        headline: What it says, short, for the first screen; None for the claims that are only in the ledger.
        study: Whose runs decide.
        arms: What the sentence favors, or calls worse, or similar: one arm, or several whose mean is meant.
        against: What they are held against, likewise.
        against_study: Whose runs those are, if not of `study`.
        paired: Whether arms and against correspond one to one, by their order.
        expects: What the sentence says of the arms: better, worse or similar.
        metrics: In what; the first one decides.
        decided_by: "all" where the sentence speaks of all metrics.
        average: "micro" or "macro"; None for the paper's own.
        margin: By metric, where not `MARGINS`.
        margin_reason: Why.
        table: Where the printed differences come from.
        printed: The difference as printed, by metric.
        misprinted: What the table gives where that is not what is printed.
        left_out: Printed metrics that are not tested, and why.
        count: For what is counted in place of compared.
        untestable: Why it cannot be tested here.
        note: What else a reader of the verdict should know.
    """

    id: str
    section: str
    quote: str = Field(max_length=240)
    headline: str | None = None
    study: str | None = None
    arms: Arms = ()
    against: Arms = ()
    against_study: str | None = None
    paired: bool = False
    expects: Expected = "better"
    metrics: tuple[Metric, ...] = ("dsc",)
    decided_by: Literal["first", "all"] = "first"
    average: Literal["micro", "macro"] | None = None
    margin: dict[Metric, float] = Field(default_factory=dict)
    margin_reason: str | None = None
    table: str | None = None
    printed: dict[Metric, str] = Field(default_factory=dict)
    misprinted: dict[Metric, str] = Field(default_factory=dict)
    left_out: dict[Metric, str] = Field(default_factory=dict)
    count: Count | None = None
    untestable: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Claim:
        compares = bool(self.arms and self.against)
        if bool(self.arms) != bool(self.against):
            raise ValueError("arms and against belong together")
        if sum((compares and not self.untestable, self.count is not None, bool(self.untestable))) != 1:
            raise ValueError("needs one of: arms and against, count, or why it is untestable")
        if compares and not (self.study or self.untestable):
            raise ValueError("needs a study")
        if self.paired and len(self.arms) != len(self.against):
            raise ValueError(f"pairs {len(self.arms)} arms with {len(self.against)}")
        if set(self.arms) & set(self.against) and self.against_study is None:
            raise ValueError(f"holds {', '.join(sorted(set(self.arms) & set(self.against)))} against itself")
        if self.margin and not self.margin_reason:
            raise ValueError("a margin of its own needs a margin_reason")
        if any(not value > 0 for value in self.margin.values()):
            raise ValueError("a margin must be positive")
        if self.printed and not (self.table and compares):
            raise ValueError("printed differences need a table, arms and against")
        if unknown := [m for m in (*self.misprinted, *self.left_out) if m not in self.printed]:
            raise ValueError(f"says something of {', '.join(unknown)}, of which it prints no difference")
        untold = [m for m in self.printed if m not in (*self.metrics, *self.left_out)]
        if untold and not self.untestable:
            raise ValueError(f"prints {', '.join(untold)}, which is neither in metrics nor in left_out")
        return self

    def rule(self, average: str) -> str:
        """The rule in words, for a ledger.

        Args:
            average: How the paper averages, where the claim does not say otherwise.
        """
        if self.count is not None:
            return f"counted: {self.count.how}"
        if not self.arms:
            return "none"
        pooled = (self.average or average) == "micro"
        names = ", ".join(f"{m} (±{self.margin_of(m):g})" for m in self.metrics)
        how = "pooled over test pixels" if pooled else "mean over test images"
        where = "" if self.against_study is None else f" of {self.against_study}"
        what = f"{_group(self.arms)} {self.expects} than {_group(self.against)}{where}"
        if self.expects == "similar":
            what = f"{_group(self.arms)} like {_group(self.against)}{where}"
        which = ", in all" if self.decided_by == "all" and len(self.metrics) > 1 else ""
        return f"{what}, in {names}{which}; {how}; study {self.study}"

    def margin_of(self, metric: str) -> float:
        """The largest difference in that metric that counts as none."""
        return self.margin.get(metric, MARGINS[metric])


def _group(arms: tuple[str, ...]) -> str:
    return arms[0] if len(arms) == 1 else f"mean of {', '.join(arms)}"
