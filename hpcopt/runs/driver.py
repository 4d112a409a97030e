"""The only loop over a solver's rounds: measure, record, decide to stop. It is the same on every node and cluster.

Asynchronous solvers, which have no common rounds, have a separate loop in `hpcopt.runs.asynchronous`.

Without recording, and with a number of rounds as the only rule, the loop adds one comparison per round.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.fabric.departures import NodesLost
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.problems.problem import Problem, Shard
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.stopping import StopRule
from hpcopt.runs.asynchronous import drive_asynchronous
from hpcopt.runs.checkpoint import (
    NO_CHECKPOINTS,
    Checkpoints,
    Snapshot,
    belonging,
    check_belonging,
    meet,
    packed,
    unpacked_state,
)
from hpcopt.runs.course import Course
from hpcopt.runs.interrupted import Standing
from hpcopt.runs.measuring import NOTHING, Watch
from hpcopt.runs.moved import completed
from hpcopt.solvers.base import Solver, State

EVERYTHING = Recording()


def drive(  # noqa: PLR0913  (of which `standing` is rarely given)
    node: Node,
    problem: Problem,
    shard: Shard,
    solver: Solver[Any],
    w0: Vector,
    stop: StopRule,
    recording: Recording = EVERYTHING,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    *,
    standing: Standing | None = None,
) -> Outcome:
    """Run `solver` on this node until a rule of `stop` holds or the solver ends.

    Parameters
    ----------
    w0
        The starting point, shape (d,); not modified.
    checkpoints
        When snapshots are taken, and the one from which the run resumes. A resumed run has the records after the
        snapshot, and its outcome is bitwise equal to that of an uninterrupted run.
    standing
        Follows the run, if it survives that nodes leave or die, and knows what this node goes on with after that.

    Raises
    ------
    InputError
        If the snapshot is from another run, or an asynchronous solver is to resume on the wall clock.
    NodesLost
        If nodes have left or died, and the run survives it.
    """
    with np.errstate(all="ignore"):  # a diverging run overflows; its records show it
        if checkpoints.resume is not None:
            check_belonging(checkpoints.resume, node, solver)
        if solver.needs.pace == "own":
            return drive_asynchronous(node, problem, shard, solver, w0, stop, recording, checkpoints)
        with node.interruptible():
            outcome = _drive_rounds(node, problem, shard, solver, w0, stop, recording, checkpoints, standing=standing)
            node.confirm()
        return outcome


def _drive_rounds(  # noqa: PLR0913  (as `drive`)
    node: Node,
    problem: Problem,
    shard: Shard,
    solver: Solver[Any],
    w0: Vector,
    stop: StopRule,
    recording: Recording,
    checkpoints: Checkpoints,
    *,
    standing: Standing | None,
) -> Outcome:
    f = problem.on(shard, node.meter)
    node.solving(solver.name, f.d, f.n)
    own, scaled = solver.needs.models == "own", stop.scaled_gradient is not None
    after = None if standing is None else standing.after
    before = NOTHING if after is None else after.before
    watch = Watch(node, problem, shard, decentralised=own, scaled=scaled, before=before)
    course = Course(node, watch, stop, recording, problem.strong_convexity)
    if standing is not None:
        standing.course = course
    state = _begun(node, f, solver, w0, course, checkpoints.resume, standing)
    models = node.size if own else 1
    following = partial(recording.output.next_measured, models=models, judged=stop.measures)
    limit = math.inf if stop.rounds is None else stop.rounds
    last_iteration = math.inf if stop.iterations is None else stop.iterations
    account, is_due = node.ledger.solver, checkpoints.is_due
    rounds = solver.rounds(node, f, state) if course.status is None else iter(())
    iteration = course.begun
    due = following(iteration)
    states = stepped(node, rounds, stop.seconds)
    if standing is not None:
        states = standing.at_each_of(states)
    for state in states:
        iteration += 1
        if iteration >= due or account.rounds >= limit or iteration >= last_iteration:
            course.measure(_model(node, solver, f, state), iteration, is_extra=iteration < due)
            due = following(iteration)
            if course.status is not None:
                break
        if is_due is not None and is_due(iteration):
            checkpoints.keep(_snapshot(node, f, solver, state, course.snapshot(iteration)))
            meet(node)
    if checkpoints.at_end and course.can_go_on and iteration > course.begun:
        checkpoints.keep(_snapshot(node, f, solver, state, course.snapshot(iteration)))
        meet(node)
    f.recall({})  # an oracle and its last point refer to each other: they would keep their vectors for a while
    exact = solver.minimises and solver.floor is None and problem.formulation.loss.flat_minima
    return course.outcome(state, _model(node, solver, f, state), iteration, exact=exact)


def _begun(
    node: Node,
    f: Oracle,
    solver: Solver[Any],
    w0: Vector,
    course: Course,
    resume: Snapshot | None,
    standing: Standing | None,
) -> State:
    """Return the state in which the run starts, goes on after others have left, or resumes; collective."""
    after = None if standing is None else standing.after
    if after is not None:
        state = after.state_on(node, f, solver, w0)
    elif resume is None:
        state = solver.init(node, f, w0)
    else:
        state = _resumed(resume, node, f, solver, course)
    if standing is not None:  # others may leave while this node still measures
        standing.hold(state, course.begun if after is None else after.iteration)
    if after is not None:
        course.go_on(_model(node, solver, f, state), after.iteration, after.records)
    elif resume is None:
        course.begin(_model(node, solver, f, state))
    return state


def _model(node: Node, solver: Solver[Any], f: Oracle, state: State) -> Vector:
    """Return the model in `state`; collective."""
    with node.monitoring():
        return solver.model(node, f, state)


def _snapshot(node: Node, f: Oracle, solver: Solver[Any], state: State, course: Snapshot) -> Snapshot:
    """Return a snapshot of the run on this node; called by all nodes, with a barrier before and after."""
    meet(node)
    return {
        **belonging(node, solver),
        "iteration": course["iteration"],
        "node": node.snapshot(),
        "state": packed(state, type(state).__name__),
        "oracle": f.remembered(),
        "course": course,
    }


def _resumed(snapshot: Snapshot, node: Node, f: Oracle, solver: Solver[Any], course: Course) -> State:
    """Return the state in `snapshot`; also restore node, oracle and course. Collective."""
    state = unpacked_state(solver, snapshot["state"])
    node.restore(completed(snapshot["node"], node))
    f.recall(snapshot["oracle"])
    course.restore(snapshot["course"])
    meet(node)
    return state


def stepped(node: Node, rounds: Iterator[State], limit: float | None) -> Iterator[State]:
    """Yield the states of `rounds`; requesting the next one starts a step of the node.

    Pauses end at `limit`, seconds on the node's clock, at the latest.

    Raises
    ------
    InputError
        If the node has left, and the others need it.
    NodesLost
        If it has left, and the others go on.
    """

    def rest(seconds: float) -> None:
        node.idle(seconds if limit is None else max(0.0, min(seconds, limit - node.now())))

    node.next_step(rest)
    for state in rounds:
        yield state
        node.next_step(rest)
        if node.leaving and node.survives:
            raise NodesLost
        if node.leaving:
            raise InputError(f"node {node.rank} has left in round {node.ledger.solver.rounds}; the others need it")
