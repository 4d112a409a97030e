"""An unrecorded warm-up: a few rounds on a few rows, so that slow first calls happen before the clock starts."""

from __future__ import annotations

from typing import Any

from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Node
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.problems.problem import Shard
from hpcopt.results.outcome import Recording
from hpcopt.results.output import Output
from hpcopt.results.stopping import StopRule
from hpcopt.runs.driver import drive
from hpcopt.runs.prepare import Prepared
from hpcopt.solvers.base import Solver

ROWS, ROUNDS = 64, 12
NUMBERS = 2**23  # most numbers of a model times rounds: rounds of large models take long, but need no second warm-up
ALONE = 2**21  # most numbers held by one process for all nodes: every node's model on every node, several vectors each


def warm_up(prepared: Prepared, solver: Solver[Any]) -> None:
    """Run a few rounds on a few rows and discard the result.

    First calls are slow (caches, lazy connections, initialisation of libraries). Without the warm-up they would count
    against the solver that runs first.
    """
    few = {rank: Shard(shard.matrix.head(ROWS), shard.y[:ROWS]) for rank, shard in prepared.shards.items()}
    stop = StopRule(rounds=max(2, min(ROUNDS, NUMBERS // max(1, len(prepared.w0)))))
    cluster = prepared.cluster
    given = prepared.conditions
    # without delays, since nothing is measured
    conditions = Conditions(mixing=given.mixing, hubs=given.hubs, watchdog=given.watchdog)

    rows = few[cluster.local_nodes[0]]
    none = Shard(rows.matrix.head(0), rows.y[:0])

    def program(node: Node) -> None:
        shard = few.get(node.rank, rows if node.rank in cluster.holders else none)
        drive(node, prepared.problem, shard, solver, prepared.w0, stop, Recording(Output(record_every=0)))

    def alone() -> None:
        if rows.matrix.n:
            VirtualCluster(cluster.size, holders=cluster.holders).run(program, conditions)

    if cluster.processes.size > 1 and cluster.size**2 * len(prepared.w0) <= ALONE:
        cluster.led(alone)  # so that one process per host compiles the solver's kernels, not all of them at once
    cluster.run(program, conditions)
