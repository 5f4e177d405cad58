"""Every network by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from torch import nn

from mammoseg_lib.checks import check_name, check_options, suggestion
from mammoseg_lib.models.arfnet import ARFNetReconstruction
from mammoseg_lib.models.aunet import AUNet
from mammoseg_lib.models.base import check_sides
from mammoseg_lib.models.decoders import EncoderDecoder, FPNDecoder, UNetDecoder
from mammoseg_lib.models.resnet22 import ResNet22
from mammoseg_lib.models.resnet34 import ResNet34
from mammoseg_lib.models.weights import load_start


def _aunet(in_channels: int, base_width: int = 64, upsampling: str = "bilinear") -> nn.Module:
    return AUNet(in_channels, base_width, upsampling)


def _arfnet(in_channels: int, base_width: int = 32, dilations: Sequence[int] = (1, 2, 3)) -> nn.Module:
    return ARFNetReconstruction(in_channels, base_width, dilations)


def _resnet22_unet(
    in_channels: int,
    base_width: int = 16,
    decoder_width: int = 32,
    stem_pool: str = "none",
    decoder_start: str = "torch",
) -> nn.Module:
    encoder = ResNet22(in_channels, base_width, stem_pool)
    return EncoderDecoder(encoder, UNetDecoder(encoder.channels, decoder_width, decoder_start))


def _resnet22_fpn(
    in_channels: int,
    base_width: int = 16,
    decoder_width: int = 256,
    stem_pool: str = "none",
    decoder_start: str = "torch",
) -> nn.Module:
    encoder = ResNet22(in_channels, base_width, stem_pool)
    return EncoderDecoder(encoder, FPNDecoder(encoder.channels, decoder_width, decoder_start))


def _resnet34_unet(
    in_channels: int, decoder_width: int = 32, gray: str = "replicate", decoder_start: str = "torch"
) -> nn.Module:
    encoder = ResNet34(in_channels, gray)
    return EncoderDecoder(encoder, UNetDecoder(encoder.channels, decoder_width, decoder_start))


def _resnet34_fpn(
    in_channels: int, decoder_width: int = 256, gray: str = "replicate", decoder_start: str = "torch"
) -> nn.Module:
    encoder = ResNet34(in_channels, gray)
    return EncoderDecoder(encoder, FPNDecoder(encoder.channels, decoder_width, decoder_start))


def _smp(architecture: str, in_channels: int, encoder: str = "resnet34") -> nn.Module:
    # Imported here: it takes longer to import than all the rest of the library.
    import segmentation_models_pytorch as smp

    if encoder not in smp.encoders.get_encoder_names():
        names = smp.encoders.get_encoder_names()
        raise ValueError(
            f"segmentation-models-pytorch has no encoder {encoder!r}; it has {', '.join(names)}"
            + suggestion(encoder, names)
        )
    model = smp.create_model(architecture, encoder, encoder_weights=None, in_channels=in_channels, classes=1)
    if encoder == "resnet34":
        model.encoder.published = ResNet34.published
    if model.requires_divisible_input_shape:
        model.register_forward_pre_hook(_check_smp_sides)
    return model


def _check_smp_sides(model: nn.Module, args: tuple) -> None:
    check_sides(
        f"{type(model).__name__} of segmentation-models-pytorch", args[0], model.encoder.output_stride
    )


SMP = ("unet", "unetplusplus", "fpn", "linknet", "manet", "deeplabv3plus")
"""Architectures of segmentation-models-pytorch; the name of each in `MODELS` begins with "smp_"."""

MODELS: Mapping[str, Callable[..., nn.Module]] = {
    "aunet": _aunet,
    "arfnet": _arfnet,
    "resnet22_unet": _resnet22_unet,
    "resnet22_fpn": _resnet22_fpn,
    "resnet34_unet": _resnet34_unet,
    "resnet34_fpn": _resnet34_fpn,
    **{f"smp_{architecture}": partial(_smp, architecture) for architecture in SMP},
}
"""Every network by name; its options are the parameters of what stands here, without `in_channels`."""


def build_model(
    name: str,
    in_channels: int = 1,
    weights: str = "none",
    weights_file: str | Path | None = None,
    **options: object,
) -> nn.Module:
    """A network by name: image of `in_channels` channels in, one logit channel of the same size out.

    What it started from stands in `model.start`, see `start_of`. What cannot be had is an error, never a
    silent random start, and nothing is downloaded.

    Args:
        name: A key of `MODELS`. "arfnet" is a reconstruction.
        in_channels: 1 (gray) or 3.
        weights: "none": all layers at random. "imagenet" (a ResNet34 encoder) or "gmic" (a ResNet22 encoder):
            the encoder from published weights, the rest at random. Anything else is the path of a file
            with all weights of this network, such as `weights.pt` of a run.
        weights_file: Which file holds the published weights: a full path, or a name in PyTorch's cache,
            where their own name is looked for by default (`sample_model_1.p` of the five of GMIC).
        **options: Those of the network: `base_width`, `upsampling` (aunet); `base_width`, `dilations`
            (arfnet); `base_width`, `decoder_width`, `stem_pool`, `decoder_start` (resnet22_*);
            `decoder_width`, `gray`, `decoder_start` (resnet34_*); `encoder` (smp_*).

    Raises:
        ValueError: The name or an option is not known; the message lists the known ones.
        WeightsError: The weights cannot be had or do not fit; a ValueError, too.
    """
    check_name("model", name, MODELS)
    check_options(f"model {name!r}", MODELS[name], options, given=("in_channels",))
    model = MODELS[name](in_channels, **options)
    load_start(model, weights, weights_file)
    return model


def count_parameters(model: nn.Module) -> int:
    """The number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
