"""From a checked specification to a prepared problem: every node's shard, compiled kernels, the starting point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.linalg

from hpcopt.arrays import Vector
from hpcopt.capacity import DOUBLE, VECTORS, ask, ask_for_model
from hpcopt.data import Loaded, Rows, load
from hpcopt.errors import InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Cluster, Group
from hpcopt.kernels.cache import compile_safely
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import SizedModel
from hpcopt.problems.penalties import Penalty
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix
from hpcopt.results.goal import Goal, Optimum
from hpcopt.runs.faults import striker
from hpcopt.runs.phases import Phases
from hpcopt.runs.sizes import scaling_hint
from hpcopt.spec.specification import Specification


@dataclass(frozen=True)
class Prepared:
    """A problem distributed over a cluster.

    Attributes
    ----------
    conditions
        The conditions of its runs.
    shards
        Node -> shard, for the nodes of this process; nodes that are not holders have shards without rows.
    hint
        A hint about the features' units for the user; None if there is none.
    goal, optimum
        The measure by which its runs are judged, and what is known about the minimum; `hpcopt.runs.goal` sets them.
    """

    cluster: Cluster
    conditions: Conditions
    problem: Problem
    shards: dict[int, Shard]
    w0: Vector
    loaded: Loaded
    hint: str | None
    phases: Phases
    goal: Goal = Goal()  # noqa: RUF009  # frozen
    optimum: Optimum | None = None

    def repeated(self, spec: Specification, cluster: Cluster, conditions: Conditions) -> Prepared:
        """Return the same problem on a cluster of the same nodes with another seed, and its starting point; collective.

        Parameters
        ----------
        spec
            The specification with that seed.
        """
        with agreed(cluster.processes):
            w0 = _starting_point(spec, self.problem)
        return replace(self, cluster=cluster, conditions=conditions, w0=w0)

    def words(self) -> str:
        """Describe the data and the nodes in one line."""
        size = self.cluster.size
        nodes = ("virtual node" if self.cluster.kind == "virtual" else "MPI rank") + ("s" if size > 1 else "")
        return f"{self.loaded.name}, {self.loaded.rows:,} rows x {self.loaded.features:,} features on {size} {nodes}"


def prepare(spec: Specification, cluster: Cluster, conditions: Conditions, rows: Rows | None = None) -> Prepared:
    """Read and distribute the data, or the given `rows`, compile the kernels, and set the starting point."""
    phases = Phases(begun=striker(conditions.faults, cluster))
    phases.begin("read")
    loaded = load(spec.data, cluster, LOSSES[spec.problem.loss].targets, rows)
    phases.begin("prepare")
    formulation = spec.problem.formulation(loaded.rows)
    model = formulation.sized(loaded.features, 0 if loaded.classes is None else len(loaded.classes))
    with agreed(cluster.processes):
        formulation = replace(formulation, penalty=_penalty(formulation.penalty, loaded.features, model.outputs))
        _ask(model, len(cluster.local_nodes))
        shards = {node: _shard(loaded, node, model, spec.data.storage) for node in cluster.local_nodes}
    loaded = replace(loaded, shards={}, test_shards=None)  # the new shards may be copies: don't keep the rows twice
    problem = Problem(formulation, model, total=loaded.rows, entries=_entries(shards, cluster.processes))
    hint = None
    if spec.data.scale == "none":
        hint = scaling_hint([*shards.values()], loaded.features, loaded.rows, cluster.processes)
    phases.begin("warm-up")
    warm_up = partial(_warm, problem, [shards[node] for node in cluster.local_nodes if node in cluster.holders])
    if not cluster.led(warm_up):
        warm_up()
    phases.begin("prepare")
    with agreed(cluster.processes):
        w0 = _starting_point(spec, problem)
    phases.end()
    return Prepared(cluster, conditions, problem, shards, w0, loaded, hint, phases)


def _starting_point(spec: Specification, problem: Problem) -> Vector:
    w0 = spec.problem.starting_point(problem.model, spec.seed)
    some = problem.model.penalised
    w0[:some] = problem.formulation.penalty.nearest(w0[:some])
    return w0


def _penalty(penalty: Penalty, features: int, outputs: int) -> Penalty:
    """Return the penalty for the data's number of features."""
    try:
        return penalty.sized(features, outputs)
    except InputError as error:
        raise InputError(f"problem.penalty.{error.message}") from None


def _ask(model: SizedModel, nodes: int) -> None:
    """Raise an error if the model's vectors do not fit into memory, before any is allocated."""
    ask_for_model(model.size, f"a model of {model.size} numbers")
    what = f"{nodes} nodes with {VECTORS} vectors of {model.size} numbers each"
    ask(VECTORS * model.size * nodes * DOUBLE, what)


def _warm(problem: Problem, shards: list[Shard]) -> None:
    """Compile or load all kernels for such shards, and the linear algebra, outside the solver's measured time."""
    if not shards:
        return
    with np.errstate(all="ignore"):  # the numbers don't matter
        compile_safely(partial(problem.model.warm, shards[0].matrix, shards[0].y))
    scipy.linalg.cho_solve(scipy.linalg.cho_factor(np.eye(2)), np.ones(2))


def _shard(loaded: Loaded, node: int, model: SizedModel, storage: str | None) -> Shard:
    """Return a node's shard, with its features in the given storage, or by default as the data came."""
    table = loaded.shards.pop(node)
    test = loaded.test_shards.pop(node) if loaded.test_shards is not None else None
    return Shard(
        as_matrix(model.rows(table.X), storage),
        table.targets,
        None if test is None else as_matrix(model.rows(test.X), storage),
        None if test is None else test.targets,
    )


def _entries(shards: dict[int, Shard], processes: Group) -> int:
    return int(processes.sum(np.array([float(sum(shard.matrix.nnz for shard in shards.values()))]))[0])
