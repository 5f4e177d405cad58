"""All commands together, and how an error is told: one line, never a traceback."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mammoseg_lib.cli import browsing, data, losses, notebooks, studies
from mammoseg_lib.datasets.sample import DataError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A reproducible companion to four papers on breast mass segmentation.",
    epilog="Real data is found through the environment variable MAMMOSEG_DATA; see data/README.md.",
)
for command in (
    data.phantoms,
    studies.train,
    studies.tables,
    notebooks.run_notebooks,
    browsing.show,
    browsing.site,
    browsing.lab,
):
    app.command()(command)
app.command("try")(losses.try_loss)
app.add_typer(data.data, name="data")
app.add_typer(studies.results, name="results")


def _version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mammoseg {version('mammoseg')}")
        raise typer.Exit
    return wanted


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that was given; known errors end it with one line."""
    try:
        app()
    except (DataError, OSError, ValueError, RuntimeError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)
