"""When a rank is killed, another rank of its host says so before the launcher ends the job; and no rank outlives it.

A process that gets SIGKILL, from the system when memory runs out for example, cannot report anything, and launchers
report it in their own words or not at all. So each rank watches the next one on its host, and the launcher's daemon. A
thread sleeps until one of them has ended, and looks once a second whether that rank is stopped.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from hpcopt.fabric.host_table import HostTable
from hpcopt.fabric.processes import state, status
from hpcopt.fabric.stops import LOOK, Stops, tell
from hpcopt.interrupts import kept

GRACE = 3.0  # seconds given to the launcher to end the job
SHARED = "/dev/shm/"
CODE = 128 + signal.SIGKILL

_surviving: list[bool] = []
"""Not empty while the job goes on when ranks die."""


def watch(table: HostTable, end: Callable[[int], NoReturn], daemon: int | None) -> None:
    """Watch the next rank of the host, and the launcher's daemon, in a thread.

    Parameters
    ----------
    table
        The ranks of the host.
    end
        Ends this process and the job with an exit code.
    daemon
        The process that has started this one, if it belongs to the launcher.
    """
    watched: dict[int, Callable[[], int | None]] = {} if daemon is None else {daemon: _launcher_ended}

    stops, followed = Stops(table, end), table.own

    def follow(slot: int) -> None:
        nonlocal followed
        followed = slot
        watched[table.pid(slot)] = lambda: _rank_ended(table, slot, end)

    def look_after() -> None:
        while watched and not table.ends(table.own):
            ended = _ended(list(watched))
            for pid in ended:
                following = watched.pop(pid)()
                if following is not None and following != table.own:
                    follow(following)
            if not ended and followed != table.own:
                stops.look(followed)

    if table.size > 1:
        follow((table.own + 1) % table.size)
    threading.Thread(target=look_after, daemon=True).start()


def survive(*, deaths: bool) -> None:
    """Let the job go on from now on when ranks die, whose deaths are then only reported, or let it end."""
    _surviving[:] = [True] * deaths


def _ended(pids: list[int]) -> list[int]:
    """Wait until some of the processes have ended, at most for a second; return these."""
    try:
        descriptors = {os.pidfd_open(pid): pid for pid in pids}
    except (AttributeError, OSError):  # an old kernel, or one of them has ended
        for _ in range(10):
            gone = [pid for pid in pids if state(pid) in {"", "Z"}]
            if gone:
                return gone
            time.sleep(0.1 * LOOK)
        return []
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    try:
        return [descriptors[descriptor] for descriptor, _ in poll.poll(1e3 * LOOK)]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _rank_ended(table: HostTable, slot: int, end: Callable[[int], NoReturn]) -> int | None:
    """Report the end of a slot's process, and end the job; if it survives, return the next slot to watch."""
    if table.ends(slot) or table.ends(table.own):
        return None
    told = f"rank {table.rank(slot)} (process {table.pid(slot)} on {socket.gethostname()}) {_how(table.pid(slot))}"
    if _surviving:
        tell(told)
        return (slot + 1) % table.size
    if table.claim():
        tell("; ".join((f"error: {told}", *kept())))
        _free_shared_memory()
    time.sleep(GRACE)
    return end(CODE)


def _free_shared_memory() -> None:
    """Remove the names of this job's segments of shared memory, which MPICH would leave behind; mapped ones live on."""
    with suppress(OSError):
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        for path in {line.split(maxsplit=5)[5] for line in maps if SHARED in line}:
            if not path.endswith("(deleted)"):
                Path(path).unlink(missing_ok=True)


def _how(pid: int) -> str:
    """Return how a process ended, as far as the system still knows."""
    with suppress(ValueError, IndexError):
        code = int(status(pid)[-1])
        if os.WIFSIGNALED(code):
            return f"was killed by {signal.Signals(os.WTERMSIG(code)).name}"
        if os.WIFEXITED(code) and code:
            return f"has ended with exit code {os.WEXITSTATUS(code)}"
    return "has died without a word: killed, perhaps because memory ran out"


def _launcher_ended() -> None:
    """End like after SIGTERM: nobody else would end this process."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE + GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
