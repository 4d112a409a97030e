"""Hub networks: the hub matrix's promises, what averaging and mixing preserve, arrangements, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcopt.errors import InputError
from hpcopt.topology.base import Graph
from hpcopt.topology.hubs import HubNetwork, Hubs, hub_matrix
from hpcopt.topology.hubs.arrange import default_hubs, evenly

RULES = ("auto", "laplacian", "metropolis")
ROUNDING = 1e-12


@st.composite
def graphs(draw, n):
    """A connected graph of n nodes: a random tree and some more edges."""
    pairs = {(draw(st.integers(0, node - 1)), node) for node in range(1, n)}
    more = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] < pair[1])
    pairs |= draw(st.sets(more, max_size=n)) if n > 1 else set()
    return Graph(n, np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2))


@st.composite
def weights(draw, n):
    drawn = np.array(draw(st.lists(st.floats(1e-3, 1e3), min_size=n, max_size=n)))
    return drawn / drawn.sum()


@st.composite
def weighted_graphs(draw):
    n = draw(st.integers(1, 12))
    return draw(graphs(n)), draw(weights(n))


@st.composite
def networks(draw):
    """A network of any depth, its nodes in any order, with weights of its workers."""
    placement = draw(st.sampled_from(["dedicated", "colocated"]))
    own = 1 if placement == "dedicated" else 0
    sizes = draw(st.lists(st.integers(1 + own, 4), min_size=1, max_size=6))
    ranks = draw(st.permutations(range(sum(sizes))))
    levels = [group_by(ranks, sizes)]
    for _ in range(draw(st.integers(0, 2))):
        speakers = [group[0] for group in levels[-1]]
        levels.append(group_by(speakers, evenly(len(speakers), draw(st.integers(1, len(speakers))))))
    graph = draw(graphs(len(levels[-1])))
    network = HubNetwork(placement, tuple(levels), graph, "drawn", draw(st.sampled_from(RULES)))
    return network, draw(weights(len(network.workers)))


def group_by(ranks, sizes):
    ranks = list(ranks)
    return tuple(tuple(ranks.pop(0) for _ in range(size)) for size in sizes)


def averaging(network, a, level):
    """Return V of the averages over the groups of a level, size x size: X V has the groups' means as its columns."""
    groups = np.array([path[level] for path in network.paths])
    same = groups[:, None] == groups
    return np.where(same, a[:, None] / (same @ a), 0.0)


def mixed(network, a):
    """Return Z of the averages over the groups of the last level and a step on the graph."""
    groups = np.array([path[-1] for path in network.paths])
    b = network.top_weights(a)
    H = network.mixing(b).matrices[0].toarray().T
    return H[np.ix_(groups, groups)] * (a / b[groups])[:, None]


@given(weighted_graphs(), st.sampled_from(RULES))
@settings(max_examples=150, deadline=None)
def test_a_hub_matrix_keeps_the_weights_and_what_is_in_agreement_and_has_the_graphs_entries(drawn, rule):
    graph, b = drawn
    H = hub_matrix(graph, b, rule).toarray()
    neighbours = np.eye(graph.n, dtype=bool)
    neighbours[tuple(graph.pairs.T)] = neighbours[tuple(graph.pairs.T[::-1])] = True
    assert np.allclose(H @ b, b, rtol=ROUNDING, atol=0.0)
    assert np.abs(H.sum(axis=0) - 1.0).max() <= ROUNDING
    assert np.array_equal(H > 0.0, neighbours)
    assert np.allclose(H * b, (H * b).T, rtol=1e-10, atol=ROUNDING)  # b_j H_ij = b_i H_ji, not as printed
    moduli = np.sort(np.abs(np.linalg.eigvals(H)))[::-1]
    assert moduli[0] == pytest.approx(1.0)
    assert graph.n == 1 or moduli[1] < 1.0 - 1e-9


@given(weighted_graphs(), st.sampled_from(RULES), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_r_mixings_shrink_the_weighted_disagreement_by_zeta_to_the_r(drawn, rule, seed):
    graph, b = drawn
    network = HubNetwork("colocated", (tuple((hub,) for hub in range(graph.n)),), graph, "drawn", rule)
    mixing = network.mixing(b)
    W, zeta = mixing.matrices[0].toarray(), mixing.second_eigenvalue
    assert np.abs(W.sum(axis=1) - 1.0).max() <= ROUNDING
    assert zeta == pytest.approx(second_of(W, b), abs=1e-10)
    z = np.random.default_rng(seed).standard_normal(graph.n)
    start, mean = np.sqrt(b @ (z - b @ z) ** 2), b @ z
    for r in range(1, 6):
        z = W @ z
        assert b @ z == pytest.approx(mean, abs=1e-10)
        assert np.sqrt(b @ (z - mean) ** 2) <= zeta**r * start + 1e-10


def second_of(W, b):
    """Return the second modulus, as the norm of W on what has b-weighted mean zero; W is self-adjoint there."""
    root = np.sqrt(b)
    return np.linalg.norm(root[:, None] * W / root - np.outer(root, root), 2)


@pytest.mark.parametrize(("hubs", "zeta"), [(5, 0.873), (10, 0.967), (20, 0.992)])
def test_equal_hubs_on_a_path_have_the_papers_zeta(hubs, zeta):
    network = Hubs(hubs=hubs, graph="path").network(100)
    W = network.mixing(network.top_weights(network.weights())).matrices[0].toarray()
    L = 2.0 * np.eye(hubs) - np.eye(hubs, k=1) - np.eye(hubs, k=-1)
    L[0, 0] = L[-1, -1] = 1.0
    assert pytest.approx(np.eye(hubs) - L / 3.0, abs=1e-15) == W
    assert round(network.mixing(np.full(hubs, 1.0 / hubs)).second_eigenvalue, 3) == zeta


@pytest.mark.parametrize("rule", ["auto", "laplacian", "metropolis"])
def test_unequal_hubs_all_with_all_mix_exactly_by_auto_alone(rule):
    network = Hubs(workers_per_hub=(1, 2, 3), graph="complete", matrix=rule).network(6)
    b = np.array([1.0, 2.0, 3.0]) / 6.0
    mixing = network.mixing(b)
    if rule == "auto":
        assert np.array_equal(mixing.matrices[0].toarray(), np.tile(b, (3, 1)))
        assert mixing.second_eigenvalue == 0.0
    else:
        assert mixing.second_eigenvalue == pytest.approx(second_of(mixing.matrices[0].toarray(), b))
        assert mixing.second_eigenvalue > 0.1
    assert mixing.words().startswith("complete, 3 nodes, 3 edges, degree 2, ")


@pytest.mark.parametrize("n", [300, 900])
def test_zeta_of_many_unequal_hubs_is_that_of_the_symmetric_twin(n):
    b = np.random.default_rng(0).uniform(0.5, 2.0, n)
    b /= b.sum()
    network = Hubs(hubs=n, graph="path", matrix="metropolis").network(n)
    W = network.mixing(b).matrices[0].toarray()
    root = np.sqrt(b)
    values = np.linalg.eigvalsh(root[:, None] * W / root)
    assert network.mixing(b).second_eigenvalue == pytest.approx(max(values[-2], -values[0]), abs=1e-12)


@given(networks())
@settings(max_examples=150, deadline=None)
def test_averages_of_every_level_and_mixing_keep_weights_and_agreement(drawn):
    network, w = drawn
    a = network.weights(w)
    assert a.sum() == pytest.approx(1.0)
    assert set(np.flatnonzero(a)) == set(network.workers)
    for T in (*(averaging(network, a, level) for level in range(len(network.levels))), mixed(network, a)):
        assert np.allclose(T @ a, a, rtol=1e-10, atol=ROUNDING)
        assert np.abs(T.sum(axis=0) - 1.0).max() <= 1e-10


@given(networks())
@settings(max_examples=60, deadline=None)
def test_the_level_of_a_link_is_the_lowest_at_which_both_are_in_one_group(drawn):
    network, _ = drawn
    for level, groups in enumerate(network.levels):
        for group in groups:
            assert {network.level_of(group[0], other) for other in group[1:]} <= {level}
    for first in network.top:
        assert {network.level_of(first, other) for other in network.top if other != first} <= {len(network.levels)}
    assert sum(network.links[:-1]) == network.size - len(network.top)  # a forest, one tree a group of the last level
    assert len(network.links) == len(network.link_classes) == len(network.levels) + 1


def test_a_thousand_workers_under_fifty_hubs_under_ten_groups():
    network = Hubs(hubs=50, groups=(10,), graph="ring").network(1000)
    assert (network.size, len(network.hubs), len(network.workers), len(network.top)) == (1000, 50, 1000, 10)
    assert network.link_classes == ("worker-hub", "level-2", "hub-hub")
    assert network.links == (950, 40, 10)
    assert network.hubs == tuple(range(0, 1000, 20))
    assert network.top == tuple(range(0, 1000, 100))
    assert [network.level_of(0, other) for other in (19, 20, 99, 100)] == [0, 1, 1, 2]
    assert network.words() == (
        "50 hubs in 10 groups on a ring, 20 workers each, colocated: second eigenvalue of H 0.8727, spectral gap 0.1273"
    )


@pytest.mark.parametrize(
    ("table", "nodes", "levels"),
    [
        ({"hubs": 2, "placement": "dedicated"}, 7, (((0, 1, 2, 3), (4, 5, 6)),)),
        ({"hubs": 2}, 5, (((0, 1, 2), (3, 4)),)),
        ({"workers_per_hub": [1, 3], "placement": "dedicated"}, 6, (((0, 1), (2, 3, 4, 5)),)),
        ({"workers_per_hub": 2}, 6, (((0, 1), (2, 3), (4, 5)),)),
        ({"members": [[3, 0], [1, 2, 4]]}, 5, (((3, 0), (1, 2, 4)),)),
        ({"hubs": 5, "groups": [2, 1]}, 5, (((0,), (1,), (2,), (3,), (4,)), ((0, 1, 2), (3, 4)), ((0, 3),))),
        ({"hubs": 3, "groups": [[1, 2]]}, 6, (((0, 1), (2, 3), (4, 5)), ((0,), (2, 4)))),
        ({}, 8, (((0, 1, 2, 3), (4, 5, 6, 7)),)),
        ({}, 1, (((0,),),)),
    ],
)
def test_ranks_are_contiguous_and_spread_evenly_unless_the_table_says_otherwise(table, nodes, levels):
    assert Hubs(**table).network(nodes).levels == levels


@given(st.integers(1, 500), st.sampled_from(["dedicated", "colocated"]))
def test_the_default_number_of_hubs_is_the_root_of_the_workers(workers, placement):
    table = Hubs(placement=placement)
    network = table.network(table.nodes_for(workers))
    assert len(network.workers) == workers
    assert len(network.hubs) == int(workers**0.5)
    assert default_hubs(1, 1) == 1


def test_the_table_says_how_many_nodes_a_number_of_workers_needs():
    assert Hubs(hubs=10, placement="dedicated").nodes_for(100) == 110
    assert Hubs(hubs=10).nodes_for(100) == 100
    assert Hubs(workers_per_hub=5, placement="dedicated").nodes_for(100) == 120
    assert Hubs(workers_per_hub=5, hubs=2, placement="dedicated").nodes_for(None) == 12
    assert Hubs(workers_per_hub=[20, 20, 5]).nodes_for(None) == 45
    assert Hubs(members=[[0, 1], [2, 3, 4]], placement="dedicated").nodes_for(3) == 5
    assert Hubs(hubs=10).nodes_for(None) is None
    with pytest.raises(InputError, match=r"^workers_per_hub: 2 hubs with 3 and 2 workers need 5 workers; there are 6$"):
        Hubs(workers_per_hub=[3, 2]).nodes_for(6)


def test_dedicated_hubs_hold_no_rows_and_a_network_travels_pickled():
    network = Hubs(hubs=2, placement="dedicated", graph="path").network(7)
    assert network.hubs == network.top == (0, 4)
    assert network.workers == (1, 2, 3, 5, 6)
    w = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    assert network.weights(w).tolist() == [0.0, 0.05, 0.1, 0.15, 0.0, 0.2, 0.5]
    assert network.top_weights(network.weights(w)) == pytest.approx([0.3, 0.7])
    again = pickle.loads(pickle.dumps(network))
    assert again.words() == network.words()
    assert network.words().startswith("2 hubs on a path, 3 and 2 workers, dedicated: second eigenvalue of H ")


def test_one_hub_needs_no_graph():
    network = Hubs(hubs=1, graph="torus").network(4)
    assert network.mixing(np.ones(1)).matrices[0].toarray().tolist() == [[1.0]]
    assert network.words() == "1 hub, 4 workers, colocated: second eigenvalue of H 0, spectral gap 1"
    assert network.links == (3, 0)


def test_the_graph_is_any_undirected_topology_by_table_and_random_ones_take_the_runs_seed():
    table = Hubs(hubs=20, graph={"name": "random-regular", "degree": 4})
    first, second = (table.network(100, seed).graph for seed in (1, 2))
    assert np.bincount(first.pairs.ravel()).tolist() == [4] * 20
    assert first.pairs.tolist() != second.pairs.tolist()
    assert "20 hubs on the random-regular graph, 5 workers each" in table.network(100).words()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"hubs": 0}, "hubs: expected an integer >= 1, got 0"),
        ({"placement": "apart"}, 'placement: expected one of "colocated", "dedicated", got "apart"'),
        ({"matrix": "max"}, 'matrix: expected one of "auto", "laplacian", "metropolis", got "max"'),
        ({"workers_per_hub": [3, 0]}, "workers_per_hub: hub 1 has no workers; expected at least 1"),
        ({"workers_per_hub": 0}, "workers_per_hub: a hub has no workers; expected at least 1"),
        ({"workers_per_hub": []}, "workers_per_hub: expected a number, or one per hub, got none"),
        ({"workers_per_hub": [3, 2], "hubs": 3}, "workers_per_hub: expected one for each of the 3 hubs, got 2"),
        ({"members": [[0, 1]], "hubs": 1}, "members: contradicts hubs; give one of them"),
        ({"members": []}, "members: expected at least one sub-network, its hub first, got none"),
        ({"members": [[0], []]}, "members: sub-network 1 has no members"),
        (
            {"members": [[0, 1], [2]], "placement": "dedicated"},
            "members: sub-network 1 has no workers; dedicated hub 2 needs at least 1",
        ),
        ({"members": [[0, 3], [3, 1]]}, "members: node 3 is in sub-networks 0 and 1; a worker has one hub"),
        ({"members": [[0, 1, 0]]}, "members: node 0 is in sub-network 0 twice; a worker has one hub"),
        ({"members": [[0, 1], [4]]}, "members: node 2 is in no sub-network; expected each of the nodes 0 to 4"),
        ({"workers_per_hub": [1, 1], "groups": [[2, 1]]}, "groups: the groups of level 2 need 3 hubs; there are 2"),
        ({"graph": "rnig"}, "graph: unknown topology 'rnig'; did you mean 'ring'?"),
        ({"graph": {"degree": 3}}, "graph.name: expected the name of a topology, got none"),
        ({"graph": {"name": "random-regular", "degre": 3}}, "graph.degre: unknown key; did you mean 'degree'?"),
        ({"graph": {"name": "random-regular", "degree": 0}}, "graph.degree: at least 1, got 0"),
        ({"graph": {"name": "random-regular", "degree": "x"}}, 'graph.degree: expected an integer, got "x"'),
        ({"graph": {"name": "exponential", "directed": True}}, "graph: expected an undirected graph"),
        ({"graph": "one-peer-exponential"}, "graph: expected an undirected graph that is the same in all steps"),
        ({"graph": {"name": "ring", "weights": "metropolis"}}, 'graph.weights: expected "auto"'),
    ],
)
def test_a_table_that_cannot_be_is_refused_in_one_line(table, message):
    with pytest.raises(InputError) as caught:
        Hubs(**table)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "nodes", "message"),
    [
        (
            {"workers_per_hub": [3, 2], "placement": "dedicated"},
            5,
            "workers_per_hub: 2 dedicated hubs with 3 and 2 workers need 7 nodes; there are 5",
        ),
        (
            {"workers_per_hub": 10, "placement": "dedicated"},
            25,
            "workers_per_hub: 2 dedicated hubs with 10 workers each",
        ),
        ({"hubs": 20}, 10, "hubs: 20 hubs with at least 1 worker each need at least 20 nodes; there are 10"),
        (
            {"placement": "dedicated"},
            1,
            "hubs: 1 dedicated hub with at least 1 worker needs at least 2 nodes; there is 1",
        ),
        ({"members": [[0, 1], [3, 2]]}, 5, "members: 2 hubs with 2 workers each need 4 nodes; there are 5"),
        ({"groups": [20]}, 100, "groups: 20 groups of level 2 need at least 20 hubs; there are 10"),
        ({"groups": [0]}, 100, "groups: level 2 has no groups; expected at least 1"),
        ({"groups": [[]]}, 100, "groups: level 2 has no groups; expected at least 1"),
        ({"groups": [[4, 0, 6]]}, 100, "groups: group 1 of level 2 has no members; expected at least 1"),
        ({"groups": [5, [2, 4]]}, 100, "groups: the groups of level 3 need 6 level-2 groups; there are 5"),
        ({"graph": "torus"}, 100, "graph: torus: 10 nodes do not fill a rectangle"),
    ],
)
def test_numbers_that_do_not_fill_the_network_are_refused_with_those_that_do(table, nodes, message):
    with pytest.raises(InputError) as caught:
        Hubs(**table).network(nodes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ("0 1\n2 3", "graph: hubs.txt: not connected; there is no path from node 0 to node 2"),
        ("0 1\n1 2", "graph: hubs.txt: not connected; node 3 of nodes 0 to 3 has no edge"),
        ("0 1 .1\n1 2 .1\n2 3 .1", "graph: expected edges without weights"),
    ],
)
def test_a_hub_graph_from_a_file_is_connected_and_has_no_weights(tmp_path, edges, message):
    (tmp_path / "hubs.txt").write_text(edges)
    with pytest.raises(InputError) as caught:
        Hubs(hubs=4, graph={"name": "file", "path": str(tmp_path / "hubs.txt")}).network(8)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("w", "message"),
    [
        ([1.0] * 4, "weights: expected one for each of the 5 workers, got 4"),
        ([1.0, 1.0, -1.0, 1.0, 1.0], "weights: expected numbers >= 0, got -1 for node 3"),
        ([1.0, np.nan, 1.0, 1.0, 1.0], "weights: expected numbers >= 0, got nan for node 2"),
        ([1.0, 1.0, 1.0, 0.0, 0.0], "weights: the workers of hub 4 have weight 0; expected one above 0"),
    ],
)
def test_weights_are_one_a_worker_and_leave_no_hub_without(w, message):
    with pytest.raises(InputError) as caught:
        Hubs(hubs=2, placement="dedicated").network(7).weights(np.array(w))
    assert str(caught.value) == message


@given(st.integers(1, 300), st.integers(1, 20))
def test_even_parts_differ_by_one_at_most(total, parts):
    sizes = evenly(total, parts)
    assert sum(sizes) == total
    assert len(sizes) == parts
    assert max(sizes) - min(sizes) <= 1
    assert list(sizes) == sorted(sizes, reverse=True)
