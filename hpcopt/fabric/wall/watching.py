"""The thread of the watchdog: it names the ranks of a run that make no progress, and what each of them is doing.

A thread of each process looks now and then at the counts that its node has anyway, the ledger's and the meter's, and
notes in the host's table when they last changed. Nothing is added to an operation. One process of each host reports.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol

from hpcopt.fabric.calls import operation, stack
from hpcopt.fabric.host_table import PULSE, ROUND, SINCE, HostTable
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.processes import state
from hpcopt.fabric.stalls import Seen, report
from hpcopt.fabric.stops import tell
from hpcopt.fabric.watchdog import Watchdog

SHORTEST, LONGEST = 0.02, 1.0  # seconds between two looks
LOOKS = 10  # until a stall is reported, if that takes no longer than LONGEST each
SILENT = 4  # looks that a process has missed if it does not answer


class Watched(Protocol):
    """The interface of a node that the watchdog needs."""

    clock: str
    ledger: Ledger
    meter: Meter


@contextmanager
def watching(
    table: HostTable, settings: Watchdog, end: Callable[[int], NoReturn]
) -> Iterator[Callable[[Watched], None]]:
    """Return a context in which nodes that this thread runs can be watched: it yields what is called with a node.

    Parameters
    ----------
    table
        The ranks of the host.
    end
        Ends this process and the job with an exit code.
    """
    dog = _Dog(table, settings, end)
    try:
        yield dog.watch
    finally:
        dog.stop()


class _Dog:
    def __init__(self, table: HostTable, settings: Watchdog, end: Callable[[int], NoReturn]) -> None:
        self._table = table
        self._settings = settings
        self._end = end
        self._period = min(max(settings.after / LOOKS, SHORTEST), LONGEST)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched = threading.get_ident()
        self._own = table.numbers(table.own)
        self._stalled_before: set[int] = set()
        self._is_known = self._reports = False  # whether the stall has been reported, and whether by this process

    def watch(self, node: Watched) -> None:
        """Watch a node from now on; one on a virtual clock cannot hang unnoticed."""
        if self._settings.after and node.clock == "wall":
            self._node = node
            self._own[SINCE] = time.monotonic_ns()
            self._thread = threading.Thread(target=self._look_after, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._own[SINCE] = 0

    def _look_after(self) -> None:
        before = None
        while not self._over.wait(self._period):
            counts = self._counts()
            now = time.monotonic_ns()
            if counts != before:
                before, self._own[SINCE], self._own[ROUND] = counts, now, counts[0]
            elif now - self._own[SINCE] >= 1e9 * self._settings.after:
                self._table.write(f"{operation(self._watched)}\n{stack(self._watched)}")
            self._own[PULSE] = now
            self._judge(now)

    def _counts(self) -> tuple[float, ...]:
        """Return what changes with every operation and every piece of work."""
        solver, monitored = self._node.ledger.solver, self._node.ledger.monitored
        return solver.rounds, solver.messages, monitored.rounds, monitored.messages, self._node.meter.flops

    def _judge(self, now: int) -> None:
        """Report the stalled ranks of the host, if this process is the first that can."""
        if self._table.job_ends():
            return
        since = self._table.column(SINCE)
        there: list[Seen] = []
        if (now - since[since > 0] >= 1e9 * self._settings.after).any():
            everyone = [self._seen(slot, now) for slot in range(self._table.size)]
            there = [seen for seen in everyone if seen is not None]
        stalled = {seen.rank for seen in there if seen.age >= self._settings.after}
        if not stalled:
            if self._reports:
                tell("watchdog: the run goes on")
            self._is_known = self._reports = False
        elif stalled == self._stalled_before and not self._is_known:  # all that wait have come to it by now
            self._is_known = True
            self._reports = next(seen.rank for seen in there if seen.answers) == self._table.rank(self._table.own)
            if not self._reports:
                return
            tell(*report(there, self._settings.after))
            if self._settings.abort and len(stalled) == len(there):
                tell("error: the watchdog ends the job, as watchdog.abort is true")
                self._end(1)
        self._stalled_before = stalled

    def _seen(self, slot: int, now: int) -> Seen | None:
        numbers = self._table.numbers(slot)
        since = int(numbers[SINCE])
        if not since or state(self._table.pid(slot)) in {"", "Z"}:  # not in a run, or dead
            return None
        told, _, calls = self._table.text(slot).partition("\n")
        return Seen(
            rank=self._table.rank(slot),
            pid=self._table.pid(slot),
            round=int(numbers[ROUND]) + 1,
            age=max(0.0, (now - since) / 1e9),
            answers=now - int(numbers[PULSE]) < 1e9 * SILENT * self._period or slot == self._table.own,
            operation=told,
            stack=calls,
        )
