"""Networks: gray or 3-channel image in, one logit channel of the same size out.

model = build_model("aunet", base_width=8)
logits = model(images)
"""

from mammoseg_lib.models.arfnet import ARFNetReconstruction
from mammoseg_lib.models.aunet import AUNet
from mammoseg_lib.models.decoders import EncoderDecoder, FPNDecoder, UNetDecoder
from mammoseg_lib.models.resnet22 import ResNet22
from mammoseg_lib.models.resnet34 import ResNet34
from mammoseg_lib.models.weights import PUBLISHED, WeightsError, download_imagenet, start_of
from mammoseg_lib.models.zoo import MODELS, build_model, count_parameters

__all__ = [
    "MODELS",
    "PUBLISHED",
    "ARFNetReconstruction",
    "AUNet",
    "EncoderDecoder",
    "FPNDecoder",
    "ResNet22",
    "ResNet34",
    "UNetDecoder",
    "WeightsError",
    "build_model",
    "count_parameters",
    "download_imagenet",
    "start_of",
]
