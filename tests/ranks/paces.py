"""A rank has the pace of the virtual node with its number, by real delays."""

import time

from mpi4py import MPI

from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.fabric.virtual.cluster import VirtualCluster

STEPS, WORK = 8, 2e-3  # seconds a step


def program(node):
    factors = []
    for _ in range(STEPS):
        node.next_step()
        factors.append(node.pace.factor)
    return factors


def work(node):
    begun = time.perf_counter()
    owed = 0.0
    for _ in range(STEPS):
        node.next_step()
        owed += WORK * max(1.0, node.pace.factor)
        with node.meter.working(0.0, 0.0):
            time.sleep(WORK)
    return time.perf_counter() - begun, owed


rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
ranks, nodes = MPICluster(), VirtualCluster(size)
unlike = Conditions(
    heterogeneity=Heterogeneity(seed=5, probability=0.3, slowdown=4.0, distribution="uniform", slow_nodes=0.5)
)
assert ranks.run(program, unlike)[0] == nodes.run(program, unlike)[rank]
((waited, owed),) = ranks.run(work, unlike)
assert waited >= owed - 1e-3, (waited, owed)
ranks.close()
print("done")
