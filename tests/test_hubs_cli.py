"""`hpcopt topology hubs` and its picture."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from hpcopt.cli.main import main
from hpcopt.results.hubs import draw_hubs
from hpcopt.topology.hubs import Hubs
from hpcopt.topology.hubs.layout import lay_out_hubs

PNG = b"\x89PNG"
NETWORKS = [
    ({"hubs": 10, "graph": "path", "placement": "dedicated"}, 110),
    ({"hubs": 50, "graph": "ring", "groups": [10]}, 1000),
    ({"hubs": 27, "groups": [9, [3, 3, 3]]}, 400),
    ({"hubs": 20, "graph": "geometric"}, 200),
    ({"hubs": 12, "graph": "random-regular"}, 60),
    ({"hubs": 12, "graph": "torus"}, 240),
    ({"hubs": 3, "graph": "path"}, 300),
    ({"hubs": 4}, 4),
]


def said(arguments, capsys, code=0):
    assert main(["topology", "hubs", *arguments]) == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return a function that draws a hub network and gives its figure."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))

    def draw(table, nodes):
        network = Hubs(**table).network(nodes)
        draw_hubs(network, lay_out_hubs(network), tmp_path / "picture.png", "title")
        return figures[-1]

    return draw


def test_it_tells_the_second_eigenvalue_of_h_and_the_links_by_level_and_draws_the_network(tmp_path, capsys):
    picture = tmp_path / "p.png"
    table = ["--set", "hubs=10", "--set", "graph=path", "--set", "placement=dedicated"]
    text = said(["--nodes", "110", *table, "-o", str(picture)], capsys)
    assert text.startswith(
        "10 hubs on a path, 10 workers each, dedicated: second eigenvalue of H 0.9674, spectral gap 0.0326\n"
    )
    rows = {line[:31].strip(): line[31:].strip() for line in text.splitlines() if line.startswith("  ")}
    assert rows == {
        "nodes": "110",
        "hubs": "10",
        "workers": "100",
        "worker-hub links": "100",
        "hub-hub links": "9",
        "second eigenvalue of H": "0.9673710109",
        "spectral gap": "0.032629",
        "mixings to halve disagreement": "20.89",
    }
    assert text.endswith(f"picture: {picture}\n")
    assert picture.read_bytes().startswith(PNG)


def test_levels_tables_of_the_graph_and_the_seed_are_heard(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = ["--set", "hubs=20", "--set", "groups=[10]", "--set", "graph.name=random-regular"]
    first, second = (said(["--nodes", "40", *table, "--seed", seed], capsys) for seed in ("1", "2"))
    assert first.startswith("20 hubs in 10 groups on the random-regular graph, 2 workers each, colocated: ")
    assert "level-2 links                  10\n" in first
    assert first != second
    assert (tmp_path / "hubs-40.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "hub=3"], "--set hub=3: unknown key; did you mean 'hubs'?"),
        (["--set", "hubs=x"], '--set hubs=x: expected an integer >= 1, got "x"'),
        (["--set", "graph=rnig"], "--set graph=rnig: unknown topology 'rnig'; did you mean 'ring'?"),
        (["--set", "graph.name=random-regular", "--set", "graph.degree=0"], "--set graph.degree=0: at least 1, got 0"),
        (["--set", "graph.name=exponential", "--set", "graph.directed=true"], "expected an undirected graph"),
        (["--set", "members=[[0,1],[1]]"], "node 1 is in sub-networks 0 and 1; a worker has one hub"),
        (["--set", "workers_per_hub=[3,0]"], "--set workers_per_hub=[3,0]: hub 1 has no workers"),
        (["--set", "workers_per_hub=[3,2]"], "workers_per_hub: 2 hubs with 3 and 2 workers need 5 nodes; there are 10"),
        (["--set", "hubs=5", "--set", "graph=torus"], "graph: torus: 5 nodes do not fill a rectangle"),
        (["--weights", "metropolis"], "--weights metropolis: unknown key (known: hubs, "),
        (["-o", "p.xyz"], "a picture's suffix is one of"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = said(["--nodes", "10", *arguments], capsys, code=1)
    assert message in text
    assert text.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_of_the_hubs_edges_is_not_overwritten_by_the_picture(tmp_path, capsys):
    (tmp_path / "edges.png").write_text("0 1\n")
    arguments = ["--set", "graph.name=file", "--set", f"graph.path={tmp_path}/edges.png", "-o", f"{tmp_path}/edges.png"]
    assert "edges.png" in said(["--nodes", "4", *arguments], capsys, code=1)
    assert (tmp_path / "edges.png").read_text() == "0 1\n"


@pytest.mark.parametrize(("table", "nodes"), NETWORKS)
def test_workers_stand_around_their_own_hub_and_no_two_nodes_on_one_place(table, nodes):
    network = Hubs(**table).network(nodes)
    positions = lay_out_hubs(network).positions
    distances, _ = cKDTree(positions).query(positions, k=2)
    assert distances[:, 1].min() > 0.1 * distances[:, 1].max()
    hubs = positions[list(network.hubs)]
    _, nearest = cKDTree(hubs).query(positions)
    assert nearest.tolist() == [path[0] for path in network.paths]


def test_links_leave_between_the_workers_of_a_hub():
    network = Hubs(hubs=2, graph="path").network(10)
    positions = lay_out_hubs(network).positions
    workers = positions[1:5] - positions[0]
    link = positions[5] - positions[0]
    cosines = workers @ link / np.linalg.norm(workers, axis=1) / np.linalg.norm(link)
    assert cosines.max() == pytest.approx(np.cos(np.pi / 4))


@pytest.mark.parametrize(
    ("table", "nodes", "legend", "numbered"),
    [
        (NETWORKS[0][0], 110, ["worker", "hub", "worker-hub link", "hub-hub link"], True),
        ({"hubs": 4, "graph": "path"}, 4, ["hub and worker", "hub-hub link"], True),
        (
            NETWORKS[1][0],
            1000,
            [
                "worker",
                "hub and worker",
                "hub and worker on the graph",
                "worker-hub link",
                "level-2 link",
                "hub-hub link",
            ],
            False,
        ),
    ],
)
def test_the_legend_has_the_marks_and_links_that_are_drawn_and_few_nodes_their_numbers(
    drawn, table, nodes, legend, numbered
):
    figure = drawn(table, nodes)
    network = Hubs(**table).network(nodes)
    axis = figure.axes[0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == legend
    assert len(axis.texts) == (nodes if numbered else 0)
    lines = [child for child in axis.get_children() if isinstance(child, LineCollection)]
    assert [len(collection.get_segments()) for collection in lines] == [count for count in network.links if count]
    marks = [child for child in axis.collections if not isinstance(child, LineCollection)]
    assert sum(len(mark.get_offsets()) for mark in marks) == nodes


def test_one_node_is_drawn(drawn):
    assert [text.get_text() for text in drawn({}, 1).axes[0].texts] == ["0"]
