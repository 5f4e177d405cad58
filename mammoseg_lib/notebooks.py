"""Executing the notebooks: parameters checked strictly, outputs complete or absent, origin recorded."""

from __future__ import annotations

import ast
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill
import yaml
from papermill.exceptions import PapermillExecutionError

from mammoseg_lib import paths
from mammoseg_lib.outputs import output_folder, publishing
from mammoseg_lib.provenance import environment, notebook_digest
from mammoseg_lib.storage import atomic_file, write_json


class NotebookError(RuntimeError):
    """A notebook cannot be run, or failed; the message names the notebook and the reason."""


def available() -> list[str]:
    """The names of all notebooks, in order."""
    return sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9]*.ipynb"))


def with_solutions() -> list[str]:
    """The names of all notebooks, each followed by that of its solutions."""
    return [each for name in available() for each in (name, f"solutions/{name}")]


def profile_parameters(profile: str, notebook: str) -> dict:
    """What a profile sets for a notebook; empty where the notebook's own defaults hold."""
    return read_profile(profile).get("notebooks", {}).get(notebook) or {}


def read_profile(profile: str) -> dict:
    """The content of `notebooks/profiles/<profile>.yaml`.

    Raises:
        NotebookError: If there is no such profile.
    """
    path = paths.PROFILES / f"{profile}.yaml"
    if not path.exists():
        known = sorted(p.stem for p in paths.PROFILES.glob("*.yaml"))
        raise NotebookError(f"unknown profile {profile!r}; known: {', '.join(known)}")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def paper_of(study: str) -> str:
    """The key of the paper that a study is about: an ablation is called `<paper>.<what is varied>`."""
    return study.partition(".")[0]


def may_show_real(profile: str, parameters: Mapping[str, object]) -> bool:
    """Whether the outputs of a notebook may show real images, and are written apart for that."""
    return profile != "smoke" or any(
        value is False for name, value in parameters.items() if name in ("phantoms", "test_phantoms")
    )


def check_parameters(path: Path, given: Mapping[str, object]) -> None:
    """Hold parameters to the notebook's `parameters` cell: known names, and values of the default's type.

    papermill itself only warns of an unknown name and runs on with the default, and it turns a tuple into
    a string.

    Raises:
        NotebookError: If a name is unknown or a value has another type than its default.
    """
    known = papermill.inspect_notebook(path)
    for name, value in given.items():
        if name not in known:
            raise NotebookError(f"{path.name} has no parameter {name!r}; it has: {', '.join(known)}")
        default = ast.literal_eval(known[name]["default"])
        same = isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)
        whole = isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool)
        if not (same or whole or (default is None) or (value is None)):
            raise NotebookError(
                f"{path.name}: {name} is {value!r} ({type(value).__name__}), "
                f"but its default {default!r} is of type {type(default).__name__}"
            )


def run_notebook(
    name: str,
    *,
    profile: str = "smoke",
    parameters: Mapping[str, object] | None = None,
    progress: bool = False,
) -> Path:
    """Execute one notebook into `figures/<name>/executed.ipynb`, with a record of its origin beside it.

    What may show real images goes to `figures/real/<name>/` instead: every profile but "smoke". With
    parameters of one's own everything goes to `figures/mine/`.

    Args:
        name: The notebook's name without suffix.
        profile: Whose parameters to use.
        parameters: What to set besides; wins over the profile.
        progress: Show a progress bar.

    Returns:
        The executed copy.

    Raises:
        NotebookError: If the notebook does not exist, a parameter is wrong, or a cell fails. What was
            executed up to then is kept as `failed.ipynb`.
    """
    source = _source(name)
    values = {**profile_parameters(profile, name), **(parameters or {})}
    check_parameters(source, values)
    start = time.perf_counter()
    with publishing(not parameters):
        target = output_folder(real=may_show_real(profile, values)) / name / "executed.ipynb"
        with atomic_file(target) as partial:
            _execute(source, partial, values, failed=target.with_name("failed.ipynb"), progress=progress)
    write_json(
        target.with_suffix(".json"),
        {
            "notebook": name,
            "notebook_code": notebook_digest(source),
            "profile": profile,
            "parameters": values,
            "seconds": round(time.perf_counter() - start, 1),
            "environment": environment(),
        },
    )
    return target


def refresh_notebook(name: str, *, progress: bool = False) -> None:
    """Execute a notebook with its committed defaults and store the outputs in the notebook itself."""
    source = _source(name)
    with publishing(True), atomic_file(source) as partial:
        _execute(source, partial, {}, failed=paths.figures() / name / "failed.ipynb", progress=progress)
        notebook = nbformat.read(partial, as_version=4)
        # Times and papermill's own records would differ with every run and say nothing to a reader.
        notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
        notebook.metadata.language_info.pop("version", None)
        for cell in notebook.cells:
            cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        nbformat.write(notebook, partial)


def _source(name: str) -> Path:
    path = paths.NOTEBOOKS / f"{name}.ipynb"
    if not path.exists():
        raise NotebookError(f"no notebook {name!r}; there are: {', '.join(available())}")
    return path


def _execute(source: Path, target: Path, parameters: dict, *, failed: Path, progress: bool) -> None:
    failed.unlink(missing_ok=True)
    try:
        # In the notebook's own folder, which is where JupyterLab and nbval run it too.
        papermill.execute_notebook(
            source, target, parameters, cwd=source.parent, kernel_name="python3", progress_bar=progress
        )
    except PapermillExecutionError as error:
        failed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target, failed)
        raise NotebookError(
            f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue} "
            f"(executed up to there: {paths.shown(failed)})"
        ) from error
