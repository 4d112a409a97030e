"""`hpcopt rerun DIR`: finished runs once more, and what differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcopt.cli.options import Overwrite, Quiet, real
from hpcopt.fabric.launch import is_first

if TYPE_CHECKING:
    from hpcopt.studies.rerun import Again


def tolerance(given: object) -> float:
    """Return the value of --tolerance."""
    value = real(given)
    if value < 0.0:
        raise typer.BadParameter(f"expected a number >= 0, got {given}")
    return value


def rerun(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The folder of a finished run, or of a comparison.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Output folder; default: runs/NAME-again for each run."),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    tolerated: Annotated[
        float,
        typer.Option(
            "--tolerance", metavar="T", parser=tolerance, help="The relative difference up to which results agree."
        ),
    ] = 1e-8,
) -> int:
    """Make a finished run, or all those of a comparison or of a solver in one, again, and say what differs.

    Takes the specification from DIR/run.json, and as many ranks or virtual nodes as the run had. Compares versions,
    machine, data, results and records. The exit code is 0 if all results agree, else 1.
    """
    from hpcopt.studies.rerun import reruns

    agree = True
    for place, again in reruns(folder, out, overwrite=overwrite, quiet=quiet, tolerance=tolerated):
        agree = agree and again.agrees
        if not quiet and is_first():
            _tell(again, place)
    return 0 if agree else 1


def _tell(again: Again, folder: Path) -> None:
    print(f"{folder} again, in {again.run.folder}")
    for change in again.changes or ["versions, machine, data and specification are the same"]:
        print(f"  {change}")
    for result in again.results:
        print(f"  {result.words()}")
    aside = " (apart from seconds)" if again.run.records[0].clock == "wall" else ""
    print(f"  records: {again.at or f'all {len(again.run.records)} are equal bit by bit{aside}'}")
    print(f"the results {'agree' if again.agrees else 'DIFFER'} (tolerance {again.tolerance:g})")
