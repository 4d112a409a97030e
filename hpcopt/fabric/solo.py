"""A cluster of one process without any MPI: the group of one, and the node that is alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.interface import Bytes, Cluster, Group, Neighbourhood, Node, Vector
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.streams import stream
from hpcopt.topology.mixing import Mixing

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

    def start(self) -> None:
        """Set the clock to zero."""
        self._paused = 0.0
        self._start = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self._start - self._paused

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        begin = time.perf_counter()
        with super().monitoring():
            yield
        self._paused += time.perf_counter() - begin


class SoloNode(WallClockNode):
    """The only node."""

    def __init__(self, seed: int, mixing: Mixing | None) -> None:
        self.rank, self.size = 0, 1
        self.mixing = mixing
        self._seed = seed
        self.ledger = Ledger()
        self.meter = Meter()
        self.rng = stream(seed, 0)
        self.world = SoloGroup(self.ledger)

    def group(self, ranks: Sequence[int]) -> Group:
        if list(ranks) != [0]:
            raise ValueError(f"a cluster of one node has no group {list(ranks)}")
        return SoloGroup(self.ledger)

    def neighbourhood(self, sources: Sequence[int], targets: Sequence[int]) -> Neighbourhood:
        if sources or targets:
            raise ValueError(f"a cluster of one node has no neighbours {[*sources, *targets]}")
        return NoNeighbours((), (), self.ledger)


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
        node.start()
        return [program(node)]

    def leader_first(self, work: Callable[[], T]) -> T:
        return work()

    def close(self) -> None:
        pass
