"""What a run is asked to do, as plain frozen records: training, images, and the whole of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked

from mammoseg_lib.checks import check_weight, check_whole
from mammoseg_lib.datasets.sample import DataError
from mammoseg_lib.preprocessing import PreparedSet, Preprocessing, prepare, prepared_key
from mammoseg_lib.sources import Source, open_source

Precision = Literal["auto", "float32", "bfloat16"]
LABELS = ("study", "profile", "paper", "arm", "method", "variant", "label", "fold", "seed")


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Training:
    """How a network is trained. The defaults are what paper 000 states or leaves open (see papers/*.yaml).

    Attributes:
        epochs: Most epochs to train.
        batch_size: Images a step.
        learning_rate: Of Adam, at the start.
        decay_every: Epochs after which the learning rate is multiplied by `decay`, again and again; None
            keeps it.
        milestones: Numbers of epochs after each of which it is multiplied by `decay`, in place of that.
        milestones_per_phase: Count the epochs for the milestones anew in each phase of the loss (`Phases`).
        decay: That factor.
        weight_decay: L2 penalty of Adam.
        freeze_encoder: For this many epochs only what comes after the encoder is trained, and the encoder's
            batch normalization keeps its statistics.
        augmentation: Key of `augmentation.AUGMENTATIONS`: how training images are altered.
        normalize: Subtract the mean and divide by the standard deviation of the training images, altered as
            in the first epoch. Else images are in 0..1.
        patience: Stop after this many epochs without a better validation value; None never does.
        monitor: What makes an epoch the best: the highest validation DSC (pooled pixels), or the lowest loss
            among the epochs with the loss of the last one: a loss that changes is not compared with itself.
        precision: Of the network's arithmetic; losses compute in float32 always. "auto" is bfloat16 where the
            processor or the accelerator computes in it natively (about 1.4 to 1.8 times as fast on a CPU, see
            `make bench`) and float32 elsewhere, where it is emulated. A run records which it was.
        channels_last: Memory layout with the channels innermost, which convolutions on CPUs prefer: a step in
            float32 is about 1.3 times as fast, see `make bench`.
    """

    epochs: int = 100
    batch_size: int = 4
    learning_rate: float = 1e-4
    decay_every: int | None = None
    milestones: tuple[int, ...] = ()
    milestones_per_phase: bool = False
    decay: float = 0.5
    weight_decay: float = 0.0
    freeze_encoder: int = 0
    augmentation: str = "none"
    normalize: bool = False
    patience: int | None = None
    monitor: Literal["dsc", "loss"] = "dsc"
    precision: Precision = "auto"
    channels_last: bool = True

    def __post_init__(self):
        if self.milestones and self.decay_every:
            raise ValueError("decay_every and milestones are two schedules; give one")
        for name in ("epochs", "batch_size"):
            check_whole(name, getattr(self, name))
        for name in ("learning_rate", "decay", "weight_decay"):
            check_weight(name, getattr(self, name))
        check_whole("freeze_encoder", self.freeze_encoder, least=0)
        if self.decay_every is not None:
            check_whole("decay_every", self.decay_every)


@dataclass(frozen=True)
class Data:
    """Which images a run uses and how they are prepared.

    Attributes:
        source: Key of `sources.SOURCES`.
        phantoms: True: phantoms. False: the real data, and an error where it is absent.
        root: Its folder, where it is not to be looked for in MAMMOSEG_DATA; no part of a run's identity.
        n_images: Phantoms to make; ignored for real data.
        phantom_size: Their longest side in pixels; ignored for real data.
        population: Which phantoms; see `phantoms.POPULATIONS`; ignored for real data.
        preprocessing: See `Preprocessing`.
        protocol: Key of `splits.PROTOCOLS`.
        split_seed: Its seed.
        filters: Those of the source's `select`.
    """

    source: str = "inbreast"
    phantoms: bool = True
    root: str | None = None
    n_images: int = 120
    phantom_size: int = 256
    population: str = "realistic"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    protocol: str = "patient_folds"
    split_seed: int = 0
    filters: dict = field(default_factory=lambda: {"with_masses": True})

    @classmethod
    def read(cls, values: Mapping) -> Data:
        """From the plain values in the `config.json` of a run."""
        options = dict(values["preprocessing"])
        if isinstance(options.get("window"), list):
            options["window"] = tuple(options["window"])
        return cls(**{**values, "preprocessing": Preprocessing(**options)})

    def open(self) -> Source:
        """The source; phantoms are written if need be, of absent images only the cache can be read."""
        if self.phantoms:
            return open_source(
                self.source,
                phantoms=True,
                n_images=self.n_images,
                size=self.phantom_size,
                population=self.population,
            )
        return open_source(self.source, self.root, phantoms=False, absent=True)

    def key(self) -> str | None:
        """The key that the prepared images have or would have; None where the images are not at hand."""
        try:
            return prepared_key(self.open(), self.preprocessing, **self.filters)
        except DataError:
            return None

    def prepare(self, *, jobs: int | None = None, progress: bool = False) -> PreparedSet:
        """The prepared images, from the cache."""
        return prepare(self.open(), self.preprocessing, jobs=jobs, progress=progress, **self.filters)

    def decisive(self) -> dict:
        """What of this decides what a network sees, as plain values: not where it lies."""
        values = asdict(self)
        del values["root"]
        if not self.phantoms:
            for name in ("n_images", "phantom_size", "population"):
                del values[name]
        return values


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run is asked for, next to the data's content and the machine.

    What decides the outcome:

    Attributes:
        loss: Name and options for `build_loss`.
        model: Name and options for `build_model`.
        training: See `Training`.
        data: See `Data`.
        fold: Number of the fold, from 0.
        seed: Of the weights' start and of the order of the images.

    Labels, which are recorded and decide nothing:
        study: Name of the study that asked for it.
        profile: Of which of its profiles.
        paper: Key of the paper whose method this is; None for one that no paper lists.
        method: Id of the method in `papers/<paper>.yaml`, or in the study.
        variant: What the study varies; empty for the method itself.
        label: Name for tables and legends.
    """

    loss: dict
    model: dict
    training: Training
    data: Data
    fold: int
    seed: int
    study: str = "own"
    profile: str = "own"
    paper: str | None = None
    method: str = "own"
    variant: str = ""
    label: str = "own"

    @property
    def arm(self) -> str:
        """What a study compares: the method, with the variant where there is one."""
        return f"{self.method}/{self.variant}" if self.variant else self.method

    @property
    def labels(self) -> dict:
        """What a study calls this run, as columns of a table."""
        return {name: getattr(self, name) for name in LABELS}

    def __str__(self) -> str:
        return f"{self.arm}, fold {self.fold}, seed {self.seed}"
