"""Targets by their distance to the optimum, the optimum that a run contradicts, and both in run.json and pictures."""

import json

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.columns import caption_of, columns_of
from hpcopt.results.goal import Goal, Nearness
from tests.records import record

RIDGE = {
    "data": {"source": "least-squares", "rows": 60, "features": 4},
    "problem": {"loss": "squared", "l2": 0.1},
    "solver": {"name": "lbfgs"},
    "stop": {"rounds": 60},
}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_: None)
    monkeypatch.setattr("hpcopt.studies.compare.draw_compare", lambda *_: None)


@pytest.fixture(scope="module")
def ends():
    """The objective at the start and the optimum."""
    records = hpcopt.run(RIDGE).records
    return records[0].objective, min(record.objective for record in records)


def spec(target, optimum=None, **tables):
    problem = RIDGE["problem"] if optimum is None else {**RIDGE["problem"], "optimum": optimum}
    return {**RIDGE, "problem": problem, "stop": {"target": target}, **tables}


VIRTUAL = {"cluster": {"kind": "virtual", "workers": 5}}


@pytest.mark.parametrize("tables", [{}, VIRTUAL], ids=["one", "virtual"])
@pytest.mark.parametrize("key", ["suboptimality", "relative"])
def test_a_target_near_the_optimum_ends_the_run_there(ends, tmp_path, key, tables):
    start, best = ends
    target = best + 1e-3 * (1.0 if key == "suboptimality" else start - best)
    run = hpcopt.run(spec({key: 1e-3}, best, **tables), folder=tmp_path / "run")
    *before, last = run.records
    assert run.result["status"] == "target"
    assert last.objective <= target < min(record.objective for record in before)
    described = json.loads((tmp_path / "run" / folders.RUN).read_text())
    assert described["target"] == pytest.approx(target, rel=1e-13)
    assert described["optimum"] == {"value": best, "how": "given in the specification"}
    assert described["specification"]["stop"]["target"] == {key: 1e-3}
    assert Goal.of(folders.read(tmp_path / "run")[0]) == run.goal == Goal(described["target"], optimum=best)


def test_the_start_of_a_relative_target_is_the_problems(ends):
    _, best = ends
    problem = {**RIDGE["problem"], "optimum": best, "start": "ones"}
    run = hpcopt.run({**spec({"relative": 0.5}), "problem": problem})
    assert run.goal.target == pytest.approx((run.records[0].objective + best) / 2)


def test_the_runs_of_a_comparison_have_the_same_target(ends, tmp_path):
    _, best = ends
    solvers = [{"name": name} for name in ("lbfgs", "newton-cg")]
    tables = {key: table for key, table in spec({"suboptimality": 1e-3}, best).items() if key != "solver"}
    comparison = hpcopt.compare({**tables, "solvers": solvers}, folder=tmp_path / "both")
    assert comparison.goal == Goal(best + 1e-3, optimum=best)
    for row in comparison.rows():
        assert row["reached"]
        assert row["suboptimality"] == row["objective"] - best <= 1e-3
    (column,) = (each for each in columns_of(comparison.rows(), comparison.goal) if each.head == "above\noptimum")
    assert [float(cell.text) for cell in column.cells] == [
        pytest.approx(row["suboptimality"], rel=1e-2) for row in comparison.rows()
    ]
    assert caption_of(comparison.rows(), comparison.goal, "").endswith(
        f"at most {best + 1e-3:.8g}, 0.001 above the optimum"
    )
    assert caption_of(comparison.rows(), Goal(optimum=best), "") == f"optimum {best:.8g}"


@pytest.mark.parametrize("size", [0, -1.0, "few", 1e-20, float("inf")])
@pytest.mark.parametrize("key", ["suboptimality", "relative"])
def test_a_distance_that_is_none_is_refused(key, size):
    with pytest.raises(InputError, match=rf"^stop\.target\.{key}: expected "):
        hpcopt.run(spec({key: size}, 0.25))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"relative": 1.0}, "relative: expected a number > 0 and < 1, got 1.0"),
        ({}, "expected exactly one of the keys suboptimality and relative"),
        ({"relative": 0.1, "suboptimality": 0.1}, "expected exactly one of the keys suboptimality and relative"),
    ],
)
def test_a_target_has_one_distance(table, message):
    with pytest.raises(InputError) as refused:
        Nearness(**table)
    assert refused.value.message == message


def test_a_distance_to_no_optimum_is_refused():
    with pytest.raises(InputError, match=r"^stop\.target: is relative to problem\.optimum, which is missing; give a n"):
        hpcopt.run(spec({"relative": 1e-3}))


def test_an_optimum_above_the_start_is_refused_where_the_target_is_relative_to_it(ends):
    start, _ = ends
    message = (
        rf"^stop\.target\.relative: the objective at the start, .*, is not above problem\.optimum, {start + 1:.8g}; "
    )
    with pytest.raises(InputError, match=message):
        hpcopt.run(spec({"relative": 1e-3}, start + 1))


SOME = """
solver.name = "lbfgs"
solvers = []
stop.rounds = 20
[data]
source = "least-squares"
rows = 60
features = 4
[problem]
loss = "squared"
"""


@pytest.mark.parametrize("command", ["run", "compare"])
def test_an_optimum_above_what_a_run_reaches_is_said_to_be_wrong(tmp_path, capsys, command):
    file = tmp_path / "spec.toml"
    file.write_text(SOME.replace('solver.name = "lbfgs"' if command == "compare" else "solvers = []", ""))
    given = ["--set", 'solvers=[{name = "lbfgs"}]'] if command == "compare" else []
    arguments = [command, str(file), "--out", str(tmp_path / "out"), "--overwrite", *given]
    for optimum, wrong in ((50.0, True), (0.0, False)):
        assert main([*arguments, "--set", f"problem.optimum={optimum}"]) == 0
        said = [line for line in capsys.readouterr().err.splitlines() if "optimum" in line]
        assert len(said) == wrong
        assert all("hpcopt: problem.optimum is wrong: it is 50, and a run reached " in line for line in said)


def test_goals_agree_up_to_roundoff():
    one, other = Goal(0.3, optimum=0.25), Goal(0.3 * (1 + 1e-15), optimum=0.25 * (1 - 1e-15))
    assert Goal.common([one, other, Goal()]) == one
    assert Goal.common([one, Goal(0.31, optimum=0.26)]) == Goal()
    assert Goal.common([one, Goal(0.3, "mean_objective", 0.25)]) == Goal(None, optimum=0.25)


def trace(*objectives):
    return [record(objective=objective) for objective in objectives]


def test_roundoff_is_not_below_the_optimum():
    goal = Goal(optimum=0.25)
    assert goal.undercut(trace(1.0, 0.25 * (1 - 1e-15))) is None
    assert goal.undercut(trace(1.0, 0.24, float("nan"))) == 0.24
    assert Goal().undercut(trace(1.0, 0.24)) is None
