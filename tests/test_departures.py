"""Nodes that leave a run in rounds or die, and the others, which go on: on virtual nodes; `test_ulfm` has ranks."""

import json

import numpy as np
import pytest

import hpcopt
from hpcopt.errors import InputError
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.solvers import SOLVERS
from hpcopt.topology import TOPOLOGIES, build
from hpcopt.topology.hubs import Hubs
from hpcopt.topology.hubs.without import hubs_without
from hpcopt.topology.without import mixing_without

GO_ON = [name for name in SOLVERS if SOLVERS[name].needs.pace == "rounds" and SOLVERS[name].needs.models == "own"]
FIXED = {"cooperative-sgd": 0.1, "d-psgd": 0.1, "sgp": 0.1}  # solvers with minibatches need a step size
GROWING = ("round", "iteration", "seconds", "bytes", "messages", "work", "model_bytes", "edge_bytes", "gradients")


def specification(name, **cluster):
    solver = {"name": name, **({"step_size": FIXED[name]} if name in FIXED else {})}
    if SOLVERS[name].needs.topology == "hubs":
        cluster.setdefault("hubs", {"hubs": 2})
    return {
        "data": {"source": "logistic", "rows": 240, "features": 5},
        "problem": {"l2": 0.01},
        "solver": solver,
        "cluster": {"kind": "virtual", "workers": 6, **cluster},
        "stop": {"iterations": 60},
        "output": {"record_every": 5},
    }


@pytest.mark.parametrize("name", GO_ON)
def test_the_others_go_on_and_the_trace_says_who_left(name):
    run = hpcopt.run(specification(name), inject=["kill:rank=2,round=9", "kill:rank=0,round=20"])
    first, second = run.result["departures"]
    assert (first["nodes"], first["rows"], first["remaining"]) == ([2], 40, 5)
    assert (second["nodes"], second["rows"], second["remaining"]) == ([0], 40, 4)
    assert 9 <= first["round"] <= 10
    assert 20 <= second["round"] <= 21
    assert [record.get("lost_rows", 0) for record in run.trace] == sorted(
        record.get("lost_rows", 0) for record in run.trace
    )
    assert run.trace[-1]["left"] == (0, 2)
    assert run.trace[-1]["iteration"] == 60
    for column in GROWING:
        values = [record.get(column, 0) for record in run.trace]
        assert values == sorted(values), column
    after = [record["objective"] for record in run.trace if record.get("left") == (0, 2)]
    if SOLVERS[name].minimises:
        assert after[-1] < min(after[0], 0.45)
    else:
        assert run.trace[-1]["consensus"] < 1e-2 * run.trace[0]["consensus"]


def test_a_departure_is_the_same_each_time():
    once, again = (hpcopt.run(specification("d-psgd"), inject=["kill:rank=2,round=9"]) for _ in range(2))
    assert again.trace == once.trace


@pytest.mark.parametrize("name", ["extra", "compressed-gradient-tracking"])
def test_exact_solvers_reach_the_optimum_of_the_rows_that_are_left(name):
    spec = specification(name)
    spec["stop"] = {"iterations": 3000, "gradient_norm": 1e-6}
    spec["output"] = {"record_every": 100}
    run = hpcopt.run(spec, inject=["kill:rank=3,round=25"])
    assert run.result["departures"][0]["nodes"] == [3]
    assert run.result["grad_norm"] < 1e-6
    whole = hpcopt.run(spec)
    assert abs(run.result["objective"] - whole.result["objective"]) > 1e-4  # it is that of other rows


def test_a_replica_starts_at_the_neighbours_models():
    """DCD-PSGD with exact messages is D-PSGD, also after a departure."""
    kept = {}
    for name in ("dcd-psgd", "dgd"):
        spec = specification(name)
        spec["solver"] |= {"step_size": 0.2}
        kept[name] = hpcopt.run(spec, inject=["kill:rank=2,round=9"]).result["objective"]
    assert kept["dcd-psgd"] == pytest.approx(kept["dgd"], rel=1e-12)


def test_departures_at_a_time_on_slow_links(tmp_path):
    leave = [{"node": 3, "at": 0.02}, {"node": 5, "at": 0.03}]
    spec = specification("dgd", workers=8, topology="hypercube", latency=1e-3, links="ports")
    spec["cluster"]["stragglers"] = {"slow_links": 0.3, "probability": 0.2, "departures": leave}
    spec["output"] |= {"folder": str(tmp_path / "out"), "timeline": True}
    run = hpcopt.run(spec)
    assert [one["nodes"] for one in run.result["departures"]] == [[3], [5]]
    assert all(one["seconds"] >= at["at"] for one, at in zip(run.result["departures"], leave, strict=True))
    described = json.loads((tmp_path / "out" / "run.json").read_text())
    assert described["result"]["departures"] == run.result["departures"]
    edges = np.loadtxt(tmp_path / "out" / "edges.csv", delimiter=",", skiprows=1, dtype=int)
    assert edges[:, 2].sum() >= run.result["model_bytes"]  # the last messages of the nodes that left are in no record
    assert {3, 5} <= set(edges[:, 0].tolist())
    assert {
        int(line.split(",")[0]) for line in (tmp_path / "out" / "operations.csv").read_text().splitlines()[1:]
    } == set(range(8))


def test_operating_rates_weights_and_dedicated_hubs_stay_with_their_workers():
    hubs = {"hubs": 2, "placement": "dedicated"}
    spec = specification("multilevel-sgd", workers=6, hubs=hubs, rates=[1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
    spec["solver"] |= {"weights": [1, 2, 3, 4, 5, 6]}
    run = hpcopt.run(spec, inject=["kill:rank=2,round=9"])  # the second worker of the first hub
    assert run.result["departures"][0]["rows"] == 40
    assert run.result["objective"] < 0.45
    hub = hpcopt.run(spec, inject=["kill:rank=4,round=9"])  # the second hub, whose workers join the first
    assert (hub.result["departures"][0]["rows"], hub.result["lost_rows"]) == (0, 0)
    assert hub.result["objective"] < 0.45


def test_nodes_that_leave_while_others_still_measure_and_of_unequal_speed():
    speeds = [2.0, 0.5, 2.0, 2.0, 1.0, 2.0, 1.0, 2.0]
    spec = specification("deepsqueeze", workers=8, topology="one-peer-exponential", speeds=speeds)
    spec["cluster"]["stragglers"] = {"departures": [{"node": 1, "at": 0.0}]}
    run = hpcopt.run(spec, inject=["kill:rank=5,round=18"], force=True)
    assert [one["nodes"] for one in run.result["departures"]] == [[1], [5]]
    hubs = {"hubs": 2, "placement": "dedicated"}
    spec = specification("multilevel-sgd", workers=4, hubs=hubs, speeds=[2.0, 0.5, 2.0, 1.0])
    run = hpcopt.run(spec, inject=["kill:rank=1,round=5"])
    assert [one["nodes"] for one in run.result["departures"]] == [[1]]


@pytest.mark.parametrize(
    ("name", "inject", "says"),
    [
        ("lbfgs", ["kill:rank=2,round=5"], "node 2 has left in round 5; the others need it"),
        ("dgd", [f"kill:rank={rank},round=5" for rank in range(6)], "all nodes have left"),
    ],
)
def test_a_run_that_cannot_go_on_says_why(name, inject, says):
    with pytest.raises(InputError, match=says):
        hpcopt.run(specification(name), inject=inject)


def test_a_dedicated_hub_needs_a_worker():
    spec = specification("multilevel-sgd", workers=2, hubs={"hubs": 2, "placement": "dedicated"})
    with pytest.raises(InputError, match="hub 2 has no workers left"):
        hpcopt.run(spec, inject=["kill:rank=3,round=5"])


def test_solvers_with_one_model_refuse_departures():
    spec = specification("lbfgs", stragglers={"departures": [{"node": 1, "at": 0.0}]})
    with pytest.raises(InputError, match="is synchronous and would wait forever"):
        hpcopt.run(spec)


def test_an_asynchronous_trace_says_who_left():
    spec = specification("dsgd-aau")
    spec["solver"] |= {"step_size": 0.1}
    run = hpcopt.run(spec, inject=["kill:rank=1,round=10"])
    (departure,) = run.result["departures"]
    assert (departure["nodes"], departure["rows"], departure["remaining"]) == ([1], 40, 5)
    assert [record.get("left") for record in run.trace][-1] == (1,)
    assert "left" not in run.trace[0]
    assert "lost_rows" not in run.trace[-1]  # nodes that left are measured on


def test_nodes_that_stay_keep_their_places_on_the_network():
    cluster = VirtualCluster(4, speeds=[1.0, 2.0, 3.0, 4.0], holders=[1, 2, 3])
    smaller, kept = cluster.without([1])
    assert kept == (0, 2, 3)
    assert list(smaller.holders) == [1, 2]
    smallest, kept = smaller.without([0])
    assert kept == (1, 2)
    assert smallest.network.nodes == (2, 3)
    assert [node.rank for node in smallest.run(lambda node: node)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "n", "lost", "pairs"),
    [
        ("ring", 6, [2], [(0, 1), (0, 4), (2, 3), (3, 4)]),  # the nodes after it are renumbered
        ("ring", 6, [1, 4], [(0, 1), (0, 3), (1, 2), (2, 3)]),  # apart without 1 and 4: 0-2 and 3-5 are linked
        ("star", 5, [0], [(0, 1), (1, 2), (2, 3)]),
        ("path", 5, [2, 3], [(0, 1), (1, 2)]),
        ("complete", 4, [0, 1], [(0, 1)]),
    ],
)
def test_the_graph_of_those_who_remain(name, n, lost, pairs):
    left = mixing_without(build(TOPOLOGIES[name](), n), lost)
    assert [tuple(pair) for pair in left.pairs.tolist()] == pairs
    assert left.doubly_stochastic
    assert left.symmetric
    assert left.second_eigenvalue < 1.0


@pytest.mark.parametrize("name", ["one-peer-exponential", "exponential", "torus", "small-world", "random-regular"])
@pytest.mark.parametrize("lost", [[3], [0, 7], [1, 2, 4]])
def test_those_who_remain_are_connected(name, lost):
    left = mixing_without(build(TOPOLOGIES[name](), 16), lost)
    assert left.n == 16 - len(lost)
    assert left.second_eigenvalue < 1.0


def test_a_hub_that_leaves_is_replaced_on_all_levels():
    network = Hubs(hubs=4, graph="ring", groups=(2,)).network(12)
    left = hubs_without(network, {0, 6, 7, 8})  # the first hub, and the whole third sub-network
    assert left.levels == (((0, 1), (2, 3, 4), (5, 6, 7)), ((0, 2), (5,)))
    assert left.workers == tuple(range(8))


def test_workers_of_a_dedicated_hub_join_another():
    network = Hubs(hubs=3, placement="dedicated").network(9)
    assert hubs_without(network, {0}).levels == (((2, 3, 4, 0, 1), (5, 6, 7)),)
    assert hubs_without(network, {6}).levels == (((0, 1, 2), (3, 4, 5, 6, 7)),)
    with pytest.raises(InputError, match="no hub remains"):
        hubs_without(network, {0, 3, 6})
