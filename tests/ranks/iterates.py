"""Every synchronous solver has the same iterates on real ranks and the virtual cluster, bitwise if ordered."""

import numpy as np
from mpi4py import MPI

from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.solvers import SOLVERS

ranks = MPI.COMM_WORLD.size
for problem in (logistic, ridge):
    spread = problem(n=61, nodes=ranks)
    for name in (name for name in SOLVERS if SOLVERS[name].needs.pace == "rounds"):
        solver = SOLVERS[name]()
        virtual = solve(solver, spread, rounds=8, seed=5)
        for ordered in (False, True):
            cluster = MPICluster(seed=5, ordered=ordered)
            real = solve(solver, spread, cluster=cluster, rounds=8)
            cluster.close()
            np.testing.assert_allclose(real.w, virtual.w, rtol=1e-12, atol=1e-14, err_msg=name)
            if ordered:
                np.testing.assert_array_equal(real.w, virtual.w, err_msg=name)
            if MPI.COMM_WORLD.rank == 0:
                told = [[row[key] for row in run.rows] for run in (real, virtual) for key in ("round", "bytes", "work")]
                assert told[:3] == told[3:], name
print("done", flush=True)
