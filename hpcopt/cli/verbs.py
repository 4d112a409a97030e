"""All commands of the command line."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hpcopt.cli import (
    bench,
    calibrate,
    check,
    compare,
    describe,
    fit,
    info,
    init,
    plot,
    predict,
    report,
    rerun,
    run,
    scaling,
    submit,
    topology,
)
from hpcopt.fabric.launch import is_heard
from hpcopt.version import __version__


def _without_ranks(verb: Callable[..., int]) -> Callable[..., int]:
    """Wrap a command that needs no ranks: each process that was started does the work, and one reports.

    The others still write their files: a user who starts several processes may give each its own work.
    """

    @functools.wraps(verb)
    def carry_out(*arguments: Any, **options: Any) -> int:
        if is_heard(sys.stdout):
            return verb(*arguments, **options)
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            return verb(*arguments, **options)

    return carry_out


app = typer.Typer(
    name="hpcopt",
    help="Communication-efficient distributed optimisation: in one process, under mpiexec or under srun.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def top(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Handle the options before a command."""
    if version:
        print(__version__)


for _name, _verb in (
    ("init", _without_ranks(init.init)),
    ("run", run.run),
    ("compare", compare.compare),
    ("fit", fit.fit),
    ("predict", _without_ranks(predict.predict)),
    ("plot", _without_ranks(plot.plot)),
    ("report", _without_ranks(report.report)),
    ("rerun", rerun.rerun),
    ("submit", submit.submit),
    ("check", _without_ranks(check.check)),
    ("list", _without_ranks(describe.list_)),
    ("show", _without_ranks(describe.show)),
    ("topology", _without_ranks(topology.topology)),
    ("bench", bench.bench),
    ("calibrate", calibrate.calibrate),
    ("info", info.info),
):
    app.command(_name)(_verb)

studies = typer.Typer(help=scaling.__doc__.partition(": ")[2], rich_markup_mode=None, pretty_exceptions_enable=False)
for _name, _verb in scaling.COMMANDS:
    studies.command(_name)(_verb)
app.add_typer(studies, name="scaling")


@functools.cache
def commands() -> Callable[..., Any]:
    """Return the program; building its options takes longer than most of its commands."""
    return typer.main.get_command(app)
