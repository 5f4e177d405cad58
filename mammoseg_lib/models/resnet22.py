"""ResNet22: the encoder of 003 with weights learned from breast cancer classification (GMIC).

Shen et al., Medical Image Analysis 68:101908, 2021. Written from the layer sizes and the names in the
published weight files; the public implementation (AGPL) is not copied.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mammoseg_lib.checks import check_choice, check_whole

STEM_POOLS = ("none", "gmic")
STAGES = 5
BLOCKS = 2  # per stage


class PreActivationBlock(nn.Module):
    """A residual block that normalizes first: o = ReLU(BN(x)); output = shortcut + conv(ReLU(BN(conv(o)))).

    The shortcut is x itself, or, in the first block of a stage, a 1x1 convolution of o (not of x).
    """

    def __init__(self, in_channels: int, channels: int, stride: int, *, first: bool):
        super().__init__()
        # The names are those of the published weight files.
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        if first:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False))
        else:
            self.downsample = None

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """The features after the block, not yet normalized."""
        activated = torch.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(activated)
        return shortcut + self.conv2(torch.relu(self.bn2(self.conv1(activated))))


class ResNet22(nn.Module):
    """ResNet22 without its classifier: five feature maps of 16 to 256 channels.

    A 7x7 convolution of stride 2, five stages of two pre-activation blocks with strides 1, 2, 2, 2, 2, and a
    final normalization. The published size has one input channel and 2,799,536 parameters (003).

    003 does not say what the skip connections carry, nor how its output got the size of the image. Here the
    first four maps are as they leave their stage; the fifth is normalized and rectified as GMIC does.

    Args:
        in_channels: Channels of the image; the published weights have 1.
        base_width: Channels of the first map; each of the others has twice as many as the one before.
        stem_pool: "none": no pooling after the first convolution, so that the maps have strides 2 to 32.
            "gmic": pooled as in GMIC, strides 4 to 64. GMIC pools 3x3 without padding, which turns 256 into
            127 and breaks skip connections; here it is padded by 1. The weights fit both.

    Raises:
        ValueError: `stem_pool` is not known.
    """

    published = "gmic"

    def __init__(self, in_channels: int = 1, base_width: int = 16, stem_pool: str = "none"):
        super().__init__()
        check_choice("stem_pool", stem_pool, STEM_POOLS)
        check_whole("base_width", base_width)
        self.channels = tuple(base_width * 2**stage for stage in range(STAGES))
        self.first_stride = 4 if stem_pool == "gmic" else 2
        self.first_conv = nn.Conv2d(in_channels, base_width, 7, stride=2, padding=3, bias=False)
        self.first_pool = nn.MaxPool2d(3, 2, padding=1) if stem_pool == "gmic" else nn.Identity()
        self.layer_list = nn.ModuleList()
        before = base_width
        for stage, channels in enumerate(self.channels):
            first = PreActivationBlock(before, channels, 2 if stage else 1, first=True)
            rest = [PreActivationBlock(channels, channels, 1, first=False) for _ in range(BLOCKS - 1)]
            self.layer_list.append(nn.Sequential(first, *rest))
            before = channels
        self.final_bn = nn.BatchNorm2d(before)

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The five feature maps, the largest first."""
        x = self.first_pool(self.first_conv(image))
        maps = []
        for stage in self.layer_list:
            x = stage(x)
            maps.append(x)
        maps[-1] = torch.relu(self.final_bn(x))
        return maps
