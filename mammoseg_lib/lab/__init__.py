"""`make lab`: JupyterLab on the notebooks, with the repository as its root so that their links lead on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mammoseg_lib import paths

START = "notebooks/00_start_here.ipynb"
SETTINGS = Path(__file__).parent  # overrides.json: pages are shown, not edited; no news are fetched


def command(
    port: int = 8888,
    address: str = "localhost",
    *,
    browser: bool = True,
    root: bool = False,
    folder: Path = paths.PROJECT,
) -> list[str]:
    """The command that starts JupyterLab, opened at notebook 00.

    Args:
        port: Where it listens; the next free one, where this one is taken.
        address: On which address: "localhost", or "0.0.0.0" for all, as a container needs.
        browser: Open a browser on this machine.
        root: Run although the user is root, as in a container.
        folder: The repository.
    """
    return [
        sys.executable,
        *("-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.port={port}",
        f"--ServerApp.ip={address}",
        f"--LabApp.default_url=/lab/tree/{START}",
        f"--LabApp.app_settings_dir={SETTINGS}",
        *(() if browser else ("--no-browser",)),
        *(("--allow-root",) if root else ()),
    ]


def environment() -> dict[str, str]:
    """The environment to start it in: figures that follow sliders are shown with them.

    And the kernel is that of this environment, whatever another one has left in the user's folder.
    """
    return {**os.environ, "MAMMOSEG_EXPLORE": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
