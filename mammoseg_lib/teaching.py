"""What a notebook holds itself to, and how a reader's answer is held against the right one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Answer = object  # a number, several (list, tuple, array), or several by name (mapping)


@dataclass
class Checks:
    """The statements at the end of a notebook that its reader runs again after changing a parameter.

    Some hold for every parameter in its range: `always`. Others are sentences of the text, written for the
    values that the notebook was committed with: `committed`. With other values, what such a sentence says may
    be wrong without anything being broken, so it is printed with its fate instead of being an error.

    Attributes:
        parameters: The values that the notebook ran with.
        written_for: The values that its text was written for.
    """

    parameters: Mapping[str, object]
    written_for: Mapping[str, object]
    _always: int = field(default=0, init=False)
    _committed: int = field(default=0, init=False)
    _fallen: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if set(self.parameters) != set(self.written_for):
            written, given = sorted(self.written_for), sorted(self.parameters)
            raise ValueError(f"the text was written for {written}, the notebook has {given}")

    @property
    def changed(self) -> dict[str, object]:
        """The parameters that have another value than the text was written for."""
        return {name: value for name, value in self.parameters.items() if value != self.written_for[name]}

    def always(self, holds: object, message: str) -> None:
        """An invariant. Raises an AssertionError with the message where it does not hold."""
        assert bool(holds), f"should hold for every parameter: {message}"
        self._always += 1

    def committed(self, holds: object, message: str) -> None:
        """A sentence of the text. Raises an AssertionError if it is wrong and nothing was changed."""
        assert bool(holds) or self.changed, f"the text says what is not so: {message}"
        self._committed += bool(holds)
        if not holds:
            self._fallen.append(message)

    def report(self) -> str:
        """What was found, in words."""
        lines = [f"{self._always} invariants hold."]
        if not self.changed:
            return "\n".join([*lines, f"{self._committed} statements of the text hold."])
        values = ", ".join(f"{k} = {v!r}, not {self.written_for[k]!r}" for k, v in self.changed.items())
        lines.append(f"You changed what the text was written for: {values}.")
        lines.append(f"{self._committed} of its statements hold all the same.")
        if self._fallen:
            lines += ["These do not hold any more:", *(f"- {message}" for message in self._fallen)]
        return "\n".join(lines)


def compare(yours: Answer, right: Answer | Callable[[], Answer], *, within: float | int = 0.005) -> None:
    """Print a reader's answer beside the right one, or, as long as there is none, what to do.

    Args:
        yours: The reader's answer; None or `...` as long as there is none.
        right: The right one, or a function that computes it, which is called only if there is an answer.
        within: How far a number may be off, as a share of the right one (of 1 where that is below 1).
    """
    if _missing(yours):
        print("No answer yet: put yours in place of ... and run this cell again.")
        return
    given, wanted = _by_name(yours), _by_name(right() if callable(right) else right)
    if set(given) != set(wanted):
        names = ", ".join(name or "one answer" for name in wanted)
        print(f"This asks for {names}; you gave {len(given)}.")
        return
    for name, value in wanted.items():
        verdict = "right" if _near(given[name], value, within) else "not yet"
        label = f"{name}: " if name else ""
        print(f"{label}your answer {_shown(given[name])}, the right one {_shown(value)}: {verdict}")


def _missing(answer: Answer) -> bool:
    if isinstance(answer, Mapping):
        return any(_missing(one) for one in answer.values())
    if isinstance(answer, list | tuple):
        return any(_missing(one) for one in answer)
    return answer is None or answer is ...


def _by_name(answer: Answer) -> dict[str, object]:
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items()}
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return {f"number {i}": value for i, value in enumerate(answer, start=1)}
    return {"": answer}


def _near(given: object, wanted: object, within: float | int) -> bool:
    try:
        difference = np.abs(np.asarray(given, dtype=float) - np.asarray(wanted, dtype=float))
    except (TypeError, ValueError):  # words, or shapes that do not fit
        return str(given).strip().lower() == str(wanted).strip().lower()
    return bool((difference <= within * np.maximum(1, np.abs(np.asarray(wanted, dtype=float)))).all())


def _shown(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return f"array of {value.shape}" if isinstance(value, np.ndarray) and value.size > 4 else str(value)
