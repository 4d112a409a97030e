"""Surveys on the wall clock: taken in the pokes of nodes that go on working, by the clock of the first node.

They are measuring: their time is no time of the solver's. Where nobody says how often, they come as often as costs the
nodes a small part of their time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hpcopt.arrays import Vector
from hpcopt.fabric.node import Node
from hpcopt.fabric.survey import Stage, Survey

SHORTEST = 0.01  # seconds between two surveys
SHARE = 1 / 20  # of the time, for surveys


class WallSurvey(Survey):
    """One node's side, whoever brings the contributions together.

    Parameters
    ----------
    seconds
        Time between the beginnings of two surveys; None leaves it to what they cost.
    """

    def __init__(
        self, node: Node, stages: Sequence[Stage], done: Callable[[Vector], None], seconds: float | None
    ) -> None:
        super().__init__(stages, done)
        self._node = node
        self._seconds = seconds
        self._cost = 0.0  # seconds that this node spent on the last survey, and on the present one
        self._spent = 0.0
        self._price = 0.0  # what the last one cost a node
        self._taken = 0.0  # when the present one was
        self._next = SHORTEST if seconds is None else seconds

    def _is_due(self) -> bool:
        """Tell whether the next survey is to begin, and if so set when the one after it is."""
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
