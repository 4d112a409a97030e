"""The timeline of one node: when it computed, waited, exchanged and coordinated, as spans of its own clock.

Kept only on demand: `node.timeline` is None unless a run asks for it, and while the node is measured.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

KINDS = ("compute", "wait", "exchange", "board")
"""The kinds of spans in words; the numbers below are places here."""
COMPUTE, WAIT, EXCHANGE, BOARD = range(len(KINDS))


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
