"""Real ranks with ordered sums resume from every yield with the same bits and counts as an uninterrupted run."""

import numpy as np
from mpi4py import MPI

from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.solvers import SOLVERS
from tests.test_resume import TOP_K

world = MPI.COMM_WORLD
spread = logistic(n=61, nodes=world.size)


def run(solver, **checkpoints):
    cluster = MPICluster(seed=5, ordered=True)
    solved = solve(solver, spread, cluster=cluster, seed=5, iterations=5, **checkpoints)
    cluster.close()
    (node,) = solved.nodes
    records = [{**record.as_dict(), "seconds": 0.0} for record in solved.records]
    return solved.outcome.w, solved.outcome.state.w, node.ledger.solver, node.meter.touched, records


for name, parameters in (
    ("local-newton", {"schedule": "adaptive"}),
    ("lbfgs", {}),
    ("sgd", {"batch": 5, "compressor": TOP_K, "error_feedback": "ef"}),
    ("deli-coco", {"compressor": TOP_K, "batch": 5}),
    ("compressed-gradient-tracking", {"compressor": TOP_K}),
    ("sgp", {"batch": 5}),
    ("adagrad-cmd", {"batch": 5, "exchange": "sharded"}),
):
    solver, kept = SOLVERS[name](**parameters), Kept()
    *expected, records = run(solver, checkpoints=kept)
    assert len(kept.after) == 4, name
    for count, snapshots in kept.after.items():
        *found, told = run(solver, checkpoints=going_on(snapshots))
        np.testing.assert_equal(found, expected, err_msg=name)
        assert told == records[count + 1 :], name
