"""Surveys of the virtual cluster: taken at one instant of virtual time, at no cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.virtual.events import EventLoop


class Surveyor:
    """The part shared by the nodes' surveys: when the next one is due, by steps of all nodes or by the clock."""

    def __init__(self, size: int, loop: EventLoop, steps: int, seconds: float | None) -> None:
        self.nodes: dict[int, VirtualSurvey] = {}
        self._size = size
        self._loop = loop
        self._steps = steps
        self._seconds = seconds
        self._stepped = 0
        self._awaited = False  # whether a survey is scheduled

    def stepped(self) -> None:
        """Count a step of some node."""
        self._stepped += 1
        if self._seconds is None:
            if self._steps and self._stepped % self._steps == 0:
                self.take()
        elif not self._awaited:  # without new steps there is nothing new to measure
            self._awaited = True
            self._loop.at(math.ceil(self._loop.now / self._seconds) * self._seconds, self._take_awaited)

    def _take_awaited(self) -> None:
        self._awaited = False
        self.take()

    def take(self) -> None:
        """Survey all nodes, if none has ended."""
        if len(self.nodes) < self._size or any(node.ended for node in self.nodes.values()):
            return
        ordered = [self.nodes[rank] for rank in range(self._size)]
        total = np.empty(0)
        for stage in range(len(ordered[0].stages)):
            before, total = total, ordered[0].stages[stage](self._loop.now, total)
            for node in ordered[1:]:  # each has a number for every node: all together would not fit into memory
                total = total + node.stages[stage](self._loop.now, before)
        for node in ordered:
            node.done(total)


class VirtualSurvey(Survey):
    """A node's side of the surveys."""

    def __init__(self, rank: int, surveyor: Surveyor, stages: Sequence[Stage], done: Callable[[Vector], None]) -> None:
        super().__init__(stages, done)
        self._surveyor = surveyor
        self.ended = False
        surveyor.nodes[rank] = self

    def stepped(self) -> None:
        self._surveyor.stepped()

    def end(self) -> None:
        self.ended = True
