"""The timeline of one node: when it computed, waited, exchanged and coordinated, as spans of its own clock.

Kept only on demand: `node.timeline` is None unless a run asks for it, and while the node is measured. What is
asynchronous takes no span: a `put` or a `get` is an exchange while its node waits for it, in a flush.

A virtual cluster knows when the last of those came whom a node waits for. How long a collective of MPI takes does not
tell that, so on the wall clock each is preceded by a scout: a message of one byte or number to the same nodes, sent by
the same kind of operation. When that has ended, all whom the node would wait for are there. Its time is the waiting,
that of the operation itself the exchange. What the node computes, sends and books is the same; a recorded run is slower
by these small messages.
"""

from __future__ import annotations

from array import array
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.seam import Kind, Observer, Operation

KINDS = ("compute", "wait", "exchange", "board")
"""The kinds of spans in words; the numbers below are places here."""
COMPUTE, WAIT, EXCHANGE, BOARD = range(len(KINDS))

SPANS: dict[Kind, int] = {
    "fetch_and_op": EXCHANGE,
    "compare_and_swap": EXCHANGE,
    "flush": EXCHANGE,
    "wait": WAIT,
    "drain": WAIT,
    "post": BOARD,
}
MEETINGS: frozenset[Kind] = frozenset(
    ("sum", "max", "broadcast", "gather", "allgather", "alltoall", "exchange", "exchange_varying")
)
"""Operations in which nodes wait for one another, and then exchange."""


class Timeline:
    """Spans in the order in which they were added.

    Parameters
    ----------
    limit
        Most spans to keep; what comes after them is counted in `dropped` and forgotten.
    gap
        Seconds: a span that begins so soon after the end of the last one, of the same kind, prolongs it.
    """

    __slots__ = ("_begins", "_ends", "_gap", "_kinds", "_limit", "dropped")

    def __init__(self, limit: int, gap: float = 0.0) -> None:
        self._limit = limit
        self._gap = gap
        self._kinds = array("b")
        self._begins = array("d")
        self._ends = array("d")
        self.dropped = 0

    def span(self, kind: int, begin: float, end: float) -> None:
        """Add what the node did from `begin` to `end`, seconds of its clock; an empty span is none.

        Parameters
        ----------
        kind
            COMPUTE, WAIT, EXCHANGE, or BOARD: coordination, as asking a board what to do next.
        """
        if end <= begin:
            return
        if self._kinds and self._kinds[-1] == kind and begin - self._ends[-1] <= self._gap:
            self._ends[-1] = end
        elif len(self._kinds) < self._limit:
            self._kinds.append(kind)
            self._begins.append(begin)
            self._ends.append(end)
        else:
            self.dropped += 1

    def meet(self, came: float, last: float, left: float) -> None:
        """Add an exchange from `came` to `left`: waiting until the last of the others came, exchanging from then on."""
        met = min(max(came, last), left)
        self.span(WAIT, came, met)
        self.span(EXCHANGE, met, left)

    def rows(self, node: int) -> NDArray[np.float64]:
        """Return the spans as rows (node, kind, begin, end), shape (spans, 4)."""
        return np.column_stack((np.full(len(self._kinds), float(node)), self._kinds, self._begins, self._ends))


class Recorded(Protocol):
    """The node: its timeline, None while it is measured, and its clock."""

    timeline: Timeline | None

    def now(self) -> float:
        """Return seconds on the node's clock."""


class Recorder(Observer):
    """Writes the operations of a node into its timeline.

    Parameters
    ----------
    scouts
        Whether waiting is told from exchanging by scouts, or else by a cluster that knows.
    """

    def __init__(self, node: Recorded, *, scouts: bool = False) -> None:
        self._node = node
        self._spans: dict[Kind, int] = {**SPANS, "barrier": WAIT} if scouts else SPANS
        self._recorded = self._spans.keys() | (MEETINGS if scouts else ())
        self._begun: dict[Operation, tuple[Timeline, float, float]] = {}

    def begin(self, op: Operation) -> None:
        node, timeline = self._node, self._node.timeline
        if timeline is None or op.kind not in self._recorded:
            return
        came = met = node.now()
        if op.kind not in self._spans:
            op.thing.scout(op)
            met = node.now()
        self._begun[op] = timeline, came, met

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        if op not in self._begun or op.kind not in self._recorded:
            return
        timeline, came, met = self._begun.pop(op)
        if op.kind in self._spans:
            timeline.span(self._spans[op.kind], came, self._node.now())
        else:
            timeline.meet(came, met, self._node.now())

    def met(self, came: float, last: float, left: float) -> None:
        if self._node.timeline is not None:
            self._node.timeline.meet(came, last, left)
