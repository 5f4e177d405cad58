"""Reading every file of a source once, and saying what is whole, left out, broken or doubtful."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from tqdm import tqdm

from mammoseg_lib import paths
from mammoseg_lib.datasets import DataError, Problem
from mammoseg_lib.datasets.files.remarks import remarks
from mammoseg_lib.datasets.sample import printable
from mammoseg_lib.preprocessing.breast import breast_mask, without_frame
from mammoseg_lib.preprocessing.duplicates import SIDE, groups, near_duplicates, structure
from mammoseg_lib.sources import Source
from mammoseg_lib.storage import digest

TALLIED = ("pathology", "acr_density", "birads", "view", "laterality", "split")
UNKNOWN = "unknown"
WHOLE_FRAME = (
    "of which the whole frame counts as breast: there is no background, or it is not told from tissue"
)
NAMED = 5  # of the images that a remark is about
LABELS = {
    "images": "images that can be used",
    "images_with_mass": "  with a mass",
    "images_without_mass": "  without",
    "excluded": "left out by rule",
    "same_pixels": "images with pixels of another",
    "duplicates": "pairs of the same picture",
}


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        source: What was checked.
        table: The samples that can be used.
        problems: The files that cannot, with the reason.
        same_pixels: Groups of sample ids whose images are the same, pixel by pixel.
        duplicates: Pairs of sample ids whose images show the same picture, maybe in another size or contrast;
            see `duplicates.near_duplicates`. Those with the same pixels are among them.
        disagreements: Sample ids of which the source's own table says something else, by what it says.
        remarks: Sample ids of images that are whole, and of which one should know something, by what that is.
    """

    source: Source
    table: pd.DataFrame
    problems: tuple[Problem, ...]
    same_pixels: tuple[tuple[str, ...], ...]
    duplicates: tuple[tuple[str, str], ...]
    disagreements: dict[str, list[str]]
    remarks: dict[str, list[str]]

    @property
    def broken(self) -> tuple[Problem, ...]:
        """The problems that are faults of a file, not exclusions by rule."""
        return tuple(problem for problem in self.problems if problem.kind == "broken")

    @property
    def heading(self) -> str:
        """Which data was checked; phantoms are called so first of all."""
        what = "images of patients" if self.source.real else "PHANTOMS, no images of patients"
        return f"{what}: {self.source.name} in {printable(paths.shown(self.source.root))}"

    def counts(self) -> dict[str, int | None]:
        """How many images, masses and patients there are, and how much cannot be used; None if unknown."""
        with_mass = self.table[self.table["n_masses"] > 0]
        kinds = Counter(problem.kind for problem in self.problems)
        of_patient = self.table["patient_id"].value_counts()
        return {
            "images": len(self.table),
            "images_with_mass": len(with_mass),
            "images_without_mass": len(self.table) - len(with_mass),
            "masses": int(with_mass["n_masses"].sum()),
            "patients": len(of_patient) or None,
            "patients_with_mass": with_mass["patient_id"].nunique() or None,
            "most_images_of_a_patient": int(of_patient.max()) if len(of_patient) else None,
            "excluded": kinds["excluded"],
            "broken": kinds["broken"],
            "same_pixels": sum(map(len, self.same_pixels)),
            "duplicates": len(self.duplicates),
        }

    def tallies(self) -> dict[str, dict[str, int]]:
        """Images by density, view, ... where the source knows them of any image."""
        known = [name for name in TALLIED if self.table[name].notna().any()]
        return {
            name: self.table[name].astype("string").fillna(UNKNOWN).value_counts().sort_index().to_dict()
            for name in known
        }

    def whole(self) -> dict[str, tuple[int, int]]:
        """What is here and what the whole release has, by count; empty where there is no release."""
        release = self.source.reader.WHOLE if self.source.real else {}
        here = self.counts() | self.tallies().get("pathology", {})
        return {what: (here.get(what) or 0, n) for what, n in release.items()}

    def masses_digest(self) -> str:
        """A digest of which images show how many masses."""
        with_mass = self.table[self.table["n_masses"] > 0]
        return digest(
            [[name, int(n)] for name, n in zip(with_mass["sample_id"], with_mass["n_masses"], strict=True)]
        )

    def is_whole(self) -> bool | None:
        """Whether every count and the digest are those of the release; None for phantoms and own folders."""
        whole = self.whole()
        if not whole:
            return None
        counted = all(here == release for here, release in whole.values())
        return counted and self.masses_digest() == self.source.reader.MASSES_DIGEST

    def patients_across_splits(self) -> list[str]:
        """Patients with images in more than one part of the source's own split."""
        parts = self.table.dropna(subset=["patient_id", "split"]).groupby("patient_id")["split"].nunique()
        return parts.index[parts > 1].tolist()

    def document(self) -> dict:
        """Everything, for scripts; the keys are described in data/README.md."""
        return {
            "phantoms": not self.source.real,
            "source": self.source.name,
            "root": paths.shown(self.source.root),
            "ok": not self.broken,
            "counts": self.counts(),
            "tallies": self.tallies(),
            "whole": self.is_whole(),
            "release": {what: {"here": here, "release": n} for what, (here, n) in self.whole().items()},
            "masses_digest": self.masses_digest(),
            "same_pixels": [list(group) for group in self.same_pixels],
            "duplicates": [list(pair) for pair in self.duplicates],
            "patients_across_splits": self.patients_across_splits(),
            "disagreements": self.disagreements,
            "remarks": self.remarks,
            "problems": [asdict(problem) | {"path": self._relative(problem)} for problem in self.problems],
        }

    def text(self) -> str:
        """The heading, the counts, and one line per finding."""
        lines = [self.heading]
        for what, n in self.counts().items():
            lines.append(f"{LABELS.get(what, what.replace('_', ' ')):26}{UNKNOWN if n is None else n:>6}")
        for name, tally in self.tallies().items():
            lines.append(f"{name:28} " + ", ".join(f"{value}: {n}" for value, n in tally.items()))
        lines += [self._whole_line()]
        lines += [f"{problem.kind}: {self._relative(problem)}: {problem.reason}" for problem in self.problems]
        lines += [f"the same pixels: {' = '.join(group)}" for group in self.same_pixels]
        lines += [f"the same picture: {' ~ '.join(pair)}{self._classes(pair)}" for pair in self.duplicates]
        lines += [f"in several parts of the split: patient {name}" for name in self.patients_across_splits()]
        lines += [
            f"{what}: {len(names)} ({', '.join(names)})"
            for what, names in self.disagreements.items()
            if names
        ]
        for what, names in self.remarks.items():
            more = ", ..." if len(names) > NAMED else ""
            lines.append(f"images {what}: {len(names)} ({', '.join(names[:NAMED])}{more})")
        if not len(self.table):
            lines.append("no image can be used")
        return "\n".join(lines)

    def _whole_line(self) -> str:
        if not self.whole():
            reason = "a folder of one's own has no release" if self.source.real else "these are phantoms"
            return f"whole release: does not apply, {reason}"
        parts = [f"{what.replace('_', ' ')} {n} of {release}" for what, (n, release) in self.whole().items()]
        same = self.masses_digest() == self.source.reader.MASSES_DIGEST
        parts.append(f"masses of each image {'as' if same else 'NOT as'} in the release, by digest")
        return f"whole release: {'yes' if self.is_whole() else 'no'}; {', '.join(parts)}"

    def _classes(self, pair: tuple[str, str]) -> str:
        """What to add where a picture is in two classes."""
        pathology = self.table.set_index("sample_id")["pathology"]
        first, second = (pathology[name] for name in pair)
        return "" if pd.isna(first) or first == second else f" ({first}, {second})"

    def _relative(self, problem: Problem) -> str:
        path = Path(problem.path)
        inside = path.is_relative_to(self.source.root) and path != self.source.root
        return path.relative_to(self.source.root).as_posix() if inside else paths.shown(path)


def check_source(
    source: Source,
    run_map: Callable[[Callable, Iterable], Iterable] = map,
    *,
    progress: bool = False,
) -> Report:
    """Read every image and mask of a source, not only the headers that indexing reads.

    Args:
        source: What `open_source` found.
        run_map: What reads the images: `map`, or one that shares the work among processes.
        progress: Show a progress bar on stderr.
    """
    table, problems = source.scan(run_map)
    read = run_map(partial(_examine, source), (row for _, row in table.iterrows()))
    bar = tqdm(read, total=len(table), desc=f"check {source.name}", unit="image", disable=not progress)
    found = list(bar)
    broken = np.array([isinstance(item, Problem) for item in found], dtype=bool)
    problems += [item for item in found if isinstance(item, Problem)]
    table = table[~broken].reset_index(drop=True)
    names, seen = table["sample_id"].tolist(), [item for item in found if not isinstance(item, Problem)]
    details = np.array([detail for _, detail, _ in seen], np.float32).reshape(len(seen), 2, SIDE, SIDE)
    pairs = {(i, j) for i, j, _ in near_duplicates(details)}
    places: dict[str, list[int]] = {}
    said: dict[str, list[str]] = {}
    for place, (pixels, _, remarks_) in enumerate(seen):
        places.setdefault(pixels, []).append(place)
        for what in remarks_:
            said.setdefault(what, []).append(names[place])
    equal = {pair for same in places.values() for pair in combinations(same, 2)}
    return Report(
        source,
        table,
        tuple(problems),
        same_pixels=groups(names, equal),
        duplicates=tuple((names[i], names[j]) for i, j in sorted(pairs | equal)),
        disagreements=source.reader.disagreements(source.root, table),
        remarks=said,
    )


def _examine(source: Source, row: pd.Series) -> tuple[str, Float[np.ndarray, "2 s s"], list[str]] | Problem:
    """A digest of an image's size and pixels, its `structure` and remarks, or why it cannot be read."""
    try:
        image = source.load(row).image
        said = remarks(Path(row["image_path"]))
    except DataError as error:
        return Problem.broken(error)
    digest_ = hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()
    if source.modality == "mammography" and _fills_the_frame(image):
        said.append(WHOLE_FRAME)
    return digest_, structure(image), said


def _fills_the_frame(image: Float[np.ndarray, "h w"]) -> bool:
    breast = breast_mask(without_frame(image))
    return bool(breast.any(0).all() and breast.any(1).all() and breast.mean() > 0.9)
