"""Whether what is planned can be trained, told before the first run and not hours later."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from mammoseg_lib.augmentation import build_augmentation
from mammoseg_lib.checks import check_name
from mammoseg_lib.losses import build_loss
from mammoseg_lib.models import build_model
from mammoseg_lib.settings import RunConfig
from mammoseg_lib.sources import SOURCES
from mammoseg_lib.splits import PROTOCOLS
from mammoseg_lib.training import Trainer


def check_plan(configs: Iterable[RunConfig]) -> None:
    """Build what each run needs but for its images and the weights that it starts from.

    Raises:
        ValueError: A loss, a network, a schedule, a protocol or the size of the images cannot be what a run
            asks for; the message names the run.
    """
    checked: set[str] = set()
    for config in configs:
        what = repr((config.loss, config.model, config.training, config.data))
        if what in checked:
            continue
        checked.add(what)
        try:
            _check(config)
        except ValueError as error:
            raise ValueError(
                f"study {config.study}, profile {config.profile}, {config.arm}: {error}"
            ) from error


def distinct(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """Each run once, where two studies ask for the same under different names."""
    once: dict[str, RunConfig] = {}
    for each in configs:
        asked = each.loss, each.model, each.training, each.data, each.fold, each.seed
        once.setdefault(repr(asked), each)
    return list(once.values())


def _check(config: RunConfig) -> None:
    size, training = config.data.preprocessing.size, config.training
    check_name("source", config.data.source, SOURCES)
    check_name("protocol", config.data.protocol, PROTOCOLS)
    build_augmentation(training.augmentation, size)
    options = {key: value for key, value in config.model.items() if key not in ("weights", "weights_file")}
    model = build_model(**options)
    Trainer(model, build_loss(**config.loss), training, seed=config.seed, device=torch.device("cpu"))
    shape = (1, options.get("in_channels", 1), size, size)
    try:  # sizes are looked at where an image comes in; on this device nothing is computed
        model.to("meta").eval()(torch.empty(shape, device="meta"))
    except NotImplementedError:  # not every network can do without numbers
        return
