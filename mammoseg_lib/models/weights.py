"""What a network starts from: at random, published weights of its encoder, or a file of all its weights.

Nothing is downloaded while a network is built. Files of published weights are looked for in PyTorch's
cache, `$TORCH_HOME/hub/checkpoints`; `download_imagenet` puts one of them there, once, and says so.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mammoseg_lib.checks import listed, suggestion

COUNTER = "num_batches_tracked"
SHOWN = 4  # names of a kind in a message


@dataclass(frozen=True)
class Published:
    """Published weights of an encoder.

    Attributes:
        encoder: The network they fit.
        file: Name of their file.
        where: Where a reader gets the file.
        sha256: The first digits of its digest, None where none is published.
        inside: Prefix of the encoder's keys; keys without it belong to other parts and are not read.
        other: Prefixes of keys that belong to a part which the encoder lacks.
    """

    encoder: str
    file: str
    where: str
    sha256: str | None = None
    inside: str = ""
    other: tuple[str, ...] = ()


PUBLISHED: Mapping[str, Published] = {
    "imagenet": Published(
        encoder="ResNet34",
        file="resnet34-b627a593.pth",
        where="torchvision (ResNet34_Weights.IMAGENET1K_V1), or call mammoseg_lib.models.download_imagenet()",
        sha256="b627a593",
        other=("fc.",),
    ),
    "gmic": Published(
        encoder="ResNet22",
        file="sample_model_1.p",
        where="https://github.com/nyukat/GMIC, models/sample_model_1.p to _5.p (license: AGPL-3.0)",
        inside="ds_net.",
    ),
}
"""Published weights by the name that `build_model` takes for them."""


class WeightsError(ValueError):
    """Weights are missing, are not what their name says, or do not fit the network."""


def weights_folder() -> Path:
    """Where files of published weights are looked for: PyTorch's cache."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def start_of(weights: str = "none", weights_file: str | Path | None = None) -> dict[str, str | None]:
    """What a network with these options of `build_model` starts from, for the record of a run.

    Reads the file once to digest it and builds nothing.

    Returns:
        `weights` ("none", "imagenet", "gmic", or "file" for a file of all weights), the name of the `file`
        and its `sha256`, both None at random. The same on every machine that has the same file.

    Raises:
        WeightsError: The file is missing or is another one than its name says.
    """
    path = _find(weights, weights_file)
    if path is None:
        return {"weights": "none", "file": None, "sha256": None}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if weights in PUBLISHED and not sha256.startswith(expected := PUBLISHED[weights].sha256 or ""):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 begins with {sha256[:8]}, that of "
            f"{PUBLISHED[weights].file} with {expected}; get it from {PUBLISHED[weights].where}"
        )
    return {"weights": weights if weights in PUBLISHED else "file", "file": path.name, "sha256": sha256}


def load_start(model: nn.Module, weights: str = "none", weights_file: str | Path | None = None) -> None:
    """Give a network its start, and `model.start` = `start_of` the same options.

    Raises:
        WeightsError: The file is missing, damaged, or does not fit; never a random start in its place.
    """
    published = PUBLISHED.get(weights)
    encoder = getattr(model, "encoder", None)
    if published and getattr(encoder, "published", None) != weights:
        raise WeightsError(
            f"weights={weights!r} are those of a {published.encoder} encoder, which this network does not "
            "have; a random start in their place would be another experiment"
        )
    start, path = start_of(weights, weights_file), _find(weights, weights_file)
    if published:
        state = read_state(path)
        _check_prefix(state, [published.inside + name for name in encoder.state_dict()], str(path))
        _fit(encoder, _encoder_state(state, published, encoder), str(path))
    elif path is not None:
        _fit(model, read_state(path), str(path))
    model.start = start


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that `torch.save` wrote from a state dict. Runs no code from the file.

    Raises:
        WeightsError: The file holds something else or is damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} cannot be read as weights: {reason}") from error
    if not _are_weights(state):
        inside = (
            [key for key, value in state.items() if value and _are_weights(value)]
            if isinstance(state, Mapping)
            else []
        )
        advice = f"; state[{inside[0]!r}] in it does: save that alone with torch.save" if inside else ""
        raise WeightsError(
            f"{path} does not hold weights by name but a {type(state).__name__} of other things{advice}"
        )
    return dict(state)


def _are_weights(state: object) -> bool:
    return isinstance(state, Mapping) and all(isinstance(value, Tensor) for value in state.values())


def download_imagenet() -> Path:
    """Download torchvision's ImageNet weights of ResNet34 (83 MB) into `weights_folder()`.

    The only function here that uses the network, and nothing calls it but a person. The digest is checked.
    """
    from torchvision.models import ResNet34_Weights  # here: it takes longer to import than this library

    path, url = weights_folder() / PUBLISHED["imagenet"].file, ResNet34_Weights.IMAGENET1K_V1.url
    print(f"downloading {url} to {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path), hash_prefix=PUBLISHED["imagenet"].sha256)
    return path


def _find(weights: str, weights_file: str | Path | None) -> Path | None:
    """The file to read; None for a random start."""
    if weights in PUBLISHED:
        published = PUBLISHED[weights]
        # A full path stays what it is; a name is looked for in the cache.
        path = weights_folder() / (weights_file or published.file)
        if not path.is_file():
            raise WeightsError(
                f"weights={weights!r} need {path}, which does not exist. Get {published.file} from "
                f"{published.where} and put it there, or give its path as weights_file"
            )
        return path
    if weights_file is not None:
        names = " or ".join(map(repr, PUBLISHED))
        raise WeightsError(f"weights_file={str(weights_file)!r} is read with weights={names} only")
    if weights == "none":
        return None
    if not Path(weights).is_file():
        names = ("none", *PUBLISHED)
        raise WeightsError(
            f"weights={weights!r} are none of {listed(names)}, and there is no file of that name"
            + suggestion(weights, names)
        )
    return Path(weights)


def _encoder_state(state: dict[str, Tensor], published: Published, encoder: nn.Module) -> dict[str, Tensor]:
    """The part of a published file that is the encoder's, under the encoder's names."""
    state = {
        name.removeprefix(published.inside): value
        for name, value in state.items()
        if name.startswith(published.inside) and not name.startswith(published.other)
    }
    first = getattr(encoder, "conv1", None)
    if first is not None and first.in_channels == 1 and "conv1.weight" in state:
        # A gray image that is seen as three equal channels: the kernel summed over them sees the same.
        state["conv1.weight"] = state["conv1.weight"].sum(dim=1, keepdim=True)
    return state


def _fit(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a state of which everything fits, and nothing is left over."""
    own = module.state_dict()
    _check_prefix(state, own, source)
    # Files from before PyTorch 0.4.1 lack the counters of batch normalization, which nothing here reads.
    missing = [name for name in own if name not in state and not name.endswith(COUNTER)]
    surplus = [name for name in state if name not in own]
    wrong = [
        f"{name} ({tuple(state[name].shape)} in place of {tuple(own[name].shape)})"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    problems = [
        f"{len(names)} {what}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
        for what, names in (("missing", missing), ("surplus", surplus), ("of another shape", wrong))
        if names
    ]
    if problems:
        raise WeightsError(f"{source} does not fit {type(module).__name__}; " + "; ".join(problems))
    module.load_state_dict({**own, **state})


def _check_prefix(state: Mapping[str, Tensor], own: Iterable[str], source: str) -> None:
    """Raises an error that says what to strip, if the same stands before all names of a network."""
    needed = [name for name in own if not name.endswith(COUNTER)]
    for name in state:
        prefix = name.removesuffix(needed[0])
        if prefix not in ("", name) and all(prefix + each in state for each in needed):
            raise WeightsError(
                f"{source}: every name begins with {prefix!r}, as DataParallel, Lightning and others save "
                f"them; save {{k.removeprefix({prefix!r}): v for k, v in state.items()}} in its place"
            )
