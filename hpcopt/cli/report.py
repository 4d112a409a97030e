"""`hpcopt report DIR...`: one file about finished runs, or their operations on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs or comparisons.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The report: .html, or .md with pictures beside it. Default: report.html.",
        ),
    ] = None,
    operations: Annotated[
        bool,
        typer.Option(
            "--operations",
            help="Print the tables of the nodes' operations instead: calls, seconds, waiting, messages, bytes.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also report runs of different problems together, and mark the differences.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file, and pictures beside it, even if it is no report.")
    ] = False,
) -> int:
    """Write one file about finished runs.

    Tables, pictures, configuration and environment side by side, time by phase and by operation, and how to run it
    again. With --operations, prints what each kind of operation cost, and writes nothing.
    """
    if operations:
        from hpcopt.cli.told import tell_operations
        from hpcopt.studies.operations import Operations
        from hpcopt.studies.overlay import Overlay

        if output is not None or overwrite:
            raise typer.BadParameter("--operations: writes no file; leave out --output and --overwrite")
        tell_operations(Operations.of(Overlay.of(folders, force=force)).needed())
        return 0
    from hpcopt.studies.report import report as write

    for file in write(folders, output or Path("report.html"), force=force, overwrite=overwrite):
        print(file)
    return 0
