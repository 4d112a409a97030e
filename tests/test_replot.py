"""Pictures of finished and unfinished runs: runs of different problems are rejected."""

import json
import re
import shutil

import numpy as np
import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.studies import overlay as module
from hpcopt.studies.replot import replot

RIDGE = {
    "data": {"source": "least-squares", "rows": 60, "features": 4, "seed": 0},
    "problem": {"loss": "squared", "l2": "1/n"},
    "solver": {"name": "giant"},
    "stop": {"rounds": 6},
}


@pytest.fixture(autouse=True)
def no_pictures_of_runs(monkeypatch):
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_: None)
    monkeypatch.setattr("hpcopt.runs.execute.draw_edges", lambda *_: None)


@pytest.fixture
def made(tmp_path):
    """Return a function that makes a run with other values in some tables and returns its folder."""

    def make(name, **tables):
        changed = {key: {**RIDGE.get(key, {}), **table} for key, table in tables.items()}
        hpcopt.run({**RIDGE, **changed}, folder=tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def drawn(monkeypatch):
    """Return the list of drawn pictures: curves, title and goal."""
    pictures = []
    monkeypatch.setattr(
        module, "draw_compare", lambda curves, _, title, goal, __: pictures.append((curves, title, goal))
    )
    return pictures


def names(drawn):
    ((curves, _, _),) = drawn
    return [re.sub(r" \(.*?\)", "", name) for name in (curve.label for curve in curves)]


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"problem": {"l2": 0.5}}, "problem.l2"),
        ({"problem": {"loss": "relu", "start": "ones"}}, "problem.loss"),
        ({"problem": {"intercept": True}}, "problem.intercept"),
        ({"data": {"scale": "standard"}}, "data.scale"),
        ({"data": {"seed": 7}}, "data.seed"),
        ({"data": {"rows": 61}}, "data.rows"),
        ({"data": {"test_fraction": 0.2}}, "data.test_fraction"),
        ({"data": {"partition": "by-label"}}, "data.partition"),
    ],
)
def test_runs_of_different_problems_are_refused_unless_one_insists(made, drawn, capsys, tables, key):
    first, second = made("first"), made("second", **tables)
    assert main(["plot", str(first), str(second)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{first} and {second} are of different problems: {key} is " in line
    assert line.endswith("(--force shows them together anyway, and says how they differ)")
    assert not drawn
    assert main(["plot", str(first), str(second), "--force"]) == 0
    assert all(f"{key} = " in name for name in names(drawn))


def test_a_file_of_the_same_name_with_other_numbers_is_another_problem(tmp_path, made, drawn):
    for name, period in (("one", 5), ("two", 6)):
        (tmp_path / name).mkdir()
        lines = [f"{i % 7 - 3} 1:{i % 3 + 0.5} 2:{i % period}\n" for i in range(40)]
        (tmp_path / name / "d.svm").write_text("".join(lines))
    runs = []
    for name in ("one", "two", "one"):
        tables = {"data": {"path": str(tmp_path / name / "d.svm")}, "problem": RIDGE["problem"]}
        folder = tmp_path / f"run{len(runs)}"
        hpcopt.run({**RIDGE, **tables}, folder=folder)
        runs.append(folder)
    with pytest.raises(InputError, match=r"different problems: data's checksum is [0-9a-f]{16} and [0-9a-f]{16}"):
        replot(runs[:2])
    replot([runs[0], runs[2]])
    assert names(drawn) == ["giant", "giant"]


def test_runs_from_before_checksums_are_compared_by_names_and_by_their_start(made, drawn):
    first, second = made("first"), made("second", data={"noise": 0.7})
    for folder in (first, second):
        described = json.loads((folder / folders.RUN).read_text())
        del described["data"]["checksum"], described["specification"]["data"]["noise"]
        (folder / folders.RUN).write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"different problems: the data \(objective and gradient at the start\) is "):
        replot([first, second])
    assert not drawn


def test_the_same_rows_from_another_file_are_the_same_problem(tmp_path, made, drawn):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    np.save(tmp_path / "table.npy", np.column_stack([X, y])[rng.permutation(40)])
    runs = []
    for name in ("rows.npz", "table.npy"):
        runs.append(tmp_path / f"run{len(runs)}")
        hpcopt.run({**RIDGE, "data": {"path": str(tmp_path / name)}}, folder=runs[-1])
    replot(runs)
    assert names(drawn) == ["giant", "giant"]


def test_what_leaves_the_objective_as_it_is_is_no_other_problem(made, drawn):
    replot([made("a"), made("b", data={"storage": "f32"}, problem={"l2": 1 / 60}, stop={"rounds": 9})])
    assert names(drawn) == ["giant", "giant"]


def test_other_nodes_clocks_and_starts_are_told_in_the_legend(made, drawn):
    virtual = {"cluster": {"kind": "virtual", "workers": 3}}
    replot([made("a"), made("b", **virtual), made("c", **virtual, problem={"start": "ones"})])
    assert names(drawn) == [
        "giant [1 MPI rank, wall clock, start zeros]",
        "giant [3 virtual nodes, virtual clock, start zeros]",
        "giant [3 virtual nodes, virtual clock, start ones]",
    ]


def test_a_target_is_drawn_where_all_agree_on_it(made, drawn):
    runs = [made("a", stop={"target": 0.1}), made("b"), made("c", stop={"target": 0.2})]
    for some, target in ((runs[:2], 0.1), (runs, None)):
        drawn.clear()
        replot(some)
        assert drawn[0][2].target == target


def test_the_optimum_of_the_specification_is_what_heights_are_measured_from(made, drawn):
    replot([made("a", problem={"optimum": 0.25}), made("b")])
    assert drawn[0][2].optimum == 0.25
    others = [made("c", problem={"optimum": 0.25}), made("d", problem={"optimum": 0.5})]
    with pytest.raises(InputError, match=r"problem\.optimum is 0.25 and 0.5"):
        replot(others)
    replot(others, force=True)
    assert drawn[1][2].optimum is None


def interrupted(tmp_path):
    """Write a comparison of three runs: one has ended, one is cut off within a line, one has not begun."""
    solvers = [{"name": "giant"}, {"name": "lbfgs"}, {"name": "newton-cg"}]
    tables = {key: table for key, table in RIDGE.items() if key != "solver"}
    out = tmp_path / "both"
    hpcopt.compare({**tables, "solvers": solvers}, folder=out)
    for path in (out / "newton-cg").iterdir():
        path.unlink()
    described = json.loads((out / "lbfgs" / folders.RUN).read_text())
    (out / "lbfgs" / folders.RUN).write_text(json.dumps({**described, "result": None}))
    trace = out / "lbfgs" / folders.TRACE
    trace.write_text(trace.read_text()[:-40])
    return out


def test_of_an_interrupted_comparison_what_is_there_is_drawn(tmp_path, drawn, capsys):
    out = interrupted(tmp_path)
    assert main(["plot", str(out)]) == 0
    assert capsys.readouterr().err == f"hpcopt: {out}: nothing recorded yet by newton-cg\n"
    assert names(drawn) == ["giant", "lbfgs [unfinished]"]
    assert drawn[0][1].endswith("\n(not there: newton-cg)")
    lines = (out / "lbfgs" / folders.TRACE).read_text().splitlines()
    assert len(drawn[0][0][1].records) == len(lines) - 1


def test_an_interrupted_run_is_drawn_as_unfinished(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(module, "draw_convergence", lambda _, __, title, *___: titles.append(title))
    replot([interrupted(tmp_path) / "lbfgs"])
    assert titles[0].endswith("(unfinished)")


def test_a_comparison_that_has_recorded_nothing_says_so(tmp_path):
    out = interrupted(tmp_path)
    (out / "giant" / folders.TRACE).write_text("")
    with pytest.raises(InputError, match="giant: the run has recorded nothing yet"):
        replot([out / "giant"])
    for name in ("giant", "lbfgs"):
        shutil.rmtree(out / name)
    with pytest.raises(InputError, match="its runs have recorded nothing yet"):
        replot([out])


@pytest.mark.parametrize("label", ["Ωmega 数据", "\N{PILE OF POO}", "$x_$"])
def test_runs_have_folders_whatever_letters_the_file_system_knows(tmp_path, label, monkeypatch):
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    tables = {key: table for key, table in RIDGE.items() if key != "solver"}
    solvers = [{"name": "giant", "label": label}, {"name": "giant", "label": f"{label} "}]
    hpcopt.compare({**tables, "solvers": solvers}, folder=tmp_path / "both")
    assert len(folders.listed(tmp_path / "both")) == 2
    assert all(name.isascii() for name in folders.listed(tmp_path / "both"))
