"""The entry of every command: interrupts, the exit code, and errors told once for all ranks.

Nothing heavy is imported before interrupts are listened to: a rank that is ended while it starts must end the job.

Exit codes: 0 done; 1 an error, told in one line; 2 wrong usage; 3 diverged, or the target was not reached when
`--require-target` is given; 130 and 143 interrupted.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import NoReturn

from hpcopt.errors import InputError, in_one_line, out_of_memory
from hpcopt.fabric.launch import (
    JOB,
    abort_on_error,
    bring_up,
    end_on_defect,
    in_utf8,
    is_first,
    is_heard,
    is_launched,
    leave_to_the_first,
)
from hpcopt.interrupts import listen

OF_RANKS = {"run", "compare", "fit", "bench", "info"}  # verbs whose processes are the ranks of one job


def main(arguments: list[str]) -> int:
    """Carry out one command; return its exit code. Bad input is told by one rank, in one line."""
    if not arguments:
        arguments = ["--help"]
    if {"--help", "--version"} & set(arguments) and not is_first():
        return 0
    if is_launched() and arguments[0] in OF_RANKS:
        _bring_up_first()
    from hpcopt.cli.options import REMEDIES

    try:
        with abort_on_error():
            code, misuse = _carried_out(arguments)
        if misuse is not None:
            return _fail(misuse, code)
    except InputError as error:
        return _fail(error.message + (REMEDIES[error.remedy] if error.remedy else ""), 1)
    except MemoryError as error:
        return _fail(out_of_memory(error), 1)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    return code


def _carried_out(arguments: list[str]) -> tuple[int, str | None]:
    """Carry out one command; return its exit code and, after wrong usage, which all ranks see alike, what was wrong."""
    from typer.exceptions import TyperException

    from hpcopt.cli.verbs import app

    try:
        return int(app(arguments, prog_name="hpcopt", standalone_mode=False) or 0), None
    except TyperException as error:
        return int(error.exit_code), f"{error.format_message()} (see: hpcopt --help)".replace("\n", " ")


def _bring_up_first() -> None:
    """Bring MPI up before anything else is imported; where it can't be loaded, the verb says so.

    Under srun, MPICH 5.0 sends what stands behind its messages to SLURM as well (pmi2): harmless where memory is still
    empty, an invalid request, and the end of the job, where libraries have filled it.
    """
    with suppress(ImportError, RuntimeError):
        bring_up()


def _fail(message: str, code: int) -> int:
    """Tell an error on one rank; return this process's exit code."""
    sys.stdout.flush()
    if is_heard(sys.stderr):
        print(f"hpcopt: error: {in_one_line(message)}", file=sys.stderr, flush=True)
    else:
        leave_to_the_first()
    return code


def console() -> NoReturn:
    """Run the command of this process and exit."""
    in_utf8()
    listen(JOB)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = main(sys.argv[1:])
    except Exception:  # before MPI is up, others would wait for a process that exits
        if is_launched():
            end_on_defect()
        raise
    sys.exit(code)
