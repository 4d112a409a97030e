"""A node whose clock is the wall's: it does its work, waits where it is to be slower, and answers others meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hpcopt.fabric.interface import Group, Neighbourhood, Node
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.timeline import COMPUTE, Timeline
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.wall.timed import TimedGroup, TimedNeighbourhood

LONGEST = 1e-3  # seconds without a look at what others want
SHORTEST = 1e-4  # seconds: what is shorter cannot be slept
GAP = 2e-6  # seconds between two calls of the oracle, say, that a timeline does not show


class WallClockNode(Node):
    """A node whose clock is the wall's, stopped while the driver measures."""

    clock = "wall"
    _progress: Progress

    def poke(self) -> None:
        """Let what others asked of this node, and what it does on the side, move on."""
        self._progress.poke()

    def _work(self, flops: float, seconds: float) -> None:  # noqa: ARG002
        begun = self.now() - seconds if self.timeline is not None else 0.0
        if self.pace.factor > 1.0:
            self._delay((self.pace.factor - 1.0) * seconds)
        if self.timeline is not None:
            self.timeline.span(COMPUTE, begun, self.now())

    def _delay(self, seconds: float) -> None:
        """Make this node slower by so much: wait, once it is worth it, and remember what was waited too long."""
        self._owed += seconds
        if self._owed >= SHORTEST:
            begun = self.now()
            self.idle(self._owed)
            self._owed -= self.now() - begun

    def idle(self, seconds: float) -> None:
        end = self.now() + seconds  # on the node's clock: a survey that a poke takes is no part of it
        poke = self.meter.poke
        while (left := end - self.now()) > 0.0:
            if poke is None:
                time.sleep(left)
            else:
                time.sleep(min(left, LONGEST))
                poke()

    def record(self, limit: int) -> None:
        begun = time.perf_counter()
        self.timeline = Timeline(limit, GAP)
        self.world = self.group(range(self.size))
        self._paused += time.perf_counter() - begun

    def timed_group(self, make: Callable[[Ledger], Group]) -> Group:
        """Return the group that `make` makes with this node's ledger; one that is timed where that is asked for."""
        group = make(self.ledger)
        return group if self.timeline is None else TimedGroup(group, make(Ledger()), self)

    def timed_neighbourhood(self, make: Callable[[Ledger], Neighbourhood]) -> Neighbourhood:
        """Do the same for a neighbourhood."""
        links = make(self.ledger)
        return links if self.timeline is None else TimedNeighbourhood(links, make(Ledger()), self)

    def start(self) -> None:
        """Set the clock to zero."""
        self._paused = 0.0
        self._owed = 0.0  # seconds by which a slow node is still too fast
        self._start = time.perf_counter()

    def snapshot(self) -> dict[str, Any]:
        return {**super().snapshot(), "owed": self._owed}

    def restore(self, snapshot: dict[str, Any]) -> None:
        super().restore(snapshot)
        self._owed = float(snapshot["owed"])
        self._paused = 0.0
        self._start = time.perf_counter() - float(snapshot["clock"])

    def now(self) -> float:
        return time.perf_counter() - self._start - self._paused

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        begin, paused = time.perf_counter(), self._paused
        with super().monitoring():
            yield
        self._paused = paused + time.perf_counter() - begin  # also where a survey is taken meanwhile
