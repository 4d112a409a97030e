"""Nodes: a rank, or a greenlet of the virtual cluster, as seen by a solver."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, final

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.group import Group
from hpcopt.fabric.injection import Injector, faults_of
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.meter import Meter, Work
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.operations import Operations
from hpcopt.fabric.publication import Publication
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.slots import Slots
from hpcopt.fabric.streams import Draws, key
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.timeline import WAIT, Recorder, Timeline
from hpcopt.fabric.window import Window


class Node(abc.ABC):
    """One rank as seen by a solver.

    Parameters
    ----------
    rank, size
        The node's rank, and the number of nodes.
    seed
        Seed of its random numbers.
    conditions
        The conditions of the run.
    """

    clock: str
    """The kind of time that `now` returns: "wall" or "virtual"."""
    world: Group
    """The group of all nodes."""
    timeline: Timeline | None = None
    """What this node did when; None unless `record` was called, and None during monitoring."""
    operations: Operations | None = None
    """The table of this node's operations; None unless `tabulate` was called."""
    paused: float = 0.0
    """Seconds for which the clock was stopped, for monitoring; a virtual clock does not run meanwhile anyway."""
    stopping: bool = False
    """Set when the run is to end: an asynchronous solver checks it after each step, and notifies waiting nodes."""
    leaving: bool = False
    """Set when this node is to leave the cluster for good instead of starting its next step."""

    def __init__(self, rank: int, size: int, seed: int, conditions: Conditions) -> None:
        self.rank, self.size = rank, size
        self.remaining = conditions.remaining
        """The nodes that are left, if others have gone since the start; else None."""
        self.may_leave = bool(conditions.heterogeneity.departures or conditions.faults)
        """Whether some node may leave before the end, the same on all nodes."""
        self.survives = conditions.survives
        """Whether operations raise `NodesLost` when other nodes leave or die."""
        self.ledger = Ledger()
        self.seam = Seam(self.ledger)
        """Where this node's operations are observed."""
        self.meter = Meter(self._work)
        self.mixing = conditions.mixing
        """The mixing matrix of the run's topology; None if the run has none."""
        self.hubs = conditions.hubs
        """The hub network; None if the run has none."""
        self.weight: float | None = None
        """This node's weight in the mean model that is measured, 0 if it has no part in it; None: all are equal."""
        self.pace = conditions.heterogeneity.pace(
            self.first_rank, size if self.remaining is None else self.remaining.of
        )
        """The speed of this node at its current step."""
        self.slots = Slots(self, None if conditions.rates is None else conditions.rates[rank], conditions.slot)
        """The time slots that have passed on this node, and the steps made in them."""
        self._seed = seed
        self._draws = Draws()
        faults = faults_of(rank, conditions.faults)
        if faults:
            self.seam.attach(Injector(self, faults))

    @property
    def first_rank(self) -> int:
        """The node's rank at the start of the run, before others may have gone."""
        return self.rank if self.remaining is None else self.remaining.nodes[self.rank]

    @property
    def workers(self) -> int:
        """Number of nodes that hold rows: all, but for dedicated hubs."""
        return self.size if self.hubs is None else len(self.hubs.workers)

    @abc.abstractmethod
    def _work(self, work: Work, seconds: float) -> None:
        """Account for a piece of work on the node's clock, and its real seconds."""

    @abc.abstractmethod
    def group(self, ranks: Sequence[int], link_class: str = "world") -> Group:
        """Return the group of the nodes `ranks`, in that order; called only by its members.

        `link_class` is the name under which the ledger books the group's bytes.
        """

    @final
    def neighbourhood(
        self,
        sources: Sequence[int],
        targets: Sequence[int],
        *,
        among: Sequence[int] | None = None,
        link_class: str = "neighbour",
    ) -> Neighbourhood:
        """Return this node's links to `targets` and from `sources`.

        Parameters
        ----------
        sources, targets
            Ranks, ascending, without the node itself. Each target names this node as a source.
        among
            Ranks of the nodes of the graph, which all call this, in the same order and with the same ranks; default
            all nodes.
        link_class
            The name under which the ledger books the bytes.

        Raises
        ------
        ValueError
            If the node, one of its sources or one of its targets is not among the nodes of the graph, or if the node
            is its own neighbour.
        """
        neighbours = {*sources, *targets}
        if self.rank in neighbours:
            raise ValueError(f"node {self.rank} is its own neighbour")
        strangers = (neighbours | {self.rank}).difference(range(self.size) if among is None else among)
        if strangers:
            raise ValueError(f"node {min(strangers)} is not a node of the neighbourhood's graph")
        return self._neighbourhood(sources, targets, None if among is None else tuple(among), link_class)

    @abc.abstractmethod
    def _neighbourhood(
        self, sources: Sequence[int], targets: Sequence[int], among: tuple[int, ...] | None, link_class: str
    ) -> Neighbourhood: ...

    @abc.abstractmethod
    def window(self, words: int, link_class: str = "one-sided", *, by_edge: bool = True) -> Window:
        """Return a window of `words` eight-byte words, all zero, on every node; called by all nodes, in the same order.

        Parameters
        ----------
        link_class, by_edge
            How the ledger books its traffic: under which name, and whether also by edge.
        """

    def publication(self, d: int) -> Publication:
        """Return this node's publication of vectors of `d` numbers; called by all nodes, in the same order."""
        return Publication(self.window(Publication.words(d)), d)

    @abc.abstractmethod
    def board(self, machine: Machine) -> Board:
        """Return access to a state shared by all nodes; called by all, in the same order, with equal machines."""

    @abc.abstractmethod
    def mailbox(self) -> Mailbox:
        """Return this node's mailbox; called by all nodes, in the same order."""

    @abc.abstractmethod
    def survey(
        self, stages: Sequence[Stage], done: Callable[[Vector], None], *, steps: int = 0, seconds: float | None = None
    ) -> Survey:
        """Start surveys, non-blocking reductions over all nodes; called by all nodes, once per run.

        Parameters
        ----------
        stages, done
            See `Survey`.
        steps
            In virtual time, if `seconds` is None: the number of steps of all nodes together between two surveys; 0 =
            never. On the wall clock, surveys then take a small fixed share of the time.
        seconds
            Time between two surveys.
        """

    def solving(self, solver: str, numbers: int, rows: int) -> None:  # noqa: B027  (real clocks measure it)
        """Note that `solver` runs: its own code takes time, too, if that is known.

        Parameters
        ----------
        numbers, rows
            Sizes of the model and of the shard.
        """

    def settle(self) -> None:  # noqa: B027  (wall clocks are always in step)
        """Let the other nodes catch up with this node's clock, so that all earlier events have taken place."""

    def draws(self, what: int, *counters: int) -> np.random.Generator:
        """Return the random numbers of this node for one purpose, the same on every cluster.

        Parameters
        ----------
        what
            The purpose, a `Draw`.
        counters
            Distinguish the draws for one purpose, for example the step.

        Returns
        -------
        numpy.random.Generator
            Valid until the next call.
        """
        return self._draws.keyed(self.key(what, *counters))

    def key(self, *counters: int) -> int:
        """Return a key of random numbers for (seed, rank, counters), 0 <= key < 2**64, the same on every cluster."""
        return key(self._seed, self.first_rank, *counters)

    @abc.abstractmethod
    def now(self) -> float:
        """Return the seconds since the start on this node's clock, wall or virtual, without monitoring."""

    @abc.abstractmethod
    def idle(self, seconds: float) -> None:
        """Let `seconds` pass on this node's clock while it only serves the others."""

    @abc.abstractmethod
    def die(self) -> None:
        """Die, as an injected fault: a process at once, a virtual node before its next step."""

    @abc.abstractmethod
    def hang(self, seconds: float) -> None:
        """Do nothing for `seconds` and serve nobody, as an injected fault."""

    @abc.abstractmethod
    def stall(self, why: str) -> None:
        """Wait forever, as an injected fault."""

    def leave(self) -> None:
        """Leave the run for good: the others' operations raise `NodesLost`, if the run survives that.

        Raises
        ------
        RuntimeError
            On ranks, where only dying ends a node's part.
        """
        raise RuntimeError("a rank cannot leave a run and stay alive")

    def interruptible(self) -> AbstractContextManager[None]:
        """Return a context in which operations raise `NodesLost` when other nodes are gone, if the run survives it."""
        return nullcontext()

    def confirm(self) -> None:  # noqa: B027  (virtual nodes learn of it at once)
        """Wait until all nodes that remain have come here; collective, inside `interruptible`.

        Raises
        ------
        NodesLost
            If it was raised on any of them.
        """

    def rejoin(self) -> None:  # noqa: B027  (real time has passed by itself)
        """Let the time pass that the nodes need to agree on who is left; called by all, before they go on."""

    def stand_by(self, seconds: float) -> None:
        """Let `seconds` pass as `idle` does, and show them as waiting in the timeline and the table of operations."""
        begun = self.now()
        self.idle(seconds)
        if self.timeline is not None:
            self.timeline.span(WAIT, begun, self.now())
        if self.operations is not None:
            self.operations.stood_by(self.now() - begun)

    def next_step(self, rest: Callable[[float], object] | None = None) -> None:
        """Start the next step, one iteration of a solver, at its pace and after any pause that is due; or leave.

        Parameters
        ----------
        rest
            Waits for the seconds of a pause, or fewer if the run ends meanwhile; default `idle`.
        """
        self.pace.advance()
        pause = self.pace.pause(self.now())
        if pause:
            (rest or self.idle)(pause)
        self.leaving = self.pace.left(self.now())

    def snapshot(self) -> dict[str, Any]:
        """Return the node's state between iterations as plain data: ledger, meter, pace, slots, clock, operations.

        Called by all nodes together while no message is in flight, with a barrier before and after.

        Returns
        -------
        dict
            Nested dicts, lists, numbers, strings and arrays; keys are strings.
        """
        return {
            "ledger": self.ledger.snapshot(),
            "meter": self.meter.snapshot(),
            "pace": self.pace.snapshot(),
            "slots": self.slots.snapshot(),
            "clock": self.now(),
            "operations": None if self.operations is None else self.operations.snapshot(),
        }

    @abc.abstractmethod
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restore what `snapshot` returned on the same node of an equal cluster, before the solver continues.

        Called by all nodes together, with a barrier afterwards.
        """
        self.ledger.restore(snapshot["ledger"])
        self.meter.restore(snapshot["meter"])
        self.pace.restore(snapshot["pace"])
        self.slots.restore(snapshot["slots"])
        if snapshot["operations"] is None:
            self.operations = None  # it would lack what the node has done before
        elif self.operations is not None:
            self.operations.restore(snapshot["operations"])

    def renew(self) -> None:  # noqa: B027  (nothing to free)
        """Free windows, boards, mailboxes, surveys and neighbourhoods, so that a solver can start again.

        Called by all nodes together when none of these is in use.
        """

    def record(self, limit: int) -> None:
        """Record a timeline of at most `limit` spans from now on; called once, by all nodes together."""
        self.timeline = Timeline(limit)
        self.seam.attach(Recorder(self))

    def tabulate(self) -> None:
        """Count operations from now on, after `record`; called once, by all nodes together."""
        self.operations = Operations(self)
        self.seam.attach(self.operations)

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        """Book everything inside the block as monitoring: it adds nothing to the solver's rounds, work or time."""
        timeline, self.timeline = self.timeline, None
        try:
            with self.ledger.monitoring(), self.meter.paused():
                yield
        finally:
            self.timeline = timeline
