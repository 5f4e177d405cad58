import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mammoseg_lib.models import (
    EncoderDecoder,
    FPNDecoder,
    ResNet22,
    UNetDecoder,
    build_model,
    count_parameters,
)
from tests.models.test_resnet22 import scrambled

RESNET22, RESNET34 = (16, 32, 64, 128, 256), (64, 64, 128, 256, 512)
CHANNELS = (2, 3, 4, 5, 6)  # all different, so that a wrong map does not fit


@pytest.mark.parametrize(
    ("decoder", "channels", "expected"),
    [
        (UNetDecoder, RESNET22, 4_773_025),
        (FPNDecoder, RESNET22, 2_338_049),
        (UNetDecoder, RESNET34, 6_316_705),
        (FPNDecoder, RESNET34, 2_460_929),
    ],
)
def test_parameter_counts_of_003(decoder, channels, expected):
    assert count_parameters(decoder(channels)) == expected


@pytest.mark.parametrize(
    ("name", "encoder", "decoder"),
    [
        ("resnet22_unet", 2_799_536, 4_773_025),
        ("resnet22_fpn", 2_799_536, 2_338_049),
        ("resnet34_unet", 21_284_672, 6_316_705),
        ("resnet34_fpn", 21_284_672, 2_460_929),
    ],
)
def test_parameter_counts_of_the_networks(name, encoder, decoder):
    with torch.device("meta"):  # counts need no memory
        model = build_model(name)
    assert (count_parameters(model.encoder), count_parameters(model.decoder)) == (encoder, decoder)
    assert count_parameters(model) == encoder + decoder


def test_every_level_of_the_unet_decoder_has_its_parameters():
    decoder = UNetDecoder(RESNET22)
    levels = [count_parameters(level) for level in decoder.levels]
    assert levels == [1_180_672, 1_770_496, 1_475_584, 221_440, 92_416, 32_384]
    assert count_parameters(decoder.head) == 33


def test_every_part_of_the_fpn_decoder_has_its_parameters():
    decoder = FPNDecoder(RESNET22)
    laterals = [count_parameters(lateral) for lateral in decoder.laterals]
    assert laterals == [channels * 256 + 256 for channels in RESNET22[1:]]
    first, further = 9 * 256 * 128 + 2 * 128, 9 * 128 * 128 + 2 * 128
    heads = [count_parameters(head) for head in decoder.heads]
    assert heads == [first, first, first + further, first + 2 * further]
    assert count_parameters(decoder.fuse) == 9 * 512 * 128 + 128 + 2 * 128
    assert count_parameters(decoder.head) == 129


def convolutions(part: nn.Module, x: torch.Tensor, *, doubled: bool = False) -> torch.Tensor:
    """3x3 convolution, BN and ReLU for each convolution of a part, with its values; doubled after each."""
    norms = [module for module in part.modules() if isinstance(module, nn.BatchNorm2d)]
    kernels = [module for module in part.modules() if isinstance(module, nn.Conv2d)]
    for kernel, norm in zip(kernels, norms, strict=True):
        x = F.conv2d(x, kernel.weight, kernel.bias, padding=1)
        x = F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))
        x = double(x) if doubled else x
    return x


def double(x: torch.Tensor) -> torch.Tensor:
    return x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)


def maps(height: int = 64, width: int = 64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(2, c, height // s, width // s, dtype=torch.float64, generator=generator)
        for c, s in zip(CHANNELS, (2, 4, 8, 16, 32), strict=True)
    ]


def test_unet_decoder_equals_a_plain_computation():
    decoder = scrambled(UNetDecoder(CHANNELS, width=3))
    c1, c2, c3, c4, c5 = maps(64, 128)
    x = convolutions(decoder.levels[0], double(F.max_pool2d(c5, 2)))
    for level, skip in zip(decoder.levels[1:], (c5, c4, c3, c2, c1), strict=True):
        x = convolutions(level, double(torch.cat([x, skip], dim=1)))
    last = decoder.head[1]
    expected = (x * last.weight[0, :, 0, 0, None, None]).sum(dim=1, keepdim=True) + last.bias
    got = decoder(maps(64, 128))
    assert got.shape == (2, 1, 64, 128)
    torch.testing.assert_close(got, expected)


def test_fpn_decoder_equals_a_plain_computation():
    decoder = scrambled(FPNDecoder(CHANNELS, width=6))
    _, c2, c3, c4, c5 = maps(64, 32)
    l2, l3, l4, l5 = decoder.laterals
    p5 = l5(c5)
    p4 = l4(c4) + double(p5)
    p3 = l3(c3) + double(p4)
    p2 = l2(c2) + double(p3)
    s2, s3, s4, s5 = decoder.heads
    levels = [
        convolutions(s2, p2),
        *(convolutions(s, p, doubled=True) for s, p in ((s3, p3), (s4, p4), (s5, p5))),
    ]
    assert [sum(isinstance(m, nn.Conv2d) for m in s.modules()) for s in (s2, s3, s4, s5)] == [1, 1, 2, 3]
    x = decoder.head[1](convolutions(decoder.fuse, torch.cat(levels, dim=1)))
    expected = F.interpolate(x, size=(64, 32), mode="bilinear", align_corners=True)
    torch.testing.assert_close(decoder(maps(64, 32)), expected)


@pytest.mark.parametrize("decoder", [UNetDecoder, FPNDecoder])
def test_whole_maps_are_dropped_in_training_only(decoder):
    model = decoder(RESNET22, width=8)
    dropped = [module for module in model.modules() if isinstance(module, nn.Dropout2d)]
    assert [module.p for module in dropped] == [0.2]
    features = [torch.randn(2, c, 64 // s, 64 // s) for c, s in zip(RESNET22, (2, 4, 8, 16, 32), strict=True)]
    torch.manual_seed(0)
    assert not torch.equal(model(features), model(features))
    model.eval()
    assert torch.equal(model(features), model(features))


@pytest.mark.parametrize(
    ("name", "stem_pool", "divisor"),
    [
        ("resnet22_unet", "none", 64),
        ("resnet22_unet", "gmic", 128),
        ("resnet22_fpn", "none", 32),
        ("resnet22_fpn", "gmic", 64),
    ],
)
def test_size_of_the_image_and_what_it_must_be_divisible_by(name, stem_pool, divisor):
    model = build_model(name, stem_pool=stem_pool, base_width=4, decoder_width=8).eval()
    for height, width in ((divisor, divisor), (divisor, 2 * divisor), (3 * divisor, divisor)):
        assert model(torch.randn(1, 1, height, width)).shape == (1, 1, height, width)
    for height, width in ((divisor, divisor + 1), (divisor + divisor // 2, divisor)):
        with pytest.raises(
            ValueError, match=f"ResNet22 with .*{height} x {width} is not divisible by {divisor}"
        ):
            model(torch.randn(1, 1, height, width))


def test_pooled_stem_shares_the_weights_and_ends_with_an_enlargement():
    model = build_model("resnet22_fpn", stem_pool="gmic", base_width=4, decoder_width=8).double().eval()
    plain = EncoderDecoder(ResNet22(1, 4), FPNDecoder((4, 8, 16, 32, 64), 8)).double().eval()
    plain.load_state_dict(model.state_dict())
    image = torch.randn(1, 1, 64, 64, dtype=torch.float64)
    half = model.decoder(model.encoder(image))
    assert half.shape == (1, 1, 32, 32)
    expected = F.interpolate(half, size=(64, 64), mode="bilinear", align_corners=True)
    torch.testing.assert_close(model(image), expected)
    assert (model(image) - plain(image)).abs().max() > 1e-3


@torch.no_grad()
def test_training_and_test_size_of_003():
    model = build_model("resnet22_unet").eval()
    for size in (448, 512):
        assert model(torch.randn(1, 1, size, size)).shape == (1, 1, size, size)


@pytest.mark.parametrize("decoder", [UNetDecoder, FPNDecoder])
def test_kernels_start_as_in_the_published_code(decoder):
    """Every convolution normal with sqrt(2 / fan_out), fan_out = channels out times the kernel's area."""
    torch.manual_seed(0)
    plain, published = decoder(RESNET22), decoder(RESNET22, start="fan_out")
    for layer, other in zip(published.modules(), plain.modules(), strict=True):
        if not isinstance(layer, nn.Conv2d):
            continue
        fan_in, fan_out = (n * layer.kernel_size[0] ** 2 for n in (layer.in_channels, layer.out_channels))
        n = layer.weight.numel()
        assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=6 / (2 * n) ** 0.5)
        assert other.weight.std().item() == pytest.approx((3 * fan_in) ** -0.5, rel=6 / (2 * n) ** 0.5)
        if n > 1000:  # normal: beyond the bounds of the uniform one, and with its share beyond 2 sigma
            share = (layer.weight.abs() > 2 * (2 / fan_out) ** 0.5).float().mean().item()
            assert share == pytest.approx(0.0455, abs=6 * (0.0455 / n) ** 0.5)
        if layer.bias is not None:
            assert layer.bias.abs().max() <= fan_in**-0.5  # left as it was
    for norm in published.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert (norm.weight == 1).all()
            assert (norm.bias == 0).all()


@pytest.mark.parametrize("name", ["resnet22_unet", "resnet22_fpn", "resnet34_unet", "resnet34_fpn"])
def test_the_start_of_the_decoder_is_an_option(name):
    def head(**options: str) -> float:
        torch.manual_seed(0)
        model = build_model(name, decoder_width=8, **options)
        return next(m for m in model.decoder.head if isinstance(m, nn.Conv2d)).weight.std().item()

    assert head() == head(decoder_start="torch") < 0.5 < head(decoder_start="fan_out")
    with pytest.raises(
        ValueError, match=r"start='fan_in' is not one of 'torch', 'fan_out'; did you mean 'fan_out'"
    ):
        build_model(name, decoder_start="fan_in")
