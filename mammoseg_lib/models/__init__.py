"""Networks: gray or 3-channel image in, one logit channel of the same size out.

model = build_model("aunet", base_width=8)
logits = model(images)
"""

from mammoseg_lib.models.aunet import AUNet
from mammoseg_lib.models.zoo import MODELS, WEIGHTS, build_model, count_parameters

__all__ = ["MODELS", "WEIGHTS", "AUNet", "build_model", "count_parameters"]
