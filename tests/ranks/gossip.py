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

world = MPI.COMM_WORLD
spread = logistic(n=40 * world.size, d=17, nodes=world.size)
KEYS = ("round", "bytes", "messages", "consensus", "edge_bytes")
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
        ends = virtual = None
        if world.rank == 0:
            virtual = solve(solver, spread, rounds=30, seed=5, topology=network)
            ends = [(outcome.state.w, outcome.edges) for outcome in virtual.outcomes]
        w, edges = world.scatter(ends)
        cluster = MPICluster(seed=5, ordered=True)
        real = solve(solver, spread, cluster=cluster, rounds=30, seed=5, topology=network)
        cluster.close()
        np.testing.assert_array_equal(real.outcome.state.w, w, err_msg=name)
        assert real.outcome.edges == edges
        if virtual is not None:
            told = [[[row[key] for key in KEYS] for row in run.rows] for run in (real, virtual)]
            assert told[0] == told[1], name
print("done", flush=True)
