"""What a run did otherwise than the paper whose method it is of."""

from __future__ import annotations

import json
from dataclasses import asdict

from mammoseg_lib.papers import load_paper
from mammoseg_lib.settings import RunConfig, Training

SHOWN = ("size", "base_width", "epochs", "weights", "weights_file", "precision", "channels_last")
"""Settings that have a column of their own, or change little but the time."""


def differences(config: RunConfig) -> str:
    """Its network, training, preparation or protocol, where they are not the paper's; "" for an own one.

    For example "batch size 8, protocol patient_folds".
    """
    if config.paper is None:
        return ""
    method = load_paper(config.paper).find(config.method)
    pairs = (
        (config.model, method.model),
        (_plain(config.training), _plain(Training(**method.training))),
        (_plain(config.data.preprocessing), method.preprocessing),
        ({"protocol": config.data.protocol}, method.data),
    )
    return ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for run, own in pairs
        for name, value in run.items()
        if name not in SHOWN and value != own.get(name)
    )


def _plain(settings: object) -> dict:
    return json.loads(json.dumps(asdict(settings)))
