"""ARF-Net, a reconstruction: the adaptive receptive field network that 000 and 001 compare with.

Xu et al., Biomedical Signal Processing and Control 71:103178, 2022. Neither its text nor its code could be
had; known are an encoder-decoder, a pixel classifier and a selective receptive field module, in which one
part makes several receptive fields and the other selects among them by the size of the mass. Everything
else here is this project's design. A result with this network says nothing about the published one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mammoseg_lib.checks import check_whole
from mammoseg_lib.models.base import check_sides, conv_block

LEVELS = 5
REDUCTION = 16  # bottleneck of the selection
LEAST = 8  # channels of the bottleneck at least: two rectified values are easily both dead


class SelectiveReceptiveField(nn.Module):
    """Several receptive fields and, for each channel of each image, a choice among them.

    With branches x_d, one 3x3 convolution per dilation d: output = sum_d a_d x_d, where the weights a_d of
    a channel sum to 1 (softmax over the branches) and come from the global mean of sum_d x_d through two
    linear layers, as in selective kernel networks (Li et al., CVPR 2019).
    """

    def __init__(self, channels: int, dilations: Sequence[int]):
        super().__init__()
        self.branches = nn.ModuleList(
            conv_block(channels, channels, dilation=dilation) for dilation in dilations
        )
        bottleneck = max(channels // REDUCTION, LEAST)
        self.select = nn.Sequential(
            nn.Linear(channels, bottleneck),
            nn.ReLU(inplace=True),
            nn.Linear(bottleneck, channels * len(dilations)),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """The weighted sum of the branches."""
        branches = [branch(x) for branch in self.branches]
        means = sum(nn.functional.adaptive_avg_pool2d(branch, 1) for branch in branches)
        scores = self.select(means.flatten(1)).unflatten(1, (len(branches), -1))
        weights = torch.softmax(scores, dim=1)[..., None, None].unbind(dim=1)
        return sum(weight * branch for weight, branch in zip(weights, branches, strict=True))


class ARFNetReconstruction(nn.Module):
    """A U-Net of five levels with a selective receptive field at each of them, down and up; logits out.

    A reconstruction, see the module: widths, dilations, and where the modules stand are ours.

    Args:
        in_channels: Channels of the image.
        base_width: Channels of the first level; each deeper level has twice as many.
        dilations: Of the branches of each selective receptive field.
    """

    def __init__(self, in_channels: int = 1, base_width: int = 32, dilations: Sequence[int] = (1, 2, 3)):
        super().__init__()
        check_whole("base_width", base_width)
        widths = [base_width * 2**level for level in range(LEVELS)]

        def level(a: int, b: int) -> nn.Sequential:
            return nn.Sequential(conv_block(a, b), SelectiveReceptiveField(b, dilations))

        self.down = nn.ModuleList(level(a, b) for a, b in pairwise([in_channels, *widths]))
        self.pool = nn.MaxPool2d(2)
        self.enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.up = nn.ModuleList(level(a + b, b) for a, b in pairwise(widths[::-1]))
        self.classifier = nn.Conv2d(base_width, 1, 1)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """Logits at the size of the image.

        Raises:
            ValueError: A side of the image is not divisible by 16.
        """
        check_sides("ARF-Net", image, 2 ** (LEVELS - 1))
        maps = [self.down[0](image)]
        for level in self.down[1:]:
            maps.append(level(self.pool(maps[-1])))
        x = maps.pop()
        for level in self.up:
            x = level(torch.cat([self.enlarge(x), maps.pop()], dim=1))
        return self.classifier(x)
