"""`hpcopt plot DIR...`: pictures of finished runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hpcopt.cli.looks import Table, with_look
from hpcopt.errors import InputError
from hpcopt.results.look import Look


@with_look
def plot(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs or comparisons.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The picture; its suffix is the format. Default: a .png in the (first) folder.",
        ),
    ] = None,
    timeline: Annotated[
        bool,
        typer.Option("--timeline", help="Draw when each node computed, waited and exchanged; one picture per run."),
    ] = False,
    operations: Annotated[
        bool,
        typer.Option("--operations", help="Draw where the time of each node went: computing, exchanging, waiting."),
    ] = False,
    speed_up: Annotated[
        bool,
        typer.Option(
            "--speed-up", help="Over seconds, also show what n times the nodes would take if they were n times as fast."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Draw runs of different problems together, too, and mark the differences.")
    ] = False,
    table: Table = None,
    *,
    look: Look,
) -> int:
    """Plot finished runs.

    Plots the objective against rounds, bytes and seconds; several runs of one problem, or a comparison, in one picture.
    Other axes, sizes for a paper, and names are options; the runs are not started again.
    With --operations, plots where the time of each node went: computing, exchanging, waiting.
    With --timeline, plots when each node computed, waited and exchanged, for runs with output.timeline = true, and
    writes a .trace.json beside the picture, for chrome://tracing or Perfetto.
    """
    from hpcopt.studies.replot import check_pictures, replot, replot_operations, replot_timelines

    if output is not None:
        check_format(output)
    check_pictures(folders, output, timeline=timeline, operations=operations, table=table)
    if timeline or operations:
        _check_alone(timeline, operations, plain=not (speed_up or table or look != Look()))
    if timeline:
        files = replot_timelines(folders, output)
    elif operations:
        files = replot_operations(folders, output, force=force)
    else:
        files = replot(folders, output, force=force, look=replace(look, speed_up=speed_up), table=table)
    for file in files:
        print(file)
    return 0


def _check_alone(timeline: bool, operations: bool, *, plain: bool) -> None:
    """Raise an error for two pictures at once, and for options of curves with one that has none."""
    if timeline and operations:
        raise typer.BadParameter("--timeline and --operations are two pictures; give one of them")
    if not plain:
        name = "--timeline" if timeline else "--operations"
        raise typer.BadParameter(f"{name}: its picture takes none of the options for curves")


def check_format(path: Path) -> None:
    """Raise an error for a file whose suffix is not a picture format."""
    from hpcopt.results.canvas import figure_class

    formats = sorted(figure_class()().canvas.get_supported_filetypes())
    if path.suffix.lower().removeprefix(".") not in formats and not path.is_dir():
        given = f"'{path.suffix}'" if path.suffix else "no suffix"
        raise InputError(f"{path}: a picture's suffix is one of {', '.join(formats)}; got {given}")
