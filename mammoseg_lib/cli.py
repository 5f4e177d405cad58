"""The command line: `mammoseg phantoms | data ... | train | run-notebooks | tables`.

What needs PyTorch is imported inside the command that uses it, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml

from mammoseg_lib.sources import SOURCES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A reproducible companion to four papers on breast mass segmentation.",
    epilog="Real data is found through the environment variable MAMMOSEG_DATA; see data/README.md.",
)
data = typer.Typer(no_args_is_help=True, help="Describe, check, prepare and export a data set.")
app.add_typer(data, name="data")

SourceName = Literal[tuple(SOURCES)]
SourceArgument = Annotated[SourceName, typer.Argument(help="Which data set.")]
RootOption = Annotated[
    Path | None, typer.Option(help="Its release folder. Default: look in MAMMOSEG_DATA, else phantoms.")
]
ProfileOption = Annotated[str, typer.Option(help="A file of notebooks/profiles: smoke, quick or paper.")]
StudyArgument = Annotated[
    str, typer.Argument(help="Key of a paper, or of an ablation of one that the profile names: paper.what.")
]


def _fail(message: object) -> None:
    typer.secho(f"error: {message}", fg="red", err=True)
    raise typer.Exit(1)


def _show(problems: Sequence) -> int:
    """Print what could not be used and why; returns how many files are broken."""
    for problem in problems:
        typer.echo(f"{problem.kind}: {problem.path}: {problem.reason}", err=True)
    return sum(problem.kind == "broken" for problem in problems)


@app.command()
def phantoms(
    source: Annotated[SourceName, typer.Argument(help="Whose release layout to write.")],
    out: Annotated[
        Path | None, typer.Option(help="New folder to write. Default: one below data/phantoms.")
    ] = None,
    n_images: Annotated[int, typer.Option(help="Images with a mass (INbreast) or in all (others).")] = 120,
    size: Annotated[int, typer.Option(help="Longest side in pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Make phantom images and write them in the release layout of a real data set."""
    from mammoseg_lib import paths
    from mammoseg_lib.sources import phantom_folder

    if out is None:
        typer.echo(paths.shown(phantom_folder(source, n_images, size, seed)))
    elif out.exists():
        _fail(f"{out}: exists already; give a new folder")
    else:
        SOURCES[source].write_phantoms(out, n_images=n_images, size=size, seed=seed, progress=True)
        typer.echo(out)


@data.command()
def check(
    source: SourceArgument,
    root: RootOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document; data/README.md describes its keys.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 2,
) -> None:
    """Read every file of a data set; list what is broken and exit with 1 if anything is."""
    from mammoseg_lib.check import check_source
    from mammoseg_lib.parallel import parallel_map
    from mammoseg_lib.sources import open_source

    with parallel_map(jobs, preload=check_source.__module__) as run_map:
        report = check_source(open_source(source, root), run_map, progress=sys.stderr.isatty())
    typer.echo(json.dumps(report.document(), indent=2) if as_json else report.text())
    if report.broken:
        raise typer.Exit(1)


@data.command()
def prepare(
    source: SourceArgument,
    root: RootOption = None,
    size: Annotated[int, typer.Option(help="Side of the square output in pixels.")] = 256,
    crop: Annotated[
        Literal["breast", "none"] | None,
        typer.Option(help="Cut to the breast's bounding box or not. Default: breast for mammograms."),
    ] = None,
    resize: Annotated[
        Literal["stretch", "pad"], typer.Option(help="Square by stretching, or keep the aspect.")
    ] = "stretch",
    jobs: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Fill the cache with prepared images; list what is broken and exit with 1 if anything is."""
    from mammoseg_lib import preprocessing
    from mammoseg_lib.sources import open_source

    crop = crop or SOURCES[source].crop
    settings = preprocessing.Preprocessing(size=size, crop=crop, resize=resize)
    prepared = preprocessing.prepare(
        open_source(source, root), settings, jobs=jobs, progress=True, with_masses=True
    )
    typer.echo(f"{len(prepared)} images with masses, cache key {prepared.key}")
    if _show(prepared.problems):
        raise typer.Exit(1)


@data.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder with DICOM, PNG or TIFF images and their masks.")],
) -> None:
    """Write samples.csv for images of one's own, as far as names and headers tell; never overwrite."""
    from mammoseg_lib.datasets.folder.template import write_template

    template = write_template(folder)
    typer.echo(template.text())
    if template.problems:
        raise typer.Exit(1)


@data.command()
def export(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="New folder to write.")],
    root: RootOption = None,
    window: Annotated[
        Literal["sigmoid", "percentiles", "none"],
        typer.Option(help="Gray values: a sigmoid VOI LUT (003), percentiles, or as they are."),
    ] = "sigmoid",
    size: Annotated[
        int | None, typer.Option(help="Pad and resize to a square of this side (003: 512).", min=1)
    ] = None,
    with_masses: Annotated[
        bool, typer.Option("--with-masses", help="Leave out images without a mass.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 2,
) -> None:
    """Write a data set as 16-bit PNG images, PNG masks and samples.csv; exit with 1 if anything is broken."""
    from mammoseg_lib.export import export as export_source
    from mammoseg_lib.sources import open_source

    filters = {"with_masses": True} if with_masses else {}
    found = open_source(source, root)
    typer.echo(found, err=True)
    done = export_source(
        found, out, window=window, size=size, jobs=jobs, progress=sys.stderr.isatty(), **filters
    )
    n_broken = _show(done.problems)
    typer.echo(f"{done.n_images} images written, {n_broken} broken")
    if n_broken:
        raise typer.Exit(1)


@app.command()
def train(
    study: StudyArgument,
    profile: ProfileOption = "smoke",
    method: Annotated[
        list[str] | None, typer.Option(help="Only this method; may be given several times.")
    ] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only this fold, from 0.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    workers: Annotated[
        int, typer.Option(help="Processes that alter training images, where a paper alters them.")
    ] = 0,
    list_only: Annotated[bool, typer.Option("--list", help="Print what would be trained, and stop.")] = False,
    record: Annotated[
        Path | None, typer.Option(help="Write the names of the runs' folders to this file.")
    ] = None,
) -> None:
    """Train what a profile says. Complete runs are skipped, interrupted ones go on where they stopped."""
    from mammoseg_lib.runs import execute
    from mammoseg_lib.storage import write_json
    from mammoseg_lib.training import TrainingError

    configs = _planned(study, profile, methods=method, folds=fold, seeds=seed)
    names, failures = [], []
    for number, config in enumerate(configs, start=1):
        label = f"{config.method} fold {config.fold} seed {config.seed}"
        typer.echo(f"[{number}/{len(configs)}] {label}", err=True)
        if list_only:
            continue
        try:
            run = execute(config, device=device, workers=workers, progress=sys.stderr.isatty())
            names.append(run.folder.name)
        except TrainingError as error:
            failures.append(f"{label}: {error}")  # the other runs are still worth having
    if failures:
        _fail("\n".join([f"{len(failures)} of {len(configs)} runs failed", *failures]))
    if record is not None:
        write_json(record, names)


def _planned(study: str, profile: str, **only: list | None) -> list:
    """The runs that a profile plans for a study, or those of them with the given methods, folds and seeds."""
    from mammoseg_lib.notebooks import paper_of, read_profile
    from mammoseg_lib.papers import load_paper
    from mammoseg_lib.runs import plan

    studies = read_profile(profile)["training"]
    if study not in studies:
        _fail(f"profile {profile!r} does not say how to train {study!r}; it says so of {', '.join(studies)}")
    only = {name: value for name, value in only.items() if value}
    return plan(load_paper(paper_of(study)), **{**studies[study], **only})


@app.command()
def run_notebooks(
    names: Annotated[list[str] | None, typer.Argument(help="Notebooks without suffix. Default: all.")] = None,
    profile: ProfileOption = "smoke",
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter.")
    ] = None,
    in_place: Annotated[
        bool, typer.Option(help="Renew the outputs stored in the notebooks themselves.")
    ] = False,
) -> None:
    """Execute notebooks; a misspelt parameter or one of another type is an error."""
    from mammoseg_lib import notebooks, paths

    if in_place and (setting or profile != "smoke"):
        _fail("--in-place runs the committed defaults; it takes neither --profile nor --set")
    parameters = dict(_setting(text) for text in setting or [])
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


def _setting(text: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        raise typer.BadParameter(f"{value!r} is not a YAML value", param_hint="--set") from None


@app.command()
def tables(study: StudyArgument, profile: ProfileOption = "smoke") -> None:
    """Print the tables of a paper beside what the complete runs of a profile reproduce. Never trains."""
    from mammoseg_lib import reports
    from mammoseg_lib.notebooks import paper_of
    from mammoseg_lib.papers import load_paper
    from mammoseg_lib.runs import averaged, complete, results

    configs = _planned(study, profile)
    runs = complete(configs)
    typer.echo(f"{len(runs)} of the {len(configs)} runs of profile {profile!r} are complete", err=True)
    typer.echo(reports.text(load_paper(paper_of(study)), results(averaged(runs))))


def main() -> None:
    """Entry point: known errors as one line, never a traceback."""
    from mammoseg_lib.datasets import DataError
    from mammoseg_lib.notebooks import NotebookError

    try:
        app()
    except (DataError, NotebookError, OSError, ValueError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
