"""Two runs at the same time, each on one half of the world: a sub-communicator is a cluster like any other."""

import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import hpcopt

world = MPI.COMM_WORLD
half = world.Split(world.rank % 2)
specification = {
    "data": {"source": "logistic", "rows": 200, "features": 5},
    "solver": {"name": ["lbfgs", "giant"][world.rank % 2]},
    "stop": {"gradient_norm": 1e-8},
    "output": {"folder": str(Path(sys.argv[1]) / str(world.rank % 2))},
}
run = hpcopt.run(specification, comm=half)
assert run.result["reached"], run.result
coefs = world.allgather(run.model.coef)
for coef in coefs:
    np.testing.assert_allclose(coef, coefs[0], atol=1e-5)
half.Free()
print("done", flush=True)
