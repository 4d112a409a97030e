"""Nodes: a rank, or a greenlet of the virtual cluster, as a solver sees it."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.group import Group
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.publication import Publication
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.streams import Draws, key
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.timeline import WAIT, Recorder, Timeline
from hpcopt.fabric.window import Window


class Node(abc.ABC):
    """One rank as a solver sees it.

    Parameters
    ----------
    rank, size
        Which of how many nodes it is.
    seed
        Keys its random numbers.
    conditions
        Of the run.
    """

    clock: str
    """What `now` counts: "wall" or "virtual"."""
    world: Group
    """The group of all nodes."""
    timeline: Timeline | None = None
    """What this node did when; None unless `record` was called, and while the node is measured."""
    stopping: bool = False
    """Set when the run is to end: an asynchronous solver looks at it after each step, and tells those who wait."""
    leaving: bool = False
    """Set when this node is to leave the cluster, for good, instead of beginning its next step."""

    def __init__(self, rank: int, size: int, seed: int, conditions: Conditions) -> None:
        self.rank, self.size = rank, size
        self.ledger = Ledger()
        self.seam = Seam(self.ledger)
        """Where this node's operations are observed."""
        self.meter = Meter(self._work)
        self.mixing = conditions.mixing
        """The mixing matrix of the run's topology; None if the run has none."""
        self.pace = conditions.heterogeneity.pace(rank, size)
        """How fast this node works at its present step."""
        self._seed = seed
        self._draws = Draws()

    @abc.abstractmethod
    def _work(self, flops: float, seconds: float) -> None:
        """Let the node's clock notice a piece of work: its operations, and the real seconds that it took."""

    @abc.abstractmethod
    def group(self, ranks: Sequence[int]) -> Group:
        """Return the group of the nodes `ranks` (in that order); called by its members only."""

    @abc.abstractmethod
    def neighbourhood(self, sources: Sequence[int], targets: Sequence[int]) -> Neighbourhood:
        """Return this node's links to `targets` and from `sources`; called by all nodes, in the same order."""

    @abc.abstractmethod
    def window(self, words: int, link_class: str = "one-sided", *, by_edge: bool = True) -> Window:
        """Return a window of `words` zeros of eight bytes on every node; called by all nodes, in the same order.

        Parameters
        ----------
        link_class, by_edge
            How the ledger books what goes over it: under which name, and whether also by pairs of nodes.
        """

    def publication(self, d: int) -> Publication:
        """Return where this node publishes vectors of `d` numbers; called by all nodes, in the same order."""
        return Publication(self.window(Publication.words(d)), d)

    @abc.abstractmethod
    def board(self, machine: Machine) -> Board:
        """Return the access to one state for all nodes; called by all, in the same order, with equal machines."""

    @abc.abstractmethod
    def mailbox(self) -> Mailbox:
        """Return this node's box for messages; called by all nodes, in the same order."""

    @abc.abstractmethod
    def survey(
        self, stages: Sequence[Stage], done: Callable[[Vector], None], *, steps: int = 0, seconds: float | None = None
    ) -> Survey:
        """Begin surveys, non-blocking reductions over all nodes; called by all nodes, once per run.

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
        """Keep a timeline of at most `limit` spans from here on; called once, by all nodes together."""
        self.timeline = Timeline(limit)
        self.seam.attach(Recorder(self))

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        """Everything inside is booked as monitoring: no rounds, no work and no time of the solver's."""
        timeline, self.timeline = self.timeline, None
        try:
            with self.ledger.monitoring(), self.meter.paused():
                yield
        finally:
            self.timeline = timeline
