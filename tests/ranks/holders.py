"""Ranks without rows: the records of real ranks, some of which hold rows, are those of virtual holders alone.

Argument: the ranks that hold rows.
"""

import sys

from mpi4py import MPI

from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.fabric.virtual.cluster import VirtualCluster
from tests.holding import DENSE, SPARSE, apart, assert_same, driven

holders = [int(rank) for rank in sys.argv[1].split(",")]
for problem in (DENSE, SPARSE):
    alone, _ = driven(VirtualCluster(len(holders)), problem, name="giant")
    other, _ = apart(VirtualCluster(len(holders)), problem)
    for ordered in (False, True):
        cluster = MPICluster(ordered=ordered)
        assert cluster.hosts() == (0,) * cluster.size
        cluster.holders = holders
        led = []
        assert cluster.led(lambda led=led: led.append(1)) == bool(led) == (MPI.COMM_WORLD.rank == holders[0])
        records, _ = driven(cluster, problem, name="giant")
        assert_same(records, alone)
        record, _ = apart(cluster, problem)
        assert_same([record], [other])
        cluster.close()
print("done", flush=True)
