"""A cluster of one process without any MPI: the group of one, and the node that is alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.interface import Bytes, Cluster, Group, Neighbourhood, Node, Vector
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.lone import LoneBoard, LoneMailbox, LoneWindow
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.progress import Progress
from hpcopt.fabric.streams import stream
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.timed import TimedGroup, TimedNeighbourhood
from hpcopt.fabric.timeline import COMPUTE, Timeline
from hpcopt.fabric.wall_survey import LoneSurvey
from hpcopt.fabric.window import Window
from hpcopt.topology.mixing import Mixing

LONGEST = 1e-3  # seconds without a look at what others want
SHORTEST = 1e-4  # seconds: what is shorter cannot be slept
GAP = 2e-6  # seconds between two calls of the oracle, say, that a timeline does not show

T = TypeVar("T")


class SoloGroup(Group):
    """The group of one: every operation returns what it was given. Rounds count, bytes there are none."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        super().__init__(0, 1, ledger or Ledger())

    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
        self._book(x.nbytes, x.nbytes)
        if out is None:
            return x.copy()
        if out is not x:
            out[...] = x
        return out

    def max(self, x: Vector) -> Vector:
        self._book(x.nbytes, x.nbytes)
        return x.copy()

    def broadcast(self, x: Vector, root: int = 0) -> Vector:  # noqa: ARG002
        self._book(0, x.nbytes)
        return x.copy()

    def gather(self, x: Vector, root: int = 0) -> Vector | None:  # noqa: ARG002
        self._book(x.nbytes, 0)
        return np.array(x[np.newaxis])

    def allgather(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        self._book(x.nbytes, x.nbytes)
        return [x.copy()]

    def alltoall(self, parts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        self._book(0, 0)
        return [parts[0].copy()]

    def barrier(self) -> None:
        pass


class NoNeighbours(Neighbourhood):
    """The neighbourhood of a node that is alone: nothing goes out, nothing comes. Rounds count."""

    def exchange(self, message: Bytes) -> list[Bytes]:
        self._ledger.current.book_edges(self.link_class, (), message.nbytes)
        return []

    def exchange_varying(self, message: Bytes) -> list[Bytes]:
        self.exchange(message)
        return self.exchange(message)


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

    def now(self) -> float:
        return time.perf_counter() - self._start - self._paused

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        begin, paused = time.perf_counter(), self._paused
        with super().monitoring():
            yield
        self._paused = paused + time.perf_counter() - begin  # also where a survey is taken meanwhile


class SoloNode(WallClockNode):
    """The only node."""

    def __init__(self, seed: int, mixing: Mixing | None) -> None:
        self.rank, self.size = 0, 1
        self.mixing = mixing
        self._seed = seed
        self.ledger = Ledger()
        self.meter = Meter(self._work)
        self.rng = stream(seed, 0)
        self.world = SoloGroup(self.ledger)
        self._progress = Progress(lambda: None)

    def group(self, ranks: Sequence[int]) -> Group:
        if list(ranks) != [0]:
            raise ValueError(f"a cluster of one node has no group {list(ranks)}")
        return self.timed_group(SoloGroup)

    def neighbourhood(self, sources: Sequence[int], targets: Sequence[int]) -> Neighbourhood:
        if sources or targets:
            raise ValueError(f"a cluster of one node has no neighbours {[*sources, *targets]}")
        return self.timed_neighbourhood(lambda ledger: NoNeighbours((), (), ledger))

    def _window(self, words: int, link_class: str, *, by_edge: bool) -> Window:
        return LoneWindow(words, self.ledger, link_class, by_edge=by_edge)

    def _board(self, machine: Machine) -> Board:
        return LoneBoard(machine)

    def _mailbox(self) -> Mailbox:
        return LoneMailbox(self.ledger)

    def survey(
        self,
        stages: Sequence[Stage],
        done: Callable[[Vector], None],
        *,
        steps: int = 0,  # noqa: ARG002
        seconds: float | None = None,
    ) -> Survey:
        survey = LoneSurvey(self, stages, done, seconds)
        self._progress.add(survey.poke)
        self.meter.poke = self.poke
        return survey


class SoloCluster(Cluster):
    """One node in this process, where no MPI is to be had or none is wanted.

    Parameters
    ----------
    seed
        Keys the node's random stream.
    """

    kind = "mpi"  # what one rank of an MPI job does, without the library
    clock = "wall"

    def __init__(self, seed: int = 0) -> None:
        self.size = 1
        self.processes = SoloGroup()
        self.local_nodes = range(1)
        self._seed = seed

    def run(self, program: Callable[[Node], T]) -> list[T]:
        node = SoloNode(self._seed, self.mixing)
        node.pace = self.heterogeneity.pace(0, 1)
        node.start()
        return [program(node)]

    def leader_first(self, work: Callable[[], T]) -> T:
        return work()

    def close(self) -> None:
        pass
