import pytest
import torch

from mammoseg_lib.models import MODELS, build_model

SMALL = {"aunet": {"base_width": 8}, "smp_unet": {"encoder": "resnet18"}}


def test_torch_torchvision_and_smp_come_from_matching_builds():
    # A torch of another build than torchvision's fails here: operator torchvision::nms does not exist.
    import segmentation_models_pytorch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert torchvision.ops.nms(boxes, torch.ones(1), 0.5).tolist() == [0]
    assert segmentation_models_pytorch.Unet is not None


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_one_logit_channel_at_the_size_of_the_image(name, in_channels):
    model = build_model(name, in_channels, **SMALL[name]).eval()
    assert model(torch.randn(1, in_channels, 64, 32)).shape == (1, 1, 64, 32)


def test_default_encoder_is_resnet34():
    encoder = build_model("smp_unet", in_channels=3).encoder
    assert sum(p.numel() for p in encoder.parameters()) == 21_284_672


def test_same_seed_same_start():
    def start():
        torch.manual_seed(3)
        return build_model("aunet", base_width=8).state_dict()

    first, second = start(), start()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "unet"}, "no model is called 'unet'; there are 'aunet', 'smp_unet'"),
        ({"name": "aunet", "width": 8}, "no option 'width'; it takes 'base_width', 'upsampling'"),
        ({"name": "smp_unet", "base_width": 8}, "it takes 'encoder'"),
        ({"name": "smp_unet", "encoder": "resnet35"}, "no encoder 'resnet35'; it has .*resnet34"),
        ({"name": "aunet", "weights": "imagenet"}, "'imagenet' are not available for model 'aunet'.*'none'"),
        (
            {"name": "smp_unet", "weights": "gone.pt"},
            "a random start in their place would be another experiment",
        ),
    ],
)
def test_unknown_names_options_and_weights(call, message):
    with pytest.raises(ValueError, match=message):
        build_model(**call)
