"""A node on the wall clock: it works, waits where it is meant to be slower, and serves others meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hpcopt.fabric.meter import Work
from hpcopt.fabric.node import Node
from hpcopt.fabric.timeline import COMPUTE, Recorder, Scouts, Timeline
from hpcopt.fabric.wall.progress import Progress

LONGEST = 1e-3  # seconds without a poll
SHORTEST = 1e-4  # seconds: shorter sleeps are inaccurate
LONGEST_SLEEP = 3600.0  # seconds
GAP = 2e-6  # seconds between two spans, of oracle calls for example, that a timeline does not show


class WallClockNode(Node):
    """A node on the wall clock, which is stopped during monitoring."""

    clock = "wall"
    _progress: Progress

    def poke(self) -> None:
        """Make progress on the requests of others and on this node's background operations."""
        self._progress.poke()

    def _work(self, work: Work, seconds: float) -> None:  # noqa: ARG002
        begun = self.now() - seconds if self.timeline is not None else 0.0
        if self.pace.factor > 1.0:
            self._delay((self.pace.factor - 1.0) * seconds)
        if self.timeline is not None:
            self.timeline.span(COMPUTE, begun, self.now())

    def _delay(self, seconds: float) -> None:
        """Slow this node down by `seconds`: wait once enough has accumulated, and carry over any excess."""
        self._owed += seconds
        if self._owed >= SHORTEST:
            begun = self.now()
            self.idle(self._owed)
            self._owed -= self.now() - begun

    def idle(self, seconds: float) -> None:
        end = self.now() + seconds  # on the node's clock, which excludes surveys taken in a poll
        poke = self.meter.poke
        while (left := end - self.now()) > 0.0:
            if poke is None:
                time.sleep(left)
            else:
                time.sleep(min(left, LONGEST))
                poke()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def hang(self, seconds: float) -> None:
        time.sleep(seconds)

    def stall(self, why: str) -> None:  # noqa: ARG002  (the watchdog tells)
        while True:
            time.sleep(LONGEST_SLEEP)

    def record(self, limit: int) -> None:
        self.timeline = Timeline(limit, GAP)
        self.seam.attach(Recorder(self, barriers=True))
        self.seam.attach(Scouts(self))

    def start(self) -> None:
        """Set the clock to zero."""
        self.paused = 0.0
        self._owed = 0.0  # seconds of delay that a slow node has not waited yet
        self._start = time.perf_counter()

    def snapshot(self) -> dict[str, Any]:
        return {**super().snapshot(), "owed": self._owed, "paused": self.paused}

    def restore(self, snapshot: dict[str, Any]) -> None:
        super().restore(snapshot)
        self._owed = float(snapshot["owed"])
        self.paused = float(snapshot["paused"])
        self._start = time.perf_counter() - float(snapshot["clock"]) - self.paused

    def now(self) -> float:
        return time.perf_counter() - self._start - self.paused

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        begin, paused = time.perf_counter(), self.paused
        with super().monitoring():
            yield
        self.paused = paused + time.perf_counter() - begin  # also if a survey is taken meanwhile
