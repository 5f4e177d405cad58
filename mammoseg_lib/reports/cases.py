"""Which runs and which test images a figure shows: picked by a stated rule, never by hand.

gallery = Gallery({"ce": run, "rebalance": another})        # complete runs by name; or rule="density"
figure = plots.qualitative.qualitative(gallery.cases(), gallery.caption())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from mammoseg_lib.plots.qualitative import Case
from mammoseg_lib.preprocessing import PreparedSet
from mammoseg_lib.runs import Data, Run

QUANTILES = (0.1, 0.5, 0.9)
QUANTILE_RULE = "Sorted by their mean DSC over the methods shown, ties by id: those at the quantiles {}."
DENSITY_RULE = (
    "Of each ACR density class, the one at the median of the mean DSC over the methods shown, ties by id."
)


@dataclass(frozen=True)
class Gallery:
    """Some runs side by side, on the images that all of them tested.

    Attributes:
        runs: Name of each method to its run.
        rule: How the images are picked: "quantile" (see `QUANTILE_RULE`) or "density" (`DENSITY_RULE`).
    """

    runs: Mapping[str, Run]
    rule: Literal["quantile", "density"] = "quantile"

    @cached_property
    def prepared(self) -> PreparedSet:
        """The images that were tested, among others."""
        return Data.read(next(iter(self.runs.values())).config["data"]).prepare()

    @cached_property
    def scores(self) -> pd.DataFrame:
        """See `scores_of`."""
        return scores_of(self.runs)

    @cached_property
    def picked(self) -> pd.DataFrame:
        """See `pick_by_quantile` and `pick_by_density`."""
        mean = self.scores.mean(axis=1)
        if self.rule == "density":
            return pick_by_density(mean, self.prepared.table.set_index("sample_id")["acr_density"])
        return pick_by_quantile(mean)

    def cases(self) -> list[Case]:
        """The picked images with what was predicted for them, for `plots.qualitative`."""
        return load_cases(self.picked, self.prepared, self.runs)

    def caption(self) -> str:
        """What stands under the figure: the rule, how many images it chose from, how the runs were made."""
        texts = {name: _made(run.config) for name, run in self.runs.items()}
        names = {text: [name for name in texts if texts[name] == text] for text in texts.values()}
        made = (text if len(names) == 1 else f"{', '.join(of)}: {text}" for text, of in names.items())
        config = next(iter(self.runs.values())).config
        validated = config["data"]["protocol"] in ("random_validation", "grouped_validation")
        chose = validated and "members" not in config
        images = "validation images, which chose the epoch as well" if chose else "test images"
        shown = QUANTILE_RULE.format(", ".join(self.picked["short"]))
        rule = DENSITY_RULE if self.rule == "density" else shown
        return f"From {len(self.scores)} {images}. {rule} Networks: {'; '.join(made)}."


def _made(config: dict) -> str:
    """How a run was made, in a few words."""
    data, width = config["data"], config["model"].get("base_width")
    source = f"{data['population']} {data['source']} phantoms" if data["phantoms"] else data["source"]
    parts = [source, f"{data['preprocessing']['size']} px"]
    parts += [f"base width {width}"] if width else []
    return ", ".join([*parts, f"{config['training']['epochs']} epochs"])


def scores_of(runs: Mapping[str, Run], metric: str = "dsc") -> pd.DataFrame:
    """One metric of every test image (rows, by sample id, in order) under every method (columns).

    Args:
        runs: Name of each method to its run.
        metric: Column of `Run.per_image`.

    Raises:
        ValueError: There is no run, or the runs tested different images.
    """
    columns = {name: run.per_image.set_index("sample_id")[metric] for name, run in runs.items()}
    if not columns:
        raise ValueError("there is no run to show")
    if len({frozenset(column.index) for column in columns.values()}) > 1:
        raise ValueError("the runs tested different images: they cannot be shown side by side")
    return pd.DataFrame(columns).sort_index()


def pick_by_quantile(per_image: pd.Series, quantiles: Sequence[float] = QUANTILES) -> pd.DataFrame:
    """The images that stand at some quantiles of a value.

    Of n images, sorted by their value and, where values are equal, by id, the case of quantile q is number
    1 + q (n - 1), rounded, halves up.

    Args:
        per_image: One value per image, by sample id.
        quantiles: In 0..1, in the order of the rows.

    Returns:
        Columns sample_id, rule ("10 % quantile"), short ("10 %") and value, a row per quantile.

    Raises:
        ValueError: A quantile is out of range, a value is missing, an id is there twice, or the images are
            so few that one would stand for two quantiles.
    """
    if wrong := [q for q in quantiles if not 0 <= q <= 1]:
        raise ValueError(f"quantile {wrong[0]} is not in 0..1")
    if per_image.isna().any() or not per_image.index.is_unique or per_image.empty:
        raise ValueError("every image must have one value, and there must be an image")
    order = sorted(per_image.index, key=lambda sample_id: (per_image[sample_id], sample_id))
    # The small number keeps halves up where q (n - 1) falls short of .5 by rounding.
    positions = [int(q * (len(order) - 1) + 0.5 + 1e-9) for q in quantiles]
    if len(set(positions)) < len(positions):
        raise ValueError(
            f"{len(order)} images are too few for the quantiles {', '.join(map(str, quantiles))}"
        )
    ids = [order[position] for position in positions]
    return pd.DataFrame(
        {
            "sample_id": ids,
            "rule": [f"{100 * q:g} % quantile" for q in quantiles],
            "short": [f"{100 * q:g} %" for q in quantiles],
            "value": [float(per_image[sample_id]) for sample_id in ids],
        }
    )


def pick_by_density(per_image: pd.Series, acr_density: pd.Series) -> pd.DataFrame:
    """The median image of each ACR density class, as `pick_by_quantile` finds it.

    Args:
        per_image: One value per image, by sample id.
        acr_density: Class of each of these images (there may be more); one without a class is in none.

    Returns:
        As `pick_by_quantile`, a row for each class that has an image, in ascending order, with the rule
        "ACR 2, median of 12".

    Raises:
        ValueError: A value is missing, an id is there twice, or no image has a class.
    """
    density = acr_density.loc[per_image.index].dropna().astype(int)
    if density.empty:
        raise ValueError("the ACR density of none of the images is known")
    rows = []
    for acr, members in density.groupby(density):
        picked = pick_by_quantile(per_image[members.index], (0.5,))
        rows.append(picked.assign(rule=f"ACR {acr}, median of {len(members)}", short=f"ACR {acr}"))
    return pd.concat(rows, ignore_index=True)


def zoom_box(target: Bool[np.ndarray, "s s"]) -> tuple[int, int, int]:
    """Top, left and side in pixels of the square that is shown enlarged.

    It is centered on the box around all masses and twice as long as its longer side, but no shorter than a
    quarter of the image; then moved into the image. An image without a mass is its own box.
    """
    size = target.shape[0]
    if not target.any():
        return 0, 0, size
    spans = [np.flatnonzero(target.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    extent = int(max(last - first + 1 for first, last in spans))
    side = min(size, max(2 * extent, size // 4))
    top, left = (min(max(int(first + last + 1 - side) // 2, 0), size - side) for first, last in spans)
    return top, left, side


def load_cases(picked: pd.DataFrame, prepared: PreparedSet, runs: Mapping[str, Run]) -> list[Case]:
    """The picked images with the predictions of some runs, for `plots.qualitative`.

    Args:
        picked: Columns sample_id, rule and value, the mean DSC of the methods.
        prepared: The images that the runs tested.
        runs: Name of each method to its run.
    """
    scores = scores_of(runs)
    position = {sample_id: i for i, sample_id in enumerate(prepared.table["sample_id"])}
    probabilities = {name: run.predictions() for name, run in runs.items()}
    cases = []
    for case in picked.itertuples():
        i = position[case.sample_id]
        target = np.asarray(prepared.masks[i])
        cases.append(
            Case(
                sample_id=case.sample_id,
                rule=f"{case.rule}\nmean DSC {case.value:.2f}",
                image=np.asarray(prepared.images[i]),
                target=target,
                box=zoom_box(target),
                predictions={name: maps[case.sample_id] > 0.5 for name, maps in probabilities.items()},
                dsc=scores.loc[case.sample_id].to_dict(),
            )
        )
    return cases


def choice_table(runs: Mapping[str, Run], quantiles: Sequence[float] = QUANTILES) -> pd.DataFrame:
    """How good each method looks, by which of its own images are shown.

    Returns:
        One row per method: method, images, the DSC at each quantile of its own images ("10 %", ...), mean,
        `nothing predicted` (images) and `best of all` (images on which its DSC exceeds that of every other).
    """
    scores = scores_of(runs)
    predicted = scores_of(runs, "tp") + scores_of(runs, "fp")
    rows = []
    for name in scores:
        rest = scores.drop(columns=name).max(axis=1)
        own = pick_by_quantile(scores[name], quantiles)
        rows.append(
            {
                "method": name,
                "images": len(scores),
                **dict(zip(own["short"], own["value"], strict=True)),
                "mean": scores[name].mean(),
                "nothing predicted": int((predicted[name] == 0).sum()),
                "best of all": int((scores[name] > rest).sum()),
            }
        )
    return pd.DataFrame(rows)
