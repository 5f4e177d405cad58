"""Where a result came from: versions, commit, local changes; and digests of code."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from mammoseg_lib import paths
from mammoseg_lib.source_code import file_digest
from mammoseg_lib.storage import digest

PACKAGES = ("torch", "torchvision", "segmentation-models-pytorch", "numpy", "scipy", "pandas", "pydicom")


def environment(device: str = "cpu", threads: int | None = None) -> dict:
    """What a run or a notebook was made with. It names no person, host or folder."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in PACKAGES},
        "device": device,
        "threads": threads,
        "commit": _git("rev-parse", "HEAD"),
        "diff": _git("diff", "HEAD", "--", "mammoseg_lib"),
    }


def version_line() -> str:
    """One line for the top of a notebook: Python and the packages that decide its numbers."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
    )


def notebook_digest(path: Path) -> str:
    """Digest of a notebook's code cells and their tags.

    Outputs, execution counts, prose and metadata are left out: saving a notebook in JupyterLab changes them
    without changing what the notebook does.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [
        ("".join(cell["source"]).strip(), sorted(cell["metadata"].get("tags", [])))
        for cell in cells
        if cell["cell_type"] == "code"
    ]
    return digest(code)


def library_digest() -> str:
    """Digest of all that the library does: its code without docstrings and comments, and its YAML files."""
    files = sorted(path for path in paths.LIBRARY.rglob("*") if path.suffix in (".py", ".yaml"))
    return digest({path.relative_to(paths.LIBRARY).as_posix(): file_digest(path) for path in files})


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=paths.PROJECT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # an installed copy has no history
    return result.stdout.strip()
