"""Finding a study: by the name of a file here, or by the path of a file of one's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mammoseg_lib import paths
from mammoseg_lib.papers import load_paper
from mammoseg_lib.studies.schema import Study, StudyError, StudyFile
from mammoseg_lib.yaml_files import YamlFileError, nearest, read_yaml, validated


def study_names() -> list[str]:
    """The studies that come with the project."""
    return sorted(path.name.removesuffix(".yaml") for path in paths.STUDIES.glob("*.yaml"))


def load_study(name: str | Path) -> Study:
    """A study by its name, or from a file of one's own.

    A file may begin with `like: NAME`: it then says only what differs from that study, block by block.

    Args:
        name: One of `study_names`, or the path of a YAML file.

    Raises:
        StudyError: There is no such study, or its file is not in order: file, key and nearest word are named.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in study_names():
            raise StudyError(f"no study is called {str(name)!r}; {nearest(name, study_names())}")
        path = paths.STUDIES / f"{name}.yaml"
    elif not path.is_file():
        raise StudyError(f"{path}: no such file")
    return _read(path.resolve(), path.stat().st_mtime_ns)


def read_by(notebook: str, profile: str) -> list[Study]:
    """The studies of the project whose runs a notebook reads and which have that profile."""
    studies = map(load_study, study_names())
    return [each for each in studies if notebook in each.file.notebooks and profile in each.file.profiles]


@lru_cache(maxsize=256)
def _read(path: Path, _modified: int) -> Study:
    try:
        content = _merged(path, ())
        file = validated(StudyFile, content, path.name)
        study = Study(path.stem, file, load_paper(file.paper) if file.paper else None, path.parent)
        for id in file.methods:
            study.method(id)
        for profile in file.profiles:
            study.plan(profile)
    except StudyError:
        raise
    except ValueError as error:
        text = str(error)
        raise StudyError(text if path.name in text else f"{path.name}: {text}") from error
    return study


def _merged(path: Path, below: tuple[str, ...]) -> dict:
    content = read_yaml(path)
    parent = content.pop("like", None)
    if parent is None:
        return content
    if parent in below or parent not in study_names():
        raise YamlFileError(f"{path.name}: like: {parent!r} is no study; {nearest(parent, study_names())}")
    return _over(_merged(paths.STUDIES / f"{parent}.yaml", (*below, parent)), content)


def _over(base: object, changes: object) -> object:
    """Mappings are merged key by key; `profiles` keeps the profiles that are named only."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    merged = {key: _over(value, changes[key]) if key in changes else value for key, value in base.items()}
    merged |= {key: value for key, value in changes.items() if key not in base}
    if "profiles" in base and "profiles" in changes:
        merged["profiles"] = {name: merged["profiles"][name] for name in changes["profiles"]}
    return merged
