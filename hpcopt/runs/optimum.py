"""`problem.optimum = "auto"`: the minimum of the objective, computed once, certified, and remembered.

An exact solver runs over all rows before the solvers of the specification, on nodes of its own: nothing of it counts.
On a virtual cluster all rows form one shard, so that nothing is simulated.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse

from hpcopt.capacity import ask
from hpcopt.errors import AgreedError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Node
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.problem import Shard
from hpcopt.problems.storage import as_matrix
from hpcopt.results.goal import Optimum
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.record import Record
from hpcopt.results.stopping import RESOLVED, VANISHED, StopRule
from hpcopt.runs.certificate import certify
from hpcopt.runs.driver import drive
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.progress import Progress
from hpcopt.runs.remembered import recall, remember
from hpcopt.solvers import SOLVERS, Solver
from hpcopt.spec.specification import Specification

SECONDS = 600.0  # of each of two attempts; what takes longer had better be a run of its own
CLOSE = 1e-10  # scaled gradient of the first one: of what is not badly conditioned, as small as roundoff allows
CERTIFIED = 1e-9  # relative: the largest distance to the optimum that is accepted


def computed(spec: Specification, prepared: Prepared, *, quiet: bool) -> Optimum:
    """Return the optimum of the prepared problem, from before or computed now; collective.

    Raises
    ------
    InputError
        On every process: if there is not enough memory, or no certificate.
    """
    processes, speaks = prepared.cluster.processes, prepared.cluster.local_nodes[0] == 0
    known = recall(spec, prepared) if speaks else None
    told = b"" if known is None else json.dumps(known.as_dict()).encode()
    told = processes.broadcast_varying(np.frombuffer(told, dtype=np.uint8)).tobytes()
    if told:
        optimum = Optimum(**json.loads(told))
        return replace(optimum, how=f"{optimum.how}, in an earlier run")
    name = _exact(prepared.problem.formulation)
    silent = quiet or not speaks
    if not silent:
        print(f"computing the optimum: {name} on all rows", flush=True)
    optimum = _minimum(_alone(prepared), SOLVERS[name](**SOLVERS[name].fit_defaults), silent=silent)
    if speaks:
        remember(spec, prepared, optimum)
    return optimum


def _exact(formulation: Formulation) -> str:
    """Return the name of a solver whose iterates come as near to the optimum as roundoff allows."""
    if not formulation.penalty.smooth:
        return "prox-lbfgs"
    if not formulation.loss.hessian:  # with several outputs the subproblems of prox-lbfgs are large
        return "lbfgs"
    return "newton-cg" if formulation.loss.curved else "prox-lbfgs"


def _alone(prepared: Prepared) -> Prepared:
    """Return the problem from a start of its own, with a node for each process."""
    problem, shards = prepared.problem, prepared.shards
    size = problem.model.penalised
    w = np.zeros(problem.model.size)
    w[:size] = problem.formulation.penalty.nearest(w[:size])
    if prepared.cluster.kind != "virtual":
        return replace(prepared, w0=w)
    with agreed(prepared.cluster.processes):
        return replace(prepared, w0=w, cluster=SoloCluster(), shards={0: _together([*shards.values()])})


def _together(shards: list[Shard]) -> Shard:
    """Return all rows as one shard."""
    held = [shard for shard in shards if shard.matrix.n]
    if len(held) == 1:
        return held[0]
    bytes_ = sum(shard.matrix.nnz * shard.matrix.storage.itemsize for shard in held)
    ask(bytes_, 'problem.optimum = "auto": all rows in one shard')
    arrays = [shard.matrix.as_array() for shard in held]
    X = scipy.sparse.vstack(arrays, format="csr") if scipy.sparse.issparse(arrays[0]) else np.concatenate(arrays)
    return Shard(as_matrix(X, None), np.concatenate([shard.y for shard in held]))


def _minimum(prepared: Prepared, solver: Solver[Any], *, silent: bool) -> Optimum:
    """Return the minimum, found by `solver`, with a certificate."""
    records: list[Record] = []
    stop, w = StopRule(scaled_gradient=CLOSE, seconds=SECONDS), prepared.w0
    for _ in range(2):
        outcome = _run(replace(prepared, w0=w), solver, stop, records, silent=silent)
        w, value, how = outcome.w, outcome.record.objective, f"{solver.name}, {len(records)} iterations"
        if value <= VANISHED * records[0].objective:
            return Optimum(0.0, how, "no objective is below 0", 0.0)
        found = certify(prepared, w, value, CERTIFIED * value)
        if found.gap <= CERTIFIED * value:
            return Optimum(value, how, found.words, found.gap)
        if not math.isfinite(found.gap):
            wanted = "give l2 > 0, or the optimum as a number"
            raise AgreedError(f'problem.optimum: "auto" has no certificate here: {found.words}; {wanted}')
        norm = outcome.record.grad_norm * CERTIFIED * value / found.gap  # the bounds are at least linear in it
        stop = StopRule(gradient_norm=0.1 * norm, seconds=SECONDS)
    scaled = min(record.scaled_gradient or math.inf for record in records)
    if scaled <= RESOLVED:
        return Optimum(value, how, "estimate by the scaled gradient", scaled**2 * value)
    raise AgreedError(
        f"problem.optimum: {value:.8g}, by {how}, may be {found.gap:.2g} above it, where {CERTIFIED * value:.2g} "
        "is accepted; give a larger l2, or the optimum as a number"
    )


def _run(prepared: Prepared, solver: Solver[Any], stop: StopRule, records: list[Record], *, silent: bool) -> Outcome:
    """Run `solver` until `stop`; append its records."""
    with Progress("optimum", stop, silent=silent) as progress:

        def tell(record: Record) -> None:
            records.append(record)
            progress.update(record)

        def program(node: Node) -> Outcome:
            shard = prepared.shards[node.rank]
            return drive(node, prepared.problem, shard, solver, prepared.w0, stop, Recording(tell=tell))

        return prepared.cluster.run(program)[0]
