"""The entry of every command: arguments, the exit code, and errors told once for all ranks.

Exit codes: 0 done; 1 an error, told in one line; 2 wrong usage; 3 diverged, or the target was not reached when
`--require-target` is given.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from hpcopt.cli import bench, compare, describe, fit, info, plot, predict, run
from hpcopt.errors import InputError
from hpcopt.fabric.launch import abort_on_error, is_first

app = typer.Typer(
    name="hpcopt",
    help="Communication-efficient distributed optimisation over MPI: alone, under mpiexec, under srun.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _verb, _function in (
    ("run", run.run),
    ("compare", compare.compare),
    ("fit", fit.fit),
    ("predict", predict.predict),
    ("plot", plot.plot),
    ("list", describe.list_),
    ("show", describe.show),
    ("bench", bench.bench),
    ("info", info.info),
):
    app.command(_verb)(_function)


def main(arguments: list[str]) -> int:
    """Carry out one command; return its exit code. Bad input is told by one rank, in one line."""
    try:
        with abort_on_error():
            code = app(arguments, prog_name="hpcopt", standalone_mode=False)
    except TyperException as error:
        _tell(f"{error.format_message()} (see: hpcopt --help)".replace("\n", " "))
        return int(error.exit_code)
    except InputError as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130
    return int(code or 0)


def _tell(message: str) -> None:
    sys.stdout.flush()
    if is_first():
        print(f"hpcopt: error: {message}", file=sys.stderr, flush=True)


def console() -> NoReturn:
    """Run the command of this process and exit."""
    sys.exit(main(sys.argv[1:]))
