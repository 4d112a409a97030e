"""The entry point of every command: interrupts, exit codes, and errors reported once for all ranks.

Interrupts are handled before anything large is imported: a rank that is ended during start-up must end the job.

Exit codes: 0 success; 1 an error, reported in one line; 2 wrong usage; 3 diverged, or the target was not reached with
`--require-target`; 75 checkpointed because a signal asked for it, and to be started again with `--resume`; 129, 130,
138 and 143 interrupted.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import NoReturn

from hpcopt.errors import CheckpointedError, InputError, Remedy, in_one_line, out_of_memory
from hpcopt.fabric.job import JOB, abort_on_error, bring_up, end_on_defect, leave_to_the_first
from hpcopt.fabric.launch import in_utf8, is_first, is_heard, is_launched
from hpcopt.interrupts import listen

OF_RANKS = {
    "run",
    "compare",
    "rerun",
    "fit",
    "bench",
    "calibrate",
    "info",
}  # commands whose processes are the ranks of one job


def main(arguments: list[str]) -> int:
    """Execute one command; return its exit code. One rank reports bad input, in one line."""
    if not arguments:
        arguments = ["--help"]
    if {"--help", "--version"} & set(arguments) and not is_first():
        return 0
    if is_launched() and arguments[0] in OF_RANKS:
        _bring_up_first()
    from hpcopt.cli.options import CHECKPOINTED, REMEDIES

    try:
        with abort_on_error():
            code, misuse = _carried_out(arguments)
        if misuse is not None:
            return _fail(misuse, code)
    except CheckpointedError as end:
        return _fail(end.message + REMEDIES[Remedy.RESUME], CHECKPOINTED, what="")
    except InputError as error:
        return _fail(error.message + (REMEDIES[error.remedy] if error.remedy else ""), 1)
    except (MemoryError, OSError) as error:
        return _fail(_words(error), 1)
    return code


def _words(error: MemoryError | OSError) -> str:
    if isinstance(error, MemoryError):
        return out_of_memory(error)
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _carried_out(arguments: list[str]) -> tuple[int, str | None]:
    """Execute one command; return its exit code and, after wrong usage, the message, which is the same on all ranks."""
    from typer.exceptions import TyperException

    from hpcopt.cli.verbs import commands

    try:
        return int(commands()(arguments, prog_name="hpcopt", standalone_mode=False) or 0), None
    except TyperException as error:
        return int(error.exit_code), f"{error.format_message()} (see: hpcopt --help)".replace("\n", " ")


def _bring_up_first() -> None:
    """Initialise MPI before anything else is imported; if it can't be loaded, the command reports it.

    Under srun with pmi2, MPICH 5.0 also sends the memory after its messages to SLURM. This is harmless while that
    memory is zero; after libraries have filled it, SLURM gets an invalid request and ends the job.
    """
    with suppress(ImportError, RuntimeError):
        bring_up()


def _fail(message: str, code: int, what: str = "error: ") -> int:
    """Report an early end on one rank; return this process's exit code."""
    sys.stdout.flush()
    if is_heard(sys.stderr):
        print(f"hpcopt: {what}{in_one_line(message)}", file=sys.stderr, flush=True)
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
    except Exception:  # before MPI is initialised, others would wait for a process that exits
        if is_launched():
            end_on_defect()
        raise
    sys.exit(code)
