"""What a run is asked to do: one frozen configuration; and those that a profile describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from mammoseg_lib.papers import Method, Paper
from mammoseg_lib.preprocessing import PreparedSet, Preprocessing, prepare
from mammoseg_lib.sources import open_source
from mammoseg_lib.splits import N_FOLDS
from mammoseg_lib.training import Training

FILTERS = ("max_area",)
"""Settings `data.*` of a paper that choose images; see the source's `select`."""


@dataclass(frozen=True)
class Data:
    """Which images a run uses and how they are prepared.

    Attributes:
        source: Key of `sources.SOURCES`.
        phantoms: True: phantoms. False: the real data, and an error where it is absent.
        n_images: Phantoms to make; ignored for real data.
        phantom_size: Their longest side in pixels; ignored for real data.
        preprocessing: See `Preprocessing`.
        protocol: Key of `splits.PROTOCOLS`.
        split_seed: Its seed.
        filters: Those of the source's `select`.
    """

    source: str = "inbreast"
    phantoms: bool = True
    n_images: int = 120
    phantom_size: int = 256
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    protocol: str = "patient_folds"
    split_seed: int = 0
    filters: dict = field(default_factory=lambda: {"with_masses": True})

    @classmethod
    def read(cls, values: dict) -> Data:
        """From the plain values in the `config.json` of a run."""
        options = values["preprocessing"]
        window = tuple(options["window"]) if isinstance(options["window"], list) else options["window"]
        return cls(**{**values, "preprocessing": Preprocessing(**{**options, "window": window})})

    def prepare(self, *, jobs: int = 2, progress: bool = False) -> PreparedSet:
        """The prepared images, from the cache."""
        source = open_source(
            self.source, phantoms=self.phantoms, n_images=self.n_images, size=self.phantom_size
        )
        return prepare(source, self.preprocessing, jobs=jobs, progress=progress, **self.filters)


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the outcome of a run, next to the data's content and the machine.

    Attributes:
        paper: Key of the paper whose method this is.
        method: Id of the method in `papers/<paper>.yaml`.
        loss: Name and options for `build_loss`.
        model: Name and options for `build_model`.
        training: See `Training`.
        data: See `Data`.
        fold: Number of the fold, from 0.
        seed: Of the weights' start and of the order of the images.
        profile: Name of the profile that asked for it: "smoke", "quick", "paper".
    """

    paper: str
    method: str
    loss: dict
    model: dict
    training: Training
    data: Data
    fold: int
    seed: int
    profile: str


def plan(
    paper: Paper,
    *,
    profile: str,
    methods: Sequence[str],
    folds: Sequence[int],
    seeds: Sequence[int],
    phantoms: bool,
    n_images: int,
    image_size: int,
    protocol: str,
    model: dict,
    training: dict,
    variants: Sequence[dict] = ({},),
    preprocessing: Mapping[str, object] = MappingProxyType({}),
) -> list[RunConfig]:
    """The runs of some methods of a paper, each on some folds with some seeds: what a profile describes.

    Args:
        paper: From `load_paper`.
        profile: Name to record.
        methods: Ids of methods of that paper.
        folds: Fold numbers, from 0.
        seeds: One run per seed and fold.
        phantoms: Phantoms, or the real data.
        n_images: How many phantoms; ignored for real data.
        image_size: Side of the prepared images.
        protocol: Key of `splits.PROTOCOLS`.
        model: Options of the model that differ from the paper's, for example `{"base_width": 8}`.
        training: Options of `Training` that differ from the paper's, for example `{"epochs": 3}`.
        variants: For an ablation, options of the loss that differ from the method's, one run for each:
            `[{}, {"reduce": "mean"}]`.
        preprocessing: Options of `Preprocessing` that differ from the paper's, for example
            `{"window": None}` for images of one's own that are windowed already.

    Raises:
        ValueError: If a method is unknown or not available.
    """
    if wrong := [fold for fold in folds if not 0 <= fold < N_FOLDS]:
        raise ValueError(f"there is no fold {wrong[0]}; folds are numbered 0 to {N_FOLDS - 1}")
    common = {"phantoms": phantoms, "n_images": n_images, "protocol": protocol}
    return [
        RunConfig(
            paper=paper.key,
            method=method.id,
            loss={**method.loss, **variant},
            model={**method.model, **model},
            training=Training(**{**method.training, **training}),
            data=_data_of(method, image_size, preprocessing, common),
            fold=fold,
            seed=seed,
            profile=profile,
        )
        for method in map(paper.method, methods)
        for variant in variants
        for fold in folds
        for seed in seeds
    ]


def _data_of(method: Method, image_size: int, preprocessing: Mapping[str, object], options: dict) -> Data:
    """The images that a method is trained on, prepared as its paper does but for what differs."""
    prepared = {name: method.preprocessing[name] for name in ("crop", "resize", "window")}
    filters = {"with_masses": True, **{name: method.data[name] for name in FILTERS if name in method.data}}
    values = {"size": image_size, **prepared, **preprocessing}
    return Data.read(
        {"source": method.data["source"], "preprocessing": values, "filters": filters, **options}
    )
