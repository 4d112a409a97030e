"""The end of a job whose MPI does not come up: a rank has exited before, or time has run out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from hpcopt.fabric.processes import children

COMING_UP = 300.0  # seconds until MPI initialisation counts as hanging
TOGETHER = 3.0  # seconds given to a rank that was interrupted to end the job, with a line of its own


def watch_coming_up(up: threading.Event, ranks_here: int, moment: float, end: Callable[[int], NoReturn]) -> None:
    """End the job, in a thread of this process, if `up` is not set in time or a rank of this host has exited.

    Parameters
    ----------
    up
        Set once MPI is initialised.
    ranks_here
        How many ranks this process's parent has started on this host; 0 if unknown.
    moment
        Seconds of patience with the first process, which reports for all.
    end
        Ends the job with an exit code.
    """
    threading.Thread(target=_watch, args=(up, ranks_here, moment, end), daemon=True).start()


def _watch(up: threading.Event, ranks_here: int, moment: float, end: Callable[[int], NoReturn]) -> None:
    begun = time.monotonic()
    while not up.wait(1.0):
        lost, late = children(os.getppid()) < ranks_here, time.monotonic() - begun > COMING_UP
        if (lost or late) and not up.wait(TOGETHER * lost + moment):
            why = (
                "a rank exited before MPI was initialised"
                if lost
                else f"MPI was not initialised within {COMING_UP:g} s"
            )
            os.write(2, f"hpcopt: error: {why}\n".encode())
            end(1)
