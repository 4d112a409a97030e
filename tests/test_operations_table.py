"""Tables of operations: they agree with ledger, clock and timeline, for every solver; their file."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import hpcopt
from hpcopt.cli.main import main
from hpcopt.cli.told import tell_run
from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.errors import InputError
from hpcopt.fabric.network import Network
from hpcopt.fabric.operations import COMPUTE, MONITORING, OTHER
from hpcopt.fabric.timeline import BOARD, EXCHANGE, WAIT
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.results import folder as folders
from hpcopt.results.breakdown import draw_breakdown, stacked
from hpcopt.results.operation_columns import operation_columns, shares_of, time_columns
from hpcopt.results.operations import COLUMNS, OperationTable, csv_of, read_operations, write_operations
from hpcopt.solvers import SOLVERS
from hpcopt.topology.hubs import Hubs
from tests.launch import RANKS
from tests.test_mpi import ranks_of

NODES, ITERATIONS = 4, 5
RUN = {
    "data": {"source": "breast-cancer", "scale": "standard"},
    "cluster": {"kind": "virtual", "workers": 4, "speeds": [1.0, 0.2, 1.0, 1.0]},
    "stop": {"rounds": 10},
}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Disable the runs' pictures, which take a second each and are tested elsewhere."""
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_, **__: None)
    monkeypatch.setattr("hpcopt.runs.execute.draw_edges", lambda *_: None)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


class Counted(VirtualCluster):
    """A virtual cluster whose nodes count their operations; `lines` has the table of each, by rank."""

    def run(self, program, conditions):
        self.lines = {}

        def body(node):
            node.tabulate()
            outcome = program(node)
            self.lines[node.rank] = node.operations.lines()
            return outcome

        return super().run(body, conditions)


@pytest.mark.parametrize("name", SOLVERS)
def test_the_table_has_what_the_ledger_and_the_clock_have(name):
    cluster = Counted(NODES, speeds=[1.0, 0.5, 1.0, 2.0])
    hubs = Hubs(hubs=2) if SOLVERS[name].needs.topology == "hubs" else None
    solved = solve(SOLVERS[name](), logistic(nodes=NODES), cluster=cluster, hubs=hubs, iterations=ITERATIONS)
    for node in solved.nodes:
        lines = cluster.lines[node.rank]
        by_class = dict.fromkeys((line.link_class for line in lines), 0)
        for line in lines:
            if line.operation != MONITORING:
                by_class[line.link_class] += line.bytes
        (monitored,) = (line for line in lines if line.operation == MONITORING)
        assert {key: size for key, size in by_class.items() if size} == dict(node.ledger.solver.by_class)
        assert sum(line.messages for line in lines if line is not monitored) == node.ledger.solver.messages
        assert (monitored.messages, monitored.bytes) == (node.ledger.monitored.messages, node.ledger.monitored.bytes)
        assert math.fsum(line.seconds for line in lines) == pytest.approx(node.now(), rel=1e-12)
        (rest,) = (line.seconds for line in lines if line.operation == OTHER)
        if SOLVERS[name].needs.pace != "own":  # otherwise the notices of the end take time
            assert rest <= 1e-12 * node.now()
        assert all(0.0 <= line.waited <= line.seconds for line in lines if line is not monitored)


def test_calls_and_waits_by_hand():
    def program(node):
        node.tabulate()
        with node.meter.working(1e9 * (1 + node.rank), 0.0, ("gradient", "product")[node.rank]):
            pass
        node.world.sum(np.zeros(1))
        with node.monitoring(), node.meter.working(1e9, 0.0):
            node.world.sum(np.zeros(1))
        node.world.sum(np.zeros(1))
        node.stand_by(0.25)
        node.idle(0.5)
        return [tuple(line) for line in node.operations.lines()]

    first, last = VirtualCluster(2, Network(latency=0.5, bandwidth=8.0)).run(program)
    assert first[:-1] == [
        ("compute", "gradient", 1, 1.0, 0.0, 0, 0),
        ("stand by", "-", 1, 0.25, 0.25, 0, 0),
        ("sum", "world", 2, 5.5, 1.0 + 1.5, 0, 0),
        ("other", "-", 0, 0.5, 0.0, 0, 0),
    ]
    assert [line[:5] for line in last[:3]] == [
        ("compute", "product", 1, 2.0, 0.0),
        ("stand by", "-", 1, 0.25, 0.25),
        ("sum", "world", 2, 6.0, 0.0),
    ]
    assert last[2][5:] == (4, 32)
    assert [line[2:4] + line[5:] for line in (first[-1], last[-1])] == [(1, 0.0, 0, 0), (1, 0.0, 2, 16)]


@pytest.mark.parametrize("name", ["giant", "d-psgd"])
def test_a_resumed_run_ends_with_the_same_table(name):
    def counted(**more):
        cluster = Counted(NODES)
        solve(SOLVERS[name](), logistic(nodes=NODES), cluster=cluster, iterations=ITERATIONS, **more)
        return {rank: [line for line in lines if line.operation != MONITORING] for rank, lines in cluster.lines.items()}

    kept = Kept()
    whole = counted(checkpoints=kept)
    assert counted(checkpoints=going_on(kept.after[2])) == whole


def test_a_run_resumed_from_one_that_did_not_count_has_no_table(tmp_path):
    checkpoint = {**RUN, "solver": {"name": "giant"}, "checkpoint": {"every": 1}}
    hpcopt.run({**checkpoint, "output": {"operations": False}}, folder=tmp_path)
    more = {**checkpoint, "stop": {"rounds": 20}}
    run = hpcopt.run(more, folder=tmp_path, resume=True)
    assert run.operations is None
    assert not (tmp_path / "operations.csv").exists()
    counted = hpcopt.run(checkpoint, folder=tmp_path / "counted").operations.rows
    resumed = hpcopt.run(more, folder=tmp_path / "counted", resume=True).operations
    assert (resumed.rows["calls"][:2] > counted["calls"][:2]).all()
    assert resumed.times().clock.max() == pytest.approx(run.result["seconds"], rel=1e-11)


def test_a_run_that_goes_on_on_other_nodes_has_no_table(tmp_path):
    spec = {**RUN, "solver": {"name": "giant"}, "checkpoint": {"every": 1}}
    assert hpcopt.run({**spec, "cluster": {"workers": 4}}, folder=tmp_path).operations is not None
    more = {**spec, "cluster": {"workers": 2}, "stop": {"rounds": 20}}
    assert hpcopt.run(more, folder=tmp_path, resume=True).operations is None
    assert not (tmp_path / "operations.csv").exists()


@pytest.mark.parametrize("name", ["giant", "d-psgd", "ad-psgd", "dsgd-aau"])
def test_counting_changes_nothing_and_agrees_with_the_timeline(name, tmp_path):
    spec = {**RUN, "solver": {"name": name}}
    counted = hpcopt.run({**spec, "output": {"timeline": True}}, folder=tmp_path)
    silent = hpcopt.run({**spec, "output": {"operations": False}}, folder=tmp_path / "silent")
    assert counted.trace == silent.trace
    assert not (tmp_path / "silent" / "operations.csv").exists()
    table, spans = read_operations(tmp_path, {"nodes": 4}), folders.read_timeline(tmp_path)
    seconds = np.zeros((4, 4))
    np.add.at(seconds, (spans[:, 1].astype(int), spans[:, 0].astype(int)), spans[:, 3] - spans[:, 2])
    times = table.times()
    assert table.knows_waiting
    np.testing.assert_allclose(times.compute, seconds[0], atol=1e-12)
    np.testing.assert_allclose(times.wait, seconds[WAIT], atol=1e-12)
    np.testing.assert_allclose(times.exchange, seconds[EXCHANGE] + seconds[BOARD], atol=1e-12)
    if SOLVERS[name].needs.pace != "own":
        assert times.clock.max() == pytest.approx(counted.result["seconds"], rel=1e-11)
        assert table.rows["messages"][table.rows["operation"] != MONITORING].sum() == counted.result["messages"]


def test_a_run_alone_knows_its_waiting_and_its_monitoring(tmp_path):
    run = hpcopt.run({**RUN, "cluster": {}, "solver": {"name": "sgd"}}, folder=tmp_path)
    table = read_operations(tmp_path, {"nodes": 1})
    times = table.times()
    assert table.knows_waiting
    assert times.monitoring[0] > 0.0
    assert times.compute[0] > 0.0
    assert times.clock[0] >= run.result["seconds"] > times.compute[0]  # the clock goes on to the end of the run
    assert not run.result["messages"]


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [n for n in RANKS if n > 1][:1])
def test_real_ranks_count_what_their_ledgers_have(ranks, tmp_path):
    ranks_of(ranks, "tables.py", tmp_path)
    plain, scouted = (read_operations(tmp_path / name, {"nodes": ranks}) for name in ("plain", "scouted"))
    assert not plain.knows_waiting
    assert scouted.knows_waiting
    for table in (plain, scouted):
        assert (table.times().compute > 0.0).all()
        assert (table.times().exchange > 0.0).all()


LINES = ["0,compute,-,1,0.5,0,0,0", "0,sum,world,1,0.5,nan,2,16", "0,other,-,0,0,0,0,0", "0,monitoring,-,1,0,nan,2,16"]


def written(folder, lines):
    (folder / "operations.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")


def test_a_file_is_read_as_it_was_written(tmp_path):
    assert read_operations(tmp_path, {"nodes": 1}) is None
    written(tmp_path, LINES)
    table = read_operations(tmp_path, {"nodes": 1})
    assert [tuple(row)[:4] for row in table.rows.tolist()][:2] == [(0, "compute", "-", 1), (0, "sum", "world", 1)]
    assert not table.knows_waiting
    assert dataclasses.astuple(table.times()) == ([0.5], [0.0], [0.5], [0.0], [0.0])


@pytest.mark.parametrize(
    ("place", "line", "told"),
    [
        (1, "1,sum,world,1,0.5,nan,2,16", "line 3: no such node or operation, or a number out of range"),
        (1, "0,sums,world,1,0.5,nan,2,16", "line 3: no such node"),
        (1, "0,sum,world,-1,0.5,nan,2,16", "line 3: no such node"),
        (1, "0,sum,world,1,inf,nan,2,16", "line 3: no such node"),
        (1, "0,sum,world,1,0.5,0.6,2,16", "line 3: no such node"),
        (1, "0,sum,world,1,0.5,nan,2,-16", "line 3: no such node"),
        (2, "0,other,world,0,0,0,0,0", "line 4: no such node"),
        (1, "0,sum,world,1.5,0.5,nan,2,16", "line 3 is "),
        (1, "0,sum,world,1,0.5,nan,2", "line 3 is "),
        (2, LINES[1], "line 4 repeats the operation of another line"),
        (0, "0,max,world,1,0.5,nan,2,16", "node 0 has no line of compute"),
    ],
)
def test_a_damaged_file_is_refused(place, line, told, tmp_path):
    written(tmp_path, [*LINES[:place], line, *LINES[place + 1 :]])
    with pytest.raises(InputError, match=rf"operations\.csv: damaged.*{told}"):
        read_operations(tmp_path, {"nodes": 1})


def test_the_name_of_a_class_of_links_does_not_break_the_file(tmp_path):
    def program(node):
        node.tabulate()
        node.group([0, 1], "near, \nfar").sum(np.zeros(1))
        return node.operations.lines()

    tables = VirtualCluster(2).run(program)
    write_operations(tmp_path, "".join(csv_of(rank, lines) for rank, lines in enumerate(tables)))
    table = read_operations(tmp_path, {"nodes": 2})
    assert set(table.rows["link_class"]) == {"-", "near far"}
    assert {COMPUTE, OTHER, "sum"} < set(table.rows["operation"])


def table_of(nodes, rng, *, known=True):
    """Return a table in which every node computes for a random time, and waits for the last one."""
    compute = rng.lognormal(size=nodes)
    rows = []
    for node, spent in enumerate(compute):
        waited = compute.max() - spent
        rows += [
            (node, "compute", "-", 3, spent, 0.0, 0, 0),
            (node, "sum", "world", 2, waited + 0.5, waited if known else math.nan, 4, 64),
            (node, "other", "-", 0, 0.25, 0.0, 0, 0),
            (node, "monitoring", "-", 1, 0.125, math.nan, 2, 16),
        ]
    return OperationTable(np.array(rows, dtype=list(COLUMNS.items())), nodes)


def cells(columns, row):
    return {column.head.replace("\n", " "): column.cells[row].text for column in columns if column.head != "max/min"}


def test_the_rows_of_the_table_are_sorted_by_time_and_followed_by_the_total(rng):
    table = table_of(3, rng)
    times = table.times()
    columns = operation_columns({"run": table})
    names = [cell.text for cell in columns[0].cells]
    whole = times.clock.sum()
    first, second = (
        ("compute", "sum") if times.compute.sum() > (times.wait + times.exchange).sum() else ("sum", "compute")
    )
    assert names == [first, second, "other", "all", "monitoring"]
    sums, everything = cells(columns, names.index("sum")), cells(columns, 3)
    assert sums["calls"] == "2"
    assert sums["seconds"] == f"{times.compute.max() - times.compute.min() + 0.5:.4g}"
    assert sums["share %"] == f"{100 * (times.wait + times.exchange).sum() / whole:.1f}"
    assert sums["waiting %"] == f"{100 * times.wait.sum() / (times.wait + times.exchange).sum():.1f}"
    assert (sums["messages"], sums["bytes each"]) == ("12", "16")
    assert (everything["share %"], everything["messages"]) == ("100.0", "12")
    assert cells(columns, 4)["seconds"] == "0.125"
    ratios = [column for column in columns if column.head == "max/min"]
    assert ratios[1].cells[names.index("compute")].text == f"{times.compute.max() / times.compute.min():.3g}"


def test_waiting_that_is_not_known_is_not_told(rng):
    tables = {"with": table_of(3, rng), "without": table_of(2, rng, known=False)}
    operations = operation_columns(tables)
    runs = [cell.text for cell in operations[2].cells]
    assert runs == ["with", "without"] * 5
    rows = [cells(operations, row) for row in range(10)]
    assert [row["waiting %"] for row in rows if row["operation"] == "sum" and row["run"] == "without"] == ["-"]
    known, unknown = (cells(time_columns(tables), row) for row in range(2))
    assert unknown["waiting %"] == "-" != known["waiting %"]
    assert "exchanging or waiting %" in unknown
    assert list(shares_of(tables["without"])) == ["computing", "other", "exchanging or waiting"]
    assert sum(shares_of(tables["with"]).values()) == pytest.approx(1.0)


@pytest.mark.parametrize("nodes", [1, 64, 65, 4096])
def test_bars_keep_the_sum_of_all_nodes(nodes, rng):
    times = table_of(nodes, rng).times()
    bars = stacked(times)
    sizes = np.diff(np.append(np.linspace(0, nodes, len(bars["compute"]), endpoint=False).astype(int), nodes))
    assert len(sizes) <= 256
    for name, values in bars.items():
        assert (values * sizes).sum() == pytest.approx(getattr(times, name).sum())
    if nodes > 64:
        assert (np.diff(bars["compute"]) >= 0.0).all()
    else:
        assert bars["compute"].tolist() == times.compute.tolist()


def test_runs_of_any_size_are_drawn_in_one_picture(rng, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    tables = {"one": table_of(2, rng), "two": table_of(300, rng), "$3$": table_of(9, rng), "4": table_of(70, rng)}
    draw_breakdown(tables, tmp_path / "picture.png", "all")
    (figure,) = drawn
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == ["one", "two", r"\$3\$", "4"]
    assert len(panels[0].patches) == 2 * 5
    assert len(panels[1].patches) == 5
    assert panels[1].get_xlabel() == "% of the 300 nodes, those that compute least first"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["computing", "exchanging", "waiting for others", "other", "monitoring (wall clock, on top)"]


def test_the_picture_and_the_summary_of_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = hpcopt.run({**RUN, "solver": {"name": "giant"}}, folder="run")
    tell_run(run)
    told = capsys.readouterr().out
    assert re.search(r"time of the nodes +computing \d+\.\d%, waiting \d+\.\d%, exchanging \d+\.\d%\s", told)
    assert main(["plot", "run", "--operations"]) == 0
    assert capsys.readouterr().out == "run/operations.png\n"
    assert (tmp_path / "run" / "operations.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", "run", "--operations", "--x", "bytes"]) == 2
    assert main(["plot", "run", "--operations", "--timeline"]) == 2
    (tmp_path / "run" / "operations.csv").write_text("nothing\n")
    assert main(["plot", "run", "--operations"]) == 1
    assert "run/operations.csv: damaged: its first line is " in capsys.readouterr().err
