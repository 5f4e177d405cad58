"""`mammoseg run-notebooks`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mammoseg_lib.cli.base import ProfileOption, fail
from mammoseg_lib.cli.base import setting as setting_of


def run_notebooks(
    names: Annotated[list[str] | None, typer.Argument(help="Notebooks without suffix. Default: all.")] = None,
    profile: ProfileOption = "demo",
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter.")
    ] = None,
    in_place: Annotated[
        bool, typer.Option(help="Renew the outputs stored in the notebooks themselves.")
    ] = False,
) -> None:
    """Execute notebooks; a misspelt parameter or one of another type is an error."""
    from mammoseg_lib import notebooks, paths

    if in_place and (setting or profile != "demo"):
        fail("--in-place runs the committed defaults; it takes neither --profile nor --set")
    parameters = dict(setting_of(text) for text in setting or [])
    failures = 0
    for name in names or (notebooks.with_solutions() if in_place else notebooks.available()):
        typer.echo(name, err=True)
        try:
            if in_place:
                notebooks.refresh_notebook(name, progress=sys.stderr.isatty())
            else:
                done = notebooks.run_notebook(
                    name, profile=profile, parameters=parameters, progress=sys.stderr.isatty()
                )
                typer.echo(paths.shown(done))
        except notebooks.NotebookError as error:
            # The other notebooks are still worth having.
            typer.secho(f"error: {error}", fg="red", err=True)
            failures += 1
    if failures:
        raise typer.Exit(1)
