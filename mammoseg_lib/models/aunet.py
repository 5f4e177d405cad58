"""AU-Net: the attention-guided dense-upsampling network that 000 and 001 take as their baseline.

Sun et al., Physics in Medicine & Biology 65(5):055005, 2020. The paper leaves the block sizes open; they
are fixed here by the parameter counts of the public implementation, which has no license and is not copied.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mammoseg_lib.checks import check_choice, check_whole
from mammoseg_lib.models.base import check_sides, conv_block

UPSAMPLING = ("bilinear", "transposed")
LEVELS = 5
REDUCTION = 16  # bottleneck of the channel attention


class ResidualBlock(nn.Module):
    """One level of the encoder: x = ReLU(BN(conv(input))), output = ReLU(x + BN(conv(ReLU(BN(conv x))))).

    The shortcut starts after the first convolution, so that it never has to change the number of channels.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.enter = conv_block(in_channels, out_channels, bias=True)
        self.residual = nn.Sequential(
            conv_block(out_channels, out_channels, bias=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """The features of one level of the encoder."""
        x = self.enter(x)
        return self.activation(x + self.residual(x))


class ChannelAttention(nn.Module):
    """Squeeze and excitation: each channel of cat(a, b) times a weight in 0..1 that all of them decide."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Sequential(
            nn.Linear(channels, channels // REDUCTION),
            nn.ReLU(inplace=True),
            nn.Linear(channels // REDUCTION, channels),
            nn.Sigmoid(),
        )

    def forward(
        self, first: Float[Tensor, "b c h w"], second: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 2*c h w"]:
        """Both, concatenated and weighted."""
        # Pooled and weighted before they are concatenated: the result is the same, one large tensor less is
        # made, and gradients stay contiguous when the channels are innermost (channels_last).
        parts = (first, second)
        means = torch.cat([nn.functional.adaptive_avg_pool2d(part, 1) for part in parts], dim=1).flatten(1)
        weights = self.weight(means)[:, :, None, None].chunk(2, dim=1)
        return torch.cat([part * weight for part, weight in zip(parts, weights, strict=True)], dim=1)


class AttentionUpsampling(nn.Module):
    """One level of the decoder (AU block): two ways up, one of them guided by the skip connection.

    With a skip s of C channels and the deeper features x of 2C channels at half the size:
    a = upsampled x; b = dense upsampling of x (convolution to 4C channels, pixel shuffle); c = conv(s + b);
    output = two convolutions of the channel attention of cat(c, a).
    """

    def __init__(self, channels: int, upsampling: str):
        super().__init__()
        deep = 2 * channels
        if upsampling == "bilinear":
            up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.up = nn.Sequential(up, conv_block(deep, channels, bias=True))
        else:
            up = nn.ConvTranspose2d(deep, channels, 2, stride=2)
            self.up = nn.Sequential(up, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.dense_up = nn.Sequential(conv_block(deep, 4 * channels, bias=True), nn.PixelShuffle(2))
        self.fuse = conv_block(channels, channels, bias=True)
        self.attention = ChannelAttention(deep)
        self.out = nn.Sequential(
            conv_block(deep, channels, bias=True), conv_block(channels, channels, bias=True)
        )

    def forward(
        self, skip: Float[Tensor, "b c h w"], deep: Float[Tensor, "b d h/2 w/2"]
    ) -> Float[Tensor, "b c h w"]:
        """The features of one level of the decoder."""
        fused = self.fuse(skip + self.dense_up(deep))
        return self.out(self.attention(fused, self.up(deep)))


class AUNet(nn.Module):
    """AU-Net: five residual levels down, four attention-guided levels up, logits out.

    The published size is `base_width=64` with 75,493,945 parameters (one channel in, one class;
    72,012,345 with transposed convolutions). A CPU needs 8 to 32.

    Args:
        in_channels: Channels of the image.
        classes: Channels of the logits.
        base_width: Channels of the first level; each deeper level has twice as many. At least 8.
        upsampling: "bilinear" or "transposed": how features are enlarged, besides the dense upsampling.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        base_width: int = 64,
        upsampling: str = "bilinear",
        classes: int = 1,
    ):
        super().__init__()
        check_choice("upsampling", upsampling, UPSAMPLING)
        check_whole("base_width", base_width, least=REDUCTION // 2)  # the channel attention needs channels
        widths = [base_width * 2**level for level in range(LEVELS)]
        self.encoder = nn.ModuleList(
            ResidualBlock(a, b) for a, b in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.decoder = nn.ModuleList(AttentionUpsampling(width, upsampling) for width in widths[-2::-1])
        self.head = nn.Conv2d(base_width, classes, 1)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Logits at the size of the image.

        Raises:
            ValueError: A side of the image is not divisible by 16.
        """
        check_sides("AU-Net", image, 2 ** (LEVELS - 1))
        skips = [self.encoder[0](image)]
        for block in self.encoder[1:]:
            skips.append(block(self.pool(skips[-1])))
        x = skips.pop()
        for block in self.decoder:
            x = block(skips.pop(), x)
        return self.head(x)
