"""Hub networks on real ranks beside the virtual cluster: the same iterates to the last bit, the same bytes by level."""

import sys

import numpy as np
from mpi4py import MPI

from hpcopt.compression.qsgd import QSGD
from hpcopt.compression.threshold_ternary import ThresholdTernary
from hpcopt.conformance.problems import equal, logistic
from hpcopt.conformance.solving import solve
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.solvers import SOLVERS
from hpcopt.topology.hubs import Hubs

ranks, rank = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
asked = {"local_steps": 3, "hub_period": 2, "batch": 4}
SETTINGS = {
    7: (Hubs(workers_per_hub=(3, 2), placement="dedicated", graph="path"), Hubs(workers_per_hub=(4, 3), graph="path")),
    6: (Hubs(hubs=4, groups=(2,), graph="path"),),
}.get(ranks, (Hubs(),))
for table in SETTINGS:
    network = table.network(ranks)
    sizes = iter(equal(120, len(network.workers)))
    spread = logistic().over(*(next(sizes) if node in network.workers else 0 for node in range(ranks)))
    rates = tuple(0.6 if node % 2 and node in network.workers else 1.0 for node in range(ranks))
    options = [{}, {"compressor": QSGD(levels=3), "gamma": 0.3}, {"compressor": ThresholdTernary(), "gamma": 0.3}]
    options += [{"outer_momentum": 0.5}, {"overlap": True}] if table.placement == "dedicated" else []
    for name, more in [*(("multilevel-sgd", option) for option in options), ("hl-sgd", {}), ("local-sgd", {})]:
        fields = asked if name != "local-sgd" else {"local_steps": 3, "batch": 4}
        solver = SOLVERS[name](**fields, **more)
        virtual = solve(solver, spread, seed=5, hubs=table, rates=rates, iterations=12)
        cluster = MPICluster(seed=5, ordered=True)
        real = solve(solver, spread, cluster=cluster, seed=5, hubs=table, rates=rates, iterations=12)
        cluster.close()
        np.testing.assert_array_equal(real.outcome.state.w, virtual.outcomes[rank].state.w, err_msg=name)
        if rank == 0:
            keys = ("round", "bytes", "bytes_up", "bytes_down", "messages", "consensus", "slots", "gradients")
            keys += ("bytes_by_link",)
            rows = [[[row.get(key) for key in keys] for row in run.rows] for run in (real, virtual)]
            assert rows[0] == rows[1], (name, more, rows[0][-1], rows[1][-1])
print("done", flush=True)
sys.exit(0)
