"""Neighbourhoods of the virtual cluster: who receives from whom, when, and what is booked."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.virtual.events import DeadlockError
from hpcopt.fabric.wall.solo import SoloCluster

LATENCY, BANDWIDTH = 1e-3, 1e3


def ring(rank, size):
    return sorted({(rank - 1) % size, (rank + 1) % size} - {rank})


def slow_network():
    return Network(LATENCY, BANDWIDTH)


def test_everybody_hears_its_own_sources_in_their_order():
    def program(node):
        links = node.neighbourhood([(node.rank - 1) % 5], [(node.rank + 1) % 5])  # one way round
        both = node.neighbourhood(ring(node.rank, 5), ring(node.rank, 5))
        mine = np.full(3, node.rank, dtype=np.uint8)
        return [int(part[0]) for part in links.exchange(mine)], [int(part[0]) for part in both.exchange(mine)]

    for rank, (one_way, both) in enumerate(VirtualCluster(5).run(program)):
        assert one_way == [(rank - 1) % 5]
        assert both == ring(rank, 5)


def test_messages_of_any_size_arrive_whole():
    def program(node):
        links = node.neighbourhood(ring(node.rank, 4), ring(node.rank, 4))
        return [list(part) for part in links.exchange_varying(np.full(node.rank, node.rank, dtype=np.uint8))]

    for rank, heard in enumerate(VirtualCluster(4).run(program)):
        assert heard == [[source] * source for source in ring(rank, 4)]


def test_a_sender_may_write_again_before_its_slow_neighbour_reads():
    def program(node):
        links = node.neighbourhood([1 - node.rank], [1 - node.rank])
        box = links.outbox(1)
        heard = []
        for turn in range(5):
            with node.meter.working(1e9 * node.rank, 0.0):  # node 1 is a second behind
                pass
            box[0] = 10 * node.rank + turn
            heard.append(int(links.exchange(box)[0][0]))
        return heard

    assert VirtualCluster(2).run(program) == [[10, 11, 12, 13, 14], [0, 1, 2, 3, 4]]


def test_received_messages_cannot_be_written_to():
    def program(node):
        (heard,) = node.neighbourhood([1 - node.rank], [1 - node.rank]).exchange(np.zeros(2, dtype=np.uint8))
        with pytest.raises(ValueError, match="read-only"):
            heard[0] = 1
        return True

    assert all(VirtualCluster(2).run(program))


def test_an_exchange_costs_latency_and_size_on_each_link():
    def program(node):
        node.neighbourhood(ring(node.rank, 4), ring(node.rank, 4)).exchange(np.zeros(100, dtype=np.uint8))
        return node.now()

    assert VirtualCluster(4, slow_network()).run(program) == pytest.approx([LATENCY + 100 / BANDWIDTH] * 4)


def test_a_slow_node_holds_up_its_neighbours_first_and_strangers_later():
    def program(node):
        links = node.neighbourhood(ring(node.rank, 6), ring(node.rank, 6))
        with node.meter.working(1e9 * (node.rank == 0), 0.0):  # one second
            pass
        times = []
        for _ in range(3):
            links.exchange(np.zeros(1, dtype=np.uint8))
            times.append(node.now() >= 1.0)
        return times

    late = VirtualCluster(6, Network(0.0, 1e30)).run(program)
    assert [sum(times[turn] for times in late) for turn in range(3)] == [3, 5, 6]


def test_edges_messages_bytes_and_rounds_are_booked():
    def program(node):
        links = node.neighbourhood(ring(node.rank, 4), ring(node.rank, 4))
        links.exchange(np.zeros(7, dtype=np.uint8))
        links.exchange_varying(np.zeros(node.rank, dtype=np.uint8))
        return node.ledger.solver

    for rank, account in enumerate(VirtualCluster(4).run(program)):
        assert dict(account.by_edge) == dict.fromkeys(ring(rank, 4), 7 + 8 + rank)
        assert (account.rounds, account.messages, account.bytes) == (3, 6, 2 * (15 + rank))
        assert dict(account.by_class) == {"neighbour": 2 * (15 + rank)}


def test_neighbourhoods_among_some_nodes_do_not_mix_whatever_else_their_nodes_make():
    def ring_among(node, nodes, **keys):
        place = nodes.index(node.rank)
        before, after = nodes[place - 1], nodes[(place + 1) % len(nodes)]
        return node.neighbourhood([before], [after], among=nodes, **keys)

    odd, hubs = [1, 3, 5], [5, 0, 2, 3]

    def program(node):
        mine = np.array([node.rank], dtype=np.uint8)
        made = {}
        if node.rank in odd:
            made["odd"] = ring_among(node, odd)
        if node.rank in hubs:
            made["hubs"] = ring_among(node, hubs, link_class="hub-hub")
            made["again"] = ring_among(node, hubs[:], link_class="hub-hub")
        made["all"] = node.neighbourhood(ring(node.rank, 6), ring(node.rank, 6))
        heard = {}
        for name in ("all", "again", "odd", "hubs"):
            if name in made:
                heard[name] = [int(part[0]) for part in made[name].exchange(mine + 10 * (name == "again"))]
        return heard, node.ledger.solver

    for rank, (heard, account) in enumerate(VirtualCluster(6).run(program)):
        assert heard.pop("all") == ring(rank, 6)
        edges = dict.fromkeys(ring(rank, 6), 1)
        if rank in odd:
            assert heard.pop("odd") == [odd[odd.index(rank) - 1]]
            target = odd[(odd.index(rank) + 1) % 3]
            edges[target] = edges.get(target, 0) + 1
        if rank in hubs:
            assert heard.pop("hubs") == [hubs[hubs.index(rank) - 1]]
            assert heard.pop("again") == [hubs[hubs.index(rank) - 1] + 10]
            target = hubs[(hubs.index(rank) + 1) % 4]
            edges[target] = edges.get(target, 0) + 2
        assert not heard
        assert dict(account.by_edge) == edges
        assert account.by_class["hub-hub"] == 2 * (rank in hubs)
        assert account.by_class["neighbour"] == 2 + (rank in odd)


@pytest.mark.parametrize(
    ("sources", "targets", "among", "told"),
    [
        ([2], [2], [0, 1], "node 2 is not a node of the neighbourhood's graph"),
        ([], [3], None, "node 3 is not a node of the neighbourhood's graph"),
        ([1], [], [1, 2], "node 0 is not a node of the neighbourhood's graph"),
        ([0], [0], None, "node 0 is its own neighbour"),
    ],
)
def test_strangers_to_a_neighbourhood_are_refused(sources, targets, among, told):
    def program(node):
        if node.rank == 0:
            with pytest.raises(ValueError, match=told):
                node.neighbourhood(sources, targets, among=among)

    VirtualCluster(3).run(program)


def test_a_node_without_neighbours_exchanges_with_nobody():
    def program(node):
        links = node.neighbourhood([], [])
        return links.exchange(np.zeros(3, dtype=np.uint8)), links.exchange_varying(links.outbox(2)), node.ledger.solver

    for cluster in (VirtualCluster(1), SoloCluster()):
        ((fixed, varying, account),) = cluster.run(program)
        assert fixed == varying == []
        assert (account.rounds, account.messages, account.bytes) == (3, 0, 0)


def test_a_neighbour_who_never_comes_is_a_deadlock_with_a_name():
    def program(node):
        links = node.neighbourhood([1 - node.rank], [1 - node.rank])
        if node.rank == 0:
            links.exchange(np.zeros(1, dtype=np.uint8))

    with pytest.raises(DeadlockError, match="node 0 in an exchange with its neighbours"):
        VirtualCluster(2).run(program)


def test_keys_differ_between_seeds_nodes_and_counters_and_are_the_same_again():
    def program(node):
        return node.key(), node.key(0), node.key(1), node.key(0, 1), node.key(1, 0)

    one, again, other = (VirtualCluster(3, seed=seed).run(program) for seed in (1, 1, 2))
    assert one == again
    keys = [key for keys in (*one, *other) for key in keys]
    assert len(set(keys)) == len(keys)
    assert all(0 <= key < 2**64 for key in keys)
