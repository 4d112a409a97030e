"""Solves a small problem on a virtual cluster in one call, and keeps all results for inspection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.conformance.problems import Spread
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.heterogeneity import EVEN, Heterogeneity
from hpcopt.fabric.interface import Cluster, Node
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.output import Output
from hpcopt.results.record import Record
from hpcopt.results.stopping import StopRule
from hpcopt.runs.checkpoint import NO_CHECKPOINTS, Checkpoints, Snapshot
from hpcopt.runs.driver import drive
from hpcopt.solvers import Solver
from hpcopt.topology import TOPOLOGIES, Mixing, Topology, build
from hpcopt.topology.hubs import Hubs

RING = TOPOLOGIES["ring"]()


@dataclass(frozen=True)
class Solved:
    """The result of a run: the trace of node 0, and every node's outcome and node."""

    outcome: Outcome
    records: list[Record]
    outcomes: list[Outcome]
    nodes: list[Node]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The records as in trace.jsonl."""
        return [record.as_dict() for record in self.records]

    @property
    def w(self) -> Vector:
        """The model, shape (d,)."""
        return self.outcome.w


class Kept:
    """The snapshots taken after every yield: checkpoints to be passed to `solve`.

    Attributes
    ----------
    after
        Yield, from 1 -> node -> snapshot.
    """

    def __init__(self) -> None:
        self.after: dict[int, dict[int, Snapshot]] = {}

    def __call__(self, rank: int) -> Checkpoints:
        """Return the checkpoints of a node."""
        count = 0

        def is_due(iteration: int) -> bool:  # noqa: ARG001
            nonlocal count
            count += 1
            return True

        def keep(snapshot: Snapshot) -> None:
            self.after.setdefault(count, {})[rank] = snapshot

        return Checkpoints(is_due, keep)


def going_on(snapshots: dict[int, Snapshot]) -> Callable[[int], Checkpoints]:
    """Return the checkpoints of a run that resumes from these snapshots (node -> snapshot)."""
    return lambda rank: Checkpoints(resume=snapshots[rank])


def _none(rank: int) -> Checkpoints:  # noqa: ARG001
    return NO_CHECKPOINTS


def solve(  # noqa: PLR0913  (each parameter is varied by some check)
    solver: Solver[Any],
    spread: Spread,
    *,
    start: Vector | None = None,
    cluster: Cluster | None = None,
    record_every: int | Literal["auto"] = 1,
    seed: int = 0,
    topology: Topology | Mixing | None = None,
    hubs: Hubs | None = None,
    rates: tuple[float, ...] | None = None,
    heterogeneity: Heterogeneity = EVEN,
    checkpoints: Callable[[int], Checkpoints] = _none,
    **stop: Any,
) -> Solved:
    """Run `solver` on `spread`, by default on a virtual cluster.

    Parameters
    ----------
    start
        The starting point, shape (d,); default: zeros.
    topology
        The topology of a decentralised solver, or its mixing matrix; default: a ring.
    hubs
        The hub network of a solver that needs one; default: the default of its table.
    rates
        The operating rate of each node.
    checkpoints
        Returns the checkpoints of a node, given its rank.
    stop
        The fields of `StopRule`.
    """
    cluster = cluster or VirtualCluster(spread.nodes, seed=seed)
    mixing = None
    if solver.needs.topology != "hubs" and solver.needs.models == "own":
        mixing = topology if isinstance(topology, Mixing) else build(topology or RING, spread.nodes, seed)
    shards, problem = spread.shards(), spread.problem
    w0 = np.zeros(spread.d) if start is None else start
    records: list[Record] = []
    output = Output(record_every=record_every)
    nodes: list[Node] = []

    def program(node: Node) -> Outcome:
        nodes.append(node)
        return drive(
            node,
            problem,
            shards[node.rank],
            solver,
            w0,
            StopRule(**stop),
            Recording(output, records.append) if node.rank == 0 else Recording(output),
            checkpoints(node.rank),
        )

    network = None
    if hubs is not None or solver.needs.topology == "hubs":
        network = (hubs or Hubs()).network(spread.nodes, seed)
    if network is not None:
        cluster.holders = network.workers
    conditions = Conditions(mixing=mixing, hubs=network, heterogeneity=heterogeneity, rates=rates)
    outcomes = cluster.run(program, conditions)
    return Solved(outcomes[0], records, outcomes, sorted(nodes, key=lambda node: node.rank))
