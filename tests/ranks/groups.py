"""Every collective of an MPI group against numpy, on the world and on a group of some ranks."""

import numpy as np

from hpcopt.fabric.mpi.cluster import MPICluster


def check(group, order):
    size, rank = group.size, group.rank
    parts = np.random.default_rng(size).standard_normal((size, 4))
    mine = parts[rank].copy()
    np.testing.assert_allclose(group.sum(mine), parts.sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(group.mean(mine), parts.mean(axis=0), rtol=1e-13)
    np.testing.assert_array_equal(group.max(mine), parts.max(axis=0))
    np.testing.assert_array_equal(mine, parts[rank])
    np.testing.assert_allclose(group.sum(mine, out=mine), parts.sum(axis=0), rtol=1e-13)
    root = size - 1
    assert group.broadcast(np.array([float(rank)]), root=root)[0] == root
    gathered = group.gather(np.array([float(rank)]), root=root)
    assert (gathered is not None) == (rank == root)
    if gathered is not None:
        np.testing.assert_array_equal(gathered[:, 0], np.arange(size))
    assert [list(part) for part in group.allgather(np.full(rank, rank))] == [[r] * r for r in range(size)]
    heard = group.gather_varying(np.full(rank, rank), root=root)
    assert (heard is not None) == (rank == root)
    assert heard is None or [list(part) for part in heard] == [[r] * r for r in range(size)]
    assert list(group.broadcast_varying(np.full(rank + 1, rank), root=root)) == [root] * size
    received = group.alltoall([np.full(to + 1, 10 * rank + to) for to in range(size)])
    assert [list(part) for part in received] == [[10 * sender + rank] * (rank + 1) for sender in range(size)]
    total, reduced = group.sum(mine), group.reduce(mine, root=root)
    assert (reduced is not None) == (rank == root)
    if reduced is not None:
        np.testing.assert_allclose(reduced, total, rtol=1e-13)
        if group._ordered:
            np.testing.assert_array_equal(reduced, total)
    group.barrier()
    assert order[rank] == order[group.rank]


def program(node):
    check(node.world, range(node.size))
    account, mine, last = node.ledger.solver, bool(node.rank), node.rank == node.size - 1
    for operation, up, down in (
        (lambda: node.world.sum(np.ones(5)), 40 * mine, 40 * mine),
        (lambda: node.world.gather(np.ones(5), root=node.size - 1), 0 if last else 40, 0),
        (lambda: node.world.broadcast(np.ones(5), root=node.size - 1), 0, 0 if last else 40),
        (lambda: node.world.allgather(np.ones(5)), 40 * mine, 40 * node.size * mine),
    ):
        before = account.up, account.down, account.bytes
        operation()
        assert (account.up, account.down, account.bytes) == (before[0] + up, before[1] + down, before[2] + up + down)
    odd = [rank for rank in range(node.size) if rank % 2 == 1][::-1]
    if node.rank in odd:
        group = node.group(odd, link_class="odd")
        assert odd[group.rank] == node.rank
        before = node.ledger.solver.by_class["world"]
        check(group, odd)
        booked = node.ledger.solver.by_class
        assert booked["world"] == before
        assert (booked["odd"] > 0) == (len(odd) > 1)
    return node.world.sum(np.ones(1))[0]


for ordered in (False, True):
    cluster = MPICluster(ordered=ordered)
    assert cluster.run(program) == [float(cluster.size)]
    led: list[int] = []
    assert cluster.led(lambda led=led: led.append(1)) == bool(led) == (cluster.local_nodes[0] == 0)
    cluster.close()
