"""A node whose clock is the wall's: it does its work, waits where it is to be slower, and answers others meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hpcopt.fabric.node import Node
from hpcopt.fabric.timeline import COMPUTE, Recorder, Timeline
from hpcopt.fabric.wall.progress import Progress

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
        self.timeline = Timeline(limit, GAP)
        self.seam.attach(Recorder(self, scouts=True))

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
