"""Every folder of the project, in one place.

Anchored on this file, so that nothing depends on the working directory. Two environment variables
move things: `MAMMOSEG_DATA` names the folder that holds the real data sets, `MAMMOSEG_HOME` the folder
under which data/ and figures/ are written.
"""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LIBRARY = PROJECT / "mammoseg_lib"
PAPERS = LIBRARY / "papers"
NOTEBOOKS = PROJECT / "notebooks"
STUDIES = LIBRARY / "studies"


def home() -> Path:
    """The folder that holds data/ and figures/: `MAMMOSEG_HOME`, else the project."""
    return Path(os.environ.get("MAMMOSEG_HOME") or PROJECT).resolve()


def real_data() -> Path | None:
    """The folder that holds the real data sets: `MAMMOSEG_DATA`, or None when it is not set."""
    value = os.environ.get("MAMMOSEG_DATA")
    return Path(value).resolve() if value else None


def phantoms() -> Path:
    """Phantom data sets, each in the release layout of the set that it stands in for."""
    return home() / "data" / "phantoms"


def cache() -> Path:
    """Prepared arrays, one folder per data fingerprint and settings."""
    return home() / "data" / "cache"


def runs() -> Path:
    """Training runs, one folder per digest."""
    return home() / "data" / "runs"


def results() -> Path:
    """The shipped results: numbers measured on real images, which belong to the project."""
    return PROJECT / "data" / "results"


def figures(*, real: bool = False) -> Path:
    """Figures and tables; those from real images lie apart, in a folder that git ignores."""
    return home() / "figures" / "real" if real else home() / "figures"


def shown(path: Path | str) -> str:
    """A path as it may be printed or recorded: relative to the project or to the data, never absolute.

    Outputs are committed and shared, and the folders of somebody's machine do not belong in them.
    """
    path = Path(path).resolve()
    for root, label in ((home(), ""), (PROJECT, ""), (real_data(), "$MAMMOSEG_DATA/")):
        if root is not None and path.is_relative_to(root):
            return label + path.relative_to(root).as_posix()
    return path.name
