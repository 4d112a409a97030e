"""When a rank is killed, another rank of its host says so before the launcher ends the job; and no rank outlives it.

A process that gets SIGKILL, from the system when memory runs out for example, cannot report anything, and launchers
report it in their own words or not at all. So each rank watches the next one on its host, and the launcher's daemon. A
thread sleeps until one of them has ended, and costs nothing until then.
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
from hpcopt.interrupts import kept

LOOK = 0.1  # seconds between two looks at a process, where the system cannot wake us
GRACE = 3.0  # seconds given to the launcher to end the job
SHARED = "/dev/shm/"
CODE = 128 + signal.SIGKILL


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
    watched: dict[int, Callable[[], None]] = {} if daemon is None else {daemon: _launcher_ended}
    if table.size > 1:
        following = (table.own + 1) % table.size
        watched[table.pid(following)] = lambda: _rank_ended(table, following, end)
    threading.Thread(target=_watch, args=(table, watched), daemon=True).start()


def _watch(table: HostTable, watched: dict[int, Callable[[], None]]) -> None:
    while watched and not table.ends(table.own):
        for pid in _ended(list(watched)):
            watched.pop(pid)()


def _ended(pids: list[int]) -> list[int]:
    """Wait until some of the processes have ended; return these."""
    try:
        descriptors = {os.pidfd_open(pid): pid for pid in pids}
    except (AttributeError, OSError):  # an old kernel, or one of them has ended
        gone = [pid for pid in pids if state(pid) in {"", "Z"}]
        if not gone:
            time.sleep(LOOK)
        return gone
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    try:
        return [descriptors[descriptor] for descriptor, _ in poll.poll()]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _rank_ended(table: HostTable, slot: int, end: Callable[[int], NoReturn]) -> None:
    if table.ends(slot) or table.ends(table.own):
        return
    how = _how(table.pid(slot))
    if table.claim():
        line = f"hpcopt: error: rank {table.rank(slot)} (process {table.pid(slot)} on {socket.gethostname()}) {how}"
        with suppress(OSError):
            os.write(2, "; ".join((line, *kept())).encode(errors="backslashreplace") + b"\n")
        _free_shared_memory()
    time.sleep(GRACE)
    end(CODE)


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
