"""What a run is told by: a digest of all that decides its outcome, and of nothing else.

In it: loss, network, training, precision, preparation, split, fold and seed; the content of the images; what
the network started from; and the code that reads, prepares, draws, trains and predicts. Not in it: names of
papers, methods, studies and profiles, the machine, versions of other packages (they are recorded).
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from mammoseg_lib import augmentation, batching
from mammoseg_lib.losses import LOSSES, build_loss
from mammoseg_lib.losses.own import codes
from mammoseg_lib.models import MODELS, PUBLISHED, WeightsError, start_of
from mammoseg_lib.runs import trained
from mammoseg_lib.settings import RunConfig
from mammoseg_lib.source_code import code_digest
from mammoseg_lib.splits import PROTOCOLS
from mammoseg_lib.storage import digest

LAST_DIGITS = 12  # of the identity in a folder's name


def settings_digest(config: RunConfig) -> str:
    """Digest of what a run was asked to do, apart from the content of files and code.

    Equal on every machine, so that shipped results can be told without images.
    """
    model = {key: value for key, value in config.model.items() if key != "weights_file"}
    if model.get("weights", "none") not in ("none", *PUBLISHED):
        model["weights"] = "file"  # by its content, see `start_digest`
    training = {key: value for key, value in asdict(config.training).items() if key != "precision"}
    return digest(
        {
            "loss": _without_folders(config.loss),
            "model": model,
            "training": json.loads(json.dumps(training)),
            "data": json.loads(json.dumps(config.data.decisive())),
            "fold": config.fold,
            "seed": config.seed,
        }
    )


def run_code(config: RunConfig) -> str:
    """Digest of the code that trains and tests such a run, from the loss and the network to the loop."""
    return digest(
        [
            _loss_code(config.loss),
            _model_code(config.model["name"]),
            _loop_code(config.data.protocol, config.training.augmentation != "none"),
        ]
    )


def start_digest(config: RunConfig) -> dict:
    """What the network starts from, by content; see `models.start_of`."""
    return start_of(config.model.get("weights", "none"), config.model.get("weights_file"))


def same_start(config: RunConfig, start: dict) -> bool:
    """Whether a run started from what is asked for, as far as that is at hand."""
    try:
        return start_digest(config) == start
    except WeightsError:
        return True


def identity(config: RunConfig, data_key: str, precision: str) -> str:
    """The digest of everything that decides the outcome of a run.

    Args:
        config: What is asked for.
        data_key: Digest of the prepared images: their content, how they were prepared, and by what code.
        precision: "float32" or "bfloat16".
    """
    return digest(
        {
            "settings": settings_digest(config),
            "code": run_code(config),
            "data": data_key,
            "start": start_digest(config),
            "precision": precision,
        }
    )


def folder_name(config: RunConfig, identity: str) -> str:
    """A name that a person can read, and the identity behind it."""
    loss = config.loss["name"] if isinstance(config.loss["name"], str) else "losses"
    words = (
        config.data.source,
        config.model["name"],
        Path(loss).name,
        f"fold{config.fold}",
        f"seed{config.seed}",
    )
    name = "-".join(re.sub(r"[^\w.]+", "_", word) for word in words)
    return f"{name}-{identity[:LAST_DIGITS]}"


def _without_folders(loss: dict) -> dict:
    """A loss from one's own file by the file's name: the folder is the machine's, the content is code."""
    if not isinstance(loss["name"], str) or ":" not in loss["name"]:
        return loss
    file, _, name = loss["name"].rpartition(":")
    return {**loss, "name": f"{Path(file).name}:{name}"}


def _loss_code(options: dict) -> str:
    # Built every time: a loss from one's own file is another class after the file was edited.
    factories = [LOSSES[name] for name in _names(options) if name in LOSSES]
    return _code(*dict.fromkeys([*codes(build_loss(**options)), *factories]))


@lru_cache(maxsize=512)
def _code(*objects: object) -> str:
    return code_digest(*objects)


def _names(options: object) -> list[str]:
    """Every text in a configuration: among them the names of the losses that a sum or phases are made of."""
    if isinstance(options, dict):
        return [name for key, value in options.items() for name in (key, *_names(value))]
    if isinstance(options, list):
        return [name for value in options for name in _names(value)]
    return [options] if isinstance(options, str) else []


@lru_cache(maxsize=512)
def _model_code(name: str) -> str:
    factory = MODELS[name]
    return code_digest(getattr(factory, "func", factory))


@lru_cache(maxsize=64)
def _loop_code(protocol: str, altered: bool) -> str:
    loop = [trained.train_and_test, batching.SegmentationDataset, PROTOCOLS[protocol]]
    return code_digest(*loop, *([augmentation] if altered else []))
