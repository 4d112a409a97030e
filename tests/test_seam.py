"""The seam of the fabric: observers see the start and the end of every operation, on every kind of cluster."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest

from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.network import Network
from hpcopt.fabric.seam import Kind, Observer, Seam
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster
from tests.counting import Counting

CLUSTERS = pytest.mark.parametrize("cluster", [SoloCluster(), VirtualCluster(1), VirtualCluster(3)])
KINDS = set(get_args(Kind))


class Table(Observer):
    """A table of operations: the numbers begun and ended, and the charges, by kind."""

    def __init__(self):
        self.begun, self.ended, self.charged = Counter(), Counter(), Counter()
        self.under_way = []

    def begin(self, op):
        self.begun[op.kind] += 1
        self.under_way.append((op.thing, op.kind))

    def end(self, op, result):  # noqa: ARG002
        assert self.under_way.pop() == (op.thing, op.kind)
        self.ended[op.kind] += 1
        self.charged.update(rounds=op.rounds, messages=op.messages, bytes=op.bytes)


def speak(node):
    """Use every operation at least once."""
    size, rank = node.size, node.rank
    ring = sorted({(rank - 1) % size, (rank + 1) % size} - {rank})
    right, x = (rank + 1) % size, np.full(3, float(rank))
    world, links, window, box = node.world, node.neighbourhood(ring, ring), node.window(8), node.mailbox()
    board = node.board(Counting(size))
    world.mean(x)
    world.reduce(x, root=size - 1)
    world.max(x)
    world.broadcast(x, root=size - 1)
    world.gather(x)
    world.gather_varying(x[: rank + 1], root=size - 1)
    world.broadcast_varying(x[: rank + 1])
    world.allgather(x[: rank + 1])
    world.alltoall([x] * size)
    world.barrier()
    links.exchange(x.view(np.uint8))
    links.exchange_varying(np.zeros(rank, dtype=np.uint8))
    window.count_round()
    window.put(x, right)
    window.accumulate(x, right, 4)
    window.flush(right)
    window.get(right, 0, x)
    window.flush(right)
    window.fetch_and_op(1, right, 7)
    window.compare_and_swap(5, 6, right, 7)
    window.wait(7, bool)
    board.post(0, 1)
    board.wait()
    for target in ring:
        box.send(target, np.zeros(5, dtype=np.uint8))
    box.flush()
    if ring:
        box.wait()
    heard = len(box.take())
    assert heard + len(box.drain()) == len(ring)


@CLUSTERS
def test_an_observer_sees_the_beginning_and_the_end_of_every_operation(cluster):
    def program(node):
        table = Table()
        node.seam.attach(table)
        speak(node)
        return table

    for table in cluster.run(program):
        assert table.begun == table.ended
        assert not table.under_way
        alone = {"send"} if cluster.size == 1 else set()
        assert set(table.ended) == KINDS - alone
        assert table.ended["flush"] == 3
        assert table.ended["sum"] == 1  # a mean is a sum


@CLUSTERS
def test_what_operations_are_charged_for_is_what_the_ledger_holds(cluster):
    def program(node):
        table = Table()
        node.seam.attach(table)
        speak(node)
        return table.charged, node.ledger.solver

    for charged, account in cluster.run(program):
        assert charged == Counter(rounds=account.rounds, messages=account.messages, bytes=account.bytes)
        assert sum(account.by_class.values()) == account.bytes


@CLUSTERS
def test_observing_changes_neither_times_nor_bookings(cluster):
    def program(node, *observers):
        for observer in observers:
            node.seam.attach(observer)
        speak(node)
        return node.ledger.solver, node.now() if node.clock == "virtual" else None

    assert cluster.run(program) == cluster.run(lambda node: program(node, Table(), Table()))


def test_each_booking_by_hand():
    """Node 1 of three, over links of no latency."""

    def program(node):
        booked, account = [], node.ledger.solver

        class Watch(Observer):
            before = 0, 0

            def end(self, op, result):  # noqa: ARG002
                up, down = account.up - self.before[0], account.down - self.before[1]
                booked.append((op.kind, op.rounds, op.messages, up, down))
                assert op.bytes == up + down
                self.before = account.up, account.down

        node.seam.attach(Watch())
        speak(node)
        return booked

    told = VirtualCluster(3, Network(0.0, 1e9)).run(program)[1]
    state = 8 * Counting(3).words
    assert told[:20] == [
        ("sum", 1, 2, 24, 24),
        ("reduce", 1, 1, 24, 0),
        ("max", 1, 2, 24, 24),
        ("broadcast", 1, 1, 0, 24),
        ("gather", 1, 1, 24, 0),
        ("gather_varying", 1, 1, 16, 0),
        ("broadcast_varying", 1, 1, 0, 8),
        ("allgather", 1, 2, 16, 8 * (1 + 2 + 3)),
        ("alltoall", 1, 2, 48, 0),
        ("barrier", 0, 0, 0, 0),
        ("exchange", 1, 2, 48, 0),
        ("exchange_varying", 2, 4, 2 * (8 + 1), 0),
        ("round", 1, 0, 0, 0),
        ("put", 0, 1, 24, 0),
        ("accumulate", 0, 1, 24, 0),
        ("flush", 0, 0, 0, 0),
        ("get", 0, 1, 0, 24),
        ("flush", 0, 0, 0, 0),
        ("fetch_and_op", 0, 1, 8, 0),
        ("compare_and_swap", 0, 1, 8, 0),
    ]
    (post,) = (line for line in told if line[0] == "post")
    assert post[2] >= 4
    assert post[3] >= 24
    assert post[4] == state


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("operation", "up", "down"),
    [
        (lambda group, x: group.sum(x), 1, 1),
        (lambda group, x: group.reduce(x, root=group.size - 1), 1, 0),
        (lambda group, x: group.broadcast(x, root=group.size - 1), 0, 1),
        (lambda group, x: group.gather(x, root=group.size - 1), 1, 0),
        (lambda group, x: group.gather_varying(x), 1, 0),
        (lambda group, x: group.broadcast_varying(x[: 5 - group.rank]), 0, 1),
        (lambda group, x: group.allgather(x), 1, None),
    ],
    ids=["sum", "reduce", "broadcast", "gather", "gather_varying", "broadcast_varying", "allgather"],
)
def test_all_nodes_but_the_root_send_their_message_up_and_receive_what_comes_down(nodes, operation, up, down):
    def program(node):
        operation(node.world, np.zeros(5))
        return node.ledger.solver

    accounts = VirtualCluster(nodes).run(program)
    m, links = 40, nodes - 1
    assert sum(account.up for account in accounts) == links * m * up
    assert sum(account.down for account in accounts) == links * m * (nodes if down is None else down)
    assert sum(account.bytes for account in accounts) == links * m * (up + (nodes if down is None else down))
    assert max(account.up for account in accounts) == (m * up if links else 0)


def test_the_last_attached_is_told_first_of_beginnings_and_last_of_ends():
    told = []

    class Named(Observer):
        def __init__(self, name):
            self.name = name

        def begin(self, op):
            told.append((self.name, "begins", op.kind))

        def end(self, op, result):
            told.append((self.name, "ended", op.kind, result.tolist()))

    def program(node):
        node.seam.attach(Named("inner"))
        node.seam.attach(Named("outer"))
        node.world.sum(np.ones(1))

    SoloCluster().run(program)
    assert told == [
        ("outer", "begins", "sum"),
        ("inner", "begins", "sum"),
        ("inner", "ended", "sum", [1.0]),
        ("outer", "ended", "sum", [1.0]),
    ]


def test_an_operation_that_fails_is_not_booked():
    def program(node):
        with pytest.raises(ValueError, match="no node 1"):
            node.window(1).put(np.zeros(1), 1)
        return node.ledger.solver.messages

    assert SoloCluster().run(program) == [0]


def test_a_virtual_cluster_tells_of_waiting_and_a_seam_of_the_ledger_alone_is_quiet():
    class Waiting(Observer):
        seconds = 0.0

        def met(self, came, last, left):
            assert left >= last or left >= came
            self.seconds += max(0.0, last - came)

    def program(node):
        assert node.seam.quiet
        waiting = Waiting()
        node.seam.attach(waiting)
        assert not node.seam.quiet
        with node.meter.working(1e9 * node.rank, 0.0):
            pass
        node.world.barrier()
        return waiting.seconds

    assert VirtualCluster(3).run(program) == [2.0, 1.0, 0.0]


def test_a_hook_that_no_observer_has_costs_nothing():
    seam = Seam(Ledger())
    assert (len(seam.begins), len(seam.ends), len(seam.meets)) == (0, 1, 0)
