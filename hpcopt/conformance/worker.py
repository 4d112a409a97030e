"""The process in which external solvers are checked; `examine.py` starts it, reads its output and ends it."""

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

_PR_SET_PDEATHSIG = 1  # from Linux's headers


def work(path: str, pipe: int, skip: int) -> None:
    """Check the solvers of the file `path`, and report to the file descriptor `pipe` in lines of JSON.

    First {"solvers": names} or {"error": the error in the file}, then {"verdict": a `Verdict`} for each solver and each
    check, without the first `skip` of them.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # end with the parent, as solvers may loop forever

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
