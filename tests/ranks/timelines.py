"""Timelines of real ranks: recording does not affect results or bookings, and spans don't overlap."""

import sys

import numpy as np

import hpcopt
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.fabric.timeline import COMPUTE, EXCHANGE


def speak(node):
    """Use every operation; return what was received."""
    size, rank = node.size, node.rank
    ring = sorted({(rank - 1) % size, (rank + 1) % size} - {rank})
    links = node.neighbourhood(ring, ring)
    own = node.group([rank])
    near = node.neighbourhood([], [], among=[rank])
    mine = np.full(rank + 2, float(rank))
    box = links.outbox(1)  # long enough to distinguish waiting from exchanging
    heard = []
    for turn in range(3):
        with node.meter.working(1.0, 0.0):
            box[:] = 10 * turn + rank
        heard += [part.copy() for part in links.exchange(box)]
        heard += [part.copy() for part in links.exchange_varying(box.repeat(rank))]
        heard += [node.world.sum(np.ones(2)), node.world.max(mine[:1]), node.world.broadcast(mine[:2], root=size - 1)]
        heard += [*node.world.allgather(mine), *node.world.alltoall([mine] * size), own.mean(mine)]
        gathered = node.world.gather(mine[:1], root=turn % size)
        heard += [] if gathered is None else [gathered]
        reduced = node.world.reduce(mine[:1], root=turn % size)
        heard += [*near.exchange(box), *([] if reduced is None else [reduced])]
        with node.monitoring():
            node.world.sum(mine[:1])
    node.world.barrier()
    return heard


def recorded(node):
    node.record(10_000)
    return speak(node), node.ledger.solver, node.timeline, node.now()


cluster = MPICluster()
(silent,) = cluster.run(lambda node: (speak(node), node.ledger.solver))
((heard, booked, timeline, end),) = cluster.run(recorded)
cluster.close()
assert all(np.array_equal(one, other) for one, other in zip(heard, silent[0], strict=True))
assert booked == silent[1]
rows = timeline.rows(0)
kinds, begins, ends = rows[:, 1], rows[:, 2], rows[:, 3]
assert np.count_nonzero(kinds == COMPUTE) == 3
assert np.count_nonzero(kinds == EXCHANGE) >= 3 * 9 - 2
assert np.all(begins < ends)
assert np.all(begins[1:] >= ends[:-1] - 1e-9)
assert 0.0 <= begins[0] <= ends[-1] <= end
assert not timeline.dropped

specification = {
    "data": {"source": "breast-cancer"},
    "solver": {"name": "d-psgd"},
    "stop": {"rounds": 5},
    "output": {"timeline": True},
}
hpcopt.run(specification, folder=sys.argv[1])
print("done", flush=True)
