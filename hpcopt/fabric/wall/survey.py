"""Surveys on the wall clock: taken in polls while the nodes keep working, scheduled by the first node's clock.

They are monitoring: their time does not count as the solver's. By default their frequency is chosen so that they cost a
small part of the nodes' time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hpcopt.arrays import Vector
from hpcopt.fabric.node import Node
from hpcopt.fabric.survey import Stage, Survey

SHORTEST = 0.01  # seconds between two surveys
SHARE = 1 / 20  # of the time may go to surveys


class WallSurvey(Survey):
    """One node's side, independent of how the contributions are combined.

    Parameters
    ----------
    seconds
        Time between the starts of two surveys; None: chosen by their cost.
    """

    def __init__(
        self, node: Node, stages: Sequence[Stage], done: Callable[[Vector], None], seconds: float | None
    ) -> None:
        super().__init__(stages, done)
        self._node = node
        self._seconds = seconds
        self._cost = 0.0  # seconds that this node spent on the last survey
        self._spent = 0.0  # and has spent on the current one
        self._price = 0.0  # average cost of the last survey per node
        self._taken = 0.0  # when the current survey was taken
        self._next = SHORTEST if seconds is None else seconds

    def _is_due(self) -> bool:
        """Return whether the next survey is due, and if so schedule the one after it."""
        now = self._node.now()
        if now < self._next:
            return False
        gap = max(SHORTEST, self._price / SHARE) if self._seconds is None else self._seconds
        self._next = now + gap
        return True

    def _contribution(self, stage: int, total: Vector) -> Vector:
        if stage == 0:
            self._taken = self._node.now()
        begun = time.perf_counter()
        with self._node.monitoring():
            mine = self.stages[stage](self._taken, total)
        self._spent += time.perf_counter() - begun
        return mine

    def _finish(self, total: Vector) -> None:
        begun = time.perf_counter()
        with self._node.monitoring():
            self.done(total)
        self._price = self._cost = self._spent + time.perf_counter() - begun
        self._spent = 0.0

    def stepped(self) -> None:
        pass
