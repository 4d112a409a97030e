"""A run in rounds that other nodes have left: where each of those that remain stood, and how it goes on from there.

Nodes that are interrupted may be an iteration apart, and in the middle of one. Each goes on from its model at its last
yield, and all from the largest number of iterations of any.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.results.outcome import Left
from hpcopt.results.record import Record
from hpcopt.runs.checkpoint import Snapshot, level
from hpcopt.runs.course import Course
from hpcopt.runs.measuring import Counts
from hpcopt.solvers.base import Solver, State


@dataclass(frozen=True)
class Interrupted:
    """Where a node stood when others left, or when it left itself.

    Parameters
    ----------
    state
        The solver's state, with the model of the last yield; None before there was one.
    iteration
        Number of iterations so far.
    node
        The node's snapshot.
    at
        When it was taken, `time.monotonic`.
    records
        The run's first and last record; None before there are any.
    counts
        The node's own counts in recent records, by iteration.
    left
        When it left; None if it remains.
    """

    state: State | None
    iteration: int
    node: Snapshot
    at: float
    records: tuple[Record, Record] | None
    counts: dict[int, Counts]
    left: Left | None


@dataclass(frozen=True)
class Rejoining:
    """What a node that remains goes on with.

    Parameters
    ----------
    state
        The solver's last state on this node; None to start at the beginning.
    iteration
        Number of iterations, the same on all nodes.
    node
        The node's snapshot, for its new rank.
    records
        The run's first and last record, the same on all nodes; None before there are any.
    counts
        The node's own counts in recent records, by iteration.
    before
        What nodes that are gone had sent and read, on the node that adds it to its own.
    """

    state: State | None
    iteration: int
    node: Snapshot
    records: tuple[Record, Record] | None
    counts: dict[int, Counts]
    before: Counts

    def state_on(self, node: Node, f: Oracle, solver: Solver[Any], w0: Vector) -> State:
        """Return the state from which the solver goes on, and restore the node; collective."""
        node.restore(self.node)
        node.rejoin()
        if self.state is None:
            begun: State = solver.init(node, f, w0)
            return begun
        level(node, self.state)
        state: State = solver.restarted(node, f, self.state)
        return state


class Standing:
    """Follows a run on one node, so that it is known where it stood when it is interrupted.

    Attributes
    ----------
    after
        What the node goes on with; None if nobody has left before.
    course
        The driver's state; None before there is one.
    """

    def __init__(self, after: Rejoining | None) -> None:
        self.course: Course | None = None
        self.after = after
        self._iteration = 0 if after is None else after.iteration
        self._state = None if after is None else after.state
        self._w = None if self._state is None else self._state.w

    def hold(self, state: State, iteration: int) -> None:
        """Note the state after an iteration, with a copy of its model, which the next iteration may begin to change."""
        self._iteration = iteration
        self._state, self._w = state, state.w.copy()

    def at_each_of(self, states: Iterator[State]) -> Iterator[State]:
        """Yield the states that follow, and hold each."""
        for following in states:
            self.hold(following, self._iteration + 1)
            yield following

    def interrupted(self, node: Node) -> Interrupted:
        """Return where the run stood; a node that is to leave tells the others, unless they know that some have."""
        left = node.leaving
        if left:
            node.leave()
        else:
            left = node.pace.left(node.now())
        state = copy(self._state)
        if state is not None and self._w is not None:
            state.w = self._w
        records, counts = (None, {}) if self.after is None else (self.after.records, self.after.counts)
        if self.course is not None:
            records, counts = self.course.records or records, {**counts, **self.course.counts}
        rounds, now = node.ledger.solver.rounds, node.now()
        return Interrupted(
            state,
            self._iteration,
            node.snapshot(),
            time.monotonic(),
            records,
            counts,
            Left(rounds, self._iteration, now) if left else None,
        )
