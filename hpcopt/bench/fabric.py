"""The overhead of a round over its MPI call: the fabric, the driver without recording, gossip, windows, counting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.bench.gossip import gossip_rows, row, timed
from hpcopt.bench.windows import window_rows
from hpcopt.errors import InputError
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Cluster, Node
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses.squared import Squared
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties.none import NoPenalty
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix
from hpcopt.results.outcome import Recording
from hpcopt.results.output import Output
from hpcopt.results.stopping import StopRule
from hpcopt.runs.driver import drive
from hpcopt.solvers.base import Solver, State
from hpcopt.topology import TOPOLOGIES, build

BUDGET = 10e-6  # seconds that the driver may add to a round
COUNTING = 1e-6  # seconds that the table of operations may add to an operation
TELLABLE = 1e-7  # seconds; smaller differences of medians are noise
DRIVEN = 300  # doubles in the message of a round under the driver


@dataclass(frozen=True, kw_only=True)
class OnlyMeans(Solver[State]):
    """A solver whose rounds are only a mean; it times them, including the driver."""

    name: ClassVar[str] = "only-means"
    count: int  # rounds
    times: list[float]  # seconds per round, one entry per run

    def init(self, node: Node, f: Objective, w0: Vector) -> State:  # noqa: ARG002
        return State(w=w0.copy())

    def rounds(self, node: Node, f: Objective, s: State) -> Iterator[State]:  # noqa: ARG002
        start = time.perf_counter()
        for _ in range(self.count):
            s.w = node.world.mean(s.w, out=s.w)
            yield s
        self.times.append((time.perf_counter() - start) / self.count)

    def doubles(self, s: State, d: int) -> int:  # noqa: ARG002
        return self.count * d


def bench_fabric(cluster: Cluster, quick: bool) -> list[dict[str, Any]]:
    """Return rows of {name, ours, peer, peer_name, ratio, goal}; collective over the ranks.

    Parameters
    ----------
    cluster
        A cluster of MPI ranks.
    quick
        Whether to use fewer repetitions.

    Raises
    ------
    InputError
        Without MPI.
    """
    if not hasattr(cluster.processes, "comm"):
        raise InputError("bench fabric: compares with MPI, which is not available here (pip install 'hpcopt[mpich]')")
    repeats, count = (7, 500) if quick else (25, 2000)
    ring = Conditions(mixing=build(TOPOLOGIES["ring"](), cluster.size))
    rows = cluster.run(lambda node: _rows(node, repeats, count), ring)[0]
    return [*rows, _counting_row(cluster, repeats, count)]


def _counting_row(cluster: Cluster, repeats: int, count: int) -> dict[str, Any]:
    """Return the row of what the table of operations adds to an operation."""

    def counted(node: Node) -> float:
        node.tabulate()
        return _driven(node, count)

    pairs = [(cluster.run(counted)[0], cluster.run(lambda node: _driven(node, count))[0]) for _ in range(repeats)]
    added = float(np.median(np.subtract.reduce(pairs, axis=1)))
    name = "table of operations, overhead per operation"
    return row(name, max(added, TELLABLE), COUNTING, "budget of 1 us", 1.0)


def _rows(node: Node, repeats: int, count: int) -> list[dict[str, Any]]:
    rows = [_mean_row(node, d, repeats, count if d <= DRIVEN else count // 10) for d in (1, DRIVEN, 10_000)]
    bare: list[float] = []
    driven: list[float] = []
    for _ in range(repeats):
        bare.append(timed(node, _bare(node, DRIVEN), count))
        driven.append(_driven(node, count))
    ours, peer = float(np.median(driven)), float(np.median(bare))
    added = float(np.median(np.subtract(driven, bare)))
    rows.append(row(f"driver, recording off, d={DRIVEN}", ours, peer, "bare Allreduce", None))
    name = "the same, overhead per round" if added > TELLABLE else "the same, overhead: below the noise here"
    rows.append(row(name, max(added, TELLABLE), BUDGET, "budget of 10 us (aim: 2 us)", 1.0))
    return rows + gossip_rows(node, repeats, count) + window_rows(node, repeats, count)


def _bare(node: Node, d: int) -> Callable[[], object]:
    comm: Any = node.world.comm  # type: ignore[attr-defined]
    x, out = np.ones(d), np.empty(d)
    return lambda: comm.Allreduce(x, out)


def _mean_row(node: Node, d: int, repeats: int, count: int) -> dict[str, Any]:
    x, out = np.ones(d), np.empty(d)
    pairs = [
        (timed(node, lambda: node.world.mean(x, out=out), count), timed(node, _bare(node, d), count))
        for _ in range(repeats)
    ]
    ours, peer = (float(t) for t in np.median(pairs, axis=0))
    return row(f"group.mean, d={d}", ours, peer, "bare Allreduce", None)


def _driven(node: Node, count: int) -> float:
    """Return the seconds per round, including the driver, of a solver that only computes means."""
    X = np.zeros((1, DRIVEN))
    shard = Shard(as_matrix(X), np.zeros(1))
    formulation = Formulation(Linear(), Squared(), NoPenalty())
    problem = Problem(formulation, formulation.sized(DRIVEN), total=node.size, entries=node.size * DRIVEN)
    times: list[float] = []
    solver = OnlyMeans(count=count, times=times)
    drive(node, problem, shard, solver, np.ones(DRIVEN), StopRule(rounds=2**62), Recording(Output(record_every=0)))
    return times[0]
