"""What the commands share: their options, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml

from mammoseg_lib import paths
from mammoseg_lib.sources import SOURCES, Source, advice

SourceName = Literal[tuple(SOURCES)]
SourceArgument = Annotated[SourceName, typer.Argument(help="Which data set.")]
RootOption = Annotated[
    Path | None, typer.Option(help="Its release folder. Default: look in MAMMOSEG_DATA, else phantoms.")
]
A_STUDY = "Name of a study, or the path of a file of one's own"
StudyArgument = Annotated[str, typer.Argument(help=f"{A_STUDY}.")]
StudiesArgument = Annotated[list[str], typer.Argument(help=f"{A_STUDY}; may be several.")]
ProfileOption = Annotated[str, typer.Option(help="demo (phantoms), reduced (real images) or paper.")]
ArmOption = Annotated[
    list[str] | None, typer.Option("--arm", help="Only this method or method/variant; may be repeated.")
]
FoldOption = Annotated[list[int] | None, typer.Option(help="Only this fold, from 0; may be repeated.")]
SeedOption = Annotated[list[int] | None, typer.Option(help="Only this seed; may be repeated.")]


def setting(text: str) -> tuple[str, object]:
    """Name and value of a NAME=VALUE."""
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        raise typer.BadParameter(f"{value!r} is not a YAML value", param_hint="--set") from None


def fail(message: object) -> None:
    """End with 1 and one message."""
    typer.secho(f"error: {message}", fg="red", err=True)
    raise typer.Exit(1)


def say_phantoms(source: Source) -> None:
    """A last line where phantoms were taken, and where the real data may be that was meant."""
    if source.real:
        return
    hint, data, release = advice(source.name), paths.real_data(), source.reader.FOLDER
    line = f"these were PHANTOMS, no images of patients{f': {hint}' if hint else ''}"
    if not hint and data is not None and not (data / release).is_dir():
        line += f"; there is no {release!r} in MAMMOSEG_DATA, {data}"
    typer.secho(line, fg="yellow", err=True)


def show_problems(problems: Sequence) -> int:
    """Print what could not be used and why; returns how many files are broken."""
    for problem in problems:
        typer.echo(f"{problem.kind}: {problem.path}: {problem.reason}", err=True)
    return sum(problem.kind == "broken" for problem in problems)
