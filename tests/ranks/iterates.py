"""Every synchronous solver has the same iterates on real ranks and the virtual cluster, bitwise if ordered.

Unordered sums are tested on one problem only: with more ranks than cores every collective is slow. Lazy updates
exchange messages only, so that all ranks have the bits of the virtual cluster.
"""

import itertools

import numpy as np
from mpi4py import MPI

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.solvers import SOLVERS
from tests.test_lazy_updates import SOLVED as LAZY
from tests.test_lazy_updates import made, rare

world = MPI.COMM_WORLD


def told(run):
    return [[row.get(key) for row in run.rows] for key in ("round", "bytes", "bytes_up", "bytes_down", "work")]


CASES = {name: SOLVERS[name]() for name in SOLVERS if SOLVERS[name].needs.pace == "rounds"}
for downlink in ("model", "gradient", "sum"):
    over_hub = SOLVERS["qrda-adagrad"](exchange="hub", downlink=downlink, compressor=COMPRESSORS["ternary"]())
    CASES[f"qrda-adagrad over a hub, {downlink}"] = over_hub

for problem, orders in ((logistic, (False, True)), (ridge, (True,))):
    spread = problem(n=61, nodes=world.size)
    for name, solver in CASES.items():
        virtual = solve(solver, spread, rounds=6, seed=5) if world.rank == 0 else None
        expected = world.bcast(virtual and virtual.w)
        for ordered in orders:
            cluster = MPICluster(seed=5, ordered=ordered)
            real = solve(solver, spread, cluster=cluster, rounds=6)
            cluster.close()
            np.testing.assert_allclose(real.w, expected, rtol=1e-12, atol=1e-14, err_msg=name)
            if ordered:
                np.testing.assert_array_equal(real.w, expected, err_msg=name)
            if virtual is not None:
                assert told(real) == told(virtual), name
print("done", flush=True)

for name, exchange in itertools.product(LAZY, ("all-gather", "sharded")):
    spread, solver = rare(sizes=(20,) * world.size), made(name, exchange=exchange)
    virtual = solve(solver, spread, iterations=20, seed=5) if world.rank == 0 else None
    expected = world.bcast(virtual and virtual.w)
    cluster = MPICluster(seed=5)
    real = solve(solver, spread, cluster=cluster, iterations=20)
    cluster.close()
    assert real.outcome.state.lazy, name
    np.testing.assert_array_equal(real.w, expected, err_msg=name)
    if virtual is not None:
        assert told(real) == told(virtual), name
