"""Lets more ranks than cores share these in slices of time that are too short for them to notice.

    python tests/ranks/slices.py PID...        the ranks, in their order; needs root

A rank that waits for a message polls, and would keep its core from a rank that works until the scheduler's next tick,
4 ms later on many kernels. Here the ranks of a core have it in turn for `SLICE` seconds each, whether they work or
wait: each is a host with a processor of that share of the speed. Rank i must be bound to core i modulo their number.
Ends with the ranks.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

SLICE = 1e-4  # seconds; half as long again in fact, as the timer is late
PRIORITY = 10  # of ranks that are timed; those whose turn it is have the next


def give(pids: list[int], priority: int) -> None:
    """Give ranks a real-time priority, unless they have none at the moment."""
    for pid in pids:
        with suppress(OSError):  # of a rank that is not being timed
            os.sched_setparam(pid, os.sched_param(priority))


def main(pids: list[int]) -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2 * PRIORITY))
    cores = len(os.sched_getaffinity(0))
    turns = [pids[first : first + cores] for first in range(0, len(pids), cores)]
    before = turns[-1]
    for turn in itertools.cycle(turns):
        give(turn, PRIORITY + 1)
        give(before, PRIORITY)
        before = turn
        time.sleep(SLICE)
        if turn is turns[0] and not Path(f"/proc/{pids[0]}").exists():
            return


if __name__ == "__main__":
    main([int(pid) for pid in sys.argv[1:]])
