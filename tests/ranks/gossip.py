"""Compressed gossip on real ranks and on the virtual cluster: bitwise equal iterates and equal bytes."""

import sys

import numpy as np
from mpi4py import MPI

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import solve
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.solvers import SOLVERS
from hpcopt.topology import TOPOLOGIES

ranks = MPI.COMM_WORLD.size
spread = logistic(n=40 * ranks, d=17, nodes=ranks)
cases = [
    ("deli-coco", {"name": "qsgd", "levels": 1}, {"gossip_steps": 3, "gamma": 0.3, "step_size": 0.5}),  # 2-bit messages
    ("deli-coco", {"name": "threshold-ternary"}, {"gossip_steps": 2, "gamma": 0.3, "batch": 5}),  # sizes vary
    ("choco-gossip", {"name": "random-k", "fraction": 0.3}, {"gamma": 0.2}),
    ("deepsqueeze", {"name": "top-k", "fraction": 0.3}, {"gamma": 0.2}),
    ("compressed-gradient-tracking", {"name": "natural"}, {"gossip_steps": 2}),
    ("dgd", {"name": "identity"}, {}),
]
for topology in sys.argv[1:]:
    for name, compressor, parameters in cases:
        parts = dict(compressor)
        made = COMPRESSORS[parts.pop("name")](**parts)
        solver = SOLVERS[name](compressor=made, **parameters)
        network = TOPOLOGIES[topology]()
        virtual = solve(solver, spread, rounds=30, seed=5, topology=network)
        cluster = MPICluster(seed=5, ordered=True)
        real = solve(solver, spread, cluster=cluster, rounds=30, seed=5, topology=network)
        cluster.close()
        rank = MPI.COMM_WORLD.rank
        np.testing.assert_array_equal(real.outcome.state.w, virtual.outcomes[rank].state.w, err_msg=name)
        assert real.outcome.edges == virtual.outcomes[rank].edges
        if rank == 0:
            keys = ("round", "bytes", "messages", "consensus", "edge_bytes")
            assert [[row[k] for k in keys] for row in real.rows] == [[row[k] for k in keys] for row in virtual.rows], (
                name
            )
print("done", flush=True)
