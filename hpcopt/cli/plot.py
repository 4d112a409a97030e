"""`hpcopt plot DIR...`: pictures of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plot(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs or comparisons.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: into the (first) folder.")
    ] = None,
) -> int:
    """Draw the objective against rounds, bytes and seconds; several runs, or a comparison, in one picture."""
    from hpcopt.studies.replot import replot

    print(replot(folders, output))
    return 0
