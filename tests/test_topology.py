"""Topologies: their shapes against networkx and their definitions, errors, files of edges."""

from __future__ import annotations

import math
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcopt.errors import InputError
from hpcopt.topology import TOPOLOGIES, build, lay_out
from hpcopt.topology.connected import diameter
from hpcopt.topology.edge_list import read

GIVEN = {"file"}  # needs a file
DRAWN = ("barabasi-albert", "erdos-renyi", "geometric", "random-regular", "small-world")
NAMES = [name for name in TOPOLOGIES if name not in GIVEN]


def as_networkx(name, n, run_seed=0, **parameters):
    mixing = build(TOPOLOGIES[name](**parameters), n, run_seed)
    graph = nx.DiGraph() if mixing.one_way else nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(mixing.pairs.tolist())
    return graph


def refusal(name, n, **parameters):
    with pytest.raises(InputError) as caught:
        build(TOPOLOGIES[name](**parameters), n)
    return str(caught.value)


@pytest.fixture
def edges(tmp_path):
    """Return a function that writes a file of edges and returns the topology's parameters."""

    def write(text):
        path = tmp_path / "net.txt"
        path.write_text(text)
        return {"path": str(path)}

    return write


@pytest.mark.parametrize(
    ("name", "n", "peer"),
    [
        ("ring", 9, nx.cycle_graph(9)),
        ("path", 9, nx.path_graph(9)),
        ("star", 9, nx.star_graph(8)),
        ("complete", 9, nx.complete_graph(9)),
        ("hypercube", 16, nx.hypercube_graph(4)),
        ("grid", 12, nx.grid_2d_graph(3, 4)),
        ("torus", 12, nx.grid_2d_graph(3, 4, periodic=True)),
        ("exponential", 16, nx.circulant_graph(16, [1, 2, 4, 8])),
        ("exponential", 11, nx.circulant_graph(11, [1, 2, 4, 8])),
    ],
)
def test_a_fixed_shape_is_that_of_networkx(name, n, peer):
    assert nx.is_isomorphic(as_networkx(name, n), peer)


@pytest.mark.parametrize("name", ["ring", "path", "star", "complete", "hypercube", "exponential"])
def test_two_nodes_share_one_edge(name):
    assert build(TOPOLOGIES[name](), 2).pairs.tolist() == [[0, 1]]


@pytest.mark.parametrize("name", NAMES)
def test_one_node_has_nobody_to_mix_with(name):
    mixing = build(TOPOLOGIES[name](), 1)
    assert mixing.matrices[0].toarray().tolist() == [[1.0]]
    assert (mixing.gap, len(mixing.pairs), diameter(mixing.union)) == (1.0, 0, 0)


@given(n=st.integers(2, 64))
def test_a_directed_exponential_node_sends_to_distances_that_double(n):
    matrix = build(TOPOLOGIES["exponential"](directed=True), n).matrices[0].toarray()
    distances = {2**k % n for k in range(math.ceil(math.log2(n)))}
    for node in range(n):
        assert set(np.flatnonzero(matrix[:, node])) == {node} | {(node + distance) % n for distance in distances}


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_one_peer_exponential_averages_exactly_in_log2_n_steps(k):
    n = 2**k
    mixing = build(TOPOLOGIES["one-peer-exponential"](), n)
    product = np.eye(n)
    for matrix in mixing.matrices:
        product = matrix @ product
    assert mixing.period == k
    assert np.array_equal(product, np.full((n, n), 1.0 / n))
    assert mixing.second_eigenvalue == 0.0


def test_one_peer_exponential_has_one_neighbour_a_step():
    assert (build(TOPOLOGIES["one-peer-exponential"](), 12).degrees == 1).all()


@given(n=st.integers(6, 40), seed=st.integers(0, 1000), name=st.sampled_from(DRAWN))
@settings(max_examples=60, deadline=None)
def test_a_drawn_graph_is_connected_simple_and_the_same_for_the_same_seed(n, seed, name):
    n += n % 2
    graph = as_networkx(name, n, seed)
    assert nx.is_connected(graph)
    assert nx.number_of_selfloops(graph) == 0
    assert nx.utils.graphs_equal(graph, as_networkx(name, n, seed))


@pytest.mark.parametrize("name", DRAWN)
def test_its_own_seed_goes_before_that_of_the_run(name):
    drawn = as_networkx(name, 40, 3)
    assert nx.utils.graphs_equal(as_networkx(name, 40, 8, seed=3), drawn)
    assert not nx.utils.graphs_equal(as_networkx(name, 40, 8), drawn)


def test_parameters_of_drawn_graphs_are_heard():
    assert {degree for _, degree in as_networkx("random-regular", 20, degree=5).degree} == {5}
    assert as_networkx("erdos-renyi", 12, probability=1.0).number_of_edges() == 66
    assert as_networkx("barabasi-albert", 30, links=1).number_of_edges() == 29
    assert as_networkx("geometric", 12, radius=math.sqrt(2.0)).number_of_edges() == 66
    lattice = as_networkx("small-world", 20, neighbours=6, rewiring=0.0)
    assert nx.utils.graphs_equal(lattice, nx.circulant_graph(20, [1, 2, 3]))


def test_nodes_of_a_geometric_graph_are_drawn_where_they_hear_each_other():
    topology = TOPOLOGIES["geometric"](radius=0.4)
    places = lay_out(topology, 30, 5).positions
    apart = np.linalg.norm(places[:, None] - places[None, :], axis=2)
    near = {(i, j) for i, j in np.argwhere(apart <= 0.4).tolist() if i < j}
    assert {tuple(pair) for pair in build(topology, 30, 5).pairs.tolist()} == near


@pytest.mark.parametrize("name", NAMES)
def test_every_node_has_a_place_in_the_picture(name):
    places = lay_out(TOPOLOGIES[name](), 16).positions
    assert places.shape == (16, 2)
    assert len({tuple(place) for place in places.round(6)}) == 16


@pytest.mark.parametrize(
    ("name", "n", "parameters", "said"),
    [
        ("hypercube", 12, {}, "expected a power of two nodes (8 or 16), got 12"),
        ("grid", 7, {}, "7 nodes do not fill a rectangle with both sides at least 2 (one row would be a path)"),
        ("torus", 10, {}, "10 nodes do not fill a rectangle with both sides at least 3 (a side of 2 would have double"),
        ("torus", 12, {"rows": 2}, "rows: at least 3, got 2"),
        ("torus", 12, {"rows": 6}, "rows: expected a divisor of the 12 nodes, with at least 3 columns"),
        ("grid", 12, {"rows": 5}, "rows: expected a divisor of the 12 nodes"),
        ("random-regular", 9, {}, "degree: expected an even number for an odd number of nodes (9), got 3"),
        ("random-regular", 4, {"degree": 4}, "degree: expected less than the number of nodes, 4, got 4"),
        ("random-regular", 10, {"degree": 1}, "no connected graph of 10 nodes in 100 draws; increase degree"),
        ("barabasi-albert", 2, {}, "links: expected less than the number of nodes, 2, got 2"),
        ("barabasi-albert", 5, {"links": 0}, "links: at least 1, got 0"),
        ("erdos-renyi", 50, {"probability": 0.01}, "no connected graph of 50 nodes in 100 draws; increase prob"),
        ("erdos-renyi", 50, {"probability": 1.5}, "probability: at least 0 and at most 1, got 1.5"),
        ("geometric", 50, {"radius": 0.01}, "no connected graph of 50 nodes in 100 draws; increase radius"),
        ("geometric", 50, {"radius": -1.0}, "radius: at least 0 and at most 1.414, got -1.0"),
        ("small-world", 20, {"neighbours": 3}, "neighbours: expected an even number, half on each side, got 3"),
        ("small-world", 4, {}, "neighbours: expected less than the number of nodes, 4, got 4"),
        ("small-world", 20, {"rewiring": 2.0}, "rewiring: at least 0 and at most 1, got 2.0"),
        ("geometric", 50, {"seed": -1}, "seed: at least 0, got -1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(name, n, parameters, said):
    assert said in refusal(name, n, **parameters)


def test_a_rectangle_is_as_square_as_may_be_or_as_asked():
    assert build(TOPOLOGIES["grid"](), 24).name == "grid 4 x 6"
    assert build(TOPOLOGIES["torus"](), 24).name == "torus 4 x 6"
    assert build(TOPOLOGIES["torus"](rows=8), 24).name == "torus 8 x 3"


def test_a_file_gives_its_edges(edges):
    graph = as_networkx("file", 4, **edges("# a square\n0 1\n1 2  # beside\n\n2 3\n3 0\n"))
    assert nx.utils.graphs_equal(graph, nx.cycle_graph(4))


def test_a_directed_file_sends_one_way(edges):
    graph = as_networkx("file", 3, directed=True, **edges("0 1\n1 2\n2 0\n1 0\n"))
    assert sorted(graph.edges) == [(0, 1), (1, 0), (1, 2), (2, 0)]


def test_the_weights_of_a_file_are_taken_and_the_rest_is_kept(edges):
    mixing = build(TOPOLOGIES["file"](**edges("0 1 0.25\n1 2 0.5\n")), 3)
    assert mixing.rule == "file"
    assert mixing.matrices[0].toarray().tolist() == [[0.75, 0.25, 0.0], [0.25, 0.25, 0.5], [0.0, 0.5, 0.5]]


def test_in_a_directed_file_the_receiver_weighs_the_message(edges):
    mixing = build(TOPOLOGIES["file"](directed=True, **edges("0 1 0.25\n1 0 0.5\n")), 2)
    assert mixing.matrices[0].toarray().tolist() == [[0.5, 0.5], [0.25, 0.75]]
    assert (mixing.symmetric, mixing.doubly_stochastic) == (False, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 1\n1\n", "net.txt, line 2: expected `i j` or `i j weight`, got '1'"),
        ("0 1\n1 2 3 4\n", "line 2: expected `i j` or `i j weight`, got '1 2 3 4'"),
        ("0 1\n\n1 x\n", "line 3: expected a node, an integer from 0 to 3, got 'x'"),
        ("0 1\n1 2.0\n", "line 2: expected a node, an integer from 0 to 3, got '2.0'"),
        ("0 1\n1 -2\n", "line 2: expected a node from 0 to 3 (there are 4), got -2"),
        ("0 1\n1 4\n", "line 2: expected a node from 0 to 3 (there are 4), got 4"),
        ("0 1\n1 1\n", "line 2: expected two different nodes, got 1 and 1"),
        ("0 1\n1 2\n0 1\n", "line 3: edge 0 1 is already on line 1"),
        ("0 1\n1 2\n1 0\n", "line 3: edge 1 0 is already on line 1"),
        ("0 1 0.2\n1 2 0\n", "line 2: expected a weight, a number above 0, got '0'"),
        ("0 1 0.2\n1 2 -0.2\n", "line 2: expected a weight, a number above 0, got '-0.2'"),
        ("0 1 0.2\n1 2 inf\n", "line 2: expected a weight, a number above 0, got 'inf'"),
        ("0 1 0.2\n1 2 w\n", "line 2: expected a weight, a number above 0, got 'w'"),
        ("0 1 0.2\n1 2 1_0\n", "line 2: expected a weight, a number above 0, got '1_0'"),
        ("0 1\n1 0_2\n", "line 2: expected a node, an integer from 0 to 3, got '0_2'"),
        ("0 1 0.2\n1 2\n", "line 2: expected a weight, as on the lines before, got '1 2'"),
        ("0 1\n1 2 0.2\n", "line 2: expected no weight, as on the lines before, got '1 2 0.2'"),
        ("0 1\n1 2\n", "net.txt: not connected; node 3 of nodes 0 to 3 has no edge"),
        ("0 1\n2 3\n", "net.txt: not connected; there is no path from node 0 to node 2"),
        ("", "not connected; node 1 of nodes 0 to 3 has no edge"),
        ("0 1 .5\n1 2 .5\n2 3 .5", "weights: the file's weights at node 1 sum to 1; expected less than 1"),
    ],
)
def test_a_bad_file_is_refused_by_file_and_line(edges, text, said):
    assert said in refusal("file", 4, **edges(text))


def test_a_directed_file_must_lead_back(edges):
    assert "there is no path from node 1 to node 0" in refusal("file", 3, directed=True, **edges("0 1\n1 2\n0 2\n"))


def test_a_directed_file_may_give_an_edge_each_way_but_not_twice(edges):
    assert "line 3: edge 0 1 is already on line 1" in refusal("file", 2, directed=True, **edges("0 1\n1 0\n0 1\n"))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path):
    (tmp_path / "net.bin").write_bytes(b"\xff\xfe\x00\x01")
    assert "absent.txt: No such file or directory; expected" in refusal("file", 3, path=str(tmp_path / "absent.txt"))
    assert "net.bin: not a text file; expected" in refusal("file", 3, path=str(tmp_path / "net.bin"))


def test_weights_of_a_file_without_any_are_refused(edges):
    assert 'weights: "file" requires a third number, the weight, on each line' in refusal(
        "file", 2, weights="file", **edges("0 1\n")
    )


def test_a_rank_that_only_mixes_loads_no_networkx():
    program = "import sys, hpcopt.topology; sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_byte_order_mark_before_the_edges_is_passed_over(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("0 1\n1 2\n", encoding="utf-8-sig")
    assert read(path, 3, directed=False).pairs.tolist() == [[0, 1], [1, 2]]
