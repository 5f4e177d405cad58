"""Networks: what the memory layout and the precision are worth on a CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mammoseg_lib.losses import Batch, build_loss
from mammoseg_lib.models import build_model
from mammoseg_lib.training import Trainer, Training, choose_precision
from tests.bench.timing import Row, paired

WIDTH, BATCH, SIZE = 16, 4, 256  # the batch and image size of 000, a quarter of the published width


def rows() -> list[Row]:
    """The rows of the bench table."""
    layouts = [_channels_last("training step", _training_step), _channels_last("inference", _inference)]
    return layouts + _bfloat16()


def _bfloat16() -> list[Row]:
    """One step of the training loop in either precision; none where bfloat16 is emulated."""
    if choose_precision("auto", torch.device("cpu")) != "bfloat16":
        print("no row for bfloat16: this processor does not compute in it natively")
        return []

    def step(precision: str) -> Callable[[], None]:
        torch.manual_seed(0)
        trainer = Trainer(
            build_model("aunet", base_width=WIDTH),
            build_loss("dice_bce"),
            Training(),
            seed=0,
            device=torch.device("cpu"),
            precision=precision,
        )
        images, batch = torch.randn(BATCH, 1, SIZE, SIZE), Batch(torch.zeros(BATCH, 1, SIZE, SIZE))
        return lambda: trainer.step(images, batch)

    full, half = paired(step("float32"), step("bfloat16"), rounds=9, calls=1)
    return [
        Row(
            f"AU-Net training step, bfloat16 / float32 (base width {WIDTH}, {BATCH}x1x{SIZE}x{SIZE})",
            full / half,
            1.5,
            at_most=False,
            detail=f"float32 {full * 1e3:.0f} ms, bfloat16 {half * 1e3:.0f} ms",
        )
    ]


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
