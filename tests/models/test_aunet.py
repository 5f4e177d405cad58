import pytest
import torch

from mammoseg_lib.models import AUNet, build_model, count_parameters


@pytest.fixture(scope="module")
def full_size() -> AUNet:
    return AUNet()


def test_published_parameter_count(full_size):
    assert count_parameters(full_size) == 75_493_945


def test_every_block_has_its_parameters(full_size):
    encoder = [count_parameters(block) for block in full_size.encoder]
    decoder = [count_parameters(block) for block in full_size.decoder]
    assert encoder == [74_880, 369_792, 1_476_864, 5_902_848, 23_602_176]
    assert decoder == [33_174_592, 8_296_992, 2_075_920, 519_816]
    assert count_parameters(full_size.head) == 65


def test_state_has_as_many_entries_as_the_public_implementation(full_size):
    assert len(full_size.state_dict()) == 263


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"base_width": 8}, 1_184_360),
        ({"base_width": 16}, 4_726_543),
        ({"base_width": 32}, 18_884_381),
        ({"upsampling": "transposed"}, 72_012_345),
        ({"in_channels": 3, "classes": 2}, 75_495_162),
    ],
)
def test_parameter_count_of_the_other_sizes(options, expected):
    with torch.device("meta"):  # counts need no memory
        assert count_parameters(AUNet(**options)) == expected


@pytest.mark.parametrize("upsampling", ["bilinear", "transposed"])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 48)])
def test_logits_have_the_size_of_the_image(upsampling, height, width):
    model = AUNet(in_channels=3, base_width=8, upsampling=upsampling).eval()
    assert model(torch.randn(2, 3, height, width)).shape == (2, 1, height, width)


def test_logits_are_not_squashed():
    model = AUNet(base_width=8).eval()
    torch.nn.init.constant_(model.head.bias, 7.0)
    assert model(torch.randn(1, 1, 16, 16)).max() > 1


@pytest.mark.parametrize("size", [(24, 32), (32, 33)])
def test_side_that_is_not_divisible_by_16_is_an_error(size):
    with pytest.raises(ValueError, match="not divisible by 16"):
        AUNet(base_width=8)(torch.randn(1, 1, *size))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_width": 4}, "a whole number from 8, not 4"),
        ({"upsampling": "nearest"}, "'bilinear', 'transposed'"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        build_model("aunet", **options)
