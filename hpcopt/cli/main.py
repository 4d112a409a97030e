"""The entry of every command: arguments, the exit code, and errors told once for all ranks.

Exit codes: 0 done; 1 an error, told in one line; 2 wrong usage; 3 diverged, or the target was not reached when
`--require-target` is given.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from hpcopt.cli import bench, check, compare, describe, fit, info, plot, predict, run, topology
from hpcopt.cli.options import REMEDIES
from hpcopt.errors import InputError
from hpcopt.fabric.launch import abort_on_error, is_first, is_joined
from hpcopt.version import __version__


def main(arguments: list[str]) -> int:
    """Carry out one command; return its exit code. Bad input is told by one rank, in one line."""
    if not arguments:
        arguments = ["--help"]
    if {"--help", "--version"} & set(arguments) and not is_first():
        return 0
    try:
        with abort_on_error():
            code = app(arguments, prog_name="hpcopt", standalone_mode=False)
    except TyperException as error:
        return _fail(f"{error.format_message()} (see: hpcopt --help)".replace("\n", " "), int(error.exit_code))
    except InputError as error:
        return _fail(error.message + (REMEDIES[error.remedy] if error.remedy else ""), 1)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    return int(code or 0)


def _fail(message: str, code: int) -> int:
    """Tell an error on one rank; return this process's exit code.

    Some launchers end the whole job at the first failure they see. Ranks that MPI joins leave together; before
    that only the process that speaks may fail, or it might be ended before it has spoken.
    """
    sys.stdout.flush()
    if is_first():
        print(f"hpcopt: error: {message}", file=sys.stderr, flush=True)
        return code
    return code if is_joined() else 0


def _on_first(verb: Callable[..., int]) -> Callable[..., int]:
    """Return the verb carried out by the first process only: it needs no ranks, and one voice is enough."""

    @functools.wraps(verb)
    def carry_out(*arguments: Any, **options: Any) -> int:
        return verb(*arguments, **options) if is_first() else 0

    return carry_out


app = typer.Typer(
    name="hpcopt",
    help="Communication-efficient distributed optimisation over MPI: alone, under mpiexec, under srun.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def top(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Take the options that stand before a verb."""
    if version:
        print(__version__)


for _name, _verb in (
    ("run", run.run),
    ("compare", compare.compare),
    ("fit", fit.fit),
    ("predict", _on_first(predict.predict)),
    ("plot", _on_first(plot.plot)),
    ("check", _on_first(check.check)),
    ("list", _on_first(describe.list_)),
    ("show", _on_first(describe.show)),
    ("topology", _on_first(topology.topology)),
    ("bench", bench.bench),
    ("info", info.info),
):
    app.command(_name)(_verb)


def console() -> NoReturn:
    """Run the command of this process and exit."""
    sys.exit(main(sys.argv[1:]))
