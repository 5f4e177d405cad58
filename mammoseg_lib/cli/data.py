"""`mammoseg phantoms` and `mammoseg data ...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from mammoseg_lib.cli.base import (
    RootOption,
    SourceArgument,
    SourceName,
    fail,
    say_phantoms,
    show_problems,
)

data = typer.Typer(no_args_is_help=True, help="Describe, check, prepare and export a data set.")


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
    from mammoseg_lib.sources import SOURCES, phantom_folder

    if out is None:
        typer.echo(paths.shown(phantom_folder(source, n_images, size, seed)))
    elif out.exists():
        fail(f"{out}: exists already; give a new folder")
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

    found = open_source(source, root)
    with parallel_map(jobs, check_source.__module__, found.reader.load.__module__) as run_map:
        report = check_source(found, run_map, progress=sys.stderr.isatty())
    typer.echo(json.dumps(report.document(), indent=2) if as_json else report.text())
    say_phantoms(found)
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
    from mammoseg_lib.sources import SOURCES, open_source

    crop = crop or SOURCES[source].crop
    settings = preprocessing.Preprocessing(size=size, crop=crop, resize=resize)
    found = open_source(source, root)
    prepared = preprocessing.prepare(found, settings, jobs=jobs, progress=True, with_masses=True)
    typer.echo(f"{len(prepared)} images with masses, cache key {prepared.key}")
    n_broken = show_problems(prepared.problems)
    say_phantoms(found)
    if n_broken:
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
    n_broken = show_problems(done.problems)
    typer.echo(f"{done.n_images} images written, {n_broken} broken")
    say_phantoms(found)
    if n_broken:
        raise typer.Exit(1)
