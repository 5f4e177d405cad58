import pytest
import torch
import torch.nn.functional as F

from mammoseg_lib.models import ResNet22, build_model, count_parameters

BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
WIDTHS = (16, 32, 64, 128, 256)


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes in a published file, written out from its description."""

    def norm(name, channels):
        return {f"{name}.{key}": (channels,) for key in BATCH_NORM[:-1]} | {f"{name}.{BATCH_NORM[-1]}": ()}

    shapes, before = {"first_conv.weight": (16, 1, 7, 7)}, 16
    for i, width in enumerate(WIDTHS):
        for j in range(2):
            block = f"layer_list.{i}.{j}"
            shapes |= norm(f"{block}.bn1", before) | norm(f"{block}.bn2", width)
            shapes |= {
                f"{block}.conv1.weight": (width, before, 3, 3),
                f"{block}.conv2.weight": (width, width, 3, 3),
            }
            if j == 0:
                shapes[f"{block}.downsample.0.weight"] = (width, before, 1, 1)
            before = width
    return shapes | norm("final_bn", 256)


def reference_maps(state: dict, image: torch.Tensor, pooled: bool) -> list[torch.Tensor]:
    """The five maps of ResNet22 in evaluation, from a state dict and nothing else of the library."""

    def normalize(x, name):
        keys = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        mean, var, weight, bias = (value[None, :, None, None] for value in keys)
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    x = F.conv2d(image, state["first_conv.weight"], stride=2, padding=3)
    if pooled:
        x = F.max_pool2d(x, 3, 2, padding=1)
    maps = []
    for i in range(5):
        for j in range(2):
            name, stride = f"layer_list.{i}.{j}", 2 if i > 0 and j == 0 else 1
            o = F.relu(normalize(x, f"{name}.bn1"))
            y = F.conv2d(o, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(F.relu(normalize(y, f"{name}.bn2")), state[f"{name}.conv2.weight"], padding=1)
            x = y + (F.conv2d(o, state[f"{name}.downsample.0.weight"], stride=stride) if j == 0 else x)
        maps.append(x)
    maps[-1] = F.relu(normalize(x, "final_bn"))
    return maps


def scrambled(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The model in float64 and evaluation, every value of its state at random, so that all of them matter."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = 0.2 * torch.randn(value.shape, generator=generator, dtype=value.dtype)
            value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise + 0.1)
    return model


def test_parameter_count_of_003_and_of_each_part():
    model = ResNet22()
    assert count_parameters(model) == 2_799_536
    assert count_parameters(model.first_conv) == 784
    stages = [count_parameters(stage) for stage in model.layer_list]
    assert stages == [9_600, 32_992, 131_520, 525_184, 2_098_944]
    assert count_parameters(model.final_bn) == 512


@pytest.mark.parametrize("stem_pool", ["none", "gmic"])
def test_names_and_shapes_of_the_published_file(stem_pool):
    state = ResNet22(stem_pool=stem_pool).state_dict()
    assert len(state) == 131
    assert {name: tuple(value.shape) for name, value in state.items()} == published_shapes()


@pytest.mark.parametrize(
    ("stem_pool", "strides"), [("none", (2, 4, 8, 16, 32)), ("gmic", (4, 8, 16, 32, 64))]
)
def test_maps_have_the_channels_and_strides(stem_pool, strides):
    model = ResNet22(in_channels=3, stem_pool=stem_pool).eval()
    maps = model(torch.randn(2, 3, 128, 64))
    expected = [(2, c, 128 // s, 64 // s) for c, s in zip(WIDTHS, strides, strict=True)]
    assert [tuple(features.shape) for features in maps] == expected
    assert model.channels == WIDTHS
    assert model.first_stride == strides[0]


@pytest.mark.parametrize("stem_pool", ["none", "gmic"])
def test_maps_equal_a_plain_computation(stem_pool):
    model = scrambled(ResNet22(base_width=4, stem_pool=stem_pool))
    image = torch.randn(2, 1, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = reference_maps(model.state_dict(), image, pooled=stem_pool == "gmic")
    for got, wanted in zip(model(image), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def test_unknown_stem_pool():
    with pytest.raises(ValueError, match="'none', 'gmic'"):
        build_model("resnet22_unet", stem_pool="max")
