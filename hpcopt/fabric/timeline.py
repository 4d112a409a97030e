"""The timeline of one node: spans, on its own clock, of computing, waiting, exchanging and coordinating.

It is recorded only on demand: `node.timeline` is None unless a run requests it, and None during monitoring.
Asynchronous operations have no span of their own: a `put` or a `get` counts as exchange while its node waits for it in
a flush.

A virtual cluster knows when the last of the awaited nodes arrived. The duration of an MPI collective does not show
this, so on the wall clock each collective is preceded by a scout: a message of one byte or number to the same nodes, by
the same kind of operation. When the scout has completed, all awaited nodes have arrived. The scout's time counts as
waiting, that of the operation itself as exchange. The node computes, sends and books the same as without a timeline;
the small messages make a recorded run slower.
"""

from __future__ import annotations

from array import array
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.seam import Kind, Observer, OfTrees, Operation, Seam

KINDS = ("compute", "wait", "exchange", "board")
"""Names of the kinds of spans; the constants below are indices into this tuple."""
COMPUTE, WAIT, EXCHANGE, BOARD = range(len(KINDS))

SPANS: dict[Kind, int] = {
    "fetch_and_op": EXCHANGE,
    "compare_and_swap": EXCHANGE,
    "flush": EXCHANGE,
    "wait": WAIT,
    "drain": WAIT,
    "post": BOARD,
}
MEETINGS: frozenset[Kind] = frozenset((*get_args(OfTrees), "alltoall", "exchange", "exchange_varying"))
"""Operations in which nodes wait for one another, and then exchange."""


class Timeline:
    """Spans in the order in which they were added.

    Parameters
    ----------
    limit
        Maximum number of spans kept; further ones are only counted, in `dropped`.
    gap
        Seconds: a span that starts within this time after the previous span of the same kind extends it.
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
        """Add a span from `begin` to `end`, seconds on the node's clock; an empty span is ignored.

        Parameters
        ----------
        kind
            COMPUTE, WAIT, EXCHANGE, or BOARD (coordination, such as asking a board what to do next).
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
        """Add an operation from `came` to `left`: waiting until the last of the others arrived, then exchanging."""
        met = min(max(came, last), left)
        self.span(WAIT, came, met)
        self.span(EXCHANGE, met, left)

    def rows(self, node: int) -> NDArray[np.float64]:
        """Return the spans as rows (node, kind, begin, end), shape (spans, 4)."""
        return np.column_stack((np.full(len(self._kinds), float(node)), self._kinds, self._begins, self._ends))


class Recorded(Protocol):
    """The recorded node: its timeline (None during monitoring), its seam and its clock."""

    timeline: Timeline | None
    seam: Seam

    def now(self) -> float:
        """Return seconds on the node's clock."""


class Recorder(Observer):
    """Records the operations of a node in its timeline.

    Parameters
    ----------
    barriers
        Whether a barrier is all waiting, as nothing tells when the last node came (`Scouts` don't precede it).
    """

    def __init__(self, node: Recorded, *, barriers: bool = False) -> None:
        self._node = node
        self._spans: dict[Kind, int] = {**SPANS, "barrier": WAIT} if barriers else SPANS
        self._begun: dict[Operation, tuple[Timeline, float]] = {}

    def begin(self, op: Operation) -> None:
        timeline = self._node.timeline
        if timeline is not None and op.kind in self._spans:
            self._begun[op] = timeline, self._node.now()

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        if op in self._begun and op.kind in self._spans:
            timeline, came = self._begun.pop(op)
            timeline.span(self._spans[op.kind], came, self._node.now())

    def met(self, came: float, last: float, left: float) -> None:
        if self._node.timeline is not None and not self._begun:  # a drain's barrier is part of its wait
            self._node.timeline.meet(came, last, left)


class Scouts(Observer):
    """Sends a scout before each operation in which nodes meet, and tells the observers when the node met the others.

    Attached to a node on the wall clock after those observers.
    """

    def __init__(self, node: Recorded) -> None:
        self._node = node
        self._begun: dict[Operation, tuple[float, float]] = {}

    def begin(self, op: Operation) -> None:
        if self._node.timeline is not None and op.kind in MEETINGS:
            came = self._node.now()
            op.thing.scout(op)
            self._begun[op] = came, self._node.now()

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        if op in self._begun and op.kind in MEETINGS:
            came, last = self._begun.pop(op)
            left = self._node.now()
            for met in self._node.seam.meets:
                met(came, last, left)
