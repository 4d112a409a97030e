"""What a solver sees of the cluster it runs on: a node, its groups, and nothing of MPI.

    node                one rank (MPI) or one greenlet (virtual cluster)
      .world            the group of all nodes
      .group(ranks)     a group of some of them: a communicator
      .neighbourhood()  its links to neighbours in a graph: a distributed-graph communicator
      .mixing           the weights of the run's network
      .ledger .meter    what it sent, what it computed
      .snapshot()       what of it survives an iteration, for a checkpoint; .restore() goes on from there
      .timeline         when it computed, waited and exchanged, if that is recorded
      .draws() .key()   random numbers for a purpose and a step, and keys of others

For those who wait for nobody, with one file a kind of cluster each:

      .window()         memory that others read and write: one-sided operations
      .publication()    vectors that others read whole
      .board()          one small state that all nodes change
      .mailbox()        messages to those who do not wait for them
      .survey()         sums over all nodes on the side, to measure a run that goes on
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Vector
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.heterogeneity import Pace
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.publication import Publication
from hpcopt.fabric.streams import Draws, key
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.timed_windows import TimedBoard, TimedMailbox, TimedWindow
from hpcopt.fabric.timeline import WAIT, Timeline
from hpcopt.fabric.window import Window
from hpcopt.topology.mixing import Mixing

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
    mixing: Mixing | None = None
    """The network over which neighbours talk, and its weights; None where the run has none."""
    pace: Pace
    """How fast this node works at its present step."""
    timeline: Timeline | None = None
    """What this node did when; None unless `record` was called, and while the node is measured."""
    stopping: bool = False
    """Set when the run is to end: an asynchronous solver looks at it after each step, and tells those who wait."""
    leaving: bool = False
    """Set when this node is to leave the cluster, for good, instead of beginning its next step."""
    _seed: int
    _draws: Draws

    @abc.abstractmethod
    def group(self, ranks: Sequence[int]) -> Group:
        """Return the group of the nodes `ranks` (in that order); called by its members only."""

    @abc.abstractmethod
    def neighbourhood(self, sources: Sequence[int], targets: Sequence[int]) -> Neighbourhood:
        """Return this node's links to `targets` and from `sources`; called by all nodes, in the same order."""

    def window(self, words: int, link_class: str = "one-sided", *, by_edge: bool = True) -> Window:
        """Return a window of `words` zeros of eight bytes on every node; called by all nodes, in the same order.

        Parameters
        ----------
        link_class, by_edge
            How the ledger books what goes over it: under which name, and whether also by pairs of nodes.
        """
        window = self._window(words, link_class, by_edge=by_edge)
        return window if self.timeline is None else TimedWindow(window, self)

    @abc.abstractmethod
    def _window(self, words: int, link_class: str, *, by_edge: bool) -> Window:
        """Return the window itself."""

    def publication(self, d: int) -> Publication:
        """Return where this node publishes vectors of `d` numbers; called by all nodes, in the same order."""
        return Publication(self.window(Publication.words(d)), d)

    def board(self, machine: Machine) -> Board:
        """Return the access to one state for all nodes; called by all, in the same order, with equal machines."""
        board = self._board(machine)
        return board if self.timeline is None else TimedBoard(board, self)

    @abc.abstractmethod
    def _board(self, machine: Machine) -> Board:
        """Return the board itself."""

    def mailbox(self) -> Mailbox:
        """Return this node's box for messages; called by all nodes, in the same order."""
        mailbox = self._mailbox()
        return mailbox if self.timeline is None else TimedMailbox(mailbox, self)

    @abc.abstractmethod
    def _mailbox(self) -> Mailbox:
        """Return the box itself."""

    @abc.abstractmethod
    def survey(
        self, stages: Sequence[Stage], done: Callable[[Vector], None], *, steps: int = 0, seconds: float | None = None
    ) -> Survey:
        """Begin surveys of all nodes on the side; called by all nodes, once a run.

        Parameters
        ----------
        stages, done
            See `Survey`.
        steps
            Where time is virtual and `seconds` is None: take one each time all nodes together have made so many steps;
            0 = never. On the wall clock they then come as often as takes a small part of the time.
        seconds
            Time between two surveys.
        """

    def settle(self) -> None:  # noqa: B027  (clocks of the wall are always together)
        """Let the other nodes catch up with this one's clock, so that all that happened before has happened."""

    def draws(self, what: int, *counters: int) -> np.random.Generator:
        """Return the random numbers of this node for one purpose, the same on every cluster.

        Parameters
        ----------
        what
            The purpose, a `Draw`.
        counters
            Tell one time from another: the step, say.

        Returns
        -------
        numpy.random.Generator
            To be used up before the next call.
        """
        return self._draws.keyed(self.key(what, *counters))

    def key(self, *counters: int) -> int:
        """Return a key of random numbers for (seed, rank, counters), 0 <= key < 2**64, the same on every cluster."""
        return key(self._seed, self.rank, *counters)

    @abc.abstractmethod
    def now(self) -> float:
        """Return seconds since the start on this node's clock, wall or virtual, monitoring left out."""

    @abc.abstractmethod
    def idle(self, seconds: float) -> None:
        """Let `seconds` pass on this node's clock while it does nothing but answer the others."""

    def stand_by(self, seconds: float) -> None:
        """Let `seconds` pass as `idle` does, waiting for others: a timeline shows it."""
        begun = self.now()
        self.idle(seconds)
        if self.timeline is not None:
            self.timeline.span(WAIT, begun, self.now())

    def next_step(self, rest: Callable[[float], object] | None = None) -> None:
        """Begin the next step, one iteration of a solver, at its own pace and after a pause that is due; or leave.

        Parameters
        ----------
        rest
            Lets the seconds of a pause pass, or fewer if the run ends meanwhile; default `idle`.
        """
        self.pace.advance()
        pause = self.pace.pause(self.now())
        if pause:
            (rest or self.idle)(pause)
        self.leaving = self.pace.left(self.now())

    def snapshot(self) -> dict[str, Any]:
        """Return what survives an iteration outside a solver's state, as plain data: ledger, meter, pace and clock.

        Taken by all nodes together while no message is under way: they meet before and after.

        Returns
        -------
        dict
            Of dicts, lists, numbers, strings and arrays, with keys that are strings.
        """
        return {
            "ledger": self.ledger.snapshot(),
            "meter": self.meter.snapshot(),
            "pace": self.pace.snapshot(),
            "clock": self.now(),
        }

    @abc.abstractmethod
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned on the same node of an equal cluster; before the solver goes on.

        All nodes do so together, and meet afterwards.
        """
        self.ledger.restore(snapshot["ledger"])
        self.meter.restore(snapshot["meter"])
        self.pace.restore(snapshot["pace"])

    def record(self, limit: int) -> None:
        """Keep a timeline of at most `limit` spans from here on; called by all nodes, before they make any group."""
        self.timeline = Timeline(limit)

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        """Everything inside is booked as monitoring: no rounds, no work and no time of the solver's."""
        timeline, self.timeline = self.timeline, None
        try:
            with self.ledger.monitoring(), self.meter.paused():
                yield
        finally:
            self.timeline = timeline


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

    @abc.abstractmethod
    def run(self, program: Callable[[Node], T], conditions: Conditions = PLAIN) -> list[T]:
        """Run `program(node)` on every node under `conditions`; return the local nodes' results in rank order."""

    @abc.abstractmethod
    def led(self, work: Callable[[], object]) -> bool:
        """Run `work` on one process of each host, while the others wait, who then find a warm cache.

        Returns whether this process was the one.
        """

    def probe_windows(self) -> str | None:
        """Find out how one-sided operations work here, and return that in words; None: as everywhere of this kind.

        Collective over the processes. Without this the first window of a run does it.
        """
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Free what the cluster holds; the cluster can't be used afterwards."""

    @property
    def holders(self) -> Sequence[int]:
        """Ranks of the nodes that hold rows, ascending: all of them."""
        return range(self.size)

    def process_of(self, node: int) -> int:
        """Return the rank, in `processes`, of the process that carries `node`."""
        return node if self.processes.size > 1 else 0
