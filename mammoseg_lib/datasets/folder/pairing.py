"""Which of the files of a folder are masks, and of which image each is one, as far as names tell.

Public sets come as `Images/bus_1.png` with `Masks/mask_1.png`, as `1 Benign Image.tif` with `1 Benign
Mask.tif`, as `case001.png` with `case001_tumor.png`. A name is read as words and numbers; those that say what
a file is (image, mask) and those that all files share are left out, and what remains must be the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mammoseg_lib.datasets.folder.layout import is_picture

MASK_WORDS = {
    "mask", "masks", "label", "labels", "gt", "ground", "truth", "groundtruth", "annotation", "annotations",
    "segmentation", "segmentations", "seg", "roi", "rois",
}  # fmt: skip
IMAGE_WORDS = {
    "image", "images", "img", "imgs", "original", "originals", "picture", "pictures", "scan", "scans",
}  # fmt: skip
FINDINGS = {"tumor", "tumors", "tumour", "tumours", "lesion", "lesions", "mass", "masses"}  # beside an image
PATHOLOGIES = {"benign", "malignant", "normal"}
PARTS = {"train", "training", "val", "validation", "test", "testing"}
# What follows tells the masks of an image apart.
NUMBERED = re.compile(r"(?P<image>.+?)_mask.*", re.IGNORECASE)

Words = tuple[str, ...]


def words(name: str) -> Words:
    """The words and numbers of a name, in lower case and without leading zeros."""
    found = re.findall(r"[a-z]+|\d+", name.lower())
    return tuple(str(int(each)) if each.isdigit() else each for each in found)


def masks_among(root: Path, files: Sequence[Path]) -> list[Path]:
    """The pictures that are masks by their names, or by that of a folder that they lie in."""
    pictures = [path for path in files if is_picture(path)]
    names = {(path.parent, words(path.stem)) for path in pictures}
    return [path for path in pictures if _in_mask_folder(root, path) or _named_mask(path, names)]


def pairs(root: Path, images: Sequence[Path], masks: Sequence[Path]) -> dict[Path, Path]:
    """The image of each mask for which there is one, and one only, of its name.

    An image may have several masks only where they are called after it: `NAME_mask_1`, `NAME_mask_2`.
    """
    found: dict[Path, Path] = {}
    role, shared = MASK_WORDS | IMAGE_WORDS, [_shared(images), _shared(masks) | FINDINGS]
    for step, more in enumerate((None, (set(), FINDINGS), shared, [each | PATHOLOGIES for each in shared])):
        key = _stem if more is None else partial(_without, [role | each for each in more])
        left = [mask for mask in masks if mask not in found]
        by_image, by_mask = (_by_key(root, each, key, n) for n, each in enumerate((images, left)))
        for (place, name), same in by_mask.items():
            here = by_image.get((place, name)) or _below(by_image, place, name)
            if name and len(here) == 1 and (step == 0 or len(same) == 1):
                found |= dict.fromkeys(same, here[0])
    return found


def pathology(root: Path, path: Path) -> str:
    """The class that names of a file and of its folders say, or an empty text."""
    said = PATHOLOGIES.intersection(words(path.relative_to(root).with_suffix("").as_posix()))
    return said.pop() if len(said) == 1 else ""


def _in_mask_folder(root: Path, path: Path) -> bool:
    for part in path.relative_to(root).parts[:-1]:
        said = set(words(part)) - IMAGE_WORDS - FINDINGS - PATHOLOGIES - PARTS
        if said and said <= MASK_WORDS:
            return True
    return False


def _named_mask(path: Path, names: set[tuple[Path, Words]]) -> bool:
    said = words(path.stem)
    if len(said) > 1 and (MASK_WORDS.intersection(said) or NUMBERED.fullmatch(path.stem)):
        return True
    without = tuple(word for word in said if word not in FINDINGS)
    return without != said and (path.parent, without) in names


def _stem(path: Path, role: int) -> Words:
    """The name as it is; of a mask what stands before `_mask`."""
    name = NUMBERED.fullmatch(path.stem) if role else None
    return (name["image"] if name else path.stem,)


def _without(left_out: Sequence[set[str]], path: Path, role: int) -> Words:
    return tuple(word for word in words(path.stem) if word not in left_out[role])


def _shared(files: Sequence[Path]) -> set[str]:
    """The words, not numbers, that all names have."""
    if len(files) < 2:
        return set()
    return {word for word in set.intersection(*(set(words(path.stem)) for path in files)) if word.isalpha()}


def _by_key(
    root: Path, files: Sequence[Path], key: Callable[[Path, int], Words], role: int
) -> dict[tuple[Words, Words], list[Path]]:
    found: dict[tuple[Words, Words], list[Path]] = {}
    for path in files:
        found.setdefault((_place(root, path), key(path, role)), []).append(path)
    return found


def _place(root: Path, path: Path) -> Words:
    """The folders that a file lies in, without what they say of images and masks."""
    parts = path.relative_to(root).parts[:-1]
    role = MASK_WORDS | IMAGE_WORDS | FINDINGS
    return tuple(name for part in parts if (name := " ".join(w for w in words(part) if w not in role)))


def _below(by_image: dict, place: Words, name: Words) -> list[Path]:
    """The images of that name one folder below."""
    places = [same for (other, n), same in by_image.items() if n == name and other and other[:-1] == place]
    return [path for same in places for path in same]
