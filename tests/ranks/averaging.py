"""DSGD-AAU on real ranks: all invariants, with random delays, both engines, a slow rank and poisoned memory.

Arguments: engine, iterations, first seed, runs. A hanging run shows the stack of every rank.
"""

import faulthandler
import sys
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from mpi4py import MPI

from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import solve
from hpcopt.fabric import publication
from hpcopt.fabric.interface import Node
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.solvers.dsgd_aau import DSGDAAU
from hpcopt.topology import TOPOLOGIES, build
from tests.averaging import Logged, bound, check_log

world = MPI.COMM_WORLD
SLOWEST = 0.05  # seconds that one step of one rank takes
PATIENCE = 50  # seconds


def poisoned(node, d):
    words = publication.Publication.words(d)
    return publication.Publication(node.window(words), d, poison=True)


Node.publication = poisoned  # a slot is filled with NaN before it is written


@dataclass(frozen=True, kw_only=True)
class Delayed(Logged):
    """Workers with random step times; one step of one worker takes long."""

    seed: int
    most: float  # seconds

    def adapter(self, node, f, s):
        adapt = super().adapter(node, f, s)
        delays = np.random.default_rng([self.seed, node.rank])

        def delayed(w, factor):
            slow = node.rank == node.size - 1 and s.steps == 3
            node.idle(SLOWEST if slow else self.most * delays.random() ** 4)
            return adapt(w, factor)

        return delayed


def run(engine, iterations, seed, topology):
    solver = Delayed(step_size=0.2, batch=5, seed=seed, most=2e-3)
    spread = logistic(n=20 * world.size, nodes=world.size, seed=seed)
    mixing = build(topology, world.size, seed)
    cluster = MPICluster(seed=seed, windows=engine)
    solved = solve(solver, spread, cluster=cluster, topology=mixing, seed=seed, iterations=iterations, record_every=1)
    cluster.close()
    gathered = world.gather((solver.log, solved.outcome.state))
    if world.rank:
        return
    log = [entry for entries, _ in gathered for entry in entries]
    states = [state for _, state in gathered]
    start = np.zeros(spread.d)
    check_log(log, mixing, start, [state.w for state in states])
    record = solved.outcome.record
    assert record.gradients == sum(state.steps for state in states)
    assert record.gradients == len(log) + record.discarded
    assert max(entry.k for entry in log) >= iterations, solved.outcome.status
    mean = np.mean([state.w for state in states], axis=0)
    np.testing.assert_allclose(solved.outcome.w, mean, rtol=0, atol=1e-14)
    _check_straggler(log, mixing)


def _check_straggler(log, mixing):
    """While one rank takes long, the others continue, at most until all edges without that rank are used (I9)."""
    slow = mixing.n - 1
    ks = sorted(entry.k for entry in log if entry.rank == slow)
    meanwhile = [later - earlier - 1 for earlier, later in pairwise(ks)]
    others = len(mixing.pairs) - int((mixing.pairs == slow).any(axis=1).sum())
    assert max(meanwhile, default=0) <= max(2 * others, 2 * bound(mixing, "unseen"))


def warm():
    """Let one rank compile the kernels for all before times are measured."""
    few, ring = logistic(n=20, nodes=2, seed=0), build(TOPOLOGIES["ring"](), 2, 0)
    cluster = MPICluster()
    cluster.led(lambda: solve(DSGDAAU(step_size=0.2), few, topology=ring, iterations=1))
    cluster.close()


TOPOLOGIES_BY_TURNS = ("ring", {}), ("complete", {}), ("erdos-renyi", {"probability": 0.6})
engine = sys.argv[1]
iterations, first, runs = map(int, sys.argv[2:5])
warm()
began = time.perf_counter()
for seed in range(first, first + runs):
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    name, parameters = TOPOLOGIES_BY_TURNS[seed % len(TOPOLOGIES_BY_TURNS)]
    run(engine, iterations, seed, TOPOLOGIES[name](**parameters))
    faulthandler.cancel_dump_traceback_later()
if world.rank == 0:
    print(f"averaged: {engine}, {world.size} ranks, {runs} runs, {time.perf_counter() - began:.1f} s")
