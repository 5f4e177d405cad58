"""`mammoseg lab`, `site` and `show`: reading the notebooks, and finding where a figure came from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def site(
    out: Annotated[Path | None, typer.Option(help="Folder to build in. Default: .site.")] = None,
) -> None:
    """Build the web site of notebooks, figures and tables; it is read from disk and asks no server."""
    from mammoseg_lib import paths
    from mammoseg_lib.site import build_site

    typer.echo(paths.shown(build_site(out)))


def show(what: Annotated[str, typer.Argument(help="Figure, table or exhibit: '000 Table 1'.")]) -> None:
    """Say where a figure or a number came from: notebook, parameters, study, runs, claims."""
    from mammoseg_lib.reports.gallery import show as describe

    typer.echo(describe(what))


def lab(
    port: Annotated[int, typer.Option(help="Where it listens; the next free one if it is taken.")] = 8888,
    address: Annotated[str, typer.Option(help="localhost, or 0.0.0.0 for all.")] = "localhost",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    root: Annotated[bool, typer.Option("--root", help="Run although you are root.")] = False,
) -> None:
    """Start JupyterLab at notebook 00, with the repository as its root."""
    import subprocess

    from mammoseg_lib.lab import command, environment

    line = command(port, address, browser=browser, root=root)
    raise typer.Exit(subprocess.run(line, env=environment(), check=False).returncode)
