"""`mammoseg try`: what a loss of one's own does, and how it trains."""

from __future__ import annotations

from typing import Annotated

import typer

from mammoseg_lib.cli.base import fail, setting

SIDE, CONFIDENCE = 64, 0.98  # of the cases, as in notebook 15


def try_loss(
    loss: Annotated[
        str, typer.Argument(help="file.py:Class, file.py:function, package.module:Class or a name.")
    ],
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set an option of the loss.")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train it beside the plain losses, on phantoms.")
    ] = False,
) -> None:
    """Say what a loss does: range, gradients, precision, independence, speed; exit with 1 if any is wrong."""
    from mammoseg_lib import atlas
    from mammoseg_lib.losses import build_loss
    from mammoseg_lib.losses.properties import properties

    given = dict(setting(text) for text in options or [])
    built = build_loss(loss, **given)
    typer.echo(f"{loss}\n\nWhat it must keep")
    wrong = 0
    for each in properties(built):
        typer.echo(each)
        if each.advice:
            typer.echo(f"       -> {each.advice}")
        wrong += each.holds is False
    typer.echo("\nWhat it sees (the columns of notebook 15)")
    for what, answer in atlas.properties(atlas.ready(built, SIDE), SIDE, CONFIDENCE).items():
        typer.echo(f"     {what}: {answer or 'no'}")
    if train:
        _train(loss, given)
    else:
        typer.echo("\nTrain it on phantoms, beside BCE and Dice + BCE: the same command with --train")
    if wrong:
        fail(f"{wrong} of the properties that a loss must keep do not hold")


def _train(loss: str, options: dict) -> None:
    from mammoseg_lib import own_loss
    from mammoseg_lib.results import results_of
    from mammoseg_lib.runs import train_all

    study = own_loss.study_of(loss, options)
    file = study.folder / f"{study.name}.yaml"
    configs = study.plan("demo")
    typer.echo(
        f"\nTrained on phantoms: {len(configs)} runs, about {study.profile('demo').minutes:g} minutes each"
    )
    outcome = train_all(configs, report=lambda line: typer.echo(line, err=True))
    typer.echo("Pooled DSC against each plain loss, in points, with 95 % intervals (paired)")
    for row in own_loss.differences(results_of(configs, runs=outcome.done)).itertuples():
        low, high = row.difference_low, row.difference_high
        typer.echo(f"     {row.difference:+.1f} [{low:+.1f}, {high:+.1f}]  {row.label} ({row.common})")
    typer.echo(
        f"\nWhat is compared stands in {file}, and is yours to change. On real images (see data/README.md):\n"
        f"     mammoseg train {file} --profile reduced --missing && mammoseg tables {file} --profile reduced"
    )
    if outcome.failed:
        lines = [f"{configs[number]}: {reason}" for number, reason in outcome.failed.items()]
        fail("\n".join([f"{len(lines)} of {len(configs)} runs failed", *lines]))
