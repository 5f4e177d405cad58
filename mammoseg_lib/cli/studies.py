"""`mammoseg train`, `tables` and `results ...`: what is done with a study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mammoseg_lib.cli.base import (
    ArmOption,
    FoldOption,
    ProfileOption,
    SeedOption,
    StudiesArgument,
    StudyArgument,
    fail,
)

results = typer.Typer(no_args_is_help=True, help="The results that travel with the project.")


def train(
    study: StudiesArgument,
    profile: ProfileOption = "demo",
    arm: ArmOption = None,
    fold: FoldOption = None,
    seed: SeedOption = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Leave out what the shipped results have, too.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes; the next start goes on from there.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Runs side by side, one thread each. Default: one a core.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    workers: Annotated[
        int, typer.Option(help="Processes that alter training images, where a paper alters them.")
    ] = 0,
    list_only: Annotated[bool, typer.Option("--list", help="Print what would be trained, and stop.")] = False,
    record: Annotated[
        Path | None, typer.Option(help="Write the names of the runs' folders to this file.")
    ] = None,
) -> None:
    """Train studies. Complete runs are skipped, interrupted ones go on where they stopped."""
    from mammoseg_lib import paths
    from mammoseg_lib import results as shipped
    from mammoseg_lib.runs import check_plan, distinct, execute, train_all
    from mammoseg_lib.storage import write_json
    from mammoseg_lib.studies import load_study

    configs = []
    for known in map(load_study, study):
        planned = known.plan(profile, arms=arm, folds=fold, seeds=seed)
        if missing:
            wanted = set(map(repr, planned))
            planned = [config for config in shipped.missing(known, profile) if repr(config) in wanted]
        configs += planned
    check_plan(configs)
    configs = distinct(configs)
    if list_only:
        for number, config in enumerate(configs, start=1):
            typer.echo(f"[{number}/{len(configs)}] {config}")
        return
    if len(configs) == 1 and minutes is None:
        run = execute(configs[0], device=device, workers=workers, progress=sys.stderr.isatty())
        runs, failed, unfinished = [run], {}, []
    else:
        outcome = train_all(
            configs,
            minutes=minutes,
            jobs=jobs,
            device=device,
            workers=workers,
            report=lambda line: typer.echo(line, err=True),
        )
        runs = [outcome.done[number] for number in sorted(outcome.done)]
        failed, unfinished = outcome.failed, outcome.unfinished
    if unfinished:
        typer.echo(
            f"the time was up: {len(unfinished)} of {len(configs)} runs are still to be done", err=True
        )
    if failed:
        lines = [f"{configs[number]}: {reason}" for number, reason in failed.items()]
        fail("\n".join([f"{len(failed)} of {len(configs)} runs failed", *lines]))
    if record is not None:
        write_json(record, [run.folder.name for run in runs])
    if paths.real_data() is not None and any(config.data.phantoms for config in configs):
        # Who has real images may have meant them, and the default profile takes none.
        typer.secho(f"these were PHANTOMS, as profile {profile!r} asks for", fg="yellow", err=True)


def tables(study: StudyArgument, profile: ProfileOption = "demo") -> None:
    """Print a study's tables: what papers print beside what runs gave. Never trains."""
    from mammoseg_lib import reports
    from mammoseg_lib.results import load_results
    from mammoseg_lib.studies import load_study

    known = load_study(study)
    found = load_results(known, profile)
    planned = len(found.runs) + len(found.absent)
    typer.echo(f"{len(found.runs)} of the {planned} runs of profile {profile!r} are complete", err=True)
    typer.echo(reports.text(known, found))


@results.command()
def add(study: StudyArgument, profile: ProfileOption = "reduced") -> None:
    """Add this machine's complete runs on real images to data/results."""
    from mammoseg_lib.results import add as add_results
    from mammoseg_lib.studies import load_study

    typer.echo(f"{add_results(load_study(study), profile)} runs added")


@results.command("list")
def list_results(
    study: Annotated[str | None, typer.Argument(help="Only this study.")] = None,
    profile: ProfileOption = "reduced",
) -> None:
    """List what is there and what is missing, with the minutes that it would take on one core."""
    from mammoseg_lib.results import overview
    from mammoseg_lib.studies import load_study, study_names

    names = [study] if study else study_names()
    typer.echo(overview([load_study(name) for name in names], profile).to_string(index=False))


@results.command()
def check(profile: ProfileOption = "reduced") -> None:
    """Hold the shipped results to the studies and to today's code; exit with 1 if anything is wrong."""
    from mammoseg_lib.results import check as check_results
    from mammoseg_lib.results import compare_reference, reference_numbers
    from mammoseg_lib.studies import load_study, study_names

    wrong = [f"today's code: {line}" for line in compare_reference(reference_numbers())]
    for name in study_names():
        study = load_study(name)
        if profile in study.file.profiles:
            wrong += [f"{name}: {line}" for line in check_results(study, profile)]
    if wrong:
        fail("\n".join([f"{len(wrong)} things are wrong", *wrong]))
    typer.echo("the shipped results are of the studies and the code of today")


@results.command()
def reference(
    store: Annotated[
        bool, typer.Option("--store", help="Store them: all results shipped so far are then of other code.")
    ] = False,
) -> None:
    """Train the three tiny runs that tell whether today's code gives the numbers that were shipped."""
    from mammoseg_lib import paths
    from mammoseg_lib.results import compare_reference, reference_numbers, store_reference

    if store:
        typer.echo(paths.shown(store_reference()))
    elif moved := compare_reference(reference_numbers()):
        fail("\n".join(["the numbers moved", *moved]))
    else:
        typer.echo("today's code gives the stored numbers")
