"""`hpcopt report DIR...`: one file about finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs or comparisons.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The report: .html, or .md with a picture beside it.")
    ] = Path("report.html"),
    force: Annotated[
        bool, typer.Option("--force", help="Also report runs of different problems together, and mark the differences.")
    ] = False,
) -> int:
    """Write one file about finished runs.

    Table, picture, configuration and environment side by side, time by phase, and how to run it again.
    """
    from hpcopt.studies.report import report as write

    for file in write(folders, output, force=force):
        print(file)
    return 0
