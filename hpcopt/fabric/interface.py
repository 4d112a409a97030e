"""What a solver sees of the cluster it runs on: a node, its groups, and nothing of MPI.

    node                one rank (MPI) or one greenlet (virtual cluster)
      .world            the group of all nodes
      .group(ranks)     a group of some of them: a communicator
      .neighbourhood()  its links to neighbours in a graph: a distributed-graph communicator
      .mixing           the weights of the network that the cluster stands for
      .ledger .meter    what it sent, what it computed
      .rng .key()       its own stream of random numbers, and keys of others

One-sided windows (`node.window(shape)`) will stand beside `group` here, with one file per cluster next to
`mpi.py` and `virtual.py`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.streams import key
from hpcopt.topology.mixing import Mixing

Vector = NDArray[np.float64]
Bytes = NDArray[np.uint8]
T = TypeVar("T")


class Group(abc.ABC):
    """Nodes that speak together: a communicator.

    Every method below is collective: all members call it, in the same order, with arrays of the same shape
    unless said otherwise. Arguments are left alone; results are new arrays (or `out`).

    One call is one *round*. What it books: in a reduction or a broadcast over K members each of the K - 1
    others sends the message up the tree and receives it down (a broadcast: down only), so a reduction of m
    bytes books 2 (K - 1) messages and 2 (K - 1) m bytes over all members, whatever algorithm the MPI library
    uses inside.
    """

    link_class = "world"
    """The class of links that this group's messages travel over, as the ledger names it."""

    def __init__(self, rank: int, size: int, ledger: Ledger) -> None:
        self.rank = rank
        """This node's place in the group, 0 <= rank < size."""
        self.size = size
        """Number of members."""
        self._ledger = ledger
        self._sends = 0 if rank == 0 else 1  # the top of the tree has no link above it

    def _book(self, up: int, down: int) -> None:
        """Book one round: `up` bytes to the top of the tree, `down` bytes from it; 0 = no message that way."""
        messages = self._sends * ((up > 0) + (down > 0))
        self._ledger.current.book(self.link_class, messages, self._sends * (up + down))

    @abc.abstractmethod
    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
        """Return the sum of every member's `x`, shape of `x`, on all members. `out` may be `x` itself."""

    @abc.abstractmethod
    def max(self, x: Vector) -> Vector:
        """Return the element-wise maximum of every member's `x` on all members."""

    @abc.abstractmethod
    def broadcast(self, x: Vector, root: int = 0) -> Vector:
        """Return the root's `x` on all members (the others' `x` gives shape and dtype)."""

    @abc.abstractmethod
    def gather(self, x: Vector, root: int = 0) -> Vector | None:
        """Return (size, *shape) with every member's `x` on the root, None on the others."""

    @abc.abstractmethod
    def allgather(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """Return every member's 1-d `x`, in rank order, on all members, to be read only.

        Lengths may differ, the dtype not.
        """

    @abc.abstractmethod
    def alltoall(self, parts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Send the 1-d `parts[r]` to member r; return what each member sent here; lengths may differ, the dtype not."""

    @abc.abstractmethod
    def barrier(self) -> None:
        """Wait until every member has come."""

    def mean(self, x: Vector, weight: float | None = None, out: Vector | None = None) -> Vector:
        """Return the weighted mean of every member's `x` on all members.

        Parameters
        ----------
        x
            This member's vector; left alone (unless it is also `out`).
        weight
            This member's weight; the weights of all members sum to one. Default 1/size.
        out
            Where to put the result, float64 of the shape of `x`.
        """
        scaled = np.multiply(x, 1.0 / self.size if weight is None else weight, out=out)
        return self.sum(scaled, out=scaled)


class Neighbourhood(abc.ABC):
    """A node's links in a directed graph: what it sends goes to its targets, what it hears comes from its sources.

    Every method is collective over the nodes of the graph, and returns once the messages of this node's own sources
    have come: nobody waits for strangers.

    Parameters
    ----------
    sources, targets
        Ranks, ascending, without the node itself. Each target names this node as a source.
    ledger
        Where rounds, messages and bytes are booked, edge by edge.
    """

    link_class = "neighbour"

    def __init__(self, sources: Sequence[int], targets: Sequence[int], ledger: Ledger) -> None:
        self.sources = tuple(sources)
        self.targets = tuple(targets)
        self._ledger = ledger

    def outbox(self, size: int) -> Bytes:
        """Return a buffer of `size` bytes for the next message; filling it instead of another spares a copy."""
        return np.empty(size, dtype=np.uint8)

    @abc.abstractmethod
    def exchange(self, message: Bytes) -> list[Bytes]:
        """Send `message` to all targets; return the message of each source, in their order. One round.

        All nodes send messages of the same size. What is returned is to be read only, and lasts until the next
        exchange; each begins at an address that 8 divides.
        """

    @abc.abstractmethod
    def exchange_varying(self, message: Bytes) -> list[Bytes]:
        """Do the same with messages of any sizes. Two rounds: the lengths, eight bytes each, travel first."""


class Node(abc.ABC):
    """One rank as a solver sees it."""

    rank: int
    size: int
    clock: str
    """What `now` counts: "wall" or "virtual"."""
    world: Group
    ledger: Ledger
    meter: Meter
    rng: np.random.Generator
    """This node's own stream, keyed by (seed, rank)."""
    mixing: Mixing | None = None
    """The network over which neighbours talk, and its weights; None where the cluster has none."""
    _seed: int

    @abc.abstractmethod
    def group(self, ranks: Sequence[int]) -> Group:
        """Return the group of the nodes `ranks` (in that order); called by its members only."""

    @abc.abstractmethod
    def neighbourhood(self, sources: Sequence[int], targets: Sequence[int]) -> Neighbourhood:
        """Return this node's links to `targets` and from `sources`; called by all nodes, in the same order."""

    def key(self, *counters: int) -> int:
        """Return a key of random numbers for (seed, rank, counters), 0 <= key < 2**64, the same on every cluster."""
        return key(self._seed, self.rank, *counters)

    @abc.abstractmethod
    def now(self) -> float:
        """Return seconds since the start on this node's clock, wall or virtual, monitoring left out."""

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        """Everything inside is booked as monitoring: no rounds, no work and no time of the solver's."""
        with self.ledger.monitoring(), self.meter.paused():
            yield


class Cluster(abc.ABC):
    """Where nodes live: the ranks of an MPI job, or N greenlets in one process."""

    kind: str
    """"mpi" or "virtual"."""
    clock: str
    """"wall" or "virtual"."""
    size: int
    """Number of nodes."""
    processes: Group
    """The group of the operating-system processes that carry the nodes (they share the reading of data)."""
    local_nodes: range
    """Ranks of the nodes that this process carries."""
    mixing: Mixing | None = None
    """The network between the nodes, for those who gossip; set before `run`."""

    @abc.abstractmethod
    def run(self, program: Callable[[Node], T]) -> list[T]:
        """Run `program(node)` on every node; return the local nodes' results in rank order."""

    @abc.abstractmethod
    def leader_first(self, work: Callable[[], T]) -> T:
        """Run `work` on one process of each host before the others (who then find a warm cache)."""

    @abc.abstractmethod
    def close(self) -> None:
        """Free what the cluster holds; the cluster can't be used afterwards."""

    def process_of(self, node: int) -> int:
        """Return the rank, in `processes`, of the process that carries `node`."""
        return node if self.processes.size > 1 else 0
