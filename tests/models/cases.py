"""Small networks of every name, and images that they can learn by heart."""

import torch
from torch import Tensor

SMALL = {
    "aunet": {"base_width": 8},
    "arfnet": {"base_width": 8},
    "resnet22_unet": {"base_width": 8, "decoder_width": 8},
    "resnet22_fpn": {"base_width": 8, "decoder_width": 32},
    "resnet34_unet": {"decoder_width": 8},
    "resnet34_fpn": {"decoder_width": 64},
    **{
        f"smp_{name}": {"encoder": "resnet18"}
        for name in ("unet", "unetplusplus", "fpn", "linknet", "manet", "deeplabv3plus")
    },
}


def phantoms(size: int) -> tuple[Tensor, Tensor]:
    """Four square images "4 1 h w", a bright ellipse on a slope with noise in each, and their masks."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    masks = []
    for radius in (0.15, 0.19, 0.23, 0.27):
        y, x = (0.3 + 0.4 * torch.rand(2, generator=generator)) * size
        distance = ((rows - y) / (radius * size)) ** 2 + ((columns - x) / (1.3 * radius * size)) ** 2
        masks.append((distance < 1).float())
    target = torch.stack(masks)[:, None]
    return 0.4 * columns / size + 0.4 * target + 0.1 * torch.randn(target.shape, generator=generator), target
