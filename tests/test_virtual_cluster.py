"""The virtual cluster: the results, end times and bookings of collectives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hpcopt.fabric.network import Network
from hpcopt.fabric.streams import Draw
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.virtual.events import DeadlockError
from hpcopt.fabric.virtual.group import LONG

SIZES = pytest.mark.parametrize("size", [1, 2, 3, 5, 8])


def on_all(size, program, **settings):
    return VirtualCluster(size, **settings).run(program)


@SIZES
def test_sum_mean_and_max_are_those_of_all_members(size):
    parts = np.random.default_rng(0).standard_normal((size, 4))
    weights = np.arange(1.0, size + 1) / np.arange(1.0, size + 1).sum()

    def program(node):
        x = parts[node.rank]
        return node.world.sum(x), node.world.mean(x), node.world.mean(x, weight=weights[node.rank]), node.world.max(x)

    for total, mean, weighted, largest in on_all(size, program):
        np.testing.assert_allclose(total, parts.sum(axis=0), rtol=1e-14)
        np.testing.assert_allclose(mean, parts.mean(axis=0), rtol=1e-13)
        np.testing.assert_allclose(weighted, weights @ parts, rtol=1e-13)
        np.testing.assert_array_equal(largest, parts.max(axis=0))


@SIZES
@pytest.mark.parametrize("root", [0, -1])
def test_broadcast_and_gather_know_their_root(size, root):
    root %= size

    def program(node):
        x = np.array([float(node.rank)])
        return node.world.broadcast(x, root=root)[0], node.world.gather(x, root=root)

    for rank, (heard, gathered) in enumerate(on_all(size, program)):
        assert heard == root
        assert (gathered is not None) == (rank == root)
        if gathered is not None:
            np.testing.assert_array_equal(gathered[:, 0], np.arange(size))


@SIZES
@pytest.mark.parametrize("root", [0, -1])
def test_lengths_may_vary_on_the_way_to_and_from_a_root(size, root):
    root %= size

    def program(node):
        x = np.full(node.rank + 1, float(node.rank))
        return node.world.broadcast_varying(x, root=root), node.world.gather_varying(x, root=root)

    for rank, (heard, gathered) in enumerate(on_all(size, program)):
        np.testing.assert_array_equal(heard, np.full(root + 1, float(root)))
        assert (gathered is not None) == (rank == root)
        if gathered is not None:
            assert [list(part) for part in gathered] == [[float(r)] * (r + 1) for r in range(size)]


@SIZES
@pytest.mark.parametrize("root", [0, -1])
def test_a_reduction_to_one_member_has_the_bits_of_the_sum_there_and_nothing_elsewhere(size, root):
    root %= size
    parts = np.random.default_rng(1).standard_normal((size, 50))

    def program(node):
        x = parts[node.rank].copy()
        reduced = node.world.reduce(x, root=root)
        booked = node.ledger.solver
        np.testing.assert_array_equal(x, parts[node.rank])
        assert (booked.rounds, booked.messages, booked.bytes) == (1, node.rank != root, 400 * (node.rank != root))
        return reduced, node.world.sum(x)

    for rank, (reduced, total) in enumerate(on_all(size, program)):
        if rank == root:
            np.testing.assert_array_equal(reduced, total)
        else:
            assert reduced is None


@pytest.mark.parametrize(
    ("collective", "root", "times"),
    [
        ("tree", 0, [2.0, 0.0, 1.0, 0.0, 0.0]),  # 0 <- 1 and 2 <- 3, then 0 <- 2; 0 <- 4 in time
        ("tree", 4, [0.0, 1.0, 0.0, 0.0, 2.0]),  # 4 <- 0 and 1 <- 2, then 4 <- 1; 4 <- 3 in time
        ("star", 1, [0.0, 1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_whoever_has_sent_its_part_of_a_reduction_goes_on(collective, root, times):
    def program(node):
        node.world.reduce(np.zeros(1), root=root)
        return node.now()

    assert on_all(5, program, network=Network(1.0, 1e30, collective=collective)) == pytest.approx(times)


@SIZES
def test_allgather_and_alltoall_carry_parts_of_any_length(size):
    def program(node):
        mine = np.full(node.rank, node.rank)
        parts = [np.full(to + 1, 10 * node.rank + to) for to in range(size)]
        return node.world.allgather(mine), node.world.alltoall(parts)

    for rank, (gathered, received) in enumerate(on_all(size, program)):
        assert [list(part) for part in gathered] == [[r] * r for r in range(size)]
        assert [list(part) for part in received] == [[10 * sender + rank] * (rank + 1) for sender in range(size)]


@pytest.mark.parametrize("length", [3, LONG])
def test_results_are_each_members_own_and_arguments_are_left_alone(length):
    def program(node):
        x = np.ones(length)
        total = node.world.sum(x)
        total += node.rank
        return x, node.world.sum(total), node.world.sum(total, out=total)

    for x, total, same in on_all(3, program):
        np.testing.assert_array_equal(x, np.ones(length))
        np.testing.assert_array_equal(total, np.full(length, 9.0 + 3.0))
        np.testing.assert_array_equal(same, total)


@SIZES
def test_long_vectors_are_added_to_the_same_bits_as_short_ones(size):
    parts = np.random.default_rng(0).standard_normal((size, LONG))

    def program(node):
        whole, root = node.world.sum(parts[node.rank]), node.world.reduce(parts[node.rank])
        return whole, whole if root is None else root, node.world.sum(parts[node.rank][: LONG // 2])

    for whole, root, half in on_all(size, program):
        np.testing.assert_array_equal(whole[: LONG // 2], half)
        np.testing.assert_array_equal(whole, root)


@pytest.mark.parametrize("collective", ["tree", "star"])
@pytest.mark.parametrize("size", [2, 3, 4, 9])
def test_a_reduction_takes_its_messages_after_one_another(collective, size):
    network = Network(latency=1.0, bandwidth=8.0, collective=collective)  # one double per second
    depth = 1 if collective == "star" else max(place.bit_count() for place in range(size))

    def program(node):
        node.world.sum(np.ones(2))
        return node.now()

    assert max(on_all(size, program, network=network)) == pytest.approx(2 * depth * (1.0 + 2.0))


def test_a_collective_waits_for_the_slowest_member():
    network = Network(latency=0.0, bandwidth=math.inf)

    def program(node):
        with node.meter.working(1e9, 0.0):
            pass
        node.world.sum(np.ones(1))
        return node.now()

    assert on_all(3, program, network=network, speeds=[1.0, 0.25, 2.0]) == pytest.approx([4.0, 4.0, 4.0])


def test_messages_on_a_link_do_not_overtake():
    network = Network(latency=1.0, bandwidth=1.0)
    assert network.send(0, 1, 10, at=0.0) == 11.0
    assert network.send(0, 1, 1, at=2.0) == 12.0
    assert network.send(1, 0, 1, at=2.0) == 4.0


@SIZES
def test_a_reduction_books_two_messages_for_each_member_but_the_first(size):
    def program(node):
        node.world.sum(np.ones(5))
        node.world.broadcast(np.ones(3))
        return node.ledger.solver

    accounts = on_all(size, program)
    assert [a.rounds for a in accounts] == [2] * size
    assert sum(a.messages for a in accounts) == 3 * (size - 1)
    assert sum(a.bytes for a in accounts) == (size - 1) * (2 * 40 + 24)
    assert sum(a.by_class["world"] for a in accounts) == sum(a.bytes for a in accounts)


def test_monitoring_is_booked_apart_and_takes_no_time():
    def program(node):
        with node.meter.working(1e9, 7.0):
            pass
        before = node.now()
        with node.monitoring():
            node.world.sum(np.ones(5))
            with node.meter.working(1e9, 7.0):
                pass
        return node.now() - before, node.ledger.solver.bytes, node.ledger.monitored.bytes, node.meter.touched

    for rank, told in enumerate(on_all(3, program, speeds=[1.0, 2.0, 3.0])):
        assert told == (0.0, 0, 80 if rank else 0, 7.0)


def test_groups_speak_among_themselves():
    def program(node):
        group = node.group([0, 2] if node.rank % 2 == 0 else [3, 1])
        return group.rank, group.sum(np.array([float(node.rank)]))[0]

    assert on_all(4, program) == [(0, 2.0), (1, 4.0), (1, 2.0), (0, 4.0)]


def test_bytes_are_booked_under_the_class_of_a_groups_links():
    def program(node):
        near = node.group([node.rank - node.rank % 2, node.rank - node.rank % 2 + 1], link_class="near")
        near.sum(np.ones(3))
        near.reduce(np.ones(5))
        node.world.sum(np.ones(1))
        return dict(node.ledger.solver.by_class)

    assert on_all(4, program) == [
        {},
        {"near": 48 + 40, "world": 16},
        {"world": 16},
        {"near": 48 + 40, "world": 16},
    ]


def test_a_stranger_to_a_group_is_refused():
    with pytest.raises(ValueError, match="node 1 is not a member"):
        on_all(2, lambda node: node.group([0]))


def test_a_node_that_waits_for_ever_is_named():
    def program(node):
        if node.rank != 2:
            node.world.sum(np.ones(1))

    with pytest.raises(DeadlockError, match="2 of 3 nodes wait forever; node 0 in sum"):
        on_all(3, program)


def test_members_in_different_collectives_are_told_so():
    def program(node):
        if node.rank:
            node.world.sum(np.ones(1))
        else:
            node.world.max(np.ones(1))

    with pytest.raises(RuntimeError, match="node 1 joins sum, the others of its group are in max"):
        on_all(2, program)


def test_an_exception_in_a_node_ends_the_run():
    def program(node):
        if node.rank == 1:
            raise ZeroDivisionError
        node.world.barrier()

    with pytest.raises(ZeroDivisionError):
        on_all(3, program)


def test_draws_differ_between_nodes_purposes_and_steps_and_agree_between_runs():
    def program(node):
        return [node.draws(what, step).random() for what in (Draw.BATCH, Draw.PARTNER) for step in range(2)]

    one, again = (on_all(3, program, seed=4) for _ in range(2))
    assert one == again
    assert len({number for numbers in one for number in numbers}) == 12


def test_draws_do_not_hang_on_who_drew_before():
    def program(node):
        alone = node.draws(Draw.BATCH, 1).permutation(9).tolist()
        node.draws(Draw.BATCH, 0).integers(2**31, dtype=np.uint32)  # keeps half of a word for the next of its kind
        return (
            alone
            == node.draws(Draw.BATCH, 1).permutation(9).tolist()
            != node.draws(Draw.BATCH, 2).permutation(9).tolist()
        )

    assert all(on_all(3, program))


def test_draws_are_those_of_a_fresh_generator_of_their_key():
    def program(node):
        fresh = np.random.Generator(np.random.Philox(key=node.key(Draw.SCATTER, 5)))
        return np.array_equal(node.draws(Draw.SCATTER, 5).standard_normal(99), fresh.standard_normal(99))

    assert all(on_all(3, program))


def test_a_cluster_starts_every_run_afresh():
    cluster = VirtualCluster(3)
    times = [max(cluster.run(lambda node: (node.world.sum(np.ones(9)), node.now())[1])) for _ in range(2)]
    assert times[0] == times[1]
