import pytest
import torch
from torchvision.models import resnet34

from mammoseg_lib.models import ResNet34, build_model, count_parameters


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    torch.manual_seed(0)
    return resnet34(weights=None).double().eval()


def ours(theirs: torch.nn.Module) -> ResNet34:
    model = ResNet34(in_channels=3).double().eval()
    state = {name: value for name, value in theirs.state_dict().items() if not name.startswith("fc.")}
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"in_channels": 3}, 21_284_672),
        ({"in_channels": 1}, 21_284_672),
        ({"in_channels": 1, "gray": "sum"}, 21_278_400),
    ],
)
def test_parameter_count(options, expected):
    with torch.device("meta"):  # counts need no memory
        assert count_parameters(ResNet34(**options)) == expected


def test_maps_are_those_of_torchvision(theirs):
    model, image = ours(theirs), torch.randn(1, 3, 64, 32, dtype=torch.float64)
    seen = []
    hooks = [
        getattr(theirs, name).register_forward_hook(lambda _module, _args, out: seen.append(out.clone()))
        for name in ("relu", "layer1", "layer2", "layer3", "layer4")
    ]
    theirs(image)
    for hook in hooks:
        hook.remove()
    maps = model(image)
    assert [tuple(x.shape) for x in maps] == [
        (1, 64, 32, 16), (1, 64, 16, 8), (1, 128, 8, 4), (1, 256, 4, 2), (1, 512, 2, 1)
    ]  # fmt: skip
    assert tuple(x.shape[1] for x in maps) == model.channels
    assert all(torch.equal(a, b) for a, b in zip(maps, seen, strict=True))


def test_gray_image_is_seen_as_three_equal_channels():
    torch.manual_seed(0)
    replicate = ResNet34(in_channels=1).eval()
    torch.manual_seed(0)
    three = ResNet34(in_channels=3).eval()
    image = torch.randn(1, 1, 32, 32)
    pairs = zip(replicate(image), three(image.repeat(1, 3, 1, 1)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_summed_kernel_sees_what_the_replicated_image_shows():
    def model(gray):
        torch.manual_seed(0)
        return ResNet34(in_channels=1, gray=gray).double().eval()

    replicate, summed = model("replicate"), model("sum")
    image = torch.randn(1, 1, 64, 64, dtype=torch.float64)
    assert replicate.conv1.weight.shape[1] == 3
    exact = replicate.conv1.weight.detach().sum(dim=1, keepdim=True)
    torch.testing.assert_close(summed.conv1.weight.detach(), exact, rtol=0, atol=1e-6)  # summed in float32
    summed.conv1.weight.data.copy_(exact)
    for a, b in zip(replicate(image), summed(image), strict=True):
        torch.testing.assert_close(a, b)


def test_summed_kernel_is_exact_where_sums_are():
    # Whole numbers: no rounding, so that both ways give the same bits.
    replicate, summed = ResNet34(in_channels=1).eval(), ResNet34(in_channels=1, gray="sum").eval()
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randint(-4, 5, (64, 3, 7, 7), generator=generator).float()
    replicate.conv1.weight.data.copy_(kernel)
    summed.conv1.weight.data.copy_(kernel.sum(dim=1, keepdim=True))
    image = torch.randint(0, 256, (1, 1, 32, 32), generator=generator).float()
    assert torch.equal(replicate(image)[0], summed(image)[0])


def test_same_seed_same_network_however_gray_is_seen():
    def decoder(gray):
        torch.manual_seed(0)
        return build_model("resnet34_fpn", gray=gray, decoder_width=8).decoder.state_dict()

    first, second = decoder("replicate"), decoder("sum")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"gray": "mean"}, "'replicate', 'sum'"), ({"in_channels": 2}, "in_channels=2 is not one of 1, 3")],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ResNet34(**options)
