"""`hpcopt topology` and its picture."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from hpcopt.cli.main import main
from hpcopt.results.topology import Diagram, draw_topology
from hpcopt.topology import TOPOLOGIES, build, lay_out

PNG = b"\x89PNG"


def said(arguments, capsys, code=0):
    assert main(["topology", *arguments]) == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return a function that draws a topology and returns its edges' collection and the axes."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))

    def draw(name, n, sent=None, **parameters):
        topology = TOPOLOGIES[name](**parameters)
        mixing, layout = build(topology, n), lay_out(topology, n)
        sent = None if sent is None else np.asarray(sent, dtype=np.float64)
        diagram = Diagram(layout.positions, mixing.pairs, mixing.one_way, layout.box, sent)
        draw_topology(diagram, tmp_path / "picture.png", "title")
        axes = figures[-1].axes
        return next(child for child in axes[0].get_children() if isinstance(child, LineCollection)), axes

    return draw


def test_a_picture_fills_its_paper_whatever_its_title(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    angles = np.arange(4) * np.pi / 2
    positions, pairs = np.stack([np.sin(angles), np.cos(angles)], axis=1), np.array([[0, 1], [1, 2]])
    for title in ("prague: bytes over each edge\nbetween any of the 4 nodes", "a long line " * 15):
        draw_topology(Diagram(positions, pairs, sent=np.ones(2)), tmp_path / "picture.png", title)
        pixels = image.imread(tmp_path / "picture.png")[..., :3]
        rows = np.flatnonzero((pixels < 0.9).any(axis=(1, 2)))
        assert rows[0] < 0.05 * len(pixels)
        assert rows[-1] > 0.9 * len(pixels)


def test_it_tells_the_gap_and_draws_a_picture_here(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = said(["ring", "--nodes", "16"], capsys)
    assert text.startswith("ring, 16 nodes, 16 edges, degree 2, Metropolis weights: second eigenvalue 0.9493")
    table = {line[:29].strip(): line[29:].strip() for line in text.splitlines() if line.startswith("  ")}
    assert table == {
        "nodes": "16",
        "edges": "16",
        "degree": "2 smallest, 2 mean, 2 largest",
        "diameter": "8",
        "second eigenvalue": "0.9492530217",
        "spectral gap": "0.050747",
        "steps to halve disagreement": "13.31",
        "smallest eigenvalue": "-0.333333",
        "||I - W|| (beta)": "1.333333",
        "symmetric": "yes",
        "doubly stochastic": "yes",
    }
    assert text.endswith("picture: ring-16.png\n")
    assert (tmp_path / "ring-16.png").read_bytes().startswith(PNG)


def test_parameters_weights_seed_and_the_name_of_the_picture_are_heard(tmp_path, capsys):
    picture = tmp_path / "p.svg"
    arguments = ["--nodes", "20", "--set", "degree=5", "--weights", "laplacian", "-o", str(picture)]
    first, second = (said(["random-regular", *arguments, "--seed", seed], capsys) for seed in ("1", "2"))
    assert "degree 5, best constant weights" in first
    assert first != second
    assert "<svg" in picture.read_text()


def test_a_directed_sequence_says_what_it_is(tmp_path, capsys):
    text = said(["one-peer-exponential", "--nodes", "8", "-o", str(tmp_path / "p.png")], capsys)
    assert "cycle of steps               3\n" in text
    assert "steps to halve disagreement  none left after 3 steps\n" in text
    assert "smallest eigenvalue          of symmetric weights only\n" in text


def test_one_node_and_many_nodes_are_no_trouble(tmp_path, capsys):
    picture = str(tmp_path / "p.png")
    assert "ring, 1 node: no neighbours" in said(["ring", "--nodes", "1", "-o", picture], capsys)
    assert "not computed beyond 2,000 nodes" in said(["grid", "--nodes", "2500", "-o", picture], capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rign", "--nodes", "4"], "unknown topology 'rign'; did you mean 'ring'?"),
        (["torus", "--nodes", "10"], "torus: 10 nodes do not fill a rectangle with both sides at least 3"),
        (["ring", "--nodes", "4", "--set", "degree=3"], "--set degree=3: unknown key (known: weights)"),
        (["ring", "--nodes", "4", "--weights", "metro"], "--weights metro: expected one of"),
        (["file", "--nodes", "4"], "path: missing; expected text"),
        (["ring", "--nodes", "4", "-o", "p.xyz"], "a picture's suffix is one of"),
        (["ring", "--nodes", "4", "-o", "/absent/p.png"], "there is no folder /absent"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = said(arguments, capsys, code=1)
    assert message in text
    assert text.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_every_edge_is_a_line_between_its_nodes(drawn):
    lines, _ = drawn("complete", 6)
    places = lay_out(TOPOLOGIES["complete"](), 6).positions
    expected = [places[[i, j]].tolist() for i in range(6) for j in range(i + 1, 6)]
    assert [segment.tolist() for segment in lines.get_segments()] == expected


def test_an_edge_round_a_torus_is_two_stubs_that_leave_it(drawn):
    lines, _ = drawn("torus", 12)
    segments = np.array(lines.get_segments())
    assert len(segments) == (24 - 7) + 2 * 7  # 3 edges close the rows, 4 the columns
    assert np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).max() <= 1.0
    assert (segments[..., 0].min(), segments[..., 0].max()) == (-0.45, 3.45)


def test_bytes_are_colour_and_width_with_a_bar_in_a_fitting_unit(drawn):
    lines, axes = drawn("ring", 4, sent=[0.0, 2e6, 4e6, 8e6])
    assert lines.get_array().tolist() == [0.0, 2.0, 4.0, 8.0]
    assert list(lines.get_linewidths()) == sorted(lines.get_linewidths())
    assert axes[1].get_ylabel() == "MB sent over the edge"
    lines, axes = drawn("ring", 4, sent=[0.0, 0.0, 0.0, 0.0])
    assert axes[1].get_ylabel() == "bytes sent over the edge"


def test_one_way_edges_have_heads_and_many_nodes_no_numbers(drawn):
    _, axes = drawn("one-peer-exponential", 4)
    heads = [text for text in axes[0].texts if not text.get_text()]
    assert len(heads) == 8
    _, axes = drawn("ring", 301)
    assert not axes[0].texts


def test_of_very_many_edges_some_are_drawn_and_the_title_says_so(drawn):
    lines, axes = drawn("random-regular", 500, degree=100)
    assert len(lines.get_segments()) == 12_500
    assert axes[0].figure.get_suptitle() == "title\n(one of 2 edges drawn)"


@pytest.mark.parametrize("sent", [False, True])
def test_a_dense_network_is_drawn_as_its_matrix(tmp_path, monkeypatch, sent):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    pairs = np.array([(i, j) for i in range(60) for j in range(i)])
    carried = 1000.0 * np.arange(len(pairs)) if sent else None
    draw_topology(Diagram(np.zeros((60, 2)), pairs, sent=carried), tmp_path / "picture.png", "title")
    squares = np.ma.filled(figures[0].axes[0].get_images()[0].get_array(), np.nan)
    assert np.isnan(np.diag(squares)).all()
    np.testing.assert_array_equal(squares, squares.T)
    if sent:  # in the bar's unit, MB
        assert squares[tuple(pairs[1500])] == 1.5
        assert figures[0].axes[1].get_ylabel() == "MB sent over the edge"
