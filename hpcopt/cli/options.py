"""Options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hpcopt.errors import Remedy
from hpcopt.portions import number, whole
from hpcopt.spec.overrides import Override, override


def at_least(least: int) -> Callable[[object], int]:
    """Return what reads the value of an option that is an integer: decimal digits, and no others that Python takes."""

    def integer(given: object) -> int:
        value = whole(str(given))
        if value is None or value < least:
            raise typer.BadParameter(f"expected an integer >= {least}, got {given}")
        return value

    return integer


def real(given: object) -> float:
    """Return the value of an option that is a finite decimal number."""
    value = number(str(given))
    if value is None:
        raise typer.BadParameter(f"expected a number, got {given}")
    return value


def strength(given: str) -> float | str:
    """Return the weight of a penalty, a number or a text that the specification judges."""
    value = number(given)
    return given if value is None else value


Spec = Annotated[Path, typer.Argument(metavar="SPEC.toml", help="The specification.", show_default=False)]
SpecOrFolder = Annotated[
    Path,
    typer.Argument(
        metavar="SPEC.toml", help="The specification; with --resume also the folder of a run.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the specification; may be repeated."),
]
Virtual = Annotated[
    int | None,
    typer.Option(
        "--virtual", metavar="N", parser=at_least(1), help="N virtual workers in this process instead of MPI ranks."
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Output folder; default: that of the specification.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace another run in the output folder.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Keep the finished runs of the same comparison, and run the others.")
]
ResumeRun = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint of the run, or start it if there is none.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Force = Annotated[bool, typer.Option("--force", help="Run even if a condition of the solver's theory does not hold.")]
SolverFile = Annotated[
    Path | None,
    typer.Option("--solver-file", metavar="F.py", help="A Python file that registers user-defined solvers."),
]
Inject = Annotated[
    list[str] | None,
    typer.Option(
        "--inject", metavar="FAULT", help="Inject a fault, such as kill:rank=2,round=5 (docs: faults); may be repeated."
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Name ranks that enter different operations, and stalled ones after 10 s."),
]
RequireTarget = Annotated[
    bool, typer.Option("--require-target", help="Exit with code 3 unless the target of the stop rules is reached.")
]

REMEDIES = {
    Remedy.FORCE: " (--force runs it anyway)",
    Remedy.TOGETHER: " (--force shows them together anyway, and says how they differ)",
    Remedy.OVERWRITE: "; give --overwrite to replace it, or another --out",
    Remedy.CONTINUE: "; give --resume to keep its finished runs, --overwrite to replace it, or another --out",
    Remedy.CHANGED: "; give --overwrite as well to run it again, or another --out",
    Remedy.FOLDER: "; give another output folder with --out",
    Remedy.FILE: "; give --overwrite to replace it, or another file",
    Remedy.RANKS: '; start it without mpiexec, or leave out --virtual and give kind = "mpi"',
    Remedy.WORKERS: " (or give --virtual N)",
    Remedy.COMPARE: "; for several use: hpcopt compare",
    Remedy.RESUME: "; the same command with --resume goes on",
    Remedy.AFRESH: "; give --overwrite instead of --resume to start again, or another --out",
}
"""Remedy -> end of the error message on the command line."""

DEBUGGING = ("watchdog.matching=true", "watchdog.after=10", "watchdog.abort=true")  # the overrides of --debug

DIVERGED_OR_MISSED = 3  # exit code
CHECKPOINTED = 75  # exit code


def overridden(overrides: list[str] | None, virtual: int | None, solver_file: Path | None = None) -> list[str]:
    """Return all overrides, with those of `--virtual` and `--solver-file` last."""
    cluster = ('cluster.kind="virtual"', f"cluster.workers={virtual}") if virtual is not None else ()
    file = (override("solver_file", str(solver_file)),) if solver_file is not None else ()
    return [
        *(overrides or ()),
        *(Override(text, f"--virtual {virtual}") for text in cluster),
        *(Override(text, "--solver-file") for text in file),
    ]
