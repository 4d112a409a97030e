"""The table of operations of one node: calls, seconds, messages and bytes of each kind of operation, on its own clock.

Seconds are those of the node's clock, which is stopped during monitoring. Whatever the node does between two operations
is computing, if an oracle call brackets it, and "other" otherwise. Computing, all operations and the rest add up to the
clock.

How long an operation waited for other nodes is known on a virtual cluster, and on ranks if a timeline is recorded (see
`Scouts`); for operations that only wait, or never do, everywhere.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, NamedTuple, Protocol

from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.meter import Meter, Work
from hpcopt.fabric.seam import Observer, Operation
from hpcopt.fabric.timeline import MEETINGS, Timeline

COMPUTE, OTHER, MONITORING, STAND_BY = "compute", "other", "monitoring", "stand by"
"""Rows that are not operations: oracle calls, the rest of the clock, the driver's measurements, waits at a step."""
NO_LINK = "-"
"""Their class of links."""
WAITS = frozenset({"wait", "drain"})
"""Operations that only wait."""
_ROUNDING = 1e-12  # of the clock, which adds up the same seconds in another order
_DRIVERS = "monitoring"  # class of links of the driver's own window, in which a node may pause


class Line(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    operation, link_class
        The kind of operation, and the ledger's name for the links it used; of computing, the kind of work.
    calls
        How often this node called it.
    seconds, waited
        Seconds on the node's clock, and those of them in which it waited for others; NaN if that is not known. Seconds
        of monitoring are those of the wall clock, in which the node's clock stood still.
    messages, bytes
        What the ledger charges to this node.
    """

    operation: str
    link_class: str
    calls: int
    seconds: float
    waited: float
    messages: int
    bytes: int


class Row:
    """The sums of one kind of operation so far."""

    __slots__ = ("bytes", "calls", "messages", "seconds", "waited")

    def __init__(self) -> None:
        self.calls = self.messages = self.bytes = 0
        self.seconds = self.waited = 0.0


class Tabulated(Protocol):
    """The node whose operations are counted."""

    clock: str
    size: int
    ledger: Ledger
    meter: Meter
    timeline: Timeline | None
    paused: float

    def now(self) -> float:
        """Return seconds on the node's clock."""


class Operations(Observer):
    """Counts the operations and the work of a node; attached last, it sees their whole duration."""

    __slots__ = ("_begun", "_known", "_ledger", "_monitored", "_node", "_now", "_rows", "_solver", "_waited", "_work")

    def __init__(self, node: Tabulated) -> None:
        self._node = node
        self._now = node.now
        self._ledger = node.ledger
        self._solver = node.ledger.solver
        self._rows: defaultdict[tuple[str, str], Row] = defaultdict(Row)  # (links or work, kind)
        self._known = node.clock == "virtual" or node.size == 1 or node.timeline is not None  # all waiting
        self._monitored = 0
        self._begun = 0.0
        self._waited = 0.0  # in the current operation
        self._work = node.meter.on_work
        node.meter.on_work = self._worked

    def begin(self, op: Operation) -> None:  # noqa: ARG002
        self._begun = self._now()

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        if self._ledger.current is not self._solver:
            self._monitored += 1
            return
        row = self._rows[op.link_class, op.kind]
        row.calls += 1
        row.seconds += self._now() - self._begun
        if op.messages:
            row.messages += op.messages
            row.bytes += op.bytes
        if self._waited:
            row.waited += self._waited
            self._waited = 0.0

    def met(self, came: float, last: float, left: float) -> None:
        self._waited += min(max(came, last), left) - came

    def _worked(self, work: Work, seconds: float) -> None:
        """Count a piece of work, and the delay of a slow node that follows it."""
        row, before = self._rows[work.kind, COMPUTE], self._now()
        if self._work is not None:
            self._work(work, seconds)
        row.calls += 1
        row.seconds += self._now() - before
        if self._node.clock == "wall":  # there, the clock has run during the work
            row.seconds += seconds

    def stood_by(self, seconds: float) -> None:
        """Count a wait that is part of a solver's step, as for a partner that is busy."""
        row = self._rows[NO_LINK, STAND_BY]
        row.calls += 1
        row.seconds += seconds

    def charges_of(self, kind: str, link_class: str) -> Observer:
        """Return an observer that books the messages of other operations on `kind`, which consists of them."""
        return _Charges(self._rows[link_class, kind])

    def lines(self) -> list[Line]:
        """Return the table so far; computing first, then all operations by name, the rest and monitoring."""
        node = self._node
        rows = {key: row for key, row in self._rows.items() if key[1] != "round" and key[0] != _DRIVERS}
        if not any(kind == COMPUTE for _, kind in rows):
            rows[NO_LINK, COMPUTE] = Row()
        named = sorted(rows.items(), key=lambda item: (item[0][1] != COMPUTE, item[0][1], item[0][0]))
        lines = [
            Line(kind, link_class, row.calls, row.seconds, self._waiting(kind, row), row.messages, row.bytes)
            for (link_class, kind), row in named
        ]
        clock = node.now()
        rest = clock - math.fsum(line.seconds for line in lines)
        rest = rest if rest > _ROUNDING * clock else 0.0
        seen = node.ledger.monitored
        return [
            *lines,
            Line(OTHER, NO_LINK, 0, rest, 0.0, 0, 0),
            Line(MONITORING, NO_LINK, self._monitored, node.paused, math.nan, seen.messages, seen.bytes),
        ]

    def _waiting(self, kind: str, row: Row) -> float:
        if kind in WAITS or kind == STAND_BY or (kind == "barrier" and self._node.clock == "wall"):
            return row.seconds
        return math.nan if kind in MEETINGS and not self._known else min(row.waited, row.seconds)

    def snapshot(self) -> dict[str, Any]:
        """Return the table as plain data."""
        rows = [[*key, row.calls, row.seconds, row.waited, row.messages, row.bytes] for key, row in self._rows.items()]
        return {"rows": rows, "monitored": self._monitored, "known": self._known}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        for link_class, kind, calls, seconds, waited, messages, size in snapshot["rows"]:
            row = self._rows[link_class, kind]
            row.calls, row.messages, row.bytes = int(calls), int(messages), int(size)
            row.seconds, row.waited = float(seconds), float(waited)
        self._monitored = int(snapshot["monitored"])
        self._known = self._known and bool(snapshot["known"])


class _Charges(Observer):
    """Adds the charges of operations to a row, without calls or seconds."""

    __slots__ = ("_row",)

    def __init__(self, row: Row) -> None:
        self._row = row

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        self._row.messages += op.messages
        self._row.bytes += op.bytes
