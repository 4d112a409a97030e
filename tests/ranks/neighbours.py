"""Neighbourhoods of real ranks: who receives from whom, and that the ledger has the buffer lengths given to MPI."""

import numpy as np

from hpcopt.fabric.mpi import neighbourhood
from hpcopt.fabric.mpi.cluster import MPICluster

handed_over = []  # bytes of each buffer given to MPI, once per target
Channel = neighbourhood._Channel


class Counted(Channel):
    def exchange(self, message):
        handed_over.append(self.outbox.nbytes)
        return super().exchange(message)


neighbourhood._Channel = Counted


def program(node):
    size, rank = node.size, node.rank
    ring = sorted({(rank - 1) % size, (rank + 1) % size} - {rank})
    both = node.neighbourhood(ring, ring)
    mine = np.full(300, rank, dtype=np.uint8)
    for _ in range(3):
        heard = both.exchange(mine)
        assert [list(part[[0, -1]]) for part in heard] == [[source] * 2 for source in ring]
        assert all(part.ctypes.data % 8 == 0 for part in heard)
    box = both.outbox(11)
    for turn in range(3):
        box[:] = 10 * turn + rank
        assert [int(part[-1]) for part in both.exchange(box)] == [10 * turn + source for source in ring]
    varying = both.exchange_varying(np.full(5 * rank, rank, dtype=np.uint8))
    assert [list(part) for part in varying] == [[source] * 5 * source for source in ring]
    assert handed_over == [300] * 3 + [11] * 3 + [8]
    assert dict(node.ledger.solver.by_edge) == dict.fromkeys(ring, sum(handed_over) + 5 * rank)
    assert node.ledger.solver.bytes == len(ring) * (sum(handed_over) + 5 * rank)
    if size > 1:
        one_way = node.neighbourhood([(rank - 1) % size], [(rank + 1) % size])
        assert int(one_way.exchange(mine)[0][0]) == (rank - 1) % size
    some = [size - 1, *range(1, size - 1)]  # all but the first, in an order of their own
    if rank in some:
        place = some.index(rank)
        others = [some[place - 1]] if len(some) > 1 else []
        after = [some[(place + 1) % len(some)]] if len(some) > 1 else []
        before = dict(node.ledger.solver.by_edge)
        few = node.neighbourhood(others, after, among=some, link_class="few")
        assert [int(part[0]) for part in few.exchange(mine)] == others
        assert [list(part) for part in few.exchange_varying(mine[:rank])] == [[source] * source for source in others]
        for target in after:
            assert node.ledger.solver.by_edge[target] == before.get(target, 0) + 300 + 8 + rank
        assert node.ledger.solver.by_class["few"] == len(after) * (308 + rank)
    return True


cluster = MPICluster()
assert cluster.run(program) == [True]
cluster.close()
