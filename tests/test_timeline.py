"""Timelines: recorded spans, on virtual nodes and on real ranks, their file, and their picture."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.fabric.network import Network
from hpcopt.fabric.timeline import BOARD, COMPUTE, EXCHANGE, KINDS, WAIT, Timeline
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.results import folder as folders
from hpcopt.results.timeline import coverage, draw_timeline, write_events
from hpcopt.runs import timelines
from hpcopt.studies.compare import compare
from tests.launch import RANKS
from tests.test_mpi import ranks_of

A_DOUBLE_A_SECOND = {"bandwidth": 8.0, "latency": 0.5}
RUN = {
    "data": {"source": "breast-cancer", "scale": "standard"},
    "solver": {"name": "d-psgd"},
    "cluster": {"kind": "virtual", "workers": 4, "speeds": [1.0, 0.2, 1.0, 1.0]},
    "stop": {"rounds": 10},
}


@pytest.fixture(autouse=True)
def no_other_pictures(monkeypatch):
    """Disable the runs' pictures, which take a second each and are tested elsewhere."""
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_, **__: None)
    monkeypatch.setattr("hpcopt.runs.execute.draw_edges", lambda *_: None)


def compute(node, seconds):
    with node.meter.working(1e9 * seconds, 0.0):
        pass


def spans_of(size, program, speeds=None, **network):
    """Run `program` on virtual nodes of 1 Gflop/s; return the spans (kind, begin, end) of each."""

    def body(node):
        node.record(1000)
        program(node)
        return [(int(kind), begin, end) for _, kind, begin, end in node.timeline.rows(node.rank).tolist()]

    return VirtualCluster(size, Network(**{**A_DOUBLE_A_SECOND, **network}), speeds=speeds).run(body)


def test_who_waits_for_a_slow_neighbour_and_who_does_not():
    def program(node):
        links = node.neighbourhood([1 - node.rank], [1 - node.rank])
        compute(node, 1.0)
        links.exchange(np.zeros(8, dtype=np.uint8))

    fast, slow = spans_of(2, program, speeds=[1.0, 0.5])
    assert fast == [(COMPUTE, 0.0, 1.0), (WAIT, 1.0, 2.0), (EXCHANGE, 2.0, 3.5)]
    assert slow == [(COMPUTE, 0.0, 2.0), (EXCHANGE, 2.0, 2.5)]


def test_a_reduction_is_waiting_until_the_last_member_comes():
    def program(node):
        compute(node, 1.0 + node.rank)
        node.world.sum(np.zeros(1))

    first, last = spans_of(2, program)
    assert first == [(COMPUTE, 0.0, 1.0), (WAIT, 1.0, 2.0), (EXCHANGE, 2.0, 3.5)]
    assert last == [(COMPUTE, 0.0, 2.0), (EXCHANGE, 2.0, 5.0)]


def test_a_broadcast_is_waited_for_from_its_root_only():
    def program(node):
        compute(node, 1.0 + node.rank)
        node.world.broadcast(np.zeros(1), root=1)

    spans = spans_of(3, program, collective="star")
    assert spans[0] == [(COMPUTE, 0.0, 1.0), (WAIT, 1.0, 2.0), (EXCHANGE, 2.0, 3.5)]
    assert spans[1] == [(COMPUTE, 0.0, 2.0)]  # sending costs the root nothing
    assert spans[2] == [(COMPUTE, 0.0, 3.0), (EXCHANGE, 3.0, 3.5)]


def test_a_drain_is_one_wait_with_its_barrier_in_it():
    def program(node):
        box = node.mailbox()
        compute(node, 1.0 + node.rank)
        box.drain()

    first, last = spans_of(2, program)
    assert [kind for kind, *_ in first] == [COMPUTE, WAIT]
    assert [kind for kind, *_ in last] == [COMPUTE, WAIT]
    assert first[1][1:] == (1.0, 2.5)
    assert last[1][1:] == (2.0, 3.0)


def test_messages_that_have_come_already_are_not_waited_for():
    def program(node):
        links = node.neighbourhood([1 - node.rank], [1 - node.rank])
        compute(node, 10.0 * node.rank + 1.0)
        links.exchange(np.zeros(8, dtype=np.uint8))

    assert spans_of(2, program)[1] == [(COMPUTE, 0.0, 11.0)]


def test_monitoring_is_not_recorded_and_recording_goes_on_after_it():
    def program(node):
        with node.monitoring():
            compute(node, 1.0)
            node.world.sum(np.zeros(1))
        compute(node, 1.0)

    assert spans_of(2, program) == [[(COMPUTE, 0.0, 1.0)]] * 2


@pytest.mark.parametrize("cluster", [SoloCluster(), VirtualCluster(1)])
def test_nobody_records_unasked(cluster):
    assert cluster.run(lambda node: node.timeline) == [None]


def test_a_node_alone_records_its_computing_on_the_wall_clock():
    def program(node):
        node.record(1000)
        links = node.neighbourhood([], [])
        with node.meter.working(1.0, 1.0):
            np.linalg.norm(np.ones(10_000))
        with node.monitoring():
            node.world.sum(np.zeros(1))
        links.exchange(np.zeros(8, dtype=np.uint8))
        node.group([0]).sum(np.zeros(1))
        return node.timeline.rows(0), node.ledger.solver.rounds, node.now()

    ((rows, rounds, end),) = SoloCluster().run(program)
    assert list(rows[:, 1]).count(COMPUTE) == 1
    assert rows[0, 1] == COMPUTE
    assert np.all(np.diff(rows[:, 2:].reshape(-1)) >= 0.0)
    assert rows[-1, 3] <= end
    assert rounds == 2


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [n for n in RANKS if n > 1][:1])
def test_recording_changes_nothing_on_real_ranks(ranks, tmp_path):
    ranks_of(ranks, "timelines.py", tmp_path)
    spans = folders.read_timeline(tmp_path)
    assert np.unique(spans[:, 0]).tolist() == list(range(ranks))
    assert np.unique(spans[:, 1]).tolist() == [COMPUTE, WAIT, EXCHANGE]


def test_spans_that_follow_one_another_are_one_and_empty_ones_none():
    timeline = Timeline(10, gap=0.1)
    timeline.span(COMPUTE, 0.0, 1.0)
    timeline.span(COMPUTE, 1.05, 2.0)
    timeline.span(BOARD, 2.0, 2.0)
    timeline.span(COMPUTE, 2.5, 3.0)
    timeline.span(BOARD, 3.0, 4.0)
    assert timeline.rows(7).tolist() == [[7, COMPUTE, 0, 2], [7, COMPUTE, 2.5, 3], [7, BOARD, 3, 4]]


def test_beyond_its_limit_a_timeline_counts_what_it_drops():
    timeline = Timeline(2)
    for place in range(5):
        timeline.span(place % 2, float(place), place + 1.0)
    timeline.span(COMPUTE, 9.0, 9.0)
    assert timeline.rows(0)[:, 2].tolist() == [0.0, 1.0]
    assert timeline.dropped == 3


def test_a_run_with_a_straggler_adds_up(tmp_path):
    hpcopt.run({**RUN, "output": {"timeline": True}}, folder=tmp_path)
    (_, rows), spans = folders.read(tmp_path), folders.read_timeline(tmp_path)
    for node in range(4):
        own = spans[spans[:, 0] == node]
        np.testing.assert_allclose(own[1:, 2], own[:-1, 3], rtol=1e-9)  # on the virtual clock there is nothing between
        assert own[0, 2] == 0.0
    assert spans[:, 3].max() == pytest.approx(rows[-1].seconds, rel=1e-9)
    shares = coverage(spans, 4, np.array([0.0, spans[:, 3].max()]))[:, :, 0]
    assert shares[COMPUTE].argmax() == 1
    assert shares[COMPUTE, 1] > 3 * shares[COMPUTE, 0]
    assert shares[WAIT, [0, 2]].min() > shares[WAIT, 1]


def test_a_recorded_run_is_the_same_run_and_goes_when_it_is_replaced(tmp_path, capsys):
    recorded = hpcopt.run({**RUN, "output": {"timeline": True}}, folder=tmp_path)
    assert (tmp_path / "timeline.csv").exists()
    silent = hpcopt.run(RUN, folder=tmp_path, overwrite=True)
    assert recorded.trace == silent.trace
    assert main(["plot", "--timeline", str(tmp_path)]) == 1
    assert f"{tmp_path}: no timeline here; a run keeps one with output.timeline = true" in capsys.readouterr().err


def test_too_many_spans_are_dropped_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timelines, "MOST_SPANS", 40)
    hpcopt.run({**RUN, "output": {"timeline": True}}, folder=tmp_path)
    assert len(folders.read_timeline(tmp_path)) == 40
    said = capsys.readouterr().err
    assert said.startswith("hpcopt: the timeline contains the first 10 spans of each node; ")
    assert said.count("\n") == 1


def test_a_span_longer_than_any_number_is_damage(tmp_path):
    (tmp_path / folders.TIMELINE).write_text("node,kind,begin,end\n0,compute,-1e308,1e308\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="line 2 is not a span"):
            folders.read_timeline(tmp_path)


def test_a_file_of_spans_is_read_as_it_was_written(tmp_path):
    spans = np.array([[0, COMPUTE, 0.0, 1e-6], [0, WAIT, 1e-6, 1234.567890123], [3, BOARD, 0.1, 2.0 / 3.0]])
    folders.write_timeline(tmp_path, spans)
    assert (tmp_path / "timeline.csv").read_text().splitlines()[:2] == ["node,kind,begin,end", "0,compute,0,1e-06"]
    np.testing.assert_allclose(folders.read_timeline(tmp_path), spans, rtol=1e-11)
    folders.write_timeline(tmp_path, spans[:0])
    assert folders.read_timeline(tmp_path).shape == (0, 4)


@pytest.mark.parametrize(
    "line", ["0,sleep,0,1", "0,compute,2,1", "-1,compute,0,1", "0,compute,nan,1", "0,compute,0", "x,compute,0,1"]
)
def test_a_damaged_file_is_refused(tmp_path, line):
    (tmp_path / "timeline.csv").write_text(f"node,kind,begin,end\n0,wait,0,1\n{line}\n")
    with pytest.raises(InputError, match=r"timeline\.csv: damaged"):
        folders.read_timeline(tmp_path)


@st.composite
def some_spans(draw):
    """Return spans of up to three nodes; those of one node do not overlap."""
    rows = []
    for node in range(draw(st.integers(1, 3))):
        at = 0.0
        for _ in range(draw(st.integers(0, 8))):
            begin = at + draw(st.floats(0.0, 2.0))
            at = begin + draw(st.floats(0.01, 3.0))
            rows.append((node, draw(st.integers(0, len(KINDS) - 1)), begin, at))
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


@given(some_spans(), st.integers(1, 50))
def test_what_is_drawn_is_the_time_spent(spans, bins):
    edges = np.linspace(0.0, spans[:, 3].max(initial=0.0) or 1.0, bins + 1)
    parts = coverage(spans, 3, edges)
    assert parts.min() >= -1e-9
    assert parts.sum(axis=0).max() <= 1.0 + 1e-9
    spent = np.zeros((len(KINDS), 3))
    np.add.at(spent, (spans[:, 1].astype(int), spans[:, 0].astype(int)), spans[:, 3] - spans[:, 2])
    np.testing.assert_allclose((parts * np.diff(edges)).sum(axis=2), spent, atol=1e-9)


def test_coverage_by_hand():
    spans = np.array([[1, WAIT, 0.0, 1.5], [1, COMPUTE, 1.5, 2.0], [1, WAIT, 2.5, 3.0]])
    parts = coverage(spans, 2, np.array([0.0, 1.0, 2.0, 3.0]))
    assert parts[WAIT].tolist() == [[0, 0, 0], [1, 0.5, 0.5]]
    assert parts[COMPUTE].tolist() == [[0, 0, 0], [0, 0.5, 0]]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    save = Figure.savefig

    def keep(figure, *where, **settings):
        saved.append(figure)
        save(figure, *where, **settings)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_the_legend_tells_the_shares_of_all_nodes(tmp_path, figures):
    spans = np.array([[0, COMPUTE, 0.0, 1.0], [0, WAIT, 1.0, 2.0], [1, COMPUTE, 0.0, 1.0]])
    draw_timeline(spans, 2, tmp_path / "picture.png", "title", "virtual")
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == [
        "computing 50.0%",
        "waiting 25.0%",
        "other or idle 25.0%",
    ]
    assert figures[0].axes[0].get_xlabel() == "s (virtual clock)"
    assert figures[0].axes[0].get_yticks().tolist() == [0, 1]


@pytest.mark.parametrize("nodes", [1, 130])
def test_a_row_a_node_and_a_close_up_of_many_spans(tmp_path, figures, nodes):
    one = np.arange(300.0)
    spans = np.concatenate([np.column_stack((0 * one + node, one % 2, one, one + 1)) for node in range(nodes)])
    draw_timeline(1e-3 * spans * [1e3, 1e3, 1, 1], nodes, tmp_path / "picture.png", "title", "wall")
    whole, close_up = (axes for axes in figures[0].axes if axes.get_images())
    assert whole.get_xlim() == pytest.approx((0.0, 300.0))
    assert whole.get_xlabel() == "ms (wall clock)"
    assert close_up.get_xlim() == pytest.approx((0.0, 60.0))
    assert whole.get_images()[0].get_array().shape[0] == nodes
    assert len(whole.get_yticks()) <= 16
    colours = {tuple(pixel) for pixel in close_up.get_images()[0].get_array()[0, 5:20].round(3)}
    assert len(colours) == 1  # within a span there is one colour


def test_the_close_up_begins_where_computing_does(tmp_path, figures):
    one = np.arange(300.0)
    spans = np.column_stack((0 * one, one % 2, 500.0 + one, 501.0 + one))
    made = np.array([[0, EXCHANGE, 0.0, 400.0]])
    draw_timeline(np.concatenate([made, spans]), 1, tmp_path / "picture.png", "title", "wall")
    whole, close_up = (axes for axes in figures[0].axes if axes.get_images())
    assert whole.get_xlim() == pytest.approx((0.0, 800.0))
    assert close_up.get_xlim() == pytest.approx((500.0, 560.0))


def test_events_are_json_in_order_with_every_node_named(tmp_path):
    spans = np.array([[1, WAIT, 0.5, 1.0], [0, EXCHANGE, 0.25, 1.5], [0, COMPUTE, 0.0, 0.25]])
    write_events(spans, 2, tmp_path / "events.json", 'a "title"')
    events = json.loads((tmp_path / "events.json").read_text())["traceEvents"]
    complete = [event for event in events if event["ph"] == "X"]
    assert [(event["name"], event["tid"], event["ts"], event["dur"]) for event in complete] == [
        ("computing", 0, 0.0, 250_000.0),
        ("exchanging", 0, 250_000.0, 1_250_000.0),
        ("waiting", 1, 500_000.0, 500_000.0),
    ]
    named = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert named == {0: "node 0", 1: "node 1"}
    assert {event["pid"] for event in events} == {0}
    assert next(event for event in events if event["name"] == "process_name")["args"]["name"] == 'a "title"'


def test_plot_draws_the_timelines_of_a_comparison_or_of_one_run(tmp_path, capsys):
    several = {key: table for key, table in RUN.items() if key != "solver"}
    solvers = [{"name": "d-psgd"}, {"name": "giant"}]
    compare({**several, "solvers": solvers, "output": {"timeline": True}}, folder=tmp_path / "out")
    assert main(["plot", "--timeline", str(tmp_path / "out")]) == 0
    places = [tmp_path / "out" / name for name in ("d-psgd", "giant")]
    wanted = [str(place / name) for place in places for name in ("timeline.png", "timeline.trace.json")]
    assert capsys.readouterr().out.split() == wanted
    assert (places[0] / "timeline.png").read_bytes()[:4] == b"\x89PNG"

    picture = tmp_path / "mine.svg"
    assert main(["plot", "--timeline", str(places[1]), "-o", str(picture)]) == 0
    assert capsys.readouterr().out.split() == [str(picture), str(tmp_path / "mine.trace.json")]
    assert main(["plot", "--timeline", str(tmp_path / "out"), "-o", str(picture)]) == 1
    assert "one picture cannot show the timelines of 2 runs" in capsys.readouterr().err


def test_spans_of_more_nodes_than_the_run_had_are_refused(tmp_path, capsys):
    hpcopt.run({**RUN, "output": {"timeline": True}}, folder=tmp_path)
    with (tmp_path / "timeline.csv").open("a") as file:
        file.write("4,compute,0,1\n")
    assert main(["plot", "--timeline", str(tmp_path)]) == 1
    assert "timeline.csv: damaged (it has more nodes than the run's 4)" in capsys.readouterr().err
