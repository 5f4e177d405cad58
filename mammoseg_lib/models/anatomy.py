"""Looking into a network: the maps that its parts give, and the memory that a training step keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


@torch.no_grad()
def feature_maps(
    model: nn.Module, image: Float[Tensor, "b c h w"], parts: Sequence[str]
) -> dict[str, Float[Tensor, "b _ _ _"]]:
    """What parts of a network give for an image, read by forward hooks while it runs.

    Args:
        model: In evaluation or training, as it is.
        image: What it is given.
        parts: Names of modules, as in `model.named_modules()`. A part that gives a list of maps, such as an
            encoder, appears as `name.1`, `name.2`, ...

    Raises:
        AttributeError: A part does not exist.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor | list[Tensor]) -> None:
        if isinstance(output, Tensor):
            seen[name] = output.clone()  # a later layer may work in place
        else:
            seen.update({f"{name}.{i}": each.clone() for i, each in enumerate(output, start=1)})

    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _m, _a, output, name=name: keep(name, output))
        for name in parts
    ]
    try:
        model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def training_memory(model: nn.Module, image: Float[Tensor, "b c h w"]) -> int:
    """Bytes that a forward pass keeps for the backward pass, without the parameters.

    It is counted from the tensors that automatic differentiation saves, each once, and so is the same on
    every device; what an allocator or a convolution needs on top is not in it.
    """
    own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = model(image)  # held until the end: a freed storage's address could be taken again
    del logits
    return sum(saved.values())
