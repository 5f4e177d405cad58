"""The metrics of many runs in one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import pandas as pd

from mammoseg_lib.papers import load_paper
from mammoseg_lib.runs.work import Run
from mammoseg_lib.training import Training

SHOWN = ("size", "base_width", "epochs", "weights", "weights_file", "amp", "channels_last")
"""Settings that have a column of their own, or change nothing but the time."""


def results(runs: Iterable[Run]) -> pd.DataFrame:
    """The per-image metrics of some runs in one table, each row with the settings of its run."""
    tables = []
    for run in runs:
        config, members = run.config, run.config.get("members", [])
        settings = {
            "run": run.folder.name,
            **{key: config[key] for key in ("paper", "method", "fold", "seed", "profile")},
            "variant": _variant(config),
            "source": _source(config["data"]),
            "trained_on": _source(config.get("trained_on", config["data"])),
            "networks": len(members) or 1,
            "start": run.start["weights"],
            "protocol": config["data"]["protocol"],
            "image_size": config["data"]["preprocessing"]["size"],
            "base_width": config["model"].get("base_width"),
            "epochs": config["training"]["epochs"],
            "differs": _differences(config),
        }
        tables.append(run.per_image.assign(**settings))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _source(data: dict) -> str:
    return data["source"] + (" phantoms" if data["phantoms"] else " (real)")


def _differences(config: dict) -> str:
    """What else differs from the paper's method: its network, training, preparation or protocol."""
    method = load_paper(config["paper"]).find(config["method"])
    trained_on = config.get("trained_on", config["data"])
    own_training = Training(**method.training)
    training = {**asdict(own_training), "milestones": list(own_training.milestones)}  # as JSON has it
    pairs = (
        (config["model"], method.model),
        (config["training"], training),
        (trained_on["preprocessing"], method.preprocessing),
        ({"protocol": trained_on["protocol"]}, method.data),
    )
    changes = [
        f"{name.replace('_', ' ')} {value}"
        for run, own in pairs
        for name, value in run.items()
        if name not in SHOWN and value != own.get(name)
    ]
    if config["data"]["preprocessing"] != trained_on["preprocessing"]:
        changes.append("tested in another preparation")
    return ", ".join(changes)


def _variant(config: dict) -> str:
    """What of the loss differs from the method that the run is of; empty for the method itself."""
    own = load_paper(config["paper"]).find(config["method"]).loss
    return ", ".join(f"{name}={value}" for name, value in config["loss"].items() if own.get(name) != value)
