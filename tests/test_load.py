"""Runs and comparisons read from their folders in Python, and the columns of a trace."""

import json

import numpy as np
import pytest

import hpcopt
from hpcopt.errors import InputError
from hpcopt.results.record import COLUMNS
from hpcopt.results.trace import Trace
from tests.records import record

LEAST = {
    "data": {"source": "least-squares", "rows": 60, "features": 4},
    "problem": {"loss": "squared", "l2": "1/n"},
    "cluster": {"kind": "virtual", "workers": 2},
    "stop": {"rounds": 5},
}
GRID = {"name": "sgd", "batch": 4, "step_size": [0.05, 0.1]}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_: None)
    monkeypatch.setattr("hpcopt.studies.compare.draw_compare", lambda *_: None)


def test_a_run_is_the_same_when_it_is_read_again(tmp_path):
    made = hpcopt.run({**LEAST, "solver": {"name": "giant"}}, folder=tmp_path / "run")
    read = hpcopt.load(tmp_path / "run")
    assert isinstance(read, hpcopt.Run)
    assert (read.label, read.status, read.result, read.records, read.goal) == (
        made.label,
        made.status,
        made.result,
        made.records,
        made.goal,
    )
    np.testing.assert_array_equal(read.model.coef, made.model.coef)
    assert read.phases.seconds.keys() == made.phases.seconds.keys()


def test_a_comparison_is_the_same_when_it_is_read_again(tmp_path):
    tables = {**LEAST, "seeds": 2, "solvers": [GRID, {"name": "giant"}], "compare": {"best": "objective"}}
    made = hpcopt.compare(tables, folder=tmp_path / "both")
    read = hpcopt.load(str(tmp_path / "both"))
    assert isinstance(read, hpcopt.Comparison)
    assert (read.rows(), read.grid_rows(), read.title) == (made.rows(), made.grid_rows(), made.title)
    assert [run.records for run in read.runs] == [run.records for run in made.runs]
    coefficients = [[run.model.coef.tolist() for run in comparison.runs] for comparison in (read, made)]
    assert coefficients[0] == coefficients[1]
    assert [cell.values for cell in read["sgd"].cells] == [{"step_size": 0.05}, {"step_size": 0.1}]


def test_models_of_a_comparison_are_in_memory_only_without_a_folder(tmp_path):
    tables = {**LEAST, "solvers": [{"name": "giant"}]}
    runs = [*hpcopt.compare(tables).runs, *hpcopt.compare(tables, folder=tmp_path / "both").runs]
    assert [run.held is None for run in runs] == [False, True]
    np.testing.assert_array_equal(runs[0].model.coef, runs[1].model.coef)


def test_of_an_interrupted_comparison_the_finished_runs_are_read(tmp_path):
    out = tmp_path / "both"
    made = hpcopt.compare({**LEAST, "solvers": [GRID, {"name": "giant"}]}, folder=out)
    unfinish(out / "giant")
    (out / "sgd" / "step_size=0.1" / "trace.jsonl").unlink()
    assert [run.label for run in hpcopt.load(out).runs] == [made.runs[0].label]
    unfinish(out / "sgd" / "step_size=0.05")
    with pytest.raises(InputError, match="both: none of the 3 runs has finished"):
        hpcopt.load(out)
    with pytest.raises(InputError, match=r"giant: the run has not finished; its records so far are in trace\.jsonl"):
        hpcopt.load(out / "giant")


def unfinish(folder):
    described = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**described, "result": None}))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no run here \(run\.json is missing\)"):
        hpcopt.load(tmp_path)


def test_the_nearest_label_and_column_are_named():
    comparison = hpcopt.compare({**LEAST, "solvers": [{"name": "giant"}]})
    with pytest.raises(InputError, match="""no solver of the comparison has the label "gaint"; did you mean 'giant'"""):
        comparison["gaint"]
    with pytest.raises(InputError, match="a trace has no column 'objectiv'; did you mean 'objective'"):
        comparison.runs[0].trace["objectiv"]


def test_a_trace_is_a_list_of_records_and_has_columns():
    trace = Trace([record(objective=2.0), record(round=3, objective=float("nan"), nonzeros=4)])
    assert [len(trace), trace[1]["round"], trace[:1]] == [2, 3, [trace[0]]]
    assert trace["round"].dtype == np.int64
    np.testing.assert_array_equal(trace["objective"], [2.0, np.nan])
    np.testing.assert_array_equal(trace["nonzeros"], [np.nan, 4.0])
    assert trace["clock"].tolist() == ["virtual", "virtual"]
    assert list(trace.columns) == [name for name in COLUMNS if name in trace[1]]
    assert np.isnan(trace["kkt"]).all()
