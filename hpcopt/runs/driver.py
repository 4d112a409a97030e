"""The one loop over a solver's rounds: measure, record, decide to stop. The same on every node and cluster.

Asynchronous solvers, which have no rounds in common, have a loop of their own in `hpcopt.runs.asynchronous`.

With recording off and no rule but a number of rounds the loop adds a comparison to a round and nothing else.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.problems.problem import Problem, Shard
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.stopping import Disagreement, Status, StopRule
from hpcopt.runs.asynchronous import drive_asynchronous
from hpcopt.runs.measuring import Watch
from hpcopt.solvers.base import Solver, State

EVERYTHING = Recording()


def drive(
    node: Node,
    problem: Problem,
    shard: Shard,
    solver: Solver[Any],
    w0: Vector,
    stop: StopRule,
    recording: Recording = EVERYTHING,
) -> Outcome:
    """Run `solver` on this node until a rule of `stop` holds or the solver ends.

    Parameters
    ----------
    w0
        Where to start, shape (d,); left alone.
    """
    with np.errstate(all="ignore"):  # a diverging run overflows; its records say so
        if solver.needs.pace == "own":
            return drive_asynchronous(node, problem, shard, solver, w0, stop, recording)
        return _drive_rounds(node, problem, shard, solver, w0, stop, recording)


def _drive_rounds(
    node: Node,
    problem: Problem,
    shard: Shard,
    solver: Solver[Any],
    w0: Vector,
    stop: StopRule,
    recording: Recording,
) -> Outcome:
    record_every, tell = recording.output.record_every, recording.tell
    watch = Watch(node, problem, shard, decentralised=solver.needs.models == "own")
    f = problem.on(shard, node.meter)
    state = solver.init(node, f, w0)
    first, model = watch.measure(state.w, 0)
    last = best = first
    kept = model.copy()
    disagreement = Disagreement(node.size, kept)
    tell(first)

    status = stop.verdict(first, first, problem.strong_convexity)
    every = record_every or (1 if stop.measures else sys.maxsize)  # measure so often
    limit = math.inf if stop.rounds is None else stop.rounds
    last_iteration = math.inf if stop.iterations is None else stop.iterations
    account = node.ledger.solver
    iteration = 0
    rounds = solver.rounds(node, f, state) if status is None else iter(())
    for state in stepped(node, rounds, stop.seconds):
        iteration += 1
        if iteration % every and account.rounds < limit and iteration < last_iteration:
            continue
        last, model = watch.measure(state.w, iteration)
        if record_every:
            tell(last)
        status = stop.verdict(last, first, problem.strong_convexity) or disagreement.verdict(last, model)
        if status is not None:
            break
        if last.objective < best.objective:
            best, kept = last, model.copy()

    if status is None:  # the solver ended: what it sent after its last iterate counts too
        last, model = watch.measure(state.w, iteration)
        status = stop.verdict(last, first, problem.strong_convexity)
        if record_every:
            tell(last)
    if not record_every and iteration:
        tell(last)
    edges = dict(account.by_edge)
    if status is not None and status.diverged:
        return Outcome(status, kept, best, last, state, edges)
    return Outcome(status or Status.FINISHED, model, last, last, state, edges)


def stepped(node: Node, rounds: Iterator[State], limit: float | None) -> Iterator[State]:
    """Yield what `rounds` yields; each begins a step of the node, when it is asked for.

    No pause goes on beyond `limit`, seconds of the node's clock.
    """

    def rest(seconds: float) -> None:
        node.idle(seconds if limit is None else max(0.0, min(seconds, limit - node.now())))

    node.next_step(rest)
    for state in rounds:
        yield state
        node.next_step(rest)
