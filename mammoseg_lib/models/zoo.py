"""Every network by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from torch import nn

from mammoseg_lib.models.aunet import AUNet


def _aunet(in_channels: int, base_width: int = 64, upsampling: str = "bilinear") -> nn.Module:
    return AUNet(in_channels, base_width, upsampling)


def _smp_unet(in_channels: int, encoder: str = "resnet34") -> nn.Module:
    # Imported here: it takes longer to import than all the rest of the library.
    import segmentation_models_pytorch as smp

    if encoder not in smp.encoders.get_encoder_names():
        names = ", ".join(smp.encoders.get_encoder_names())
        raise ValueError(f"segmentation-models-pytorch has no encoder {encoder!r}; it has {names}")
    return smp.Unet(encoder, encoder_weights=None, in_channels=in_channels, classes=1)


MODELS: Mapping[str, Callable[..., nn.Module]] = {"aunet": _aunet, "smp_unet": _smp_unet}
"""Every network by name; its options are the parameters of what stands here, without `in_channels`."""

WEIGHTS = ("none",)
"""What a network may start from; "none" is the random start of PyTorch's layers."""


def build_model(name: str, in_channels: int = 1, weights: str = "none", **options: object) -> nn.Module:
    """A network by name: image of `in_channels` channels in, one logit channel of the same size out.

    Args:
        name: A key of `MODELS`.
        in_channels: 1 (gray) or 3.
        weights: A value of `WEIGHTS`. What cannot be had is an error, never a silent random start.
        **options: Those of the network: `base_width`, `upsampling` (aunet); `encoder` (smp_unet).

    Raises:
        ValueError: The name, the weights or an option is not known; the message lists the known ones.
    """
    if name not in MODELS:
        raise ValueError(f"no model is called {name!r}; there are {', '.join(map(repr, MODELS))}")
    if weights not in WEIGHTS:
        raise ValueError(
            f"weights={weights!r} are not available for model {name!r}, and a random start in their place "
            f"would be another experiment; available: {', '.join(map(repr, WEIGHTS))}"
        )
    valid = [option for option in inspect.signature(MODELS[name]).parameters if option != "in_channels"]
    if unknown := [option for option in options if option not in valid]:
        wrong, right = (", ".join(map(repr, names)) for names in (unknown, valid))
        raise ValueError(f"model {name!r} has no option {wrong}; it takes {right}")
    return MODELS[name](in_channels, **options)


def count_parameters(model: nn.Module) -> int:
    """The number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
