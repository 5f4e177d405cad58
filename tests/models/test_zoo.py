import pytest
import torch

from mammoseg_lib.models import MODELS, build_model, count_parameters
from mammoseg_lib.models.zoo import SMP


def test_torch_torchvision_and_smp_come_from_matching_builds():
    # A torch of another build than torchvision's fails here: operator torchvision::nms does not exist.
    import segmentation_models_pytorch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert torchvision.ops.nms(boxes, torch.ones(1), 0.5).tolist() == [0]
    assert segmentation_models_pytorch.Unet is not None


def test_names():
    from segmentation_models_pytorch import MODEL_ARCHITECTURES_MAPPING

    ours = ["aunet", "arfnet", "resnet22_unet", "resnet22_fpn", "resnet34_unet", "resnet34_fpn"]
    assert list(MODELS) == [*ours, *(f"smp_{architecture}" for architecture in SMP)]
    assert set(SMP) <= set(MODEL_ARCHITECTURES_MAPPING)


@pytest.mark.parametrize(
    ("name", "in_channels", "encoder", "decoder"),
    [
        ("smp_unet", 3, 21_284_672, 3_151_552),
        ("smp_fpn", 3, 21_284_672, 1_870_592),
        ("smp_unet", 1, 21_278_400, 3_151_552),
    ],
)
def test_default_encoder_of_smp_is_resnet34_and_its_decoders_are_not_those_of_003(
    name, in_channels, encoder, decoder
):
    with torch.device("meta"):  # counts need no memory
        model = build_model(name, in_channels)
    assert (count_parameters(model.encoder), count_parameters(model.decoder)) == (encoder, decoder)


def test_frozen_values_are_not_counted():
    model = build_model("resnet22_fpn", base_width=4, decoder_width=8)
    model.encoder.requires_grad_(False)
    assert count_parameters(model) == count_parameters(model.decoder)


def test_same_seed_same_start():
    def start():
        torch.manual_seed(3)
        return build_model("aunet", base_width=8).state_dict()

    first, second = start(), start()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "unet"}, "no model is called 'unet'; there are 'aunet', 'arfnet', .*'smp_unet'"),
        ({"name": "aunet", "width": 8}, "no option 'width'; it takes 'base_width', 'upsampling'"),
        ({"name": "resnet22_fpn", "gray": "sum"}, "it takes 'base_width', 'decoder_width', 'stem_pool'"),
        ({"name": "smp_unet", "base_width": 8}, "no option 'base_width'; it takes 'encoder'"),
        ({"name": "smp_unet", "encoder": "resnet35"}, "no encoder 'resnet35'; it has .*resnet34"),
    ],
)
def test_unknown_names_and_options(call, message):
    with pytest.raises(ValueError, match=message):
        build_model(**call)
