"""Windows with shared memory, simulated by a patch, that has space for small ones only."""

import pytest
from mpi4py import MPI

from hpcopt.errors import AgreedError
from hpcopt.fabric.mpi import shared_memory
from hpcopt.fabric.mpi.cluster import MPICluster
from tests.ranks.windows import boards, operations

ROOM, LARGE = 3_000_000, 200_000  # bytes, words

if MPI.COMM_WORLD.rank == 1:  # simulates another host
    shared_memory.free = lambda: ROOM


def program(node):
    operations(node)
    node.window(LARGE)
    operations(node)
    boards(node)
    return True


cluster = MPICluster()
assert cluster.probe_windows().startswith("windows: one-sided")
assert cluster.run(program) == [True]
lack = f"a window of the {cluster.size} ranks of one host takes {cluster.size * 1.6:.3g} MB of shared memory"
assert cluster.probe_windows() == f"windows: two-sided: {lack}, and /dev/shm has 3 MB free"
assert cluster.run(program) == [True]
cluster.close()
cluster = MPICluster(windows="one-sided")
with pytest.raises(AgreedError, match=f'cluster.windows: "one-sided", but {lack}'):
    cluster.run(program)
cluster.close()
shared_memory.free = lambda: 0
cluster = MPICluster()
assert cluster.probe_windows().startswith("windows: two-sided: a window of the")
assert cluster.run(program) == [True]
cluster.close()
print("done", flush=True)
