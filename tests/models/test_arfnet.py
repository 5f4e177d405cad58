from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from mammoseg_lib.models import ARFNetReconstruction, build_model, count_parameters
from mammoseg_lib.models.arfnet import SelectiveReceptiveField
from tests.models.test_resnet22 import scrambled


def module_count(channels: int, branches: int) -> int:
    bottleneck = max(channels // 16, 8)
    convolutions = branches * (9 * channels * channels + 2 * channels)
    return convolutions + bottleneck * (channels + 1) + branches * channels * (bottleneck + 1)


@pytest.mark.parametrize("base_width", [8, 32])
@pytest.mark.parametrize("dilations", [(1, 2, 3), (1, 4)])
def test_parameter_count_follows_from_the_widths(base_width, dilations):
    model = ARFNetReconstruction(base_width=base_width, dilations=dilations)
    w = [base_width * 2**i for i in range(5)]
    levels = [(1, w[0]), *pairwise(w), *((3 * c, c) for c in w[:-1])]
    expected = sum(9 * a * b + 2 * b + module_count(b, len(dilations)) for a, b in levels) + base_width + 1
    assert count_parameters(model) == expected


def test_selective_receptive_field_equals_a_plain_computation():
    module = scrambled(SelectiveReceptiveField(4, (1, 2, 3)))
    x = torch.randn(2, 4, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    branches = []
    for dilation, (kernel, norm, _) in zip((1, 2, 3), module.branches, strict=True):
        y = F.conv2d(x, kernel.weight, padding=dilation, dilation=dilation)
        y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        branches.append(F.relu(y))
    first, _, second = module.select
    expected = torch.zeros_like(x)
    for b in range(2):
        g = sum(branch[b].mean(dim=(1, 2)) for branch in branches)
        scores = second.weight @ F.relu(first.weight @ g + first.bias) + second.bias
        for c in range(4):
            weights = torch.stack([scores[c], scores[4 + c], scores[8 + c]]).exp()
            weights = weights / weights.sum()
            for weight, branch in zip(weights, branches, strict=True):
                expected[b, c] += weight * branch[b, c]
    torch.testing.assert_close(module(x), expected)


def test_choice_among_the_fields_depends_on_the_image():
    torch.manual_seed(0)
    module = SelectiveReceptiveField(16, (1, 2, 3)).eval()
    chosen = []
    module.select.register_forward_hook(lambda _module, _args, scores: chosen.append(scores))
    module(torch.randn(1, 16, 16, 16))
    module(5 * torch.randn(1, 16, 16, 16))
    assert not torch.allclose(*chosen)


def test_name_says_that_it_is_a_reconstruction():
    assert type(build_model("arfnet", base_width=8)).__name__ == "ARFNetReconstruction"
    assert "reconstruction" in ARFNetReconstruction.__doc__


def test_side_that_is_not_divisible_by_16_is_an_error():
    with pytest.raises(ValueError, match=r"ARF-Net.*24 x 32 is not divisible by 16"):
        ARFNetReconstruction(base_width=8)(torch.randn(1, 1, 24, 32))
