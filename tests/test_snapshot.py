"""Snapshots of nodes: a program resumed in a new cluster ends like an uninterrupted one."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.heterogeneity import Heterogeneity, Pause
from hpcopt.fabric.network import KEPT, Network
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster

NODES, STEPS, CUT = 5, 12, 7
UNLIKE = Conditions(
    heterogeneity=Heterogeneity(
        seed=2,
        probability=0.4,
        slowdown=7.0,
        slow_nodes=(1,),
        distribution="lognormal",
        slow_links=0.5,
        link_slowdown=9.0,
        pauses=(Pause(3, 2e-4, 1e-3), Pause(3, 2e-2, 1e-2)),
    )
)


def steps(node, begin, end):
    """Compute, exchange and communicate collectively, with messages that delay others; return both clock times."""
    clocks = [node.now()]
    before, after = (node.rank - 1) % node.size, (node.rank + 1) % node.size
    links, one_way = node.neighbourhood([before, after], [before, after]), node.neighbourhood([before], [after])
    pair = node.group([rank for rank in range(node.size) if rank // 2 == node.rank // 2])
    for step in range(begin, end):
        node.next_step()
        with node.meter.working(1e5 * (1 + node.rank), 3.0):
            pass
        one_way.exchange(np.zeros(50_000, dtype=np.uint8))
        if step % 2:
            links.exchange_varying(np.zeros(1000 * (step + node.rank), dtype=np.uint8))
            pair.mean(np.ones(1000))
            node.world.sum(np.ones(2000))
        with node.monitoring():
            node.world.max(np.ones(1))
        clocks.append(node.now())
    return clocks


def ending(node):
    clocks, ledger = steps(node, CUT, STEPS), node.ledger
    return clocks, node.meter.flops, node.meter.touched, ledger.solver, ledger.monitored


def meet(node):
    with node.monitoring():
        node.world.barrier()


def uninterrupted(node):
    steps(node, 0, CUT)
    meet(node)
    meet(node)
    return ending(node)


def cut(node):
    steps(node, 0, CUT)
    meet(node)
    return node.snapshot()


def going_on(snapshots):
    def program(node):
        node.restore(snapshots[node.rank])
        meet(node)
        return ending(node)

    return program


def cluster(**network):
    return VirtualCluster(NODES, Network(1e-5, 1e8, **network), speeds=[1.0, 0.5, 2.0, 1.0, 3.0])


NETWORKS = pytest.mark.parametrize(
    "network", [{"links": links, "collective": kind} for links in ("pairs", "ports") for kind in ("tree", "star")]
)


@NETWORKS
def test_what_goes_on_in_a_fresh_cluster_ends_with_equal_clocks_and_ledgers(network):
    whole = cluster(**network).run(uninterrupted, UNLIKE)
    snapshots = cluster(**network).run(cut, UNLIKE)
    assert cluster(**network).run(going_on(snapshots), UNLIKE) == whole


@pytest.mark.parametrize("part", ["ledger", "meter", "pace", "clock", "links"])
def test_every_part_of_a_snapshot_is_needed(part):
    whole = cluster().run(uninterrupted, UNLIKE)
    snapshots, fresh = (cluster().run(program, UNLIKE) for program in (cut, lambda node: node.snapshot()))
    forgetful = [{**snapshot, part: new[part]} for snapshot, new in zip(snapshots, fresh, strict=True)]
    assert cluster().run(going_on(forgetful), UNLIKE) != whole


@NETWORKS
def test_a_restored_node_has_the_snapshot_it_was_restored_from(network):
    snapshots = cluster(**network).run(cut, UNLIKE)

    def program(node):
        node.restore(snapshots[node.rank])
        meet(node)
        return node.snapshot()

    for snapshot, again in zip(snapshots, cluster(**network).run(program, UNLIKE), strict=True):
        np.testing.assert_equal(again, snapshot)


def test_a_port_that_has_forgotten_goes_on_where_it_was():
    network, other = Network(0.0, 1.0, links="ports"), Network(0.0, 1.0, links="ports")
    for place in range(KEPT + 2):
        network.send(0, 1, 1, 2.0 * place)
    for node in (0, 1):
        other.restore(node, network.snapshot(node))
    for source, target in ((0, 1), (0, 2), (3, 1)):
        assert other.send(source, target, 1, 0.0) == network.send(source, target, 1, 0.0) > 1.0


def is_plain(data):
    if isinstance(data, dict):
        return all(type(key) is str for key in data) and all(is_plain(value) for value in data.values())
    if isinstance(data, list):
        return all(is_plain(value) for value in data)
    return data is None or type(data) in (str, int, float, bool, np.ndarray)


@pytest.mark.parametrize("cluster", [VirtualCluster(4), SoloCluster()])
def test_a_snapshot_is_plain_data(cluster):
    def program(node):
        node.world.sum(np.ones(3))
        ring = sorted({(node.rank - 1) % node.size, (node.rank + 1) % node.size} - {node.rank})
        node.neighbourhood(ring, ring).exchange(np.zeros(3, dtype=np.uint8))
        return node.snapshot()

    assert all(is_plain(snapshot) for snapshot in cluster.run(program, UNLIKE))


def test_on_the_wall_clock_time_and_owed_delays_go_on():
    def program(node):
        node.world.sum(np.ones(3))
        with node.meter.working(2.0, 1.0):
            pass
        return {**node.snapshot(), "clock": 1000.0, "owed": 5e-5}

    def restored(node):
        node.restore(snapshot)
        begun = node.now()
        node.idle(1e-3)
        return begun, node.now(), node.snapshot()

    (snapshot,) = SoloCluster().run(program)
    ((begun, now, again),) = SoloCluster().run(restored)
    assert 1000.0 <= begun < 1001.0
    assert now >= begun + 1e-3
    assert again.pop("clock") >= snapshot.pop("clock")
    np.testing.assert_equal(again, snapshot)
