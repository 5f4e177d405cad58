"""What is rejected, and in which words: options, names and masks that are not what they must be.

Every function gives back what it was asked about, or ends in a ValueError of one sentence that names the
option, what it is, what it may be, and the nearest valid word.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

Mask = Any
"""For signatures: `Shaped[Mask, "h w"]` is a NumPy array or a PyTorch tensor that `as_mask` takes."""


def suggestion(word: object, valid: Iterable[object]) -> str:
    """`"; did you mean 'x'?"` for the valid word that is closest to a misspelt one; `""` if none is close."""
    if not isinstance(word, str):
        return ""
    by_lower = {name.lower(): name for name in valid if isinstance(name, str)}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def listed(names: Iterable[object]) -> str:
    """Names in quotes, separated by commas."""
    return ", ".join(map(repr, names))


def check_choice(option: str, value: object, valid: Sequence[object]) -> None:
    """Raises a ValueError that lists the valid values, unless `value` is one of them."""
    if value not in valid:
        raise ValueError(f"{option}={value!r} is not one of {listed(valid)}{suggestion(value, valid)}")


def check_name(kind: str, name: object, known: Iterable[str]) -> None:
    """Raises a ValueError that lists the known names, unless `name` is one: "no loss is called ..."."""
    known = list(known)
    if name not in known:
        raise ValueError(f"no {kind} is called {name!r}; there are {listed(known)}{suggestion(name, known)}")


def check_positive(option: str, value: object) -> float:
    """The value as a float; a ValueError unless it is positive and finite."""
    if not _is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{option} must be positive and finite, not {value!r}")
    return float(value)


def check_weight(option: str, value: object) -> float:
    """The value as a float; a ValueError unless it is finite and not negative."""
    if not _is_number(value) or not 0 <= value < math.inf:
        raise ValueError(f"{option} must be a finite number from 0, not {value!r}")
    return float(value)


def check_share(option: str, value: object) -> float:
    """The value as a float; a ValueError unless it lies between 0 and 1, both excluded."""
    if not _is_number(value) or not 0 < value < 1:
        raise ValueError(f"{option} must lie between 0 and 1, not {value!r}")
    return float(value)


def check_whole(option: str, value: object, least: int = 1) -> int:
    """The value; a ValueError unless it is a whole number from `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{option} must be a whole number from {least}, not {value!r}")
    return value


def check_options(
    what: str, factory: Callable[..., object], options: Mapping[str, object], given: Sequence[str] = ()
) -> None:
    """Raises a ValueError if an option is given that `factory` does not take, or one is not that it needs.

    Args:
        what: Whose options they are, for the message.
        factory: Its named parameters are the options; `**kwargs` add none, since every `nn.Module` has them.
        options: What was given.
        given: Parameters that are no options: they come from elsewhere.
    """
    parameters = [
        p
        for p in inspect.signature(factory).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in given
    ]
    valid = [p.name for p in parameters]
    if unknown := [name for name in options if name not in valid]:
        takes = listed(valid) or "no options"
        raise ValueError(
            f"{what} has no option {listed(unknown)}; it takes {takes}{suggestion(unknown[0], valid)}"
        )
    if absent := [p.name for p in parameters if p.default is p.empty and p.name not in options]:
        raise ValueError(f"{what} needs {listed(absent)}")


def as_mask(
    mask: Shaped[Mask, "*_"], what: str = "the mask", axes: Sequence[int] = (2,)
) -> Bool[np.ndarray, "*_"]:
    """A mask of any usual kind as a contiguous boolean array on the CPU; one that is that comes back itself.

    The kinds are boolean; 0 and 1 of any integer or floating type; and 0 and 255, as pictures store them.
    Each as a NumPy array or as a PyTorch tensor on any device.

    Args:
        mask: What to read.
        what: Its name, for the message.
        axes: How many axes it may have.

    Raises:
        ValueError: It is no array, has another number of axes, or holds other values.
    """
    if hasattr(mask, "detach"):  # a tensor: PyTorch need not be imported for those who have none
        mask = mask.detach().cpu()
        mask = (mask.double() if mask.is_floating_point() else mask).numpy()  # NumPy has no bfloat16
    if not isinstance(mask, np.ndarray):
        raise ValueError(f"{what} must be an array or a tensor, not a {type(mask).__name__}")
    if mask.ndim not in axes:
        wanted = " or ".join(map(str, axes))
        raise ValueError(f"{what} must have {wanted} axes, not the shape {mask.shape}")
    if mask.dtype == np.bool_:
        return np.ascontiguousarray(mask)  # PyTorch reads no array with negative strides, as of a flip
    if mask.dtype.kind not in "iuf":
        raise ValueError(f"{what} must hold numbers or booleans, not {mask.dtype}")
    one = 255 if mask.size and mask.max() == 255 else 1
    result = np.ascontiguousarray(mask == one)
    if not (result | (mask == 0)).all():
        strange = mask[~result & (mask != 0)][0]
        raise ValueError(
            f"{what} holds {strange}: a mask holds False and True, 0 and 1, or 0 and 255, and nothing else"
        )
    return result


def as_masks(
    first: Shaped[Mask, "*_"],
    second: Shaped[Mask, "*_"],
    what: tuple[str, str] = ("the prediction", "the target"),
    axes: Sequence[int] = (2,),
) -> tuple[Bool[np.ndarray, "*_"], Bool[np.ndarray, "*_"]]:
    """Two masks of one shape, read by `as_mask`.

    Raises:
        ValueError: One is no mask, or their shapes differ.
    """
    first, second = as_mask(first, what[0], axes), as_mask(second, what[1], axes)
    if first.shape != second.shape:
        raise ValueError(f"{what[0]} has the shape {first.shape}, {what[1]} {second.shape}")
    return first, second


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
