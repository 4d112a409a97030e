"""The one loop over a solver's rounds: measure, record, decide to stop. The same on every node and cluster.

With recording off and no rule but a number of rounds the loop adds a comparison to a round and nothing else.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.interface import Node
from hpcopt.runs.measuring import Problem, Shard, Watch
from hpcopt.runs.stopping import Disagreement, Status, StopRule
from hpcopt.solvers.base import Solver, State

Vector = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a run ended on this node: the model kept, the trace row that belongs to it, the solver's last state."""

    status: Status
    w: Vector  # (d,)
    row: Row  # of `w`
    last: Row  # of the end; another one than `row` only after a divergence
    state: State
    edges: dict[int, int]  # bytes sent to each neighbour


@np.errstate(all="ignore")  # a diverging run overflows; its rows say so
def drive(
    node: Node,
    problem: Problem,
    shard: Shard,
    solver: Solver[Any],
    w0: Vector,
    stop: StopRule,
    *,
    record_every: int = 1,
    record: Callable[[Row], None] | None = None,
) -> Outcome:
    """Run `solver` on this node until a rule of `stop` holds or the solver ends.

    Parameters
    ----------
    w0
        Where to start, shape (d,); left alone.
    record_every
        Record each so-many-th iteration; 0: only the first and the last.
    record
        Called with each recorded row, on every node (give it on one).
    """
    tell = record or _forget
    watch = Watch(node, problem, shard, decentralised=solver.decentralised)
    disagreement = Disagreement()
    f = problem.on(shard, node.meter)
    state = solver.init(node, f, w0)
    first, model = watch.measure(state.w, 0)
    last = best = first
    kept = model.copy()
    tell(first)

    status = stop.verdict(first, first)
    every = record_every or (1 if stop.measures else sys.maxsize)  # measure so often
    limit = math.inf if stop.rounds is None else stop.rounds
    last_iteration = math.inf if stop.iterations is None else stop.iterations
    account = node.ledger.solver
    iteration = 0
    rounds = solver.rounds(node, f, state) if status is None else iter(())
    for state in rounds:
        iteration += 1
        if iteration % every and account.rounds < limit and iteration < last_iteration:
            continue
        last, model = watch.measure(state.w, iteration)
        if record_every:
            tell(last)
        status = stop.verdict(last, first) or disagreement.verdict(last)
        if status is not None:
            break
        if last["objective"] < best["objective"]:
            best, kept = last, model.copy()

    if status is None:  # the solver ended: what it sent after its last iterate counts too
        last, model = watch.measure(state.w, iteration)
        status = stop.verdict(last, first)
        if record_every:
            tell(last)
    if not record_every and iteration:
        tell(last)
    edges = dict(account.by_edge)
    if status is not None and status.diverged:
        return Outcome(status, kept, best, last, state, edges)
    return Outcome(status or Status.FINISHED, model, last, last, state, edges)


def _forget(row: Row) -> None:
    """Record nothing."""
