"""Windows, publications, boards, mailboxes and surveys on real ranks, with random sleeps, with each engine."""

import itertools
import sys
import time

import numpy as np

from hpcopt.fabric.cas_board import SLOTS
from hpcopt.fabric.publication import Publication
from tests.counting import Counting

RESTS = 2**40  # the purpose of the draws below
TIMES = itertools.count()


def rest(node):
    """Compute a little, sometimes longer, and sometimes not at all."""
    draw = node.draws(RESTS, next(TIMES)).random()
    if draw < 0.6:
        node.idle(draw * 3e-4 if draw < 0.5 else 4e-3)
    else:
        with node.meter.working(1e4, 0.0):
            pass


def operations(node):
    size, rank = node.size, node.rank
    right, left = (rank + 1) % size, (rank - 1) % size
    window = node.window(64)
    assert not window.local.any()
    assert window.local.dtype == np.int64
    assert len(window.local) == window.words == 64
    node.world.barrier()
    window.put(np.arange(5) + 10 * rank, right, 3)
    window.put(np.full(3, rank + 0.5), right, 8)
    window.flush(right)
    node.world.barrier()
    node.settle()
    assert list(window.local[3:8]) == list(np.arange(5) + 10 * left)
    assert list(window.local[8:11].view(np.float64)) == [left + 0.5] * 3
    back, halves = np.empty(5, dtype=np.int64), np.empty(3)
    window.get(right, 3, back)
    window.get(right, 8, halves)
    window.flush(right)
    assert list(back) == list(np.arange(5) + 10 * rank)
    assert list(halves) == [rank + 0.5] * 3
    node.world.barrier()
    for target in range(size):  # all ranks add to all ranks
        window.accumulate(np.array([1, rank]), target, 20)
        window.accumulate(np.array([0.5, rank]), target, 22)
        window.flush(target)
        for _ in range(20):
            window.fetch_and_op(rank + 1, target, 25)
    node.world.barrier()
    node.settle()
    ranks = size * (size - 1) // 2
    assert list(window.local[20:22]) == [size, ranks]
    assert list(window.local[22:24].view(np.float64)) == [0.5 * size, ranks]
    assert window.fetch_and_op(0, rank, 25, "no-op") == 20 * (size + ranks)
    if size > 1:
        begun = node.now()
        assert window.wait(25, lambda word: word == 0, 1e-3) == 20 * (size + ranks)
        assert node.now() >= begun + 1e-3
    assert window.fetch_and_op(-5, right, 26, "replace") == 0
    assert window.fetch_and_op(7, right, 26) == -5
    assert window.compare_and_swap(-5, 1, right, 26) == 2
    assert window.compare_and_swap(2, 1 << 40, right, 26) == 2
    assert window.fetch_and_op(9, right, 26, "no-op") == 1 << 40
    node.world.barrier()


def swaps(node):
    """Count by compare-and-swap: no increment is lost, and no value is seen twice."""
    window = node.window(1)
    seen = []
    word = 0
    while len(seen) < 20:
        found = window.compare_and_swap(word, word + 1, 0, 0)
        if found == word:
            seen.append(word)
        word = found
        if len(seen) % 5 == 0:
            rest(node)
    everything = np.concatenate(node.world.allgather(np.array(seen)))
    assert sorted(everything) == list(range(20 * node.size))


def notifications(node):
    """Pass a vector around the ring: a rank that sees the flag sees the vector."""
    window = node.window(40)
    right = (node.rank + 1) % node.size
    mine = np.arange(30) + (0 if node.rank else 1)
    for turn in range(1, 11):
        if node.rank == 0:
            window.notify(mine, right, 5, 0, turn)
        assert window.wait(0, lambda flag, turn=turn: flag >= turn) == turn
        mine = window.local[5:35] + 1
        rest(node)
        if node.rank != 0:
            window.notify(mine, right, 5, 0, turn)
    steps = node.rank or node.size  # in the last turn, until here
    assert list(mine - np.arange(30)) == [1 + 9 * node.size + steps] * 30


def publications(node):
    """Read each other's vectors in random pairs, the same on all ranks, while owners continue to publish."""
    d = 500
    window = node.window(Publication.words(d))
    posts = Publication(window, d, poison=True)
    told = node.window(node.size)  # the number each node has published for the turn
    dice = np.random.default_rng(1)
    for turn in range(1, 16):
        readers = [dice.permutation(node.size)[: dice.integers(node.size + 1)] for _ in range(node.size)]
        assert posts.publish(np.full(d, node.rank + turn / 32)) == turn
        posts.expect(len(readers[node.rank]))
        for reader in readers[node.rank]:
            told.fetch_and_op(turn, int(reader), node.rank, "replace")
        rest(node)
        mine = [owner for owner in range(node.size) if node.rank in readers[owner]]
        for owner in mine:
            assert told.wait(owner, lambda number, turn=turn: number >= turn) >= turn
        # no publication is missed: the owner waits for the readers of the slot's previous one
        posts.fetch(mine, [turn] * len(mine))
        for owner, vector in zip(mine, posts.fetched(mine, [turn] * len(mine)), strict=True):
            assert (vector == owner + turn / 32).all()
    node.world.barrier()


def boards(node):
    size = node.size
    board = node.board(Counting(size))
    posts = 12
    heard = []
    for turn in range(posts):
        board.post(0, turn)
        rest(node)
        heard.append(board.wait())
    told = np.array(heard)
    left = (node.rank - 1) % size
    assert list(told[:, 1]) == [left] * posts
    assert list(told[:, 2]) == list(range(posts))
    numbers = np.concatenate(node.world.allgather(told[:, 0]))
    assert sorted(numbers) == list(range(1, size * posts + 1))  # each event once, in one order
    many = SLOTS + 5  # mails that are not taken for a while: senders wait for a slot, and receive meanwhile
    for turn in range(many):
        board.post(1, turn)
    heard = np.array([board.wait() for _ in range(many * size)])
    assert list(heard[:, 0]) == list(range(size * posts + 1, size * (posts + many) + 1))
    for other in range(size):
        assert list(heard[heard[:, 1] == other, 2]) == list(range(many))
    node.world.barrier()
    account = node.ledger.solver
    assert account.by_class["board"] > 0 or size == 1
    return account.rounds


def mailboxes(node):
    box = node.mailbox()
    others = [rank for rank in range(node.size) if rank != node.rank]
    lengths = (0, 3, 100_000)
    heard = []
    for turn in range(9):
        for other in others:
            message = np.full(lengths[turn % 3] + turn, node.rank, dtype=np.uint8)
            box.send(other, message)
            message[:] = 255  # a copy is on its way
        rest(node)
        heard += box.take()
    if others and not heard:
        box.wait()
    heard += box.drain()
    for other in others:
        sent = [message for source, message in heard if source == other]
        assert [len(message) for message in sent] == [lengths[turn % 3] + turn for turn in range(9)]
        assert all((message == other).all() for message in sent)
    assert len(heard) == 9 * len(others)
    assert box.drain() == []
    assert sum(node.ledger.solver.by_edge.values()) > 0 or not others


def surveys(node):
    """Take surveys while the ranks work and end at very different times."""
    model = np.zeros(3)
    results = []

    def sums(at, total):
        assert at >= 0.0
        assert total.size == 0
        with node.monitoring(), node.meter.working(1e3, 0.0):  # like an oracle call, which polls
            return np.append(model, 1.0)

    def spread(at, total):
        assert total[-1] == node.size
        return np.array([((model - total[:-1] / node.size) ** 2).sum(), *total])

    flops = node.meter.flops
    survey = node.survey([sums, spread], lambda total: results.append(total.copy()), seconds=2e-3)
    for step in range(10 + 20 * node.rank):
        model[:] = step
        rest(node)
        node.settle()
        survey.stepped()
    survey.end()
    told = node.world.allgather(np.concatenate([[len(results)], *results]))
    assert all(np.array_equal(part, told[0]) for part in told)  # bitwise equal
    assert told[0][0] >= 1
    assert (node.meter.flops - flops) % 1e4 == 0  # the survey's work is not booked as the solver's


def surveys_go_on(node):
    """Take surveys while a rank waits for the others in a collective."""
    results = []
    survey = node.survey([lambda at, total: np.ones(1)], results.append, seconds=2e-3)  # noqa: ARG005
    while node.rank + 1 < node.size and len(results) < 3:
        assert node.now() < 10.0, "whoever waits in a barrier takes part in no survey"
        rest(node)
        node.settle()
        survey.stepped()
    node.world.barrier()
    survey.end()
    assert all(list(total) == [node.size] for total in results)


def surveys_in_a_pause(node):
    """Wait for a time during which surveys are taken; their time does not count."""
    window = node.window(1)

    def slow(at, total):
        time.sleep(3e-3 if node.clock == "wall" else 0.0)
        return np.ones(1)

    survey = node.survey([slow], lambda total: None, seconds=2e-3)  # noqa: ARG005
    begun = node.now()
    if node.size > 1:
        window.wait(0, bool, 0.02)
        assert node.now() >= begun + 0.02
    survey.end()


PARTS = (operations, swaps, notifications, publications, boards, mailboxes, surveys, surveys_go_on, surveys_in_a_pause)


def program(node):
    for part in PARTS:
        part(node)
        if hasattr(node, "poke"):
            node.poke()
    return True


def main():
    from mpi4py import MPI

    from hpcopt.fabric.mpi.cluster import MPICluster

    for engine in sys.argv[1:]:
        cluster = MPICluster(windows=engine, seed=3)
        begun = time.perf_counter()
        assert cluster.run(program) == [True]
        if MPI.COMM_WORLD.rank == 0:
            print(cluster.probe_windows(), f"({time.perf_counter() - begun:.1f} s)", flush=True)
        cluster.close()
    print("done", flush=True)


if __name__ == "__main__":
    main()
