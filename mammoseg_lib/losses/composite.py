"""Losses made of losses: a weighted sum, whose weights may change over the epochs, and phases in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mammoseg_lib.checks import Mask, check_weight
from mammoseg_lib.losses.base import Batch, Features, Loss


@dataclass(frozen=True)
class Linear:
    """A weight that changes linearly over the epochs: all of them or, inside of `Phases`, those of its phase.

    Attributes:
        start: Its value in the first epoch.
        end: Where it goes to.
        reach_end: True: `end` is the value of the last epoch. False: that of the epoch after it, so that 20
            epochs from 0 to 1 end at .95, as the published code of 002 has it.
    """

    start: float | int
    end: float | int
    reach_end: bool = True

    def __post_init__(self):
        check_weight("start", self.start)
        check_weight("end", self.end)

    def at(self, epoch: int, epochs: int) -> float:
        """The weight in epoch `epoch`, from 0, of `epochs`."""
        steps = epochs - 1 if self.reach_end else epochs
        return self.start + (self.end - self.start) * epoch / max(steps, 1)


class Composite(Loss):
    """Base class of what is made of named losses: hands each its features, and all of them the masks."""

    one_channel = False  # each of them says what it takes

    def __init__(self, terms: Mapping[str, Loss]):
        super().__init__()
        self.terms = nn.ModuleDict(terms)

    def target_features(
        self, mask: Shaped[Mask, "*c h w"], spacing_mm: tuple[float, float] | None = None
    ) -> Features:
        """The features of every term, each under `term/feature`."""
        return {
            f"{name}/{key}": value
            for name, term in self.terms.items()
            for key, value in term.target_features(mask, spacing_mm).items()
        }

    def stage(self, epoch: int, epochs: int) -> tuple:
        """That of every term."""
        return tuple(term.stage(epoch, epochs) for term in self.terms.values())

    def fit_targets(self, masks: Shaped[Mask, "n h w"]) -> None:
        """Pass the training masks on to every term."""
        for term in self.terms.values():
            term.fit_targets(masks)

    def term(self, name: str, logits: Float[Tensor, "b c h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The value of one term, which is given its own features."""
        prefix = f"{name}/"
        own = {k[len(prefix) :]: v for k, v in batch.features.items() if k.startswith(prefix)}
        return self.terms[name](logits, batch.with_features(own))


class WeightedSum(Composite):
    """A weighted sum of losses, `L = sum_k w_k L_k`, for example the Dice + BCE hybrid of 000 and 001.

    Range: that of the weighted terms. Shapes: those of the terms. `torch.compile` takes the weights for
    constants: a sum with a `Linear` is compiled anew in every epoch, up to torch's limit of recompilations.

    Args:
        terms: Name to a loss and its weight, a number or a `Linear`. A term of weight 0 is not computed.
    """

    def __init__(self, terms: Mapping[str, tuple[Loss, float | int | Linear]]):
        super().__init__({name: loss for name, (loss, _) in terms.items()})
        self.weights = {
            name: weight if isinstance(weight, Linear) else check_weight(f"the weight of {name!r}", weight)
            for name, (_, weight) in terms.items()
        }

    def weights_at(self, epoch: int, epochs: int) -> dict[str, float]:
        """The weight of every term in an epoch."""
        return {
            name: weight.at(epoch, epochs) if isinstance(weight, Linear) else weight
            for name, weight in self.weights.items()
        }

    def stage(self, epoch: int, epochs: int) -> tuple:
        """The weights, and the stage of every term."""
        return *self.weights_at(epoch, epochs).values(), *super().stage(epoch, epochs)

    def forward(self, logits: Float[Tensor, "b c h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The weighted sum, one value per sample."""
        weights = self.weights_at(self.epoch, self.epochs)
        values = [w * self.term(name, logits, batch) for name, w in weights.items() if w]
        return sum(values[1:], values[0]) if values else 0 * logits.sum((1, 2, 3))


class Phases(Composite):
    """One loss after the other: each for its number of epochs, the last one to the end.

    Each counts the epochs of its own turn: a `Linear` weight inside begins with the phase and ends with it.

    Range and shapes: those of the loss whose turn it is.

    Args:
        phases: Losses and for how many epochs; the number of the last one is ignored.
    """

    def __init__(self, phases: Sequence[tuple[Loss, int]]):
        super().__init__({str(i): loss for i, (loss, _) in enumerate(phases)})
        self.ends = [sum(n for _, n in phases[: i + 1]) for i in range(len(phases) - 1)]

    def phase(self, epoch: int) -> int:
        """The number, from 0, of the loss whose turn it is in an epoch."""
        return sum(epoch >= end for end in self.ends)

    def within(self, phase: int, epoch: int, epochs: int) -> tuple[int, int]:
        """Which epoch of how many of a phase it is; the nearest of it while it is another's turn."""
        start, end = ([0, *self.ends][phase], [*self.ends, epochs][phase])
        length = max(end - start, 1)
        return min(max(epoch - start, 0), length - 1), length

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Tell every loss which epoch of its own turn begins."""
        self.epoch, self.epochs = epoch, epochs
        for phase in range(len(self.terms)):
            self.terms[str(phase)].at_epoch(*self.within(phase, epoch, epochs))

    def stage(self, epoch: int, epochs: int) -> tuple:
        """The number of the phase, and the stage of its loss."""
        phase = self.phase(epoch)
        return phase, self.terms[str(phase)].stage(*self.within(phase, epoch, epochs))

    def phase_starts(self) -> set[int]:
        """Where each phase begins, and where those inside of it do."""
        starts = [0, *self.ends]
        return {
            start + s
            for start, loss in zip(starts, self.terms.values(), strict=True)
            for s in loss.phase_starts()
        }

    def forward(self, logits: Float[Tensor, "b c h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss of the phase that the epoch lies in, one value per sample."""
        return self.term(str(self.phase(self.epoch)), logits, batch)
