"""The loop over an asynchronous solver's steps: measuring does not block, and all nodes end soon after one of them.

Each node stores its model and its counts after every step. Surveys, non-blocking reductions, sum the stored data, so a
record holds the mean of the models at one time, and neither the order of events nor the bytes of the run depend on how
often it is measured. A rule of the stop table that any record or any node finds fulfilled ends the run: that node
notifies all others, and nodes that wait for a partner are notified by the solver's own protocol.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.fabric.survey import Survey
from hpcopt.problems.problem import Problem, Shard
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.record import Record
from hpcopt.results.stopping import Disagreement, Status, StopRule
from hpcopt.runs.checkpoint import NO_CHECKPOINTS, Checkpoints, belonging
from hpcopt.runs.measuring import Watch, counted
from hpcopt.runs.replay import Replay
from hpcopt.solvers.base import Solver
from hpcopt.solvers.parts.asynchronous import AsynchronousState

STOP = 2**32  # counted apart from those who have ended, in one word


def drive_asynchronous(
    node: Node,
    problem: Problem,
    shard: Shard,
    solver: Solver[Any],
    w0: Vector,
    stop: StopRule,
    recording: Recording,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> Outcome:
    """Run `solver` on this node until a rule of `stop` holds anywhere.

    Parameters
    ----------
    w0
        Where to start, shape (d,); left alone.
    checkpoints
        Of a node's own steps.
    """
    replay = None
    if checkpoints != NO_CHECKPOINTS:
        replay = Replay(node, checkpoints, recording, belonging(node, solver))
        recording = replace(recording, tell=replay.tell)
    watch = Watch(node, problem, shard, decentralised=True, scaled=stop.scaled_gradient is not None)
    f = problem.on(shard, node.meter)
    state = solver.init(node, f, w0)
    first, model = watch.measure(state.w, 0)
    first = replace(first, gradients=0)
    recording.tell(first)
    status = stop.verdict(first, first, problem.strong_convexity)
    if status is not None:
        return Outcome(status, model, first, first, state, {})

    measured = _Measured(watch, node, stop, first, model, recording, problem.strong_convexity)
    measured.lay_aside(state)
    survey = measured.survey()
    word = _Word(node, stop)
    node.next_step(word.rest)
    for stepped in solver.rounds(node, f, state):
        state = stepped
        node.settle()
        measured.lay_aside(state)
        survey.stepped()
        if replay is not None:
            replay.stepped(state)
        word.tell_if_over(state.iteration)
        node.next_step(word.rest)
        word.tell_if_over(state.iteration)
        node.stopping = word.heard()
    word.wait()  # who has left early still answers the others
    survey.end()
    outcome = measured.outcome(state)
    if replay is not None:
        replay.end()
    return outcome


class _Measured:
    """The data that a node stores after a step, and the records that surveys make of them.

    Attributes
    ----------
    status
        How the run ends, once a record has told.
    """

    def __init__(
        self,
        watch: Watch,
        node: Node,
        stop: StopRule,
        first: Record,
        model: Vector,
        recording: Recording,
        convexity: float,
    ) -> None:
        self.status: Status | None = None
        self._watch = watch
        self._node = node
        self._stop = stop
        self._convexity = convexity
        self._first = self._record = self._best = first
        self._model = self._kept = model
        self._recording = recording
        self._disagreement = Disagreement(node.size, model)

    def survey(self) -> Survey:
        """Begin the surveys; collective."""
        output = self._recording.output
        steps = self._node.size * (output.record_every or (1 if self._stop.measures else 0))
        return self._node.survey([self.mean, self.share], self.done, steps=steps, seconds=output.record_seconds)

    def lay_aside(self, state: AsynchronousState) -> None:
        """Keep a step's results for the next survey."""
        self._w = state.w.copy()
        self._counts = counted(self._node)
        self._progress = float(state.steps), float(state.iteration)

    def mean(self, at: float, _: Vector) -> Vector:
        """Return what sums to the number of nodes that are there, their clocks and their models, shape (2 + d,)."""
        here = float(self._watch.holds and not self._node.leaving)
        self._surveyed = here, self._w, self._counts, self._progress  # a step may end before the next stage
        return here * np.concatenate(([1.0, at], self._w))

    def share(self, at: float, total: Vector) -> Vector:  # noqa: ARG002
        """Return this node's part of the record about the mean model, given the sum of `mean`."""
        self._there = total[0]
        there = self._there or 1.0
        self._at, self._mean = float(total[1]) / there, total[2:] / there
        here, w, counts, (steps, iteration) = self._surveyed
        apart = here * float(np.sum((w - self._mean) ** 2)) / there
        largest = np.zeros((3, self._node.size))  # a sum of such is a table of all nodes' numbers
        largest[:, self._node.rank] = counts.rounds, counts.busiest, iteration
        return np.concatenate((self._watch.share_of(self._mean, counts), [steps, apart], largest.ravel()))

    def done(self, sums: Vector) -> None:
        """Tell the record, and end the run if it fulfils a rule."""
        size = self._node.size
        shares, (steps, apart), largest = np.split(sums, [len(sums) - 2 - 3 * size, len(sums) - 3 * size])
        rounds, busiest, iteration = largest.reshape(3, size).max(axis=1)
        record = self._watch.record(shares, int(iteration), self._at, int(rounds))
        record = replace(record, consensus=float(np.sqrt(apart)), edge_bytes=int(busiest), gradients=int(steps))
        if self.status is not None or not self._there or record.seconds <= self._record.seconds:
            return  # the run is over, all have left, or nothing has happened
        self._record, self._model = record, self._mean
        verdict = self._stop.judged(record, self._first, self._convexity)
        self.status = verdict or self._disagreement.verdict(record, self._model)
        output = self._recording.output
        if output.record_every or output.record_seconds or self.status is not None:
            self._recording.tell(record)
        if self.status is not None or self._stop.spent({"bytes": record.bytes}) is not None:
            self._node.stopping = True  # of the other budgets each node knows its own part
        elif record.objective < self._best.objective:
            self._best, self._kept = record, self._mean

    def outcome(self, state: AsynchronousState) -> Outcome:
        """Return how the run ended; collective, when all nodes have."""
        node = self._node
        here = not node.leaving
        with node.monitoring():
            there = node.world.sum(np.array([float(here and self._watch.holds)]))[0]
        last, model = self._watch.measure(state.w, state.iteration, here=here or not there)
        with node.monitoring():
            gradients, discarded = node.world.sum(np.array([float(state.steps), float(state.discarded)]))
            iteration = node.world.max(np.array([float(state.iteration)]))[0]
        ending: dict[str, Any] = {"gradients": int(gradients), "discarded": int(discarded)}
        edges = dict(node.ledger.solver.by_edge)
        if self.status is None:
            last = replace(last, iteration=int(iteration), **ending)
            self._recording.tell(last)
            self.status = self._stop.verdict(last, self._first, self._convexity) or (
                Status.FINISHED if there else Status.LEFT
            )
            self._record, self._model = last, model
        if self.status.diverged:
            return Outcome(self.status, self._kept, replace(self._best, **ending), self._record, state, edges)
        record = replace(self._record, **ending)  # of the whole run, also where an earlier record ended it
        return Outcome(self.status, self._model, record, record, state, edges)


class _Word:
    """A word of every node in which others count: those who say that the run is to end, and those who have ended."""

    def __init__(self, node: Node, stop: StopRule) -> None:
        self._node = node
        self._stop = stop
        self._window = node.window(1, "monitoring", by_edge=False)

    def tell_if_over(self, iteration: int) -> None:
        """Tell all that the run is to end, if this node knows that and nobody has told; it is at that `iteration`."""
        node = self._node
        used = {"round": node.ledger.solver.rounds, "iteration": iteration, "seconds": node.now()}
        if (node.stopping or self._stop.spent(used) is not None) and not self.heard():
            self._add(STOP)

    def heard(self) -> bool:
        """Return whether anybody has told."""
        return self._window.fetch_and_op(0, self._node.rank, 0, "no-op") >= STOP

    def rest(self, seconds: float) -> None:
        """Pause for so many seconds, or until the run is to end; whom nobody can tell sits it out."""
        node = self._node
        if self._stop.seconds is not None:
            seconds = min(seconds, self._stop.seconds - node.now())
        if self.heard() or node.stopping:
            return
        if node.size == 1:
            node.idle(seconds)
            return
        timeline, node.timeline = node.timeline, None  # nobody is waited for
        self._window.wait(0, lambda word: word >= STOP or node.stopping, seconds)
        node.timeline = timeline

    def wait(self) -> None:
        """Say that this node has ended, and wait until somebody has told, or all have ended."""
        if self.heard():
            return
        self._add(1)
        with self._node.monitoring():
            self._window.wait(0, lambda word: word >= STOP or word == self._node.size)

    def _add(self, value: int) -> None:
        added = np.full(1, value, dtype=np.int64)
        with self._node.monitoring():
            for rank in range(self._node.size):
                self._window.accumulate(added, rank)
            for rank in range(self._node.size):
                self._window.flush(rank)
