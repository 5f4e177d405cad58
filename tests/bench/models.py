"""Networks: what the memory layout is worth on a CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mammoseg_lib.models import build_model
from tests.bench.timing import Row, paired

WIDTH, BATCH, SIZE = 16, 4, 256  # the batch and image size of 000, a quarter of the published width


def rows() -> list[Row]:
    """The rows of the bench table."""
    return [_channels_last("training step", _training_step), _channels_last("inference", _inference)]


def _channels_last(what: str, make: Callable[[nn.Module, Tensor], Callable[[], None]]) -> Row:
    def run(layout: torch.memory_format) -> Callable[[], None]:
        torch.manual_seed(0)
        model = build_model("aunet", base_width=WIDTH).to(memory_format=layout)
        return make(model, torch.randn(BATCH, 1, SIZE, SIZE).contiguous(memory_format=layout))

    default, last = paired(run(torch.contiguous_format), run(torch.channels_last), rounds=9, calls=1)
    return Row(
        f"AU-Net {what}, channels_last (base width {WIDTH}, {BATCH}x1x{SIZE}x{SIZE})",
        default / last,
        1.3,
        at_most=False,
        detail=f"default {default * 1e3:.0f} ms, channels_last {last * 1e3:.0f} ms",
    )


def _training_step(model: nn.Module, image: Tensor) -> Callable[[], None]:
    target = torch.zeros_like(image)

    def run() -> None:
        model.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(image), target).backward()

    return run


def _inference(model: nn.Module, image: Tensor) -> Callable[[], None]:
    model.eval()

    @torch.no_grad()
    def run() -> None:
        model(image)

    return run
