"""Lists of values in solvers' tables: which runs they make, what is refused, and which run is the best."""

import csv
import json
import math

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.choice import Cell, Contender
from hpcopt.results.goal import Goal
from hpcopt.results.grids import MOST_SHOWN, best_rows, grid_rows, grid_table
from hpcopt.results.medians import quantile
from hpcopt.spec.specification import as_toml_dict, read_specification, specification_from
from hpcopt.studies import replot as replotting
from hpcopt.studies.plan import plan
from tests.test_plots import finished, shown, trace

LEAST = {
    "data": {"source": "least-squares", "rows": 60, "features": 4},
    "problem": {"loss": "squared", "l2": "1/n"},
    "cluster": {"kind": "virtual", "workers": 2},
    "stop": {"rounds": 8},
}
SGD = {"name": "sgd", "batch": 0}


@pytest.fixture(autouse=True)
def no_pictures_of_runs(monkeypatch):
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_: None)
    monkeypatch.setattr("hpcopt.studies.compare.draw_compare", lambda *_: None)


def spec(*tables, **more):
    return specification_from({**LEAST, "solvers": list(tables), **more}, many=True)


def combinations(*tables):
    return [(variant.contender, variant.values) for variant in spec(*tables).variants]


def test_lists_in_a_table_make_every_combination_and_the_last_varies_fastest():
    built = spec({**SGD, "step_size": [0.1, "0.3/L"], "momentum": [0.0, 0.9]}, {"name": "giant"})
    assert [variant.label for variant in built.variants] == [
        "sgd step_size=0.1 momentum=0.0",
        "sgd step_size=0.1 momentum=0.9",
        "sgd step_size=0.3/L momentum=0.0",
        "sgd step_size=0.3/L momentum=0.9",
        "giant",
    ]
    assert [(s.step_size, s.momentum) for s in built.built[1:3]] == [(0.1, 0.9), ("0.3/L", 0.0)]


def test_tables_and_lists_inside_a_list_are_values_too():
    compressors = ["identity", {"name": "random-k", "fraction": [0.1, 0.5]}, {"name": ["qsgd", "natural"]}]
    told = combinations({**SGD, "step_size": 0.1, "compressor": compressors})
    assert [values for _, values in told] == [
        {"compressor": "identity"},
        {"compressor": "random-k", "compressor.fraction": 0.1},
        {"compressor": "random-k", "compressor.fraction": 0.5},
        {"compressor": "qsgd"},
        {"compressor": "natural"},
    ]


def test_labels_name_only_the_keys_that_differ():
    schedules = [0.1, {"initial": 0.1, "decay": [0.1, 0.2]}]
    told = combinations({**SGD, "step_size": schedules, "momentum": [0.9]}, {**SGD, "step_size": 0.1})
    assert told == [
        ("sgd (2)", {"step_size": 0.1}),
        ("sgd (2)", {"step_size.initial": 0.1, "step_size.decay": 0.1}),
        ("sgd (2)", {"step_size.initial": 0.1, "step_size.decay": 0.2}),
        ("sgd step_size=0.1", {}),
    ]


@pytest.mark.parametrize(
    ("key", "given", "values"),
    [
        ("hub_period", [1, 5], [(1, 5)]),
        ("hub_period", [[1, 5], 3], [(1, 5), 3]),
        ("weights", ["equal", "rows"], ["equal", "rows"]),
        ("weights", [0.25, 0.75], [(0.25, 0.75)]),
        ("weights", [[0.25, 0.75], "rows"], [(0.25, 0.75), "rows"]),
    ],
)
def test_a_list_that_the_key_takes_as_one_value_is_no_grid(key, given, values):
    built = spec({"name": "hl-sgd", "step_size": 0.1, key: given}).built
    assert [getattr(solver, key) for solver in built] == values


FILE = """
[data]
source = "least-squares"

[[solvers]]
name = "giant"

[[solvers]]
name = "sgd"
"""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("step_sizes = [0.1, 0.2]", "line 10: solvers.1.step_sizes: unknown key; did you mean 'step_size'?"),
        ("step_size = []", "line 10: solvers.1.step_size: expected a value, or a list of values to compare, got []"),
        ("step_size = [0.1,\n  -1]", "line 11: solvers.1.step_size.1: expected a number > 0"),
        ("step_size = [0.1, 0.2, 0.1]", "line 10: solvers.1.step_size.2: 0.1 is given twice; remove one"),
        ("step_size = [1, 1.0]", "line 10: solvers.1.step_size.1: 1.0 is given twice; remove one"),
        ("momentum = [0.1, [0.2, []]]", "line 10: solvers.1.momentum.1.1: expected a value"),
        ("step_size = [0.1, [0.2, 'x']]", "line 10: solvers.1.step_size.1.1: expected a number > 0"),
        (
            f"compressor = [{{ name = 'top-k', fraction = {[k / 2000 for k in range(1, 1002)]} }}, 'f32']",
            "line 8: solvers.1: 1,003 runs in all (1,002 combinations of the lists here, 2 tables [[solvers]])",
        ),
        ("label = ['a', 'b']", "line 10: solvers.1.label: expected up to 80 printable characters"),
        (
            "error_feedback = ['none', 'eff']",
            """solvers.1.error_feedback.1: expected one of "ef", "ef21", "none", got""",
        ),
        (
            "compressor = { name = 'top-k', fraction = [0.1, 5] }",
            "line 10: solvers.1.compressor.fraction.1: above 0 and at most 1, got 5.0",
        ),
        (
            f"step_size = {[*range(1, 41)]}\nbatch = {[*range(1, 41)]}",
            "line 8: solvers.1: 1,601 runs in all (1,600 combinations of the lists here, 2 tables [[solvers]])",
        ),
    ],
)
def test_a_wrong_list_is_named_with_its_line_and_value(tmp_path, lines, said):
    (tmp_path / "s.toml").write_text(FILE + lines)
    with pytest.raises(InputError) as error:
        read_specification(tmp_path / "s.toml", many=True)
    assert said in str(error.value)


def test_a_run_refuses_a_list_and_says_what_takes_it(tmp_path, capsys):
    (tmp_path / "s.toml").write_text(
        FILE.replace('[[solvers]]\nname = "giant"\n', "").replace("[[solvers]]", "[solver]")
    )
    assert main(["run", str(tmp_path / "s.toml"), "--set", "solver.step_size=[0.1, 0.2]"]) == 1
    said = capsys.readouterr().err
    assert "a run takes one value, got [0.1, 0.2]; for several use: hpcopt compare" in said


def test_the_best_by_a_cost_needs_a_goal():
    with pytest.raises(InputError, match=r'compare\.best: "bytes" requires a goal in \[stop\]'):
        spec({"name": "giant"}, compare={"best": "bytes"})
    assert spec({"name": "giant"}).criterion == "objective"
    assert spec({"name": "giant"}, stop={"target": 0.1}).criterion == "rounds"
    assert spec({"name": "giant"}, stop={"gradient_norm": 0.1}, compare={"best": "bytes"}).criterion == "bytes"


def test_a_resolved_specification_has_the_same_runs():
    tables = {**SGD, "step_size": [0.1, 0.2], "compressor": ["identity", {"name": "random-k", "fraction": [0.1, 0.5]}]}
    built = spec(tables, {"name": "giant"}, compare={"best": "objective"})
    again = specification_from(as_toml_dict(built), many=True)
    assert [(one.label, one.solver) for one in again.variants] == [(one.label, one.solver) for one in built.variants]


def cell(label, *runs, goal=None, **values):
    return Cell(label, values, list(runs), goal or Goal())


def contender(*cells, criterion="objective"):
    return Contender("sgd", list(cells), criterion)


DIVERGED = finished("bad", trace(4.0, 400.0), "diverged")


def test_the_best_is_the_cheapest_that_reached_the_goal_and_the_first_of_equal_ones():
    goal = Goal(1.0)
    never, slow = (finished("a", trace(*objectives)) for objectives in ((4.0, 3.0), (4.0, 2.0, 0.9)))
    fast = finished("b", trace(4.0, 0.9, 0.8))
    cells = [cell(name, run, goal=goal) for name, run in zip("abcde", (DIVERGED, never, slow, fast, fast), strict=True)]
    ranked = contender(*cells, criterion="rounds")
    assert ranked.ranking == [3, 4, 2, 1, 0]
    assert ranked.best is cells[3]
    assert ranked.missed() == ""
    assert contender(*cells[:2], criterion="rounds").missed() == (
        "sgd: no combination of its grid reached the goal; the best one has the lowest objective"
    )
    assert contender(cells[0], cells[0], criterion="rounds").missed() == "sgd: all 2 combinations of its grid diverged"


def test_a_goal_other_than_a_target_is_missed_by_runs_that_end_with_their_budget():
    short, long = finished("a", trace(4.0, 3.0), reached=False), finished("b", trace(4.0, 2.0, 1.0), reached=True)
    assert contender(cell("a", short), cell("b", long), criterion="rounds").ranking == [1, 0]


def test_the_best_by_the_objective_is_the_lowest_of_those_that_did_not_diverge():
    runs = [DIVERGED, finished("a", trace(4.0, 2.0)), finished("b", trace(4.0, 1.0)), finished("c", trace(4.0, 3.0))]
    assert contender(*(cell("x", run) for run in runs)).ranking == [2, 1, 3, 0]


def test_the_tables_have_the_best_and_all_cells():
    runs = [finished("a", trace(4.0, 2.0)), finished("b", trace(4.0, 1.0))]
    grid = contender(*(cell("x", run, step_size=size) for run, size in zip(runs, (0.1, 0.2), strict=True)))
    plain = Contender("giant", [cell("giant", runs[0])], "objective")
    first, second = best_rows([grid, plain])
    assert (first["solver"], first["parameters"], first["objective"]) == ("sgd", "step_size=0.2", 1.0)
    assert (second["solver"], second["parameters"]) == ("giant", "")
    assert "parameters" not in best_rows([plain])[0]
    told = [(row["solver"], row["step_size"], row["best"], row["objective"]) for row in grid_rows([grid, plain])]
    assert told == [("sgd", 0.1, False, 2.0), ("sgd", 0.2, True, 1.0), ("giant", None, True, 2.0)]


def test_the_printed_grid_marks_the_best_and_leaves_out_the_worst_of_many():
    cells = [cell("x", finished("a", trace(4.0, 2.0 + k)), step_size=float(k)) for k in range(MOST_SHOWN + 5)]
    text = shown(grid_table(contender(*reversed(cells), cell("x", DIVERGED, step_size=99.0))))
    rows = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows[:-1]] == [f"{k}.0" for k in reversed(range(MOST_SHOWN))]
    assert rows[-2][-1] == "best"
    assert "6 worse combinations are not shown" in text
    assert "diverged" in shown(grid_table(contender(cell("x", DIVERGED, momentum=0.5), cells[0])))


def test_quantiles_stay_infinite_beside_infinite_values():
    assert [quantile([3.0, 1.0, 2.0], part) for part in (0.25, 0.5, 0.75)] == [1.5, 2.0, 2.5]
    assert [quantile([1.0, math.inf, 2.0, math.inf], part) for part in (0.25, 0.5)] == [1.75, math.inf]


@pytest.fixture
def compared(tmp_path):
    """Return a function that compares solvers, and the comparison's folder."""

    def compare(*tables, **more):
        out = tmp_path / "out"
        return hpcopt.compare({**LEAST, "solvers": list(tables), **more}, folder=out, overwrite=True), out

    return compare


def test_a_comparison_runs_the_grid_and_keeps_every_run(compared):
    comparison, out = compared({**SGD, "step_size": [0.01, "0.5/L", 50.0]}, {"name": "giant"})
    with (out / "grid.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["solver"], row["step_size"], row["best"]) for row in rows] == [
        ("sgd", "0.01", "false"),
        ("sgd", "0.5/L", "true"),
        ("sgd", "50.0", "false"),
        ("giant", "", "true"),
    ]
    assert rows[2]["status"] == "diverged"
    with (out / "compare.csv").open() as file:
        assert [(row["solver"], row["parameters"]) for row in csv.DictReader(file)] == [
            ("sgd", "step_size=0.5/L"),
            ("giant", ""),
        ]
    assert folders.listed(out) == ["sgd/step_size=0.01", "sgd/step_size=0.5-L", "sgd/step_size=50.0", "giant"]
    assert [run.label for run in comparison.best] == ["sgd step_size=0.5/L", "giant"]
    assert comparison.remarks == []
    assert main(["plot", str(out)]) == 0


def test_a_run_of_a_grid_is_a_run_by_itself(compared):
    _, out = compared({**SGD, "step_size": [0.1, 0.2], "compressor": {"name": "random-k", "scaled": True}})
    described, records = folders.read(out / "sgd" / "step_size=0.2")
    assert described["specification"]["solver"]["step_size"] == 0.2
    assert "solvers" not in described["specification"]
    again = hpcopt.run({**described["specification"], "output": {}})
    assert [record.line() for record in again.records] == [record.line() for record in records]


def test_a_run_has_no_key_that_only_other_solvers_need():
    slotted = {"name": "multilevel-sgd", "step_size": 0.1}
    built = spec(slotted, {"name": "giant"}, cluster={**LEAST["cluster"], "slot": 0.5, "hubs": {"hubs": 1}})
    slots = [built.alone(variant, None).cluster.slot for variant in built.variants]
    assert slots == [0.5, None]
    assert [specification_from(as_toml_dict(built.alone(v, None))).built for v in built.variants] == [
        (solver,) for solver in built.built
    ]


def test_overwriting_removes_the_runs_of_the_grid_before(compared):
    _, out = compared({**SGD, "step_size": [0.1, 0.2]})
    (out / "sgd" / "step_size=0.1" / "mine.txt").write_text("kept")
    compared({"name": "giant"})
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.json")) == ["compare.json", "giant/run.json"]
    assert [path.name for path in (out / "sgd").iterdir()] == ["step_size=0.1"]
    assert not (out / "grid.csv").exists()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"step_size": [0.01, 0.02]}, ["sgd: the best step_size, 0.02, is the largest of the grid; try larger ones"]),
        (
            {"step_size": ["0.5/L", "50/L"]},
            ["sgd: the best step_size, 0.5/L, is the smallest of the grid; try smaller ones"],
        ),
        ({"step_size": [0.01, 0.3, 50.0]}, []),
        ({"step_size": 0.3, "momentum": [0.0, 0.999]}, []),  # there is no smaller one
        ({"step_size": [1, 50]}, ["sgd: the best step_size, 1, is the smallest of the grid; try smaller ones"]),
        ({"step_size": [0.01, "0.5/L"]}, []),  # not of one unit
        ({"step_size": 0.3, "momentum": 0.5, "batch": [1000, 2000]}, []),  # both are all rows
    ],
)
def test_the_best_on_the_edge_of_its_grid_is_told(compared, table, said):
    assert compared({**SGD, **table})[0].remarks == said


def test_a_grid_that_diverged_altogether_is_told(tmp_path, capsys):
    (tmp_path / "s.toml").write_text(FILE + "batch = 0\nstep_size = [50.0, 60.0]\n")
    more = ["--virtual", "2", "--out", str(tmp_path / "out"), "--set", "data.rows=60", "--set", "stop.rounds=20"]
    more += ["--set", "problem.loss=squared"]
    assert main(["compare", str(tmp_path / "s.toml"), *more]) == 0
    said = capsys.readouterr().out
    assert "note: sgd: all 2 combinations of its grid diverged" in said
    assert "run 2 of 3: sgd step_size=50.0: diverged" in said
    assert "; about 1 s left" in said
    assert f"grid: {tmp_path / 'out' / 'grid.csv'}" in said.replace("\n", "")


def test_the_target_is_required_of_the_best_runs_only(tmp_path):
    (tmp_path / "s.toml").write_text(FILE.replace('[[solvers]]\nname = "giant"\n', "") + "batch = 0\n")
    settings = ["problem.loss=squared", "data.rows=60", "stop.rounds=20", "stop.gradient_norm=0.2"]
    more = [part for setting in settings for part in ("--set", setting)]
    for sizes, code in (("[1e-6, 0.3]", 0), ("[1e-6, 2e-6]", 3)):
        out = str(tmp_path / str(code))
        grid = ["--virtual", "2", "--out", out, "--set", f"solvers.0.step_size={sizes}"]
        assert main(["compare", str(tmp_path / "s.toml"), "--require-target", *grid, *more]) == code


def test_a_picture_of_an_interrupted_grid_shows_the_best_run_that_has_finished(compared, monkeypatch, capsys):
    _, out = compared({**SGD, "step_size": [0.3, 0.01, 0.02]}, {"name": "giant"})
    drawn = []
    monkeypatch.setattr(
        "hpcopt.studies.overlay.draw_compare", lambda curves, *_: drawn.append([curve.label for curve in curves])
    )
    replotting.replot([out])
    described = json.loads((out / "sgd" / "step_size=0.3" / "run.json").read_text())
    (out / "sgd" / "step_size=0.3" / "run.json").write_text(json.dumps({**described, "result": None}))
    (out / "giant" / "trace.jsonl").unlink()
    replotting.replot([out])
    assert drawn == [["sgd step_size=0.3", "giant"], ["sgd step_size=0.02"]]
    assert "nothing recorded yet by giant" in capsys.readouterr().err


def test_two_cells_never_share_a_folder():
    planned = plan(spec({**SGD, "step_size": ["0.1/L", 0.1]}, {"name": "giant", "label": "sgd?"}))
    assert [one.listed.folder for one in planned] == ["sgd/step_size=0.1-L", "sgd/step_size=0.1", "sgd-2"]


def test_a_solver_and_a_cell_never_share_a_label():
    tables = [{**SGD, "step_size": 0.1}, {**SGD, "step_size": [0.1, 0.2]}, {"name": "giant", "label": "sgd (2)"}]
    assert [variant.label for variant in spec(*tables).variants] == [
        "sgd step_size=0.1",
        "sgd (3) step_size=0.1",
        "sgd (3) step_size=0.2",
        "sgd (2)",
    ]


def test_a_comparison_listed_by_an_earlier_version_is_read(tmp_path):
    (tmp_path / "compare.json").write_text('{"runs": ["giant", "lbfgs"]}')
    index = folders.index(tmp_path)
    assert [(run.folder, run.solver, run.label) for run in index.runs] == [("giant",) * 3, ("lbfgs",) * 3]
