"""The loop over an asynchronous solver's steps: measurements don't block, and all nodes end soon after one of them.

Each node stores its model and its counts after every step. Surveys, non-blocking reductions, sum the stored data, so a
record holds the mean of the models at one time, and neither the order of events nor the bytes of the run depend on the
frequency of measurements. The run ends when a record or a node finds that a stop rule holds: that node notifies all
others, and nodes that wait for a partner are notified by the solver's own protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.fabric.survey import Survey
from hpcopt.problems.oracle import Oracle
from hpcopt.problems.problem import Problem, Shard
from hpcopt.results.outcome import Left, Outcome, Recording
from hpcopt.results.record import Record
from hpcopt.results.stopping import Disagreement, Status, StopRule
from hpcopt.runs.checkpoint import (
    NO_CHECKPOINTS,
    Checkpoints,
    Snapshot,
    belonging,
    level,
    meet,
    packed,
    unpacked,
    unpacked_state,
)
from hpcopt.runs.measuring import Watch, counted
from hpcopt.runs.notices import Notices
from hpcopt.runs.replay import Replay
from hpcopt.solvers.base import Solver
from hpcopt.solvers.parts.asynchronous import AsynchronousState


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
        On virtual nodes, by the progress of each node; the run is repeated up to the one from which it resumes. On the
        wall clock, `is_due` is asked on each node by itself: if one is, all nodes stop, as at the end of the run, and
        start again from their states.
    """
    replay, resume = None, checkpoints.resume
    if node.clock == "virtual" and checkpoints != NO_CHECKPOINTS:
        replay, resume = Replay(node, checkpoints, recording, belonging(node, solver)), None
        recording = replace(recording, tell=replay.tell)
    watch = Watch(node, problem, shard, decentralised=True, scaled=stop.scaled_gradient is not None)
    f = problem.on(shard, node.meter)
    node.solving(solver.name, f.d, f.n)
    if resume is None:
        state = solver.init(node, f, w0)
        first, model = watch.measure(state.w, 0)
        first = replace(first, gradients=0)
        recording.tell(first)
        status = stop.verdict(first, first, problem.strong_convexity)
        if status is not None:
            return Outcome(status, model, first, first, state, {})
        measured = _Measured(watch, node, stop, first, model, recording, problem.strong_convexity)
    else:
        node.restore(resume["node"])
        state = unpacked_state(solver, resume["state"])
        measured = _Measured.restored(watch, node, stop, recording, problem.strong_convexity, resume["measured"])
        meet(node)

    is_due = None if replay is not None else checkpoints.is_due
    while True:
        state, is_over = _until_notice(node, f, solver, state, stop, measured, replay, is_due)
        if is_over:
            break
        _save(node, solver, state, measured, checkpoints)
        node.renew()
        node.stopping = False
    outcome = measured.outcome(state)
    if replay is not None:
        replay.end()
    elif checkpoints.at_end and outcome.status.can_go_on:
        _save(node, solver, state, measured, checkpoints)
    return outcome


def _until_notice(
    node: Node,
    f: Oracle,
    solver: Solver[Any],
    state: Any,
    stop: StopRule,
    measured: _Measured,
    replay: Replay | None,
    is_due: Callable[[int], bool] | None,
) -> tuple[Any, bool]:
    """Let all nodes iterate until they have a notice to stop; return the node's state and whether the run is over."""
    measured.lay_aside(state)
    survey = measured.survey()
    notices = Notices(node, stop)
    node.next_step(notices.rest)
    for stepped in solver.rounds(node, f, state):
        state = stepped
        node.settle()
        measured.lay_aside(state)
        survey.stepped()
        if replay is not None:
            replay.stepped(state)
        notices.tell_if_over(state.iteration)
        node.next_step(notices.rest)
        notices.tell_if_over(state.iteration)
        if is_due is not None and is_due(state.iteration):
            notices.pause()
        node.stopping = notices.heard()
    if node.leaving:
        measured.left = Left(node.ledger.solver.rounds, state.iteration, node.now())
    f.recall({})  # as in rounds: see `driver`
    notices.wait()  # a node that has left early still serves the others
    survey.end()
    if is_due is None:
        return state, True
    own = notices.is_over() or not notices.heard() or notices.is_spent(state.iteration) or measured.status is not None
    with node.monitoring():
        return state, bool(node.world.max(np.array([float(own)]))[0])


def _save(
    node: Node, solver: Solver[Any], state: AsynchronousState, measured: _Measured, checkpoints: Checkpoints
) -> None:
    """Take a snapshot while all nodes have stopped and no message is in flight; collective."""
    level(node, state)
    meet(node)
    checkpoints.keep(
        {
            **belonging(node, solver),
            "iteration": state.iteration,
            "node": node.snapshot(),
            "state": packed(state, type(state).__name__),
            "measured": measured.snapshot(),
        }
    )
    meet(node)


class _Measured:
    """The data that a node stores after each step, and the records made from them by surveys.

    Attributes
    ----------
    status
        The status, once a record has ended the run.
    left
        When the node left; None while it is there.
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
        self.left: Left | None = None
        self._watch = watch
        self._node = node
        self._stop = stop
        self._convexity = convexity
        self._first = self._record = self._best = first
        self._model = self._kept = model
        self._recording = recording
        self._disagreement = Disagreement(node.size, model)

    @classmethod
    def restored(
        cls, watch: Watch, node: Node, stop: StopRule, recording: Recording, convexity: float, snapshot: Snapshot
    ) -> _Measured:
        """Return the measurements of which `snapshot` was taken."""
        first, record, best = (unpacked(Record, snapshot[name]) for name in ("first", "record", "best"))
        made = cls(watch, node, stop, first, snapshot["model"].copy(), recording, convexity)
        made._record, made._best, made._kept = record, best, snapshot["kept"].copy()
        made._disagreement.restore(snapshot["disagreement"])
        return made

    def snapshot(self) -> Snapshot:
        """Return what the rest of the run depends on, as plain data."""
        records = {"first": self._first, "record": self._record, "best": self._best}
        return {
            **{name: packed(record, name) for name, record in records.items()},
            "model": self._model.copy(),
            "kept": self._kept.copy(),
            "disagreement": self._disagreement.snapshot(),
        }

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
        own = [counts.rounds, counts.busiest, iteration, *([self._node.leaving] if self._node.may_leave else [])]
        largest = np.zeros((len(own), self._node.size))  # each node fills its column; the sum is a table of all nodes
        largest[:, self._node.rank] = own
        return np.concatenate((self._watch.share_of(self._mean, counts), [steps, apart], largest.ravel()))

    def done(self, sums: Vector) -> None:
        """Record the measurement, and end the run if a stop rule holds."""
        size = self._node.size
        numbers = (4 if self._node.may_leave else 3) * size
        shares, (steps, apart), table = np.split(sums, [len(sums) - 2 - numbers, len(sums) - numbers])
        (rounds, busiest, iteration), leaving = table.reshape(-1, size)[:3].max(axis=1), table[3 * size :]
        record = self._watch.record(self._mean, shares, int(iteration), self._at, int(rounds))
        record = replace(
            record,
            consensus=float(np.sqrt(apart)),
            edge_bytes=int(busiest),
            gradients=int(steps),
            left=tuple(np.flatnonzero(leaving).tolist()) or None,
        )
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
            leaving = node.world.allgather(np.array([float(not here)])) if node.may_leave else []
        left = tuple(rank for rank, flag in enumerate(leaving) if flag[0]) or None
        ending: dict[str, Any] = {"gradients": int(gradients), "discarded": int(discarded), "left": left}
        edges = dict(node.ledger.solver.by_edge)
        if self.status is None:
            last = replace(last, iteration=int(iteration), **ending)
            self._recording.tell(last)
            self.status = self._stop.verdict(last, self._first, self._convexity) or (
                Status.FINISHED if there else Status.LEFT
            )
            self._record, self._model = last, model
        if self.status.diverged:
            best = replace(self._best, **ending)
            return Outcome(self.status, self._kept, best, self._record, state, edges, self.left)
        record = replace(self._record, **ending)  # of the whole run, even if an earlier record ended it
        return Outcome(self.status, self._model, record, record, state, edges, self.left)
