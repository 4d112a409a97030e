"""SLURM's queue: submit and look, through SLURM's own commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpcopt.errors import InputError

PATIENCE = 60.0  # seconds given to a command of SLURM; its own commands give up after about that long

RUNNING = frozenset(
    {"CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_HOLD", "RESIZING", "RUNNING", "STAGE_OUT", "SUSPENDED"}
)
"""States of jobs that have not ended, or will start again; COMPLETING soon becomes the state that a job ends in."""


def submit(script: Path, options: Sequence[str] = ()) -> str:
    """Submit a script, from the current folder; return the number of the job.

    Parameters
    ----------
    script
        Its file. SLURM keeps a copy of its own.
    options
        More options of sbatch, such as "--array=2,5"; they override those in the script.

    Raises
    ------
    InputError
        If SLURM is not installed here, or refuses the job.
    """
    return _told(["sbatch", "--parsable", *options, str(script)]).strip().partition(";")[0]


def states(jobs: Iterable[str]) -> dict[str, str]:
    """Return SLURM's word for the state of each job ("PENDING", "RUNNING", "COMPLETED", "FAILED", ...).

    Parameters
    ----------
    jobs
        Numbers of jobs, as `submit` returns them, or of tasks of arrays ("12_3").

    Returns
    -------
    dict
        State by number; of an array, that of each task, "12_0", "12_1", ... What SLURM has forgotten is not in it.

    Raises
    ------
    InputError
        If SLURM is not installed here, or does not answer.
    """
    found: dict[str, str] = {}
    for job in dict.fromkeys(jobs):  # one by one: squeue fails for a list with one that it has forgotten
        lines = _lines(["squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%i %T"])
        if not lines and shutil.which("sacct"):
            lines = _lines(["sacct", "-X", "--noheader", "--parsable2", f"--jobs={job}", "--format=JobID,State"])
        for line in lines:
            name, state = re.split(r"[ |]", line, maxsplit=1)
            found[name] = state.split()[0]  # CANCELLED by 1000
    return found


def _lines(command: list[str]) -> list[str]:
    """Return the lines of a command about a job; none if the job is unknown or accounts are not kept."""
    try:
        return _told(command).splitlines()
    except _RefusedError as refused:
        if re.search(r"Invalid job id|accounting storage is disabled", refused.said):
            return []
        raise


class _RefusedError(InputError):
    """A command of SLURM has failed; `said` is all that it has printed about it."""

    def __init__(self, program: str, said: str) -> None:
        last = said.strip().splitlines()[-1] if said.strip() else "without a reason"
        super().__init__(f"{program} failed: {re.sub(rf'^{program}: (error: |fatal: )?', '', last)}")
        self.said = said


def _told(command: list[str]) -> str:
    """Run a command of SLURM; return its output."""
    program = command[0]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except FileNotFoundError:
        raise InputError(f"there is no {program} here: SLURM is not installed on this machine") from None
    except OSError as error:
        raise InputError(f"{program}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"{program} has not answered within {PATIENCE:g} s; does `scontrol ping`?") from None
    if done.returncode:
        raise _RefusedError(program, done.stderr or done.stdout)
    return done.stdout
