"""Surveys of the virtual cluster: taken at one instant of virtual time, in no time at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hpcopt.fabric.events import EventLoop
from hpcopt.fabric.survey import Stage, Survey, Vector


class Surveyor:
    """What the nodes' surveys share: when the next is due, by steps of all nodes together or by the clock."""

    def __init__(self, size: int, loop: EventLoop, steps: int, seconds: float | None) -> None:
        self.nodes: dict[int, VirtualSurvey] = {}
        self._size = size
        self._loop = loop
        self._steps = steps
        self._seconds = seconds
        self._stepped = 0
        self._taken = 0

    def joined(self) -> None:
        """Begin once all nodes are there."""
        if len(self.nodes) == self._size and self._seconds is not None:
            self._loop.at(self._seconds, self._tick)

    def _tick(self) -> None:
        assert self._seconds is not None
        self.take()
        if self._loop.busy:  # else all nodes have ended, or wait for ever
            self._loop.at((self._taken + 1) * self._seconds, self._tick)

    def stepped(self) -> None:
        """Count a step of some node."""
        self._stepped += 1
        if self._seconds is None and self._steps and self._stepped % self._steps == 0:
            self.take()

    def take(self) -> None:
        """Survey all nodes, if all are still there."""
        self._taken += 1
        if len(self.nodes) < self._size or any(node.ended for node in self.nodes.values()):
            return
        ordered = [self.nodes[rank] for rank in range(self._size)]
        total = np.empty(0)
        for stage in range(len(ordered[0].stages)):
            parts = [node.stages[stage](self._loop.now, total) for node in ordered]
            total = np.add.reduce(np.stack(parts), axis=0)
        for node in ordered:
            node.done(total)


class VirtualSurvey(Survey):
    """A node's side."""

    def __init__(self, rank: int, surveyor: Surveyor, stages: Sequence[Stage], done: Callable[[Vector], None]) -> None:
        super().__init__(stages, done)
        self._surveyor = surveyor
        self.ended = False
        surveyor.nodes[rank] = self
        surveyor.joined()

    def stepped(self) -> None:
        self._surveyor.stepped()

    def end(self) -> None:
        self.ended = True
