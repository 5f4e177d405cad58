"""What the networks share: a block, a check of the image's size, the contract of encoder and decoder."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


def check_sides(network: str, image: Tensor, divisor: int) -> None:
    """Raises a ValueError unless both sides of the image are divisible by `divisor`."""
    height, width = image.shape[-2:]
    if height % divisor or width % divisor:
        raise ValueError(f"{network}: the image's size {height} x {width} is not divisible by {divisor}")


def conv_block(
    in_channels: int, out_channels: int, *, dilation: int = 1, bias: bool = False
) -> nn.Sequential:
    """3x3 convolution, batch normalization, ReLU; the size stays."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=bias),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


@runtime_checkable
class Encoder(Protocol):
    """Five feature maps of an image, each half as large as the one before.

    Attributes:
        channels: Of the five maps, the largest map first.
        first_stride: Side of the image over side of the first map: 2, or 4 with a pooled stem.
        published: Key of the published weights that fit it, "imagenet" or "gmic".
    """

    channels: tuple[int, ...]
    first_stride: int
    published: str

    def __call__(self, image: Tensor) -> list[Tensor]:
        """The five maps, the largest first."""
