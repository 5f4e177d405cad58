"""The two decoders of 003, U-Net and feature pyramid (FPN), and the network that an encoder makes with one.

003 does not list their layers. Its parameter counts are those of the decoders of MIPT-Oulu/Collagen on
ResNet22, and of no decoder of segmentation-models-pytorch; block sizes follow from the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mammoseg_lib.checks import check_choice, check_whole
from mammoseg_lib.models.base import Encoder, check_sides, conv_block

STARTS = ("torch", "fan_out")
DROPOUT = 0.2  # 003: whole feature maps are dropped (Dropout2d)


def _double() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="nearest")


class UNetDecoder(nn.Module):
    """U-Net decoder: six times enlarged, five times joined with a map of the encoder.

    Each level doubles the size (nearest) and convolves twice, to 8, 8, 8, 2, 2 and 1 times `width` channels;
    the first starts from the pooled deepest map. Dropout and a 1x1 convolution make the logits, at twice
    the size of the encoder's first map. With the published width 32 it has 4,773,025 parameters on ResNet22
    (003) and 6,316,705 on ResNet34.

    Args:
        channels: Of the encoder's maps, the largest map first.
        width: Channels of the last level.
        start: See `draw_start`.
    """

    pools = 1  # times that it halves the encoder's smallest map

    def __init__(self, channels: Sequence[int], width: int = 32, start: str = "torch"):
        super().__init__()
        check_whole("width", width)
        deepest_first = list(channels[::-1])
        out = [width * factor for factor in (8, 8, 8, 2, 2, 1)]
        into = [deepest_first[0], *(a + b for a, b in zip(out, deepest_first, strict=False))]
        self.pool = nn.MaxPool2d(2)
        self.levels = nn.ModuleList(
            nn.Sequential(_double(), conv_block(a, b), conv_block(b, b))
            for a, b in zip(into, out, strict=True)
        )
        self.head = nn.Sequential(nn.Dropout2d(DROPOUT), nn.Conv2d(width, 1, 1))
        draw_start(self, start)

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b 1 h w"]:
        """Logits from the encoder's maps, the largest map first."""
        center, *levels = self.levels
        x = center(self.pool(maps[-1]))
        for level, skip in zip(levels, reversed(maps), strict=True):
            x = level(torch.cat([x, skip], dim=1))
        return self.head(x)


class FPNDecoder(nn.Module):
    """Feature pyramid decoder: four levels of the encoder, brought to one size and joined.

    1x1 convolutions give the four smaller maps the same channels; from the smallest on, each is enlarged
    (nearest) and added to the next. A head per level brings it to the size of the encoder's second map, by
    convolutions that are each followed by a doubling; the four are concatenated and convolved. Dropout and a
    1x1 convolution make the logits, which are enlarged four times (bilinear). With the published width 256
    it has 2,338,049 parameters on ResNet22 (003) and 2,460,929 on ResNet34.

    Args:
        channels: Of the encoder's maps, the largest map first; the largest is not used.
        width: Channels of the pyramid; the heads have half as many.
        start: See `draw_start`.
    """

    pools = 0

    def __init__(self, channels: Sequence[int], width: int = 256, start: str = "torch"):
        super().__init__()
        check_whole("width", width, least=2)
        half = width // 2
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels[1:])
        self.heads = nn.ModuleList(_pyramid_head(width, half, doublings) for doublings in range(4))
        self.fuse = conv_block(4 * half, half, bias=True)
        self.head = nn.Sequential(
            nn.Dropout2d(DROPOUT),
            nn.Conv2d(half, 1, 1),
            nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True),
        )
        draw_start(self, start)

    def forward(self, maps: Sequence[Float[Tensor, "b _ _ _"]]) -> Float[Tensor, "b 1 h w"]:
        """Logits from the encoder's maps, the largest map first."""
        pyramid = [lateral(features) for lateral, features in zip(self.laterals, maps[1:], strict=True)]
        for smaller, larger in pairwise(reversed(range(4))):
            up = nn.functional.interpolate(pyramid[smaller], scale_factor=2, mode="nearest")
            pyramid[larger] = pyramid[larger] + up
        levels = [head(features) for head, features in zip(self.heads, pyramid, strict=True)]
        return self.head(self.fuse(torch.cat(levels, dim=1)))


def draw_start(decoder: nn.Module, start: str) -> None:
    """Draw the kernels that a decoder starts from.

    Args:
        decoder: Whose convolutions are drawn.
        start: "torch": PyTorch's default, uniform with a standard deviation of 1 / sqrt(3 fan_in). "fan_out":
            normal with sqrt(2 / fan_out) (He et al., 2015), as in the published code of the decoders; biases
            stay PyTorch's. They differ most in the last layer, whose fan_out is 1: .10 against 1.41 for the
            published U-Net, so that its first logits are some ten times as large.

    Raises:
        ValueError: `start` is not known.
    """
    check_choice("start", start, STARTS)
    for layer in decoder.modules():
        if start == "fan_out" and isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _pyramid_head(in_channels: int, channels: int, doublings: int) -> nn.Sequential:
    if not doublings:
        return conv_block(in_channels, channels)
    widths = [in_channels, *[channels] * doublings]
    return nn.Sequential(*(layer for a, b in pairwise(widths) for layer in (conv_block(a, b), _double())))


class EncoderDecoder(nn.Module):
    """An encoder and a decoder: logits at the size of the image.

    Where the encoder pools its stem the decoder ends at half the size of the image, and the logits are
    enlarged once more (bilinear).

    Args:
        encoder: `ResNet22` or `ResNet34`.
        decoder: `UNetDecoder` or `FPNDecoder` on the encoder's channels.
    """

    def __init__(self, encoder: Encoder, decoder: UNetDecoder | FPNDecoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.divisor = encoder.first_stride * 2 ** (len(encoder.channels) - 1 + decoder.pools)
        enlarge = encoder.first_stride // 2
        self.enlarge = (
            nn.Upsample(scale_factor=enlarge, mode="bilinear", align_corners=True)
            if enlarge > 1
            else nn.Identity()
        )

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logits at the size of the image.

        Raises:
            ValueError: A side of the image is not divisible by `divisor`: 64 with the U-Net decoder, 32
                with the FPN decoder, twice that with a pooled stem.
        """
        name = f"{type(self.encoder).__name__} with {type(self.decoder).__name__}"
        check_sides(name, image, self.divisor)
        return self.enlarge(self.decoder(self.encoder(image)))
