"""The output at the start and during a run: it says whose objective is shown."""

import pytest

import hpcopt
from hpcopt.results.stopping import StopRule
from hpcopt.runs import progress
from hpcopt.runs.progress import Progress
from tests.records import record

TABLES = {
    "data": {"source": "least-squares", "rows": 40, "features": 3},
    "problem": {"loss": "squared"},
    "cluster": {"kind": "virtual", "workers": 3},
}


@pytest.mark.parametrize(
    ("solver", "column", "told"),
    [
        ("giant", "objective", None),
        ("dgd", "objective", "reported: objective of the mean model"),
        ("dgd", "worst_objective", "reported: objective of the worst node's model"),
    ],
)
def test_whose_objective_a_run_is_judged_by_is_said_as_it_begins(solver, column, told, capsys):
    hpcopt.run({**TABLES, "solver": {"name": solver}, "stop": {"rounds": 1, "target_on": column}}, quiet=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("reported")]
    assert lines == ([] if told is None else [told])


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({}, "objective 4"),
        ({"consensus": 0.1, "mean_objective": 5.0}, "objective averaged over the nodes' models 5"),
        ({"consensus": 0.1}, "objective of the mean model 4"),  # of an asynchronous solver, during the run
    ],
)
def test_a_line_of_progress_says_whose_objective_it_shows(columns, told, capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with Progress("a", StopRule(target=1.0, target_on="mean_objective")) as shown:
        shown.update(record(objective=4.0, **columns))
    assert f", {told}, gradient" in capsys.readouterr().out
