import pytest
import torch
from torch import nn

from mammoseg_lib.models import build_model
from mammoseg_lib.models.anatomy import feature_maps, training_memory


def test_maps_are_those_of_the_pass_and_the_network_is_left_as_it_was():
    model, image = (
        build_model("resnet22_fpn", base_width=4, decoder_width=8).eval(),
        torch.randn(1, 1, 64, 32),
    )
    seen = feature_maps(model, image, ["encoder", "decoder.fuse", "enlarge"])
    assert list(seen) == [*(f"encoder.{i}" for i in range(1, 6)), "decoder.fuse", "enlarge"]
    assert torch.equal(seen["enlarge"], model(image))
    assert all(torch.equal(seen[f"encoder.{i + 1}"], each) for i, each in enumerate(model.encoder(image)))
    assert not any(module._forward_hooks for module in model.modules())


def test_map_is_kept_as_it_was_before_a_layer_in_place():
    model = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    image = torch.tensor([[[[-1.0, 2.0]]]])
    assert feature_maps(model, image.clone(), ["0"])["0"].tolist() == image.tolist()


def test_unknown_part():
    with pytest.raises(AttributeError, match="middle"):
        feature_maps(build_model("arfnet", base_width=8), torch.randn(1, 1, 16, 16), ["middle"])


def test_memory_of_a_chain_counted_by_hand():
    # The convolution keeps its input, ReLU its output; the kernel is a parameter and not counted.
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU())
    image = torch.randn(1, 1, 8, 8)
    assert training_memory(model, image) == 4 * (64 + 2 * 64)


def test_memory_grows_with_the_batch_and_the_area():
    model = build_model("resnet22_unet", base_width=4, decoder_width=4).eval()
    one = training_memory(model, torch.randn(1, 1, 64, 64))
    assert training_memory(model, torch.randn(2, 1, 64, 64)) == pytest.approx(2 * one, rel=0.01)
    assert training_memory(model, torch.randn(1, 1, 128, 128)) == pytest.approx(4 * one, rel=0.01)
