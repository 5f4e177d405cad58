"""Networks: what the memory layout is worth on a CPU."""

from __future__ import annotations

import torch

from mammoseg_lib.models import build_model
from tests.bench.timing import Row, paired

WIDTH, BATCH, SIZE = 16, 4, 128


def rows() -> list[Row]:
    """The rows of the bench table."""
    return [_channels_last()]


def _channels_last() -> Row:
    def step(layout: torch.memory_format):
        torch.manual_seed(0)
        model = build_model("aunet", base_width=WIDTH).to(memory_format=layout)
        image = torch.randn(BATCH, 1, SIZE, SIZE).contiguous(memory_format=layout)

        def run() -> None:
            model(image).mean().backward()

        return run

    default, last = paired(step(torch.contiguous_format), step(torch.channels_last), rounds=5, calls=2)
    return Row(
        f"AU-Net training step, channels_last (base width {WIDTH}, {BATCH}x1x{SIZE}x{SIZE})",
        default / last,
        1.3,
        at_most=False,
        detail=f"default {default * 1e3:.0f} ms, channels_last {last * 1e3:.0f} ms",
    )
