"""Comparisons that are continued: which finished runs are kept, which are refused, and what is left alone."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.stopping import Status
from hpcopt.studies import series
from hpcopt.studies.countdown import Countdown
from tests.launch import RANKS, hpcopt_ranks, requires_mpi
from tests.test_outputs import FAILING

SPEC = """
[data]
source = "least-squares"
rows = 60
features = 4

[problem]
loss = "squared"
l2 = "1/n"

[stop]
rounds = 6

[output]
folder = "out"

[[solvers]]
name = "giant"

[[solvers]]
name = "sgd"
batch = 4
step_size = [0.05, 0.1, 0.2]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_: None)
    monkeypatch.setattr("hpcopt.studies.compare.draw_compare", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(SPEC)
    Path("failing.py").write_text(FAILING)


@pytest.fixture
def ran(monkeypatch):
    """Return the labels of the runs that are made."""
    labels = []
    execute = series.execute
    monkeypatch.setattr(series, "execute", lambda *given, **more: labels.append(given[2]) or execute(*given, **more))
    return labels


def compare(*more, code=0):
    assert main(["compare", "s.toml", "--virtual", "2", *more]) == code


def contents(*names):
    return {path: path.read_bytes() for name in names for path in Path("out").rglob(name) if path.is_file()}


def unfinish(folder):
    described = json.loads((Path("out") / folder / "run.json").read_text())
    (Path("out") / folder / "run.json").write_text(json.dumps({**described, "result": None}))


def test_an_interrupted_comparison_is_continued_to_the_same_tables(ran, capsys):
    compare("--quiet")
    whole = contents("*.csv", "trace.jsonl", "compare.json")
    unfinish("sgd/step_size=0.1")
    shutil.rmtree("out/sgd/step_size=0.2")
    (Path("out") / "compare.csv").unlink()
    kept = contents("run.json")
    compare("--resume")
    assert ran[4:] == ["sgd step_size=0.1", "sgd step_size=0.2"]
    assert contents("*.csv", "trace.jsonl", "compare.json") == whole
    assert all(Path(path).read_bytes() == text for path, text in kept.items() if "0.1" not in str(path))
    said = capsys.readouterr().out
    assert "2 of 4 runs are finished and kept\nrun 3 of 4: sgd step_size=0.1: reached the limit of rounds" in said


@pytest.mark.parametrize("lost", ["model.npz", "trace.jsonl"])
def test_a_run_without_its_model_or_trace_is_made_again(ran, lost):
    compare("--quiet")
    (Path("out") / "giant" / lost).unlink()
    compare("--quiet", "--resume")
    assert ran[4:] == ["giant"]
    assert (Path("out") / "giant" / lost).exists()


def test_the_time_left_is_estimated_from_the_runs_of_this_call(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("hpcopt.studies.countdown.time.monotonic", lambda: now[0])
    countdown = Countdown(12, kept=4)
    told = []
    for seconds in (100.0, 300.0, 7000.0):
        now[0] += seconds
        assert countdown.count()
        told.append(countdown.told(SimpleNamespace(label="sgd", status=Status.TARGET)))
    assert told == [
        "run 5 of 12: sgd: reached the target; about 12 min left",
        "run 6 of 12: sgd: reached the target; about 20 min left",
        "run 7 of 12: sgd: reached the target; about 3 h left",
    ]


def test_a_finished_comparison_is_not_run_and_its_data_not_read(ran, monkeypatch, capsys):
    compare("--quiet")
    monkeypatch.setattr("hpcopt.studies.compare.admit", None)
    for name in ("compare.csv", "grid.csv"):
        (Path("out") / name).unlink()
    compare("--resume")
    assert len(ran) == 4
    assert "4 of 4 runs are finished and kept" in capsys.readouterr().out
    assert {path.name for path in contents("compare.csv", "grid.csv")} == {"compare.csv", "grid.csv"}


def test_a_damaged_list_of_runs_is_refused_with_what_to_do_and_written_anew(ran, capsys):
    compare("--quiet")
    whole = contents("compare.json", "compare.csv")
    index = Path("out") / "compare.json"
    index.write_text("{")
    compare(code=1)
    told = capsys.readouterr().err
    assert told.startswith("hpcopt: error: out/compare.json: damaged: ")
    assert told.endswith("; give --resume to keep its finished runs, --overwrite to replace it, or another --out\n")
    unfinish("giant")
    compare("--quiet", "--resume")
    assert ran[4:] == ["giant"]
    assert contents("compare.json", "compare.csv") == whole
    index.write_text("{")
    compare("--quiet", "--overwrite")
    assert len(ran) == 5 + 4
    assert contents("compare.json", "compare.csv").keys() == whole.keys()


def test_without_a_comparison_it_begins_one(ran):
    compare("--quiet", "--resume")
    assert len(ran) == 4


def test_values_and_solvers_can_be_added_and_left_out(ran, capsys):
    compare("--quiet")
    more = ["--resume", "--quiet", "--set", "solvers.1.step_size=[0.05, 0.1, 0.2, 0.4]"]
    compare(*more)
    assert ran[4:] == ["sgd step_size=0.4"]
    compare("--resume", "--set", 'solvers=[{name="giant"}, {name="lbfgs"}]')
    assert ran[5:] == ["lbfgs"]
    assert not Path("out/grid.csv").exists()
    assert Path("out/sgd/step_size=0.4/run.json").exists()
    assert "note: out: 4 of the runs in it are not part of this comparison" in capsys.readouterr().out
    compare(*more)  # which knows again those that were left alone
    assert ran[6:] == []


def test_the_folder_may_have_been_moved(ran):
    compare("--quiet")
    Path("out").rename("moved")
    compare("--quiet", "--resume", "--out", "moved")
    assert len(ran) == 4


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--set", "stop.rounds=7"], "out/giant: holds a finished run of another kind: stop.rounds was 6, and is 7"),
        (
            ["--set", "solvers.1.batch=5"],
            "out/sgd/step_size=0.05: holds a finished run of another kind: solver.batch was",
        ),
        (["--virtual", "3"], "out/giant: holds a finished run of another kind: cluster.workers was 2, and is 3"),
        (["--set", "problem.optimum=0.1"], "problem.optimum was not given, and is 0.1"),
    ],
)
def test_finished_runs_of_another_kind_are_neither_kept_nor_lost(changed, said, capsys):
    compare("--quiet")
    before = contents("*")
    compare("--resume", *changed, code=1)
    told = capsys.readouterr().err
    assert said in told
    assert told.endswith("; give --overwrite as well to run it again, or another --out\n")
    assert contents("*") == before


def test_a_run_of_another_version_is_refused(monkeypatch):
    compare("--quiet")
    monkeypatch.setattr("hpcopt.runs.identity.__version__", "9.9")
    with pytest.raises(InputError, match=r'hpcopt was "\d.*", and is "9.9"; give overwrite=True as well'):
        hpcopt.compare("s.toml", overrides=["cluster.workers=2"], resume=True)


def test_with_overwrite_only_the_runs_of_another_kind_are_run_again(ran):
    compare("--quiet")
    compare("--quiet", "--resume", "--overwrite", "--set", "solvers.1.batch=[4, 5]", "--set", "solvers.1.step_size=0.1")
    assert ran[4:] == ["sgd batch=4", "sgd batch=5"]
    compare("--quiet", "--resume", "--overwrite", "--set", "stop.rounds=7")
    assert ran[6:] == ["giant", "sgd step_size=0.05", "sgd step_size=0.1", "sgd step_size=0.2"]


@pytest.mark.parametrize("lines", [0, 2])
def test_a_finished_run_whose_trace_is_damaged_is_told_by_plots_and_run_again(lines, ran, capsys):
    compare("--quiet")
    trace = Path("out/giant/trace.jsonl")
    whole = trace.read_text()
    trace.write_text("".join(whole.splitlines(keepends=True)[:lines]))
    capsys.readouterr()
    assert main(["plot", "out", "-o", "p.png"]) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"hpcopt: {trace}: damaged: ")
    assert told.endswith(", but the run ended at round 6\n")
    assert told.count("\n") == 1
    compare("--quiet", "--resume")
    assert ran[4:] == ["giant"]
    assert trace.read_text() == whole


def test_a_damaged_run_is_refused_and_with_overwrite_run_again(ran, capsys):
    compare("--quiet")
    Path("out/giant/run.json").write_text("")
    compare("--quiet", "--resume", code=1)
    told = capsys.readouterr().err
    assert "out/giant/run.json: damaged: " in told
    assert told.endswith("; give --overwrite as well to run it again, or another --out\n")
    compare("--quiet", "--resume", "--overwrite")
    assert ran[4:] == ["giant"]


def test_other_rows_under_the_same_name_are_refused(capsys):
    rows = "".join(f"{k % 3} 1:{k} 2:{k % 5}\n" for k in range(20))
    Path("rows.svm").write_text(rows)
    Path("s.toml").write_text(SPEC.replace('source = "least-squares"\nrows = 60\nfeatures = 4', 'path = "rows.svm"'))
    compare("--quiet")
    Path("rows.svm").write_text(rows.replace("1:7 ", "1:8 "))
    unfinish("giant")
    compare("--resume", code=1)
    assert "out/sgd/step_size=0.05: holds a finished run on other data: data.checksum was" in capsys.readouterr().err


def test_a_comparison_is_neither_replaced_nor_continued_unasked(capsys):
    compare("--quiet")
    compare(code=1)
    said = "out: holds another run (compare.csv); give --resume to keep its finished runs, --overwrite to replace it"
    assert said in capsys.readouterr().err
    main(["run", "s.toml", "--set", "solvers=[]", "--out", "out"])
    assert "--resume" not in capsys.readouterr().err


def test_a_single_run_is_not_continued_as_a_comparison(capsys):
    assert hpcopt.run({**_tables(), "solver": {"name": "giant"}}, folder="out").folder == Path("out")
    compare("--resume", code=1)
    said = "out: holds another run (run.json); give --overwrite to replace it"
    assert said in capsys.readouterr().err
    Path("out/compare.json").write_text('{"runs": ["giant"]}')
    compare("--resume", code=1)
    assert said in capsys.readouterr().err


def _tables():
    return {
        "data": {"source": "least-squares", "rows": 60, "features": 4},
        "problem": {"loss": "squared", "l2": "1/n"},
        "stop": {"rounds": 6},
    }


def test_an_interrupt_says_how_to_go_on():
    compare("--quiet")
    unfinish("giant")
    assert folders.kept(Path("out")) == "3 of 4 runs in out are complete, and resuming keeps them"


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("ranks", [n for n in RANKS if n == 2])
def test_ranks_agree_on_the_runs_that_are_kept(ranks, tmp_path):
    table = '{name="failing", file="failing.py", step_size=0.1}'
    more = ["--set", f'solvers=[{{name="giant"}}, {{name="sgd", step_size=[0.1, 0.2]}}, {table}]', "--set", "seeds=2"]
    failed = hpcopt_ranks(ranks, "compare", "s.toml", "--quiet", *more, cwd=tmp_path)
    assert "ZeroDivisionError" in failed.stderr
    before = {path: path.read_bytes() for path in contents("run.json") if "failing" not in str(path)}
    assert len(before) == 3
    done = hpcopt_ranks(
        ranks, "compare", "s.toml", "--resume", *more[:1], more[1].replace(f", {table}", ""), *more[2:], cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "3 of 6 runs are finished and kept" in done.stdout
    assert {path: path.read_bytes() for path in before} == before
