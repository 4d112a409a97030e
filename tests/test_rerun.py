"""`hpcopt rerun`: a finished run again, and what differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.data import from_arrays
from hpcopt.runs import execute
from hpcopt.studies import compare
from hpcopt.studies.changes import circumstances, first_difference, results
from hpcopt.studies.rerun import rerun
from tests.launch import python_ranks, requires_mpi

DATA = {"path": "rows.svm"}
TABLES = {"data": DATA, "solver": {"name": "newton-cg"}, "stop": {"rounds": 9}, "cluster": {"workers": 2}}


@pytest.fixture(scope="module", autouse=True)
def undrawn():
    """Draw no pictures."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (execute, compare):
            patch.setattr(module, "_draw", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with rows and a finished run on two virtual nodes, `first`."""
    place = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_rows(0)
        hpcopt.run(TABLES, folder="first")
    return place


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """A working folder with a copy of them."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    change(environment={**described()["environment"], "folder": str(tmp_path)})
    return tmp_path


def write_rows(seed):
    rng = np.random.default_rng(seed)
    rows = zip(rng.integers(0, 2, 40), *rng.random((2, 40)), strict=True)
    Path("rows.svm").write_text("".join(f"{int(y)} 1:{a:.6f} 2:{b:.6f}\n" for y, a, b in rows))


def described():
    return json.loads(Path("first/run.json").read_text())


def change(**keys):
    """Change keys of first/run.json."""
    Path("first/run.json").write_text(json.dumps({**described(), **keys}))


def result():
    return described()["result"]


def test_the_same_run_is_equal_bit_by_bit(folder, capsys):
    assert main(["rerun", "first"]) == 0
    told = capsys.readouterr().out
    assert "versions, machine, data and specification are the same" in told
    assert "are equal bit by bit\n" in told
    assert "the results agree (tolerance 1e-08)" in told
    assert Path("runs/first-again/model.npz").exists()


def test_files_are_found_from_the_folder_in_which_the_run_was_started(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    again = rerun("../first")
    assert (again.agrees, again.at) == (True, "")
    assert again.changes == [f'specification.data.path was "rows.svm", is "{folder / "rows.svm"}"']


def test_results_that_differ_beyond_the_tolerance_are_told_and_end_with_code_1(folder, capsys):
    change(result={**result(), "objective": result()["objective"] * 1.001})
    assert main(["rerun", "first", "-o", "again"]) == 1
    told = capsys.readouterr().out
    assert "(relative difference 0.001)" in told
    assert "the results DIFFER (tolerance 1e-08)" in told
    assert main(["rerun", "first", "-o", "again", "--overwrite", "--tolerance", "0.01", "--quiet"]) == 0


def test_the_first_record_and_column_that_differ_are_told(folder):
    lines = Path("first/trace.jsonl").read_text().splitlines()
    record = json.loads(lines[1])
    lines[1] = json.dumps({**record, "grad_norm": float(np.nextafter(record["grad_norm"], 1.0))})
    Path("first/trace.jsonl").write_text("\n".join(lines) + "\n")
    again = rerun("first", "again")
    assert again.agrees
    assert again.at.startswith(f"record 2 of {len(lines)}, grad_norm: was ")


def test_other_rows_do_not_agree_whatever_the_tolerance(folder):
    write_rows(1)
    again = rerun("first", "again", tolerance=1e9)
    assert not again.agrees
    assert any(line.startswith("data.checksum was ") for line in again.changes)


def test_other_versions_machines_and_specifications_are_told(folder):
    told = described()
    told["environment"]["hosts"][0]["cpu"] = "abacus"
    told["specification"]["stop"]["rounds"] = 8
    change(**{**told, "python": "2.7"})
    again = rerun("first", "again")
    now = hpcopt.load("again").described
    assert again.changes == [
        f'python was "2.7", is "{now["python"]}"',
        f'hosts.0.cpu was "abacus", is "{now["environment"]["hosts"][0]["cpu"]}"',
    ]


def test_runs_of_earlier_versions_have_no_environment():
    new = {"hpcopt": "2", "environment": {"folder": "/", "hosts": [{"cpu": "a"}]}}
    assert circumstances({"hpcopt": "1"}, new) == ["the environment was not recorded", 'hpcopt was "1", is "2"']


@pytest.mark.parametrize(
    ("was", "now", "difference"),
    [(2.0, 2.0, 0.0), (2.0, 2.5, 0.25), (0.0, 1e-9, 1e-5), (None, None, 0.0), (None, 1.0, np.inf), (1.0, None, np.inf)],
)
def test_objectives_differ_relative_to_themselves_or_to_a_millionth_of_the_start(was, now, difference):
    told = results({"objective": was}, {"objective": now}, 100.0)[-1]
    assert told.difference == pytest.approx(difference)


def test_missing_records_are_told(folder):
    records = hpcopt.load("first").records
    assert first_difference(records, records) == ""
    assert first_difference(records[:-1], records) == f"there were {len(records) - 1} records, there are {len(records)}"


def test_a_run_of_a_comparison_is_the_same_alone(folder):
    grid = {"name": "sgd", "step_size": [0.05, 0.1], "batch": 4}
    tables = {key: table for key, table in TABLES.items() if key != "solver"} | {"solvers": [grid], "seeds": 2}
    hpcopt.compare(tables, folder="both")
    again = rerun("both/sgd/step_size=0.1/seed=1")
    assert again.run.folder == Path("runs/both-sgd-step_size=0.1-seed=1-again")
    assert (again.agrees, again.at, again.changes) == (True, "", [])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"result": None}, "first: the run has not finished; only a finished run can be made again and compared"),
        (
            {"cluster": "mpi", "nodes": 4},
            "first: the run was made on 4 ranks, and this job has 1; start: mpiexec -n 4 ",
        ),
        ({"specification": {"data": {"colour": 1}}}, "first/run.json: data.colour: unknown key"),
        (
            {"specification": {"data": {"source": "arrays"}}},
            "first: the rows of the run were arrays in memory; run it ",
        ),
        (
            {"environment": 3},
            "first/run.json: damaged: environment: expected a table { command, folder, hosts }, got 3",
        ),
    ],
)
def test_runs_that_cannot_be_made_again(folder, keys, told, capsys):
    change(**keys)
    assert main(["rerun", "first", "-o", "again"]) == 1
    assert capsys.readouterr().err.startswith(f"hpcopt: error: {told}")
    assert not Path("again").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["."], ".: no run here (there is neither run.json nor compare.json in it)"),
        (["nowhere"], "nowhere: no run here (there is neither run.json nor compare.json in it)"),
        (["both"], "both/one: no run here (run.json is missing)"),
        (
            ["first", "-o", "first"],
            "first/run.json: is read as an input; give the output another name",
        ),
        (
            ["first", "-o", "other"],
            "other: holds another run (model.npz); give --overwrite to replace it, or another --out",
        ),
        (["first", "-o", "rows.svm"], "rows.svm: is a file; give another output folder with --out"),
    ],
)
def test_folders_that_cannot_be_taken(folder, arguments, told, capsys):
    Path("both").mkdir()
    Path("other").mkdir()
    Path("other/model.npz").touch()
    Path("both/compare.json").write_text('{"runs": ["one", "two"]}')
    assert main(["rerun", *arguments]) == 1
    assert capsys.readouterr().err == f"hpcopt: error: {told}\n"
    assert result()


def test_all_runs_of_a_comparison_or_of_a_solver_in_one_are_made_again(folder, capsys):
    tables = {key: value for key, value in TABLES.items() if key != "solver"}
    solvers = [{"name": "newton-cg"}, {"name": "sgd", "step_size": [0.1, 0.2]}]
    hpcopt.compare({**tables, "seeds": 2, "solvers": solvers}, folder="both")
    assert main(["rerun", "both/sgd", "-o", "again"]) == 0
    told = capsys.readouterr().out.splitlines()
    named = [f"step_size={step}/seed={seed}" for step in (0.1, 0.2) for seed in (0, 1)]
    assert [line for line in told if " again, in " in line] == [f"both/sgd/{x} again, in again/{x}" for x in named]
    assert sum(line.startswith("the results agree") for line in told) == 4
    path = Path("both/sgd/step_size=0.2/seed=1/run.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "result": {**content["result"], "objective": 1.0}}))
    assert main(["rerun", "both", "--quiet"]) == 1
    assert len(list(Path("runs").iterdir())) == 6
    path.write_text(json.dumps({**content, "result": None}))
    assert main(["rerun", "both", "-o", "third"]) == 1
    assert "seed=1: the run has not finished; only a finished run" in capsys.readouterr().err
    assert not Path("third").exists()


def test_a_run_on_given_arrays_needs_them_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = from_arrays(np.eye(4), np.array([0, 1, 0, 1]))
    hpcopt.run({**TABLES, "data": {"source": "arrays"}}, rows=rows, folder="first")
    with pytest.raises(hpcopt.InputError, match="first: the rows of the run were arrays in memory"):
        rerun("first")


@requires_mpi
@pytest.mark.mpi
def test_ranks_make_the_run_of_as_many_ranks_again_and_tell_of_their_host_together(folder, capsys):
    Path("spec.toml").write_text('[data]\npath = "rows.svm"\n[solver]\nname = "newton-cg"\n[stop]\nrounds = 5\n')
    calls = [["run", "spec.toml", "--quiet"], ["rerun", "runs/spec", "-o", "again"], ["rerun", "first"]]
    done = python_ranks(2, Path(__file__).parent / "ranks" / "commands.py", json.dumps(calls), cwd=folder)
    assert done.returncode == 0, done.stderr
    first, again, virtual = map(json.loads, done.stdout.splitlines())
    assert [code for code, _, _ in first + again + virtual] == [0, 0, 0, 0, 1, 1]
    assert "are equal bit by bit (apart from seconds)\nthe results agree" in again[0][1]
    assert [out for _, out, _ in again][1] == ""
    assert "first: the run was made on virtual nodes in one process, but 2 ranks were started" in virtual[0][2]
    assert main(["rerun", "runs/spec"]) == 1
    assert capsys.readouterr().err.endswith("and this job has 1; start: mpiexec -n 2 hpcopt rerun runs/spec\n")
    run = json.loads(Path("runs/spec/run.json").read_text())
    (host,) = run["environment"]["hosts"]
    assert host["ranks"] == "0-1"
    assert run["environment"]["launcher"]
    assert run["environment"]["variables"]["OMP_NUM_THREADS"] == "1"
    read = run["phases_over_ranks"]["read"]["seconds"]
    assert 0.0 < read["min"] <= read["median"] <= read["max"] == run["phases"]["read"]
