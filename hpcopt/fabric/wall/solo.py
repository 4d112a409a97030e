"""A cluster of one process without MPI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.group import Group
from hpcopt.fabric.job import JOB, host_table
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.node import Node
from hpcopt.fabric.solo import SoloBoard, SoloGroup, SoloMailbox, SoloNeighbourhood, SoloWindow
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.wall.node import WallClockNode
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.wall.survey import WallSurvey
from hpcopt.fabric.wall.watching import watching
from hpcopt.fabric.window import Window

T = TypeVar("T")


class SoloNode(WallClockNode):
    """The only node."""

    def __init__(self, seed: int, conditions: Conditions) -> None:
        super().__init__(0, 1, seed, conditions)
        self.world = SoloGroup(self.seam)
        self._progress = Progress(lambda: None)

    def group(self, ranks: Sequence[int], link_class: str = "world") -> Group:
        if list(ranks) != [0]:
            raise ValueError(f"a cluster of one node has no group {list(ranks)}")
        return SoloGroup(self.seam, link_class)

    def _neighbourhood(
        self,
        sources: Sequence[int],
        targets: Sequence[int],
        among: tuple[int, ...] | None,  # noqa: ARG002
        link_class: str,
    ) -> Neighbourhood:
        return SoloNeighbourhood(sources, targets, self.seam, link_class)

    def window(self, words: int, link_class: str = "one-sided", *, by_edge: bool = True) -> Window:
        return SoloWindow(words, self.seam, link_class, by_edge=by_edge)

    def board(self, machine: Machine) -> Board:
        return SoloBoard(self.seam, machine)

    def mailbox(self) -> Mailbox:
        return SoloMailbox(self.seam)

    def renew(self) -> None:
        self._progress.services.clear()
        self.meter.poke = None

    def survey(
        self,
        stages: Sequence[Stage],
        done: Callable[[Vector], None],
        *,
        steps: int = 0,  # noqa: ARG002
        seconds: float | None = None,
    ) -> Survey:
        survey = SoloSurvey(self, stages, done, seconds)
        self._progress.add(survey.poke)
        self.meter.poke = self.poke
        return survey


class SoloSurvey(WallSurvey):
    """The survey of a single node."""

    _is_open = True

    def poke(self) -> None:
        """Take a survey if one is due."""
        if not self._is_open or not self._is_due():
            return
        total = np.empty(0)
        self._is_open = False  # oracle calls poll again
        for stage in range(len(self.stages)):
            total = self._contribution(stage, total)
        self._finish(total)
        self._is_open = True

    def end(self) -> None:
        self._is_open = False


class SoloCluster(Cluster):
    """One node in this process, if MPI is unavailable or not wanted.

    Parameters
    ----------
    seed
        Seed of the node's random streams.
    """

    kind = "mpi"  # behaves like one rank of an MPI job, without the library
    clock = "wall"

    def __init__(self, seed: int = 0) -> None:
        self.size = 1
        self.processes = SoloGroup()
        self.local_nodes = range(1)
        self._seed = seed

    def run(self, program: Callable[[Node], T], conditions: Conditions = PLAIN) -> list[T]:
        node = SoloNode(self._seed, conditions)
        node.start()
        with watching(host_table(), conditions.watchdog, JOB.end) as watch:
            watch(node)
            return [program(node)]

    def led(self, work: Callable[[], object]) -> bool:
        work()
        return True

    def close(self) -> None:
        pass
