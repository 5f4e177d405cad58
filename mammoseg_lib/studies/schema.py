"""What a study says: methods, what is varied, and its settings in each profile; and the runs that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator

from mammoseg_lib.checks import check_whole
from mammoseg_lib.papers import Method, Paper
from mammoseg_lib.settings import Data, RunConfig, Training
from mammoseg_lib.splits import N_FOLDS
from mammoseg_lib.yaml_files import YamlFileError, nearest, validated

PROFILES = ("demo", "reduced", "paper")
"""`demo`: phantoms, within a minute a run. `reduced`: real images at a size that two cores can train.
`paper`: the paper's own sizes, for a GPU."""
ON_REAL_IMAGES = PROFILES[1:]
PREPARATION = ("crop", "resize", "window")
Values = dict[str, Any]
# `yes` is no number, although Python counts it as 1.
Whole, Number = Annotated[int, Strict()], Annotated[float, Strict()]


class StudyError(YamlFileError):
    """A study that does not exist or whose file is not in order, or that lacks what is asked of it."""


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DataSettings(_Block):
    """Which images; what is not given is the paper's, or the profile's.

    Where `phantoms` is not given, a `root` and the profiles `reduced` and `paper` ask for real images.
    """

    source: str | None = None
    root: str | None = None
    phantoms: bool | None = None
    n_images: Whole | None = Field(None, gt=0)
    phantom_size: Whole | None = Field(None, gt=0)
    population: str | None = None
    image_size: Whole | None = Field(None, gt=0)
    protocol: str | None = None
    split_seed: Whole | None = Field(None, ge=0)
    max_area: Number | None = None
    with_masses: bool | None = None
    crop: str | None = None
    resize: str | None = None
    window: tuple[Number, Number] | str | None = None


class Parts(_Block):
    """Settings that differ from the method's own."""

    loss: Values = {}
    model: Values = {}
    training: Values = {}
    data: DataSettings = DataSettings()

    @field_validator("training")
    @classmethod
    def _numbers(cls, training: Values) -> Values:
        """What `Training` lets pass: its code is a part of what every run is told by, and stays as it is."""
        for name, value in training.items():
            if name in ("patience", "milestones") and value is not None:
                for epochs in value if isinstance(value, list | tuple) else [value]:
                    check_whole(name, epochs)
            elif isinstance(value, bool) and not isinstance(getattr(Training, name, ""), str | bool):
                raise ValueError(f"{name} must be a number, not {value!r}")
        return training


class Own(Parts):
    """A method that no table of a paper lists. Its loss names a class of one's own as `file.py:Class`."""

    label: str
    loss: Values | str


class Variant(Parts):
    """One thing varied: settings that differ, and for which methods (default: all)."""

    of: list[str] | None = None


class Profile(Parts):
    """The settings of one profile.

    Attributes:
        methods: Which of the study's methods, if not all.
        variants: Which of its variants, if not all.
        folds: Fold numbers, from 0.
        seeds: One run per fold and seed, the first seed of everything first.
        minutes: About how long a run takes on one core, until one has been measured.
    """

    methods: list[str] | None = None
    variants: list[str] | None = None
    folds: list[Whole] = Field([0], min_length=1)
    seeds: list[Annotated[Whole, Field(ge=0)]] = Field([0], min_length=1)
    minutes: Number = Field(1.0, gt=0)


class StudyFile(Parts):
    """The content of a study's file.

    Attributes:
        title: One line.
        question: What it is to find out.
        paper: Key of the paper whose methods it names.
        own: Further methods, by id.
        methods: Ids, the most telling first: the order in which they are trained.
        variants: What is varied, by name.
        plain: Whether methods are run without a variant, too.
        profiles: Settings by profile.
        notebooks: Which notebooks read its runs.
    """

    title: str
    question: str = ""
    paper: str | None = None
    own: dict[str, Own] = {}
    methods: list[str] = Field(min_length=1)
    variants: dict[str, Variant] = {}
    plain: bool = True
    profiles: dict[str, Profile] = Field(min_length=1)
    notebooks: list[str] = []


@dataclass(frozen=True)
class Study:
    """A study by its name, with what its file says and the paper it is about."""

    name: str
    file: StudyFile
    paper: Paper | None
    folder: Path

    @property
    def title(self) -> str:
        """One line."""
        return self.file.title

    def method(self, id: str) -> Method:
        """A method by its id, of the study's own or of its paper.

        Raises:
            StudyError: There is none.
            PaperError: It cannot be run.
        """
        if id in self.file.own:
            return _as_method(id, self.file.own[id], self.paper)
        if self.paper is None:
            raise StudyError(f"study {self.name}: no method {id!r}; {nearest(id, self.file.own)}")
        return self.paper.method(id)

    def profile(self, name: str) -> Profile:
        """The settings of a profile; a StudyError that names those there are if there is none."""
        if name not in self.file.profiles:
            known = self.file.profiles
            raise StudyError(f"study {self.name} has no profile {name!r}; {nearest(name, known)}")
        return self.file.profiles[name]

    def arms(self, profile: str) -> list[tuple[str, str]]:
        """What is compared in a profile, in order: (method, variant), "" for the method itself."""
        block = self.profile(profile)
        variants = self._chosen("variant", block.variants, self.file.variants)
        arms = []
        for method in self._chosen("method", block.methods, self.file.methods):
            if self.file.plain:
                arms.append((method, ""))
            for name in variants:
                if method in (self.file.variants[name].of or self.file.methods):
                    arms.append((method, name))
        return arms

    def plan(
        self,
        profile: str,
        *,
        arms: Sequence[str] | None = None,
        folds: Sequence[int] | None = None,
        seeds: Sequence[int] | None = None,
        **overrides: Mapping[str, object],
    ) -> list[RunConfig]:
        """The runs of a profile, the most telling first: all arms and folds of the first seed, then the next.

        Args:
            profile: Name of one of its profiles.
            arms: Only these: methods (with all their variants) or "method/variant".
            folds: Only these, or others than the profile's.
            seeds: Likewise.
            **overrides: Settings that differ from the profile's: `loss`, `model`, `training`, `data`.

        Raises:
            StudyError: Something is not known; the message names the nearest word.
        """
        block = self.profile(profile)
        try:
            last = validated(Parts, overrides, f"study {self.name}, overrides")
        except YamlFileError as error:
            raise StudyError(str(error)) from error
        folds = block.folds if folds is None else folds
        if wrong := [fold for fold in folds if not 0 <= fold < N_FOLDS]:
            raise StudyError(f"study {self.name}: no fold {wrong[0]}; folds are numbered 0 to {N_FOLDS - 1}")
        chosen = self._select(self.arms(profile), arms)
        return [
            self._config(profile, block, last, arm, fold, seed)
            for seed in (block.seeds if seeds is None else seeds)
            for arm in chosen
            for fold in folds
        ]

    def _select(self, known: list[tuple[str, str]], wanted: Sequence[str] | None) -> list[tuple[str, str]]:
        if not wanted:
            return known
        full = {"/".join(filter(None, arm)): arm for arm in known}
        for name in wanted:
            if name not in full and name not in {method for method, _ in known}:
                raise StudyError(f"study {self.name} has no arm {name!r}; {nearest(name, full)}")
        return [arm for name, arm in full.items() if name in wanted or arm[0] in wanted]

    def _chosen(self, what: str, wanted: list[str] | None, known: object) -> list[str]:
        if wanted is None:
            return list(known)
        for name in wanted:
            if name not in known:
                raise StudyError(f"study {self.name} has no {what} {name!r}; {nearest(name, known)}")
        return wanted

    def _config(
        self, profile: str, block: Profile, last: Parts, arm: tuple[str, str], fold: int, seed: int
    ) -> RunConfig:
        method, variant = self.method(arm[0]), arm[1]
        layers = [self.file, block, *([self.file.variants[variant]] if variant else []), last]
        loss, model, training = (
            {**getattr(method, part), **{k: v for layer in layers for k, v in getattr(layer, part).items()}}
            for part in ("loss", "model", "training")
        )
        place = f"study {self.name}, profile {profile}, {'/'.join(filter(None, arm))}"
        return RunConfig(
            loss=self._located(loss),
            model=model,
            training=validated(Training, training, f"{place}, training"),
            data=self._data(profile, method, layers, place),
            fold=fold,
            seed=seed,
            study=self.name,
            profile=profile,
            paper=self.paper.key if self.paper and arm[0] not in self.file.own else None,
            method=arm[0],
            variant=variant,
            label=", ".join(filter(None, (method.label, variant))),
        )

    def _located(self, loss: dict) -> dict:
        """A loss from a file that is named as seen from the study's file, by its full path."""
        if not isinstance(loss["name"], str) or ".py:" not in loss["name"]:
            return loss
        file, _, name = loss["name"].rpartition(":")
        return {**loss, "name": f"{(self.folder / file).resolve()}:{name}"}

    def _data(self, profile: str, method: Method, layers: Sequence[Parts], place: str) -> Data:
        values = {**method.preprocessing, **{k: v for k, v in method.data.items() if k != "n_images"}}
        values |= {"image_size": method.preprocessing.get("size", 256)}
        for layer in layers:
            values |= layer.data.model_dump(exclude_unset=True)
        filters = {"with_masses": values.get("with_masses", True)}
        if values.get("max_area") is not None:
            filters["max_area"] = values["max_area"]
        plain = ("phantoms", "n_images", "phantom_size", "population", "protocol", "split_seed")
        root = values.get("root")
        if values.get("phantoms") is None:  # who names a folder means the images in it
            values["phantoms"] = not root and profile not in ON_REAL_IMAGES
        try:
            return Data.read(
                {
                    "source": values.get("source", "inbreast"),
                    "root": str((self.folder / root).resolve()) if root else None,
                    "filters": filters,
                    "preprocessing": {
                        "size": values["image_size"],
                        **{name: values[name] for name in PREPARATION if name in values},
                    },
                    **{name: values[name] for name in plain if values.get(name) is not None},
                }
            )
        except ValueError as error:
            raise StudyError(f"{place}, data: {error}") from error


def _as_method(id: str, own: Own, paper: Paper | None) -> Method:
    """An own method; what it does not say is as in the paper of the study, where there is one."""
    defaults = paper.methods[0] if paper else None
    loss = {"name": own.loss} if isinstance(own.loss, str) else own.loss

    def part(name: str) -> dict:
        given = getattr(own, name)
        given = given.model_dump(exclude_unset=True) if isinstance(given, BaseModel) else given
        return {**(getattr(defaults, name) if defaults else {}), **given}

    return Method(
        id=id,
        label=own.label,
        loss=loss,
        model=part("model"),
        training=part("training"),
        data=part("data"),
        preprocessing=dict(defaults.preprocessing) if defaults else {},
        published=(),
    )
