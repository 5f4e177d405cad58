"""ResNet34: the encoder of 003 with weights learned from natural images (ImageNet). He et al., CVPR 2016."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from mammoseg_lib.checks import check_choice

GRAY = ("replicate", "sum")


class ResNet34(nn.Module):
    """torchvision's ResNet34 without its classifier: five feature maps of 64, 64, 128, 256 and 512 channels.

    With a first kernel for three channels it has 21,284,672 parameters (003); the first map is what the
    stem gives before its pooling, so that the maps have strides 2 to 32.

    Args:
        in_channels: 1 (gray) or 3.
        gray: How one channel meets a kernel made for three. "replicate": the image is repeated (003).
            "sum": the kernel is summed over its channels, which gives the same features from a third of the
            input, and trains one kernel in place of three.

    Raises:
        ValueError: `in_channels` or `gray` is out of range.
    """

    channels = (64, 64, 128, 256, 512)
    first_stride = 2
    published = "imagenet"

    def __init__(self, in_channels: int = 1, gray: str = "replicate"):
        # Imported here: it takes longer to import than all the rest of the library.
        from torchvision.models import resnet34

        super().__init__()
        check_choice("in_channels", in_channels, (1, 3))
        check_choice("gray", gray, GRAY)
        network = resnet34(weights=None)
        del network.fc
        for name, layer in network.named_children():  # under the names of the published weight file
            self.add_module(name, layer)
        self.replicates = in_channels == 1 and gray == "replicate"
        if in_channels == 1 and gray == "sum":
            self.conv1.in_channels = 1
            self.conv1.weight = nn.Parameter(self.conv1.weight.detach().sum(dim=1, keepdim=True))

    def forward(self, image: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """The five feature maps, the largest first."""
        if self.replicates:
            image = image.expand(-1, 3, -1, -1)
        x = self.relu(self.bn1(self.conv1(image)))
        maps = [x]
        x = self.maxpool(x)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps
