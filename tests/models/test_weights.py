from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torchvision.models import ResNet34_Weights, resnet34

from mammoseg_lib.models import PUBLISHED, ResNet22, WeightsError, build_model, download_imagenet, start_of

SMALL = {"name": "resnet22_fpn", "base_width": 2, "decoder_width": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of PyTorch, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def no_network(*_args, **_options):
        raise AssertionError("the network was used")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def gmic_state() -> dict[str, torch.Tensor]:
    """What a file of GMIC holds: the encoder under its prefix, beside the other parts of the model."""
    torch.manual_seed(1)
    state = {f"ds_net.{name}": value for name, value in ResNet22(base_width=2).state_dict().items()}
    other = ("left_postprocess_net.gn_conv_last.weight", "dn_resnet.conv1.weight", "fusion_dnn.weight")
    return state | {name: torch.zeros(2, 2) for name in other}


@pytest.fixture(scope="module")
def imagenet_file(tmp_path_factory) -> Path:
    """A file with the names and shapes of torchvision's, other values, and the old lack of counters."""
    torch.manual_seed(2)
    state = resnet34(weights=None).state_dict()
    path = tmp_path_factory.mktemp("weights") / "resnet34.pth"
    torch.save(
        {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}, path
    )
    return path


@pytest.fixture
def known_imagenet(imagenet_file, monkeypatch) -> Path:
    digest = sha256(imagenet_file.read_bytes()).hexdigest()
    monkeypatch.setitem(PUBLISHED, "imagenet", replace(PUBLISHED["imagenet"], sha256=digest[:8]))
    return imagenet_file


def test_random_start_is_recorded_as_one():
    assert build_model("aunet", base_width=8).start == {"weights": "none", "file": None, "sha256": None}


@pytest.mark.parametrize("given", ["path", "name in the cache", "nothing"])
def test_encoder_starts_from_gmic(given, cache, tmp_path):
    path, weights_file = {
        "path": (tmp_path / "mine.p", tmp_path / "mine.p"),
        "name in the cache": (cache / "sample_model_3.p", "sample_model_3.p"),
        "nothing": (cache / "sample_model_1.p", None),
    }[given]
    torch.save(gmic_state(), path)
    model = build_model(**SMALL, weights="gmic", weights_file=weights_file)
    own = model.encoder.state_dict()
    assert all(torch.equal(own[name], gmic_state()[f"ds_net.{name}"]) for name in own)
    digest = sha256(path.read_bytes()).hexdigest()
    assert model.start == {"weights": "gmic", "file": path.name, "sha256": digest}
    assert start_of("gmic", weights_file) == model.start


def test_missing_gmic_file_says_where_to_get_it():
    message = r"checkpoints/sample_model_1\.p.*github\.com/nyukat/GMIC.*AGPL.*put it there.*weights_file"
    with pytest.raises(WeightsError, match=message):
        build_model(**SMALL, weights="gmic")


def test_everything_that_does_not_fit_is_named_at_once(tmp_path):
    state = gmic_state()
    for name in ("first_conv.weight", "layer_list.4.1.bn2.running_mean"):
        del state[f"ds_net.{name}"]
    state["ds_net.fc.bias"] = torch.zeros(1)
    state["ds_net.final_bn.weight"] = torch.zeros(31)
    torch.save(state, tmp_path / "wrong.p")
    with pytest.raises(WeightsError) as error:
        build_model(**SMALL, weights="gmic", weights_file=tmp_path / "wrong.p")
    message = str(error.value)
    assert f"{tmp_path / 'wrong.p'} does not fit ResNet22; " in message
    assert "2 missing: first_conv.weight, layer_list.4.1.bn2.running_mean; " in message
    assert "1 surplus: fc.bias; " in message
    assert "1 of another shape: final_bn.weight ((31,) in place of (32,))" in message


def test_file_without_any_part_of_the_encoder_does_not_fit(tmp_path):
    torch.save({"fusion_dnn.weight": torch.zeros(2)}, tmp_path / "other.p")
    with pytest.raises(WeightsError, match=r"110 missing: (\S+, ){4}\.\.\.$"):
        build_model(**SMALL, weights="gmic", weights_file=tmp_path / "other.p")


def test_counters_of_batch_normalization_may_lack(tmp_path):
    state = {name: value for name, value in gmic_state().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.p")
    model = build_model(**SMALL, weights="gmic", weights_file=tmp_path / "old.p")
    assert torch.equal(model.encoder.first_conv.weight, state["ds_net.first_conv.weight"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet34_fpn", {"decoder_width": 8}),
        ("resnet34_fpn", {"decoder_width": 8, "in_channels": 3}),
        ("resnet34_unet", {"decoder_width": 8, "gray": "sum"}),
        ("smp_unet", {}),
        ("smp_fpn", {"in_channels": 3}),
    ],
)
def test_encoder_starts_from_imagenet(name, options, known_imagenet):
    model = build_model(name, weights="imagenet", weights_file=known_imagenet, **options)
    file, own = torch.load(known_imagenet, weights_only=True), model.encoder.state_dict()
    if own["conv1.weight"].shape[1] == 1:
        file["conv1.weight"] = file["conv1.weight"].sum(dim=1, keepdim=True)
    names = [name for name in file if not name.startswith("fc.")]
    assert len(names) == 180
    assert all(torch.equal(own[name], file[name]) for name in names)
    assert model.start["weights"] == "imagenet"


def test_imagenet_file_is_found_in_the_cache_of_pytorch(known_imagenet, cache):
    (cache / "resnet34-b627a593.pth").symlink_to(known_imagenet)
    start = build_model("resnet34_fpn", decoder_width=8, weights="imagenet").start
    assert start["file"] == "resnet34-b627a593.pth"


def test_file_that_is_not_the_published_one_is_refused(imagenet_file):
    with pytest.raises(WeightsError, match=r"damaged or another file.*with b627a593.*ResNet34_Weights"):
        build_model("resnet34_fpn", weights="imagenet", weights_file=imagenet_file)


def test_missing_imagenet_file_is_not_downloaded_but_says_how():
    message = r"resnet34-b627a593\.pth, which does not exist.*ResNet34_Weights.*download_imagenet\(\)"
    with pytest.raises(WeightsError, match=message):
        build_model("resnet34_unet", weights="imagenet")


def test_download_says_what_it_does_and_has_the_digest_checked(cache, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda *args, **options: calls.append((args, options))
    )
    path = download_imagenet()
    url = ResNet34_Weights.IMAGENET1K_V1.url
    assert path == cache / "resnet34-b627a593.pth"
    assert calls == [((url, str(path)), {"hash_prefix": "b627a593"})]
    assert capsys.readouterr().out == f"downloading {url} to {path}\n"


def test_published_weights_are_those_that_torchvision_names():
    published = PUBLISHED["imagenet"]
    assert ResNet34_Weights.IMAGENET1K_V1.url.endswith(f"/{published.file}")
    assert ResNet34_Weights.IMAGENET1K_V1.url.endswith(f"-{published.sha256}.pth")


@pytest.mark.parametrize(
    ("name", "options"), [("aunet", {"base_width": 8}), ("arfnet", {"base_width": 8}), ("smp_unet", {})]
)
def test_all_weights_from_a_file(name, options, tmp_path):
    torch.manual_seed(5)
    first = build_model(name, **options)
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    second = build_model(name, weights=str(tmp_path / "weights.pt"), **options)
    state = second.state_dict()
    assert all(torch.equal(state[key], value) for key, value in first.state_dict().items())
    assert (second.start["weights"], second.start["file"]) == ("file", "weights.pt")


def test_all_weights_of_another_network_do_not_fit(tmp_path):
    torch.save(build_model("aunet", base_width=8).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"does not fit ARFNetReconstruction; .*missing.*surplus"):
        build_model("arfnet", base_width=8, weights=str(tmp_path / "weights.pt"))


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.model.", "_orig_mod."])
def test_names_behind_a_prefix_say_what_to_strip_in_a_line(prefix, tmp_path):
    model = build_model("aunet", base_width=8)
    state = {prefix + name: value for name, value in model.state_dict().items()}
    state["epoch_loss"] = torch.zeros(1)  # what else a wrapper saves
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(
        WeightsError, match=rf"every name begins with '{prefix}'.*removeprefix\('{prefix}'\)"
    ) as error:
        build_model("aunet", base_width=8, weights=str(tmp_path / "weights.pt"))
    assert len(str(error.value)) < 250 + len(str(tmp_path))
    del state["epoch_loss"]
    advised = {name.removeprefix(prefix): value for name, value in state.items()}
    torch.save(advised, tmp_path / "weights.pt")
    assert build_model("aunet", base_width=8, weights=str(tmp_path / "weights.pt")).start["weights"] == "file"


def test_published_weights_behind_a_prefix_say_so_too(tmp_path):
    encoder = build_model(**SMALL).encoder
    torch.save({f"module.ds_net.{k}": v for k, v in encoder.state_dict().items()}, tmp_path / "wrapped.p")
    with pytest.raises(WeightsError, match=r"every name begins with 'module\.'"):
        build_model(**SMALL, weights="gmic", weights_file=tmp_path / "wrapped.p")


def test_a_checkpoint_with_weights_in_it_says_where_they_are(tmp_path):
    torch.save(
        {"state_dict": build_model("aunet", base_width=8).state_dict(), "epoch": 3}, tmp_path / "l.ckpt"
    )
    with pytest.raises(
        WeightsError, match=r"a dict of other things; state\['state_dict'\] in it does: save that alone"
    ):
        build_model("aunet", base_width=8, weights=str(tmp_path / "l.ckpt"))


def test_what_does_not_fit_is_told_in_a_line(tmp_path):
    torch.save(build_model("aunet", base_width=8).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(WeightsError) as error:
        build_model("resnet22_unet", base_width=8, weights=str(tmp_path / "weights.pt"))
    assert len(str(error.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "aunet", "base_width": 8, "weights": "gmic"}, "those of a ResNet22 encoder.*not have"),
        ({"name": "resnet34_fpn", "weights": "gmic"}, "a random start in their place would be another"),
        ({"name": "smp_unet", "encoder": "resnet18", "weights": "gmic"}, "those of a ResNet22 encoder"),
    ],
)
def test_published_weights_need_their_encoder(call, message):
    # Said before the file is asked for, which nobody should fetch in vain.
    with pytest.raises(WeightsError, match=message):
        build_model(**call)


def test_imagenet_weights_do_not_fit_resnet18(known_imagenet):
    with pytest.raises(WeightsError, match="those of a ResNet34 encoder"):
        build_model("smp_unet", encoder="resnet18", weights="imagenet", weights_file=known_imagenet)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "imagnet"}, "'imagnet' are none of 'none', 'imagenet', 'gmic', and there is no file"),
        ({"weights_file": "x.p"}, "'x.p' is read with weights='imagenet' or 'gmic' only"),
    ],
)
def test_misspelt_weights(options, message):
    with pytest.raises(WeightsError, match=message):
        build_model("aunet", base_width=8, **options)


class Payload:
    """What a malicious file holds: a call that unpickling would make."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_code_of_a_file_runs(tmp_path):
    torch.save({"weight": Payload(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"evil\.pt cannot be read as weights"):
        build_model("aunet", base_width=8, weights=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "list", "numbers"])
def test_file_that_holds_something_else(kind, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"list": [torch.zeros(2)], "numbers": {"epoch": 3}}.get(kind, gmic_state()), path)
    if kind in ("empty", "text", "truncated"):
        content = path.read_bytes()
        path.write_bytes({"empty": b"", "text": b"<!DOCTYPE html>"}.get(kind, content[: len(content) // 2]))
    with pytest.raises(WeightsError, match=r"weights\.pt (cannot be read as weights|does not hold weights)"):
        build_model("aunet", base_width=8, weights=str(path))
