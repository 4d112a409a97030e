"""Ranks that are stopped, by SIGSTOP or a debugger, while data are read or results are written.

In between, during a run, the watchdog sees them (`hpcopt.fabric.wall.watching`), with its settings.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from hpcopt.fabric.host_table import HostTable
from hpcopt.fabric.processes import state
from hpcopt.fabric.watchdog import Watchdog

LOOK = 1.0  # seconds between two looks

_settings = [Watchdog()]


def heed(settings: Watchdog) -> None:
    """Report stopped ranks by these settings from now on."""
    _settings[:] = [settings]


class Stops:
    """Looks whether ranks of this host are stopped.

    Parameters
    ----------
    table
        The ranks of the host.
    end
        Ends this process and the job with an exit code.
    """

    def __init__(self, table: HostTable, end: Callable[[int], NoReturn]) -> None:
        self._table = table
        self._end = end
        self._looks = 0  # for which the rank has been stopped; not a time, as this process may have been stopped, too

    def look(self, slot: int) -> None:
        """Note whether the rank of a slot is stopped; called every `LOOK` seconds."""
        table, (settings,) = self._table, _settings
        if table.is_in_run(slot) or table.ends(slot) or state(table.pid(slot)) != "T":
            self._looks = 0
            return
        self._looks += 1
        if not settings.after or self._looks != max(1, round(settings.after / LOOK)):
            return
        told = f"watchdog: rank {table.rank(slot)} (process {table.pid(slot)} on {socket.gethostname()}) is stopped"
        tell(f"{told}, for {settings.after:g} s so far")
        if settings.abort:
            tell("error: the watchdog ends the job, as watchdog.abort is true")
            self._end(1)


def tell(*lines: str) -> None:
    """Write lines to the error stream, from any thread: not through Python's buffers, which may be locked."""
    text = "".join(f"hpcopt: {line}\n" for line in lines)
    with suppress(OSError):
        os.write(2, text.encode(errors="backslashreplace"))
