"""Executing the notebooks: parameters checked strictly, outputs complete or absent, origin recorded.

What executes and draws is imported where that is done: the command line and the Snakefile ask for names and
parameters only, and it takes three seconds.
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mammoseg_lib import paths
from mammoseg_lib.provenance import environment, notebook_digest
from mammoseg_lib.publishing import output_folder, publishing
from mammoseg_lib.storage import atomic_file, write_json
from mammoseg_lib.studies import PROFILES
from mammoseg_lib.yaml_files import nearest


class NotebookError(RuntimeError):
    """A notebook cannot be run, or failed; the message names the notebook and the reason."""


def available() -> list[str]:
    """The names of all notebooks, in order."""
    return sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9]*.ipynb"))


def with_solutions() -> list[str]:
    """The names of all notebooks, each followed by that of its solutions."""
    return [each for name in available() for each in (name, f"solutions/{name}")]


def profile_parameters(profile: str, notebook: str) -> dict:
    """What a profile sets for a notebook: its parameter `profile`, and `phantoms`, where it has them.

    Raises:
        NotebookError: There is no such profile or notebook.
    """
    if profile not in PROFILES:
        raise NotebookError(f"no profile is called {profile!r}; {nearest(profile, PROFILES)}")
    values = {"profile": profile, "phantoms": profile == "demo"}
    return {name: values[name] for name in parameters_of(_source(notebook)) if name in values}


def may_show_real(profile: str, parameters: Mapping[str, object]) -> bool:
    """Whether the outputs of a notebook may show real images, and are written apart for that."""
    return (
        profile != "demo"
        or parameters.get("profile", "demo") != "demo"
        or parameters.get("phantoms") is False
    )


def parameters_of(path: Path) -> dict[str, object]:
    """The parameters of a notebook with their defaults: the assignments in its cell tagged `parameters`.

    Read from the syntax tree: papermill reads by regular expressions, which values with `=`, `#` or `|`
    break.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "\n".join(
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", [])
    )
    found = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                found[target.id] = ast.literal_eval(node.value)
    return found


def check_parameters(path: Path, given: Mapping[str, object]) -> None:
    """Hold parameters to the notebook's `parameters` cell: known names, and values of the default's type.

    papermill itself only warns of an unknown name and runs on with the default, and it turns a tuple into
    a string.

    Raises:
        NotebookError: If a name is unknown or a value has another type than its default.
    """
    known = parameters_of(path)
    for name, value in given.items():
        if name not in known:
            raise NotebookError(f"{path.name} has no parameter {name!r}; {nearest(name, known)}")
        default = known[name]
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
    profile: str = "demo",
    parameters: Mapping[str, object] | None = None,
    progress: bool = False,
) -> Path:
    """Execute one notebook into `figures/<name>/executed.ipynb`, with a record of its origin beside it.

    What may show real images goes to `figures/real/<name>/` instead: every profile but "demo". With
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
    import nbformat

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
    with _without("rfc3987_syntax"):
        import papermill
        from papermill.exceptions import PapermillExecutionError

    failed.unlink(missing_ok=True)
    try:
        # In the notebook's own folder, which is where JupyterLab and nbval run it too.
        papermill.execute_notebook(
            source,
            target,
            parameters,
            cwd=source.parent,
            kernel_name="python3",
            kernel_manager_class=_this_kernel(),
            request_save_on_cell_execute=False,  # else all of it is written twice a cell, a third of the time
            coalesce_streams=True,  # what one cell prints is one output, however it arrived
            progress_bar=progress,
        )
    except PapermillExecutionError as error:
        failed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target, failed)
        raise NotebookError(
            f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue} "
            f"(executed up to there: {paths.shown(failed)})"
        ) from error
    except Exception as error:  # a kernel that died or never answered, a port that was taken, ...
        kind = type(error).__name__
        raise NotebookError(f"{source.name} could not be executed to its end: {kind}: {error}") from error


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Imports in this block do not find a module that they can do without.

    jsonschema, which checks the format of notebooks, looks for `rfc3987_syntax`, which JupyterLab brings
    along: at import it builds a parser for internationalized addresses, for longer than all of papermill
    takes, and the format has none.
    """
    known = sys.modules.setdefault(module, None)
    try:
        yield
    finally:
        if known is None:
            del sys.modules[module]


def _this_kernel() -> type:
    """A manager whose kernel is the interpreter that runs this program.

    What stands under the name python3 in a user's own folder, or in JUPYTER_PATH, may be of another
    environment, and would be found first.
    """
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default
    from zmq import has

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

    class Kernel(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _this_python(self) -> KernelSpecManager:
            return ThisPython(parent=self)

        @default("transport_encryption")
        def _encrypted(self) -> str:
            # On a machine that many share, ports of this machine are not private; a kernel warns of it.
            return "auto" if has("curve") else "disabled"

    return Kernel
