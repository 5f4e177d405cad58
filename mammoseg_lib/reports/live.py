"""What a few networks predicted for one image while they learned: for the notebooks that train them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mammoseg_lib.runs import Run
from mammoseg_lib.settings import RunConfig


@dataclass(frozen=True)
class Learned:
    """One test image, and what the networks of the first fold and seed made of it.

    Attributes:
        image: Gray values.
        truth: Its masses.
        probability: What each arm predicted for it after each of `epochs`, by name.
        epochs: From 1.
        curves: Columns arm, epoch and dsc: of the validation images.
    """

    image: Float[np.ndarray, "h w"]
    truth: Bool[np.ndarray, "h w"]
    probability: dict[str, Float[np.ndarray, "epochs h w"]]
    epochs: list[int]
    curves: pd.DataFrame


def learned(
    configs: Sequence[RunConfig], runs: Sequence[Run], name: Callable[[RunConfig], str] = lambda c: c.label
) -> Learned:
    """What the runs of the first fold and seed say of one image: of those that they kept, the largest mass.

    Args:
        configs: Of the runs, which must differ in nothing but the arm where fold and seed are the same.
        runs: As many.
        name: What an arm is called.
    """
    first = configs[0]
    chosen = [
        (config, run)
        for config, run in zip(configs, runs, strict=True)
        if (config.fold, config.seed) == (first.fold, first.seed)
    ]
    prepared = first.data.prepare()
    ids = chosen[0][1].learning()["sample_id"]
    places = pd.Index(prepared.table["sample_id"]).get_indexer(ids)
    shown = int(np.argmax(prepared.masks[places].sum((1, 2))))
    probability, curves = {}, []
    for config, run in chosen:
        kept = run.learning()
        probability[name(config)] = kept["probability"][:, shown]
        history = run.history
        curves.append(
            pd.DataFrame({"arm": name(config), "epoch": history["epoch"], "dsc": history["val_dsc"]})
        )
    return Learned(
        image=np.asarray(prepared.images[places[shown]]),
        truth=np.asarray(prepared.masks[places[shown]]),
        probability=probability,
        epochs=[int(epoch) for epoch in kept["epochs"]],
        curves=pd.concat(curves, ignore_index=True),
    )
