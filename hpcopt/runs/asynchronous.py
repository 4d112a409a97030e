"""The loop over an asynchronous solver's steps: measurements don't block, and all nodes end soon after one of them.

Each node stores its model and its counts after every step. Surveys, non-blocking reductions, sum the stored data, so a
record holds the mean of the models at one time, and neither the order of events nor the bytes of the run depend on the
frequency of measurements. The run ends when a record or a node finds that a stop rule holds: that node notifies all
others, and nodes that wait for a partner are notified by the solver's own protocol.
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

STOP = 2**32  # stop notices and ended nodes are counted in separate halves of one word


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
        The starting point, shape (d,); not modified.
    checkpoints
        Snapshots, by the node's own steps.
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
    f.recall({})  # as in rounds: see `driver`
    word.wait()  # a node that has left early still serves the others
    survey.end()
    outcome = measured.outcome(state)
    if replay is not None:
        replay.end()
    return outcome


class _Measured:
    """The data that a node stores after each step, and the records made from them by surveys.

    Attributes
    ----------
    status
        The status, once a record has ended the run.
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
        """Start the surveys; collective."""
        output = self._recording.output
        steps = self._node.size * (output.steps or (1 if self._stop.measures else 0))
        return self._node.survey([self.mean, self.share], self.done, steps=steps, seconds=output.record_seconds)

    def lay_aside(self, state: AsynchronousState) -> None:
        """Store a step's results for the next survey."""
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
        largest = np.zeros((3, self._node.size))  # each node fills its column; the sum is a table of all nodes
        largest[:, self._node.rank] = counts.rounds, counts.busiest, iteration
        return np.concatenate((self._watch.share_of(self._mean, counts), [steps, apart], largest.ravel()))

    def done(self, sums: Vector) -> None:
        """Record the measurement, and end the run if a stop rule holds."""
        size = self._node.size
        shares, (steps, apart), largest = np.split(sums, [len(sums) - 2 - 3 * size, len(sums) - 3 * size])
        rounds, busiest, iteration = largest.reshape(3, size).max(axis=1)
        record = self._watch.record(self._mean, shares, int(iteration), self._at, int(rounds))
        record = replace(record, consensus=float(np.sqrt(apart)), edge_bytes=int(busiest), gradients=int(steps))
        if self.status is not None or not self._there or record.seconds <= self._record.seconds:
            return  # the run is over, all nodes have left, or there are no new steps
        self._record, self._model = record, self._mean
        verdict = self._stop.judged(record, self._first, self._convexity)
        self.status = verdict or self._disagreement.verdict(record, self._model)
        output = self._recording.output
        if output.tells_all or output.record_seconds or self.status is not None:
            self._recording.tell(record)
        if self.status is not None or self._stop.spent({"bytes": record.bytes}) is not None:
            self._node.stopping = True  # each node checks the other budgets itself
        elif record.objective < self._best.objective:
            self._best, self._kept = record, self._mean

    def outcome(self, state: AsynchronousState) -> Outcome:
        """Return the outcome; collective, after all nodes have ended."""
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
        record = replace(self._record, **ending)  # of the whole run, even if an earlier record ended it
        return Outcome(self.status, self._model, record, record, state, edges)


class _Word:
    """A word on every node in which the others count stop notices and ended nodes."""

    def __init__(self, node: Node, stop: StopRule) -> None:
        self._node = node
        self._stop = stop
        self._window = node.window(1, "monitoring", by_edge=False)

    def tell_if_over(self, iteration: int) -> None:
        """Notify all nodes of the end of the run if this node, at `iteration`, knows it and none has notified it."""
        node = self._node
        used = {"round": node.ledger.solver.rounds, "iteration": iteration, "seconds": node.now()}
        if (node.stopping or self._stop.spent(used) is not None) and not self.heard():
            self._add(STOP)

    def heard(self) -> bool:
        """Return whether a stop notice has arrived."""
        return self._window.fetch_and_op(0, self._node.rank, 0, "no-op") >= STOP

    def rest(self, seconds: float) -> None:
        """Pause for `seconds`, or until a stop notice arrives."""
        node = self._node
        if self._stop.seconds is not None:
            seconds = min(seconds, self._stop.seconds - node.now())
        if self.heard() or node.stopping:
            return
        if node.size == 1:
            node.idle(seconds)
            return
        timeline, node.timeline = node.timeline, None  # a pause is not waiting for others
        self._window.wait(0, lambda word: word >= STOP or node.stopping, seconds)
        node.timeline = timeline

    def wait(self) -> None:
        """Report that this node has ended, and wait for a stop notice or until all nodes have ended."""
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
