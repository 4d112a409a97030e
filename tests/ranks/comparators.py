"""The asynchronous comparators on real ranks with stragglers: mean and mass are preserved, targets reached.

Arguments: the engines. The iterates of synchronous SGP are bitwise equal to those on the virtual cluster.
"""

import faulthandler
import sys

import numpy as np
from mpi4py import MPI

from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import solve
from hpcopt.fabric.heterogeneity import Departure, Heterogeneity
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.results.stopping import Status
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.sgp import SGP
from hpcopt.topology import TOPOLOGIES
from tests.test_asynchronous_solvers import NO_STEP, STRAGGLERS, apart

PATIENCE = 50  # seconds after which a hanging run shows the stack of every rank
LAST = MPI.COMM_WORLD.size - 1

world = MPI.COMM_WORLD
spread = logistic(n=100 * world.size, d=50, nodes=world.size)
starts = np.random.default_rng(5).standard_normal((world.size, spread.d))
_, best = spread.optimum()
faulthandler.dump_traceback_later(PATIENCE, exit=True)


def run(solver, engine, heterogeneity=STRAGGLERS, topology="ring", **stop):
    cluster = MPICluster(seed=5, windows=engine)
    network = TOPOLOGIES[topology]()
    solved = solve(solver, spread, cluster=cluster, seed=5, topology=network, heterogeneity=heterogeneity, **stop)
    cluster.close()
    return solved.outcome


# A rank that is not scheduled for long falls far behind: its neighbours' weights would drain into it.
GUARDED = {"agp": {"ahead": 3}}

for engine in sys.argv[1:]:
    for name in ("ad-psgd", "agp", "prague"):
        guards = GUARDED.get(name, {})
        outcome = run(apart(SOLVERS[name], starts)(step_size=NO_STEP, batch=20), engine, iterations=60, record_every=0)
        states = world.allgather(outcome.state)
        kept = [np.append(state.w, 1.0) if name != "agp" else state.mass for state in states]
        np.testing.assert_allclose(np.mean(kept, axis=0), np.append(starts.mean(axis=0), 1.0), rtol=1e-10)
        assert outcome.record.gradients == sum(state.steps for state in states)
        assert max(np.abs(state.w - starts.mean(axis=0)).max() for state in states) < 1e-2

        outcome = run(SOLVERS[name](step_size=0.4, batch=10, **guards), engine, target=best + 0.01, seconds=20.0)
        assert outcome.status is Status.TARGET, (name, outcome.record)

        leaving = Heterogeneity(departures=(Departure(node=LAST, at=0.02),))
        outcome = run(SOLVERS[name](step_size=0.4, **guards), engine, leaving, "complete", seconds=0.1)
        assert outcome.status is Status.SECONDS, (name, outcome.status, outcome.record)

for topology in ("ring", "one-peer-exponential"):
    virtual = solve(SGP(batch=10), spread, iterations=20, seed=5, topology=TOPOLOGIES[topology]())
    cluster = MPICluster(seed=5, ordered=True)
    real = solve(SGP(batch=10), spread, cluster=cluster, iterations=20, seed=5, topology=TOPOLOGIES[topology]())
    cluster.close()
    np.testing.assert_array_equal(real.outcome.state.mass, virtual.outcomes[world.rank].state.mass)
print("done", flush=True)
