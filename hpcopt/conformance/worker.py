"""What the process does in which somebody's solvers are checked; `examine.py` starts it, hears it, ends it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
from dataclasses import asdict
from typing import Any

from threadpoolctl import threadpool_limits

from hpcopt.conformance.checks import CHECKS
from hpcopt.conformance.verdict import judged
from hpcopt.errors import InputError
from hpcopt.solvers.outside import load_file

_PR_SET_PDEATHSIG = 1  # of Linux


def work(path: str, pipe: int, skip: int) -> None:
    """Check the solvers of the file `path`, and tell the file descriptor `pipe` of it in lines of JSON.

    First {"solvers": names} or {"error": what is wrong with the file}, then {"verdict": a `Verdict`} for each solver
    and each check, but the first `skip` of them.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # whatever ends the parent: solvers may loop for ever

    def tell(**words: Any) -> None:
        os.write(pipe, json.dumps(words).encode() + b"\n")

    try:
        solvers = load_file(path).solvers
    except InputError as error:
        tell(error=str(error))
        return
    tell(solvers=list(solvers))
    asked = [(check, name) for name in solvers for check in CHECKS]
    with threadpool_limits(1):
        for check, name in asked[skip:]:
            tell(verdict=asdict(judged(check, name, solvers[name], path)))
