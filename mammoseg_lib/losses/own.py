"""Losses of one's own: a class or a function that stands in another package, or in a file anywhere.

build_loss("package.module:Class", option=1)
build_loss("path/to/file.py:function")

What is named may be a subclass of `Loss`, a function or class that makes one from options, or anything that
is called with logits and target, as most published losses are. Each is tried on a small batch before use.
"""

from __future__ import annotations

import copy
import copyreg
import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mammoseg_lib.checks import check_options, listed, suggestion
from mammoseg_lib.losses.base import Batch, Loss, full_precision

PROBE_SIDE = 64  # pixels, of the small batch


def is_own(name: object) -> bool:
    """Whether a name is that of a loss of one's own: it holds a colon."""
    return isinstance(name, str) and ":" in name


def build_own(name: str, options: Mapping[str, object]) -> Loss:
    """The loss that a name such as `"package.module:Class"` or `"file.py:function"` stands for.

    Raises:
        ValueError: There is no such file, module or name, it takes no such options, or it fails on a small
            batch.
    """
    made = _make(name, options)
    loss = made if isinstance(made, Loss) else FunctionLoss(made, name, options)
    _try(loss, name)
    return loss


def codes(loss: Loss) -> list[type | Callable]:
    """The classes that a loss is made of, and the functions of one's own in it; without PyTorch's."""
    found = [type(module) for module in loss.modules()]
    found += [load(module.name) for module in loss.modules() if isinstance(module, FunctionLoss)]
    return [
        each for each in dict.fromkeys(found) if each.__module__.split(".")[0] not in ("torch", "builtins")
    ]


def source_files(loss: Loss) -> tuple[Path, ...]:
    """The files with the code of one's own that a loss and all inside it are made of."""
    own = [each for each in codes(loss) if each.__module__.split(".")[0] != "mammoseg_lib"]
    return tuple(sorted({Path(inspect.getsourcefile(each)).resolve() for each in own}))


class FunctionLoss(Loss):
    """A loss made of anything that is called with logits and target, both `[b 1 h w]`.

    It may give one value per sample, or one in all: then it is called with one sample at a time, so that the
    value of a sample does not depend on its neighbors. Logits in half precision reach it as float32. Range,
    and what an empty and a full target give, are its own.

    Args:
        function: What is called.
        name: Under which `load` finds it.
        options: What it was made with.
    """

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor], name: str, options: Mapping[str, object]
    ):
        super().__init__()
        self.function = function
        self.name, self.options = name, dict(options)

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The value of the function, one per sample."""
        x = full_precision(logits)
        y = batch.target.to(x.dtype)
        values = self.function(x, y)
        if values.ndim == 0 and len(x) > 1:
            values = torch.stack([self.function(*pair) for pair in zip(x.split(1), y.split(1), strict=True)])
        if values.numel() != len(x):
            wanted = f"one value per sample, ({len(x)},), or one in all"
            raise ValueError(f"{self.name} must give {wanted}, not {tuple(values.shape)}")
        return values.flatten()

    def __getstate__(self) -> dict:
        """Without a plain function: one from a file cannot be found by a pickle, but by its name."""
        return {key: value for key, value in self.__dict__.items() if key != "function"}

    def __setstate__(self, state: dict) -> None:
        """Find the function again."""
        super().__setstate__(state)
        if "function" not in self._modules:
            self.function = _make(self.name, self.options)


def load(name: str) -> object:
    """What a name such as `"package.module:Class"` or `"file.py:Class"` stands for.

    Raises:
        ValueError: There is no such file or module, it cannot be imported, or it holds nothing of that name.
    """
    where, _, what = name.rpartition(":")
    module = _from_file(Path(where).expanduser()) if where.endswith(".py") else _from_package(where)
    if not hasattr(module, what):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        here = [key for key in names if getattr(module, key).__module__ == module.__name__]
        has = f"; it has {listed(here)}" if here else ""
        raise ValueError(f"{where} has no {what!r}{has}{suggestion(what, names)}")
    return getattr(module, what)


def _make(name: str, options: Mapping[str, object]) -> Loss | Callable[[Tensor, Tensor], Tensor]:
    """A loss, or what is called with logits and target."""
    thing = load(name)
    if not callable(thing):
        raise ValueError(f"{name} is neither a class nor a function, but {thing!r}")
    given = () if inspect.isclass(thing) else _logits_and_target(thing)
    check_options(name, thing, options, given)
    if given:
        return partial(thing, **options) if options else thing
    made = thing(**options)
    if not callable(made):
        raise ValueError(f"{name} makes no loss but {made!r}")
    return made


def _logits_and_target(function: Callable) -> tuple[str, ...]:
    """The first two parameters of a function that takes logits and target; () for one that makes a loss."""
    positional = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return tuple(p.name for p in positional[:2]) if len(positional) >= 2 else ()


def _from_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"{name} cannot be imported ({error}): install it, put its folder on PYTHONPATH, or name its "
            "file, 'path/to/file.py:Class'"
        ) from error


def _from_file(path: Path) -> ModuleType:
    """The module of a file; read anew when the file has changed."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist (looked for in {Path.cwd()})")
    source = path.read_bytes()
    path = path.resolve()
    name = f"mammoseg_own_{path.stem}_{hashlib.sha256(str(path).encode() + source).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # before it is executed: data classes look themselves up there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    for value in list(vars(module).values()):
        if inspect.isclass(value) and value.__module__ == name:
            copyreg.pickle(value, partial(_reduce, str(path)))
    return module


def _reduce(path: str, instance: object) -> tuple:
    """How an object of a class from a file is sent to another process, which has not read that file."""
    return _empty, (path, type(instance).__qualname__), instance.__dict__


def _empty(path: str, name: str) -> object:
    cls = _from_file(Path(path))
    for part in name.split("."):
        cls = getattr(cls, part)
    return cls.__new__(cls)


def trial_masks(side: int) -> Bool[np.ndarray, "n h w"]:
    """Eight discs of different sizes in the middle of an image, up to a half of its side wide."""
    rows, columns = np.indices((side, side)) - side // 2
    return np.stack([rows**2 + columns**2 <= (side * radius / 32) ** 2 for radius in range(1, 9)])


def _try(loss: Loss, name: str) -> None:
    """Raises a ValueError unless a copy of the loss gives a value with a gradient per sample of a batch."""
    masks = trial_masks(PROBE_SIDE)
    batch = Batch(
        torch.from_numpy(masks[2::4])[:, None],
        acr_density=torch.tensor([1.0, 4.0]),
        spacing_mm=torch.full((2, 2), 0.1),
    )
    logits = torch.linspace(-3, 3, 2 * PROBE_SIDE**2).view(2, 1, PROBE_SIDE, PROBE_SIDE).requires_grad_()
    try:
        with torch.random.fork_rng(devices=[]):
            loss = copy.deepcopy(loss)
            loss.fit_targets(masks)
            values = loss(logits.clone(), batch)  # not a leaf, as little as a network's output is one
    except Exception as error:
        shape = list(logits.shape)
        raise ValueError(f"{name} fails on a small batch {shape}: {type(error).__name__}: {error}") from error
    if not isinstance(values, Tensor) or values.shape != (2,):
        given = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"{name} must give one value per sample, (2,) for two of them, not {given}")
    if not values.requires_grad:
        raise ValueError(f"{name} gives values without a gradient: no network can be trained with it")
