"""Routes: each pair of nodes has a latency and a bandwidth of its own, as the levels of a hub network have."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hpcopt.errors import InputError
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.heterogeneity import EVEN, Heterogeneity
from hpcopt.fabric.network import Link, Network
from hpcopt.fabric.virtual.cluster import VirtualCluster

NEAR, FAR = Link(1.0, 100.0), Link(10.0, 10.0)
EVERY_LINKS = pytest.mark.parametrize("links", ["pairs", "ports"])
EVERY_COLLECTIVE = pytest.mark.parametrize("collective", ["tree", "star"])


def site(source, target):
    """Nodes 0, 1, 2 are on one site, the others on another."""
    return NEAR if (source < 3) == (target < 3) else FAR


def clocks(size, program, network):
    def timed(node):
        program(node)
        return node.now()

    return VirtualCluster(size, network).run(timed)


@EVERY_LINKS
def test_a_message_takes_as_long_as_its_link_says(links):
    network = Network(links=links, route=site)
    assert network.send(0, 1, 100, at=0.0) == 2.0
    assert network.send(1, 4, 100, at=0.0) == 20.0
    assert network.send(4, 4, 100, at=3.0) == 3.0


def test_a_port_is_taken_for_as_long_as_the_links_bandwidth_says():
    network = Network(links="ports", route=site)
    assert network.send(0, 3, 100, at=0.0) == 20.0  # leaves until 10
    assert network.send(0, 1, 100, at=0.0) == 10.0 + 1.0 + 1.0
    assert network.send(4, 3, 100, at=0.0) == 2.0  # comes before the first one does
    assert network.send(5, 3, 1000, at=5.0) == 30.0  # would come from 6 to 16, and the first one has the port from 10


def collectives(node):
    node.world.sum(np.zeros(25))
    node.world.reduce(np.zeros(25), root=1)
    node.world.broadcast(np.zeros(25), root=4)
    node.group([0, 2] if node.rank in (0, 2) else [node.rank]).sum(np.zeros(25))


def several(node):
    """Use everything that takes time."""
    ring = sorted({(node.rank - 1) % node.size, (node.rank + 1) % node.size})
    links, window, box = node.neighbourhood(ring, ring), node.window(4), node.mailbox()
    collectives(node)
    links.exchange(np.zeros(30, dtype=np.uint8))
    window.put(np.zeros(2), ring[0])
    window.get(ring[1], 0, np.zeros(2))
    window.fetch_and_op(1, ring[0], 3)
    for target in ring:
        window.flush(target)
        box.send(target, np.zeros(9, dtype=np.uint8))
    box.flush()
    box.drain()


@EVERY_LINKS
@EVERY_COLLECTIVE
def test_a_route_that_is_the_same_for_all_pairs_changes_no_bit(links, collective):
    plain = Network(1e-3, 1e5, collective, links)
    routed = Network(7.0, 7.0, collective, links, route=lambda _, __: Link(1e-3, 1e5))
    times = clocks(5, several, plain)
    assert times == clocks(5, several, routed)
    assert all(time > 0.0 for time in times)


def test_an_exchange_waits_for_the_sources_links():
    def program(node):
        ring = sorted({(node.rank - 1) % 6, (node.rank + 1) % 6})
        node.neighbourhood(ring, ring).exchange(np.zeros(100, dtype=np.uint8))

    assert clocks(6, program, Network(route=site)) == [20.0, 2.0, 20.0, 20.0, 2.0, 20.0]


@pytest.mark.parametrize(("target", "seconds"), [(1, 1.0 + 0.8 + 1.0), (5, 10.0 + 8.0 + 10.0)])
def test_one_sided_operations_take_their_links_latency_both_ways(target, seconds):
    def program(node):
        window = node.window(10)
        if node.rank == 0:
            window.put(np.zeros(10), target)
            window.flush(target)

    assert clocks(6, program, Network(route=site))[0] == pytest.approx(seconds)


def test_a_sender_goes_on_when_its_message_has_left_over_that_link():
    def program(node):
        box = node.mailbox()
        if node.rank == 0:
            box.send(5, np.zeros(100, dtype=np.uint8))
            box.flush()

    assert clocks(6, program, Network(route=site))[0] == pytest.approx(10.0)


def test_slow_links_are_slower_by_their_factor():
    unlike = Heterogeneity(slow_links=1.0, link_slowdown=3.0)
    network = Network(route=site).idle(unlike)
    assert network.send(0, 1, 100, at=0.0) == 1.0 + 3.0
    assert network.send(1, 4, 100, at=0.0) == 10.0 + 30.0


def test_a_route_is_asked_once_for_each_pair_and_run():
    asked = Counter()

    def counted(source, target):
        asked[source, target] += 1
        return site(source, target)

    network = Network(route=counted).idle(EVEN)
    for _ in range(3):
        network.send(0, 1, 100, at=0.0)
        network.send(1, 0, 100, at=0.0)
        network.latency_between(0, 1)
    assert asked == {(0, 1): 1, (1, 0): 1}
    assert network.idle(EVEN).send(0, 1, 100, at=0.0) == 2.0


@EVERY_LINKS
def test_what_goes_on_from_a_snapshot_ends_with_equal_clocks(links):
    def first(node):
        several(node)
        with node.monitoring():
            node.world.barrier()
        return node.snapshot()

    def whole(node):
        first(node)
        with node.monitoring():
            node.world.barrier()
        several(node)
        return node.now()

    def rest(node):
        node.restore(snapshots[node.rank])
        with node.monitoring():
            node.world.barrier()
        several(node)
        return node.now()

    cluster = VirtualCluster(5, Network(links=links, route=site))
    conditions = Conditions(heterogeneity=Heterogeneity(slow_links=0.5))
    snapshots = cluster.run(first, conditions)
    assert cluster.run(rest, conditions) == cluster.run(whole, conditions)


@pytest.mark.parametrize("values", [(-1.0, 1.0), (0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_link_without_a_time_for_each_byte_is_refused(values):
    with pytest.raises(InputError, match=r"latency|bandwidth"):
        Link(*values)
