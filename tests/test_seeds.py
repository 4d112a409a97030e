"""Comparisons with several seeds: what varies and what does not, medians and quartiles, and their pictures."""

import csv

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.goal import Goal
from hpcopt.results.medians import SPREAD, median_row
from hpcopt.results.printed import compare_table
from hpcopt.results.tables import compare_rows
from hpcopt.spec.specification import specification_from
from hpcopt.studies import compare as comparing
from hpcopt.studies import replot as replotting
from hpcopt.studies import series
from tests.test_plots import finished, shown, trace

GOSSIP = {
    "seed": 3,
    "seeds": 2,
    "data": {"source": "least-squares", "rows": 60, "features": 4},
    "problem": {"loss": "squared", "l2": "1/n", "start": "random"},
    "cluster": {
        "kind": "virtual",
        "workers": 5,
        "topology": {"name": "erdos-renyi", "probability": 0.6},
        "stragglers": {"probability": 0.5, "slowdown": 4.0},
    },
    "stop": {"iterations": 4},
}
D_PSGD = {"name": "d-psgd", "batch": 2, "step_size": [0.05, 0.1]}


@pytest.fixture(autouse=True)
def curves(monkeypatch):
    """Return the curves of the comparisons' pictures: label, and the number of traces."""
    drawn = []

    def draw(curves, *_):
        drawn.append([(curve.label, len(curve.traces)) for curve in curves])

    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_: None)
    monkeypatch.setattr("hpcopt.runs.execute.draw_edges", lambda *_: None)
    monkeypatch.setattr(comparing, "draw_compare", draw)
    monkeypatch.setattr("hpcopt.studies.overlay.draw_compare", draw)
    return drawn


@pytest.fixture
def compared(tmp_path):
    """Return a comparison of a grid and a plain solver with two seeds, and its folder."""
    solvers = [D_PSGD, {"name": "giant"}]
    return hpcopt.compare({**GOSSIP, "solvers": solvers}, folder=tmp_path / "out"), tmp_path / "out"


def test_every_run_is_repeated_with_each_seed_in_a_folder_of_its_own(compared):
    comparison, out = compared
    assert folders.listed(out) == [
        "d-psgd/step_size=0.05/seed=3",
        "d-psgd/step_size=0.05/seed=4",
        "d-psgd/step_size=0.1/seed=3",
        "d-psgd/step_size=0.1/seed=4",
        "giant/seed=3",
        "giant/seed=4",
    ]
    assert [run.label for run in comparison.runs][1::4] == ["d-psgd step_size=0.05 seed=4", "giant seed=4"]


def test_a_repetition_is_the_run_with_that_seed_on_the_same_data(compared):
    comparison, out = compared
    described, records = folders.read(out / "d-psgd" / "step_size=0.1" / "seed=4")
    own = described["specification"]
    assert (own["seed"], own["data"]["seed"], own["cluster"]["stragglers"]["seed"]) == (4, 3, 4)
    tables = {name: table for name, table in GOSSIP.items() if name != "seeds"}
    data = {**tables["data"], "seed": 3}
    by_hand = hpcopt.run({**tables, "seed": 4, "data": data, "solver": {**D_PSGD, "step_size": 0.1}})
    again = hpcopt.run({**own, "output": {}})
    lines = [record.line() for record in records]
    assert [record.line() for record in by_hand.records] == [record.line() for record in again.records] == lines
    first, second = (run.records for run in comparison.contenders[0].cells[1].runs)
    assert first[0].objective != second[0].objective  # of random starts
    graphs = [folders.read_edges(out / "d-psgd" / "step_size=0.1" / f"seed={seed}", 5).tolist() for seed in (3, 4)]
    assert graphs[0] != graphs[1]


def test_stragglers_with_a_seed_of_their_own_are_the_same_in_all_repetitions():
    stragglers = {**GOSSIP["cluster"]["stragglers"], "seed": 7}
    tables = {**GOSSIP, "solvers": [D_PSGD]}
    fixed = specification_from({**tables, "cluster": {**GOSSIP["cluster"], "stragglers": stragglers}}, many=True)
    free = specification_from(tables, many=True)
    assert [spec.repeated(4).cluster.stragglers.seed for spec in (fixed, free)] == [7, 4]


@pytest.mark.parametrize(
    ("seeds", "many", "said"),
    [
        (0, True, "seeds: expected an integer >= 1, got 0"),
        ([1, 2], True, r"seeds: expected an integer >= 1, got \[1, 2\]"),
        (
            600,
            True,
            r"seeds: 1,200 runs in all \(2 combinations of the lists here, 600 seeds\); expected at most 1,000",
        ),
        (2, False, "seeds: a run takes one seed; remove it, and set seed; hpcopt.compare runs several"),
    ],
)
def test_a_wrong_number_of_seeds_is_refused(seeds, many, said):
    solvers = {"solvers": [D_PSGD]} if many else {"solver": {**D_PSGD, "step_size": 0.1}}
    with pytest.raises(InputError, match=f"^{said}$"):
        specification_from({**GOSSIP, "seeds": seeds, **solvers}, many=many)


def test_all_runs_of_a_seed_come_before_those_of_the_next(tmp_path, monkeypatch):
    ran = []
    execute = series.execute
    monkeypatch.setattr(series, "execute", lambda *given, **more: ran.append(given[2]) or execute(*given, **more))
    solvers = [{"name": "giant"}, {"name": "lbfgs"}]
    hpcopt.compare({**GOSSIP, "solvers": solvers}, folder=tmp_path / "out")
    assert ran == ["giant seed=3", "lbfgs seed=3", "giant seed=4", "lbfgs seed=4"]


def test_the_data_are_read_once_for_all_seeds(monkeypatch):
    reads = []
    monkeypatch.setattr("hpcopt.runs.prepare.load", lambda *given: reads.append(given) or load(*given))
    from hpcopt.data import load

    hpcopt.compare({**GOSSIP, "solvers": [{"name": "giant"}]})
    assert len(reads) == 1


def test_the_table_has_medians_and_quartiles(compared):
    comparison, out = compared
    with (out / "compare.csv").open() as file:
        row, _ = csv.DictReader(file)
    objectives = sorted(run.result["objective"] for run in comparison.contenders[0].best.runs)
    assert float(row["objective"]) == pytest.approx(sum(objectives) / 2)
    assert float(row["objective_q1"]) == pytest.approx(0.75 * objectives[0] + 0.25 * objectives[1])
    assert float(row["objective_q3"]) == pytest.approx(0.25 * objectives[0] + 0.75 * objectives[1])
    assert (row["seeds"], row["seeds_reached"], row["rounds"]) == ("2", "", "4")
    with (out / "grid.csv").open() as file:
        assert [row["solver"] for row in csv.DictReader(file)] == ["d-psgd", "d-psgd", "giant"]


REACHED, LATER, NEVER = trace(4.0, 0.9), trace(4.0, 2.0, 0.9), trace(4.0, 3.0)


@pytest.mark.parametrize(
    ("records", "row", "words"),
    [
        ([REACHED, LATER, LATER], (True, 3, 4, 3.0, 4), ["4", "3 - 4"]),
        ([REACHED, LATER, NEVER], (True, 2, 4, 3, None), ["4", "3 - never"]),
        ([REACHED, NEVER, NEVER], (False, 1, None, None, None), ["1 of 3 seeds"]),
        ([NEVER, NEVER], (False, 0, None, None, None), ["not reached"]),
    ],
)
def test_a_run_that_misses_the_target_counts_as_infinitely_long(records, row, words):
    runs = [finished("a", each, "diverged" if each is NEVER else "target") for each in records]
    told = median_row(compare_rows(runs, Goal(1.0)), "sgd")
    assert tuple(told[key] for key in ("reached", "seeds_reached", "rounds", "rounds_q1", "rounds_q3")) == row
    text = shown(compare_table([told], Goal(1.0)))
    assert all(word in text for word in words)
    assert f"medians of {len(records)} seeds" in " ".join(text.split())
    assert ("diverged" in text) == (records[0] is NEVER)  # all did


def test_bytes_by_link_have_medians_too():
    missing = dict.fromkeys(("reached", *SPREAD))
    rows = [{**missing, "bytes_by_link": {"a": 1, "b": size}} for size in (2, 4)]
    assert median_row(rows, "x")["bytes_by_link"] == {"a": 1, "b": 3}


def test_pictures_show_the_traces_of_all_seeds_as_one_curve(compared, curves, capsys):
    comparison, out = compared
    best = comparison.contenders[0].best.label
    (out / "giant" / "seed=4" / "trace.jsonl").unlink()
    replotting.replot([out])
    replotting.replot([out, out / "giant" / "seed=3"])
    assert curves[:2] == [[(best, 2), ("giant", 2)], [(best, 2), ("giant", 1)]]
    assert [(label.partition(" (")[0], many) for label, many in curves[2]] == [
        (best, 2),
        ("giant", 1),
        ("giant seed=3", 1),
    ]
    assert "nothing recorded yet by giant/seed=4" in capsys.readouterr().err


def test_the_progress_names_the_seed(tmp_path, capsys):
    (tmp_path / "s.toml").write_text('seeds = 2\n[data]\nsource = "logistic"\nrows = 50\n[[solvers]]\nname = "giant"\n')
    more = ["--virtual", "2", "--out", str(tmp_path / "out"), "--set", "stop.rounds=3"]
    assert main(["compare", str(tmp_path / "s.toml"), *more]) == 0
    assert "run 2 of 2: giant seed=1: reached the limit of rounds\n" in capsys.readouterr().out
