"""What every network keeps, whatever its name."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from mammoseg_lib.models import MODELS, build_model
from tests.models.cases import SMALL, phantoms

OURS = [name for name in MODELS if not name.startswith("smp_")]


def small(name: str, in_channels: int = 1, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(name, in_channels, **SMALL[name])


@torch.no_grad()
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_one_logit_channel_at_the_size_of_the_image(name, in_channels):
    model = small(name, in_channels).eval()
    for height, width in ((64, 64), (128, 64)):
        assert model(torch.randn(1, in_channels, height, width)).shape == (1, 1, height, width)


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_an_image_does_not_see_the_others_of_its_batch(name):
    model, images = small(name).eval(), torch.randn(3, 1, 64, 64)
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(model(images), alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", OURS)
def test_every_parameter_gets_a_gradient(name):
    model = small(name)
    # Batch normalization takes away the bias of the convolution before it, and its gradient with it.
    without = {name for name, _ in model.named_parameters()}
    without -= {
        f"{prefix}.{layer}.bias"
        for prefix, parent in model.named_modules()
        for (layer, _), (_, after) in pairwise(parent.named_children())
        if isinstance(after, nn.BatchNorm2d)
    }
    for seed in range(4):
        # Several starts: at width 8 the last attention of AU-Net has one rectified value, dead at some.
        model = small(name, seed=seed)
        model(phantoms(64)[0]).square().mean().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        without &= {name for name, parameter in model.named_parameters() if not parameter.grad.any()}
        if not without:
            break
    assert not without


@pytest.mark.parametrize("name", OURS)
def test_memory_layout_changes_neither_logits_nor_gradients(name):
    def logits_and_gradients(layout):
        model = small(name).to(memory_format=layout).double().eval()
        image = phantoms(64)[0][:2].double().contiguous(memory_format=layout)
        logits = model(image)
        logits.square().mean().backward()
        return [logits.detach(), *(parameter.grad for parameter in model.parameters())]

    default, last = map(logits_and_gradients, (torch.contiguous_format, torch.channels_last))
    for a, b in zip(default, last, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "smp_unet"])  # takes any size
def test_size_that_does_not_fit_is_a_clear_error(name):
    with pytest.raises(ValueError, match=r"40 x 33 is not divisible by \d+"):
        small(name).eval()(torch.randn(1, 1, 40, 33))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "learning_rate"),
    [
        ("aunet", 32, 1e-2),
        ("arfnet", 32, 1e-2),
        ("resnet22_unet", 64, 1e-2),
        ("resnet22_fpn", 64, 1e-2),
        ("resnet34_unet", 64, 2e-3),
        ("resnet34_fpn", 64, 2e-3),
        ("smp_unet", 32, 3e-3),
    ],
)
def test_learns_four_images_by_heart(name, size, learning_rate):
    model, (image, target) = small(name), phantoms(size)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5  # a few dozen steps are too few for averages over hundreds
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    dice = 0.0
    for step in range(80):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(image), target).backward()
        optimizer.step()
        if step % 10 == 9:
            with torch.no_grad():
                predicted = (model.eval()(image) > 0).float()
            model.train()
            dice = (2 * (predicted * target).sum() / (predicted.sum() + target.sum())).item()
            if dice > 0.95:
                break
    assert dice > 0.95
