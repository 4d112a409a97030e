"""Bad input gives one clear line, once, without a traceback, in one process and on three ranks.

Starting ranks takes most of the time, so one launch of three ranks runs all cases; a few cases also check the exit code
of the job.
"""

from __future__ import annotations

import bz2
import json
from pathlib import Path

import numpy as np
import pytest

from hpcopt.cli.main import main
from tests.launch import hpcopt_ranks, python_ranks, requires_mpi

PROGRAM = Path(__file__).parent / "ranks" / "commands.py"
ROOT = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
GOOD = "+1 1:0.5 2:1\n-1 1:-1 3:2\n+1 2:1\n-1 3:1\n"
SPECIFICATION = """
[data]
path = "{folder}/data.txt"
[problem]
loss = "logistic"
[solver]
name = "lbfgs"
[stop]
rounds = 5
"""


CASES = {
    "a malformed line": (
        {"data.txt": GOOD + "+1 1:0.5 x:1\n"},
        ["data.txt, line 5"],
    ),
    "labels of three values": ({"data.txt": GOOD + "2 1:1\n"}, ["data.txt", "data.classes"]),
    "an underscore in a number": ({"data.txt": GOOD + "+1 1:1_0\n"}, ["data.txt, line 5", "'1_0' is not a number"]),
    "a damaged second stream": (
        {"data.txt.bz2": bz2.compress(GOOD.encode()) * 2 + b"x", "--set": "data.path={folder}/data.txt.bz2"},
        ["data.txt.bz2: damaged between the bytes", "(after 2 bz2 streams)"],
    ),
    "a NaN": ({"data.txt": GOOD + "+1 1:nan\n"}, ["data.txt, line 5", "nan"]),
    "an infinity": ({"data.txt": GOOD.replace("3:2", "3:inf")}, ["data.txt, line 2", "inf"]),
    "a missing file": ({}, ["data.txt", "No such file"]),
    "an empty file": ({"data.txt": ""}, ["data.txt"]),
    "a wrong type": ({"data.txt": GOOD, "--set": "problem.intercept=3"}, ["problem.intercept", "true or false"]),
    "an unknown key": ({"data.txt": GOOD, "--set": "problem.los=1"}, ["problem.los", "did you mean 'loss'"]),
    "a mistyped solver": ({"data.txt": GOOD, "--set": "solver.name=lbgfs"}, ["did you mean 'lbfgs'"]),
    "a parameter out of range": ({"data.txt": GOOD, "--set": "solver.memory=0"}, ["memory", "at least 1"]),
    "more features to test on": (
        {"data.txt": GOOD, "test.txt": "+1 4:1\n-1 1:1\n", "--set": "data.test={folder}/test.txt"},
        ["test.txt has 4 features", "data.txt 3"],
    ),
    "a specification that is no TOML": ({"data.txt": GOOD, "spec.toml": "[data\n"}, ["spec.toml, line 1"]),
    "a folder with another run": ({"data.txt": GOOD, "out/run.json": "{}"}, ["holds another run", "--overwrite"]),
    "an empty shard": ({"data.txt": "+1 1:1\n-1 2:1\n"}, ["3 nodes but 2 rows"]),
    "a start of the wrong shape": (
        {"data.txt": GOOD, "start.npy": np.zeros(7), "--set": "problem.start={folder}/start.npy"},
        ["start.npy", "shape (7,)", "(3,)"],
    ),
}


def write(folder: Path, files) -> list[str]:
    """Write the files of a case; return the options that belong to it."""
    options = []
    for name, content in {"spec.toml": SPECIFICATION, **files}.items():
        if name == "--set":
            options += ["--set", content.format(folder=folder)]
            continue
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content.replace("{folder}", str(folder)))
        else:
            np.save(path, content)
    return options


def asked(folder: Path, name: str) -> list[str]:
    """Write the files of a case; return the command that must fail."""
    folder.mkdir()
    return ["run", str(folder / "spec.toml"), "--out", str(folder / "out"), *write(folder, CASES[name][0])]


def diverging(folder: Path) -> list[str]:
    """Write a specification whose solver diverges; return the command that runs it."""
    folder.mkdir()
    X = np.random.default_rng(0).standard_normal((30, 3))
    np.savez(folder / "data.npz", X=X, y=X @ np.arange(3.0))
    text = SPECIFICATION.replace("{folder}/data.txt", f"{folder}/data.npz").replace("logistic", "squared")
    text = text.replace('name = "lbfgs"', 'name = "sgd"\nstep_size = 50.0').replace("rounds = 5", "rounds = 500")
    (folder / "spec.toml").write_text(text)
    return ["run", str(folder / "spec.toml"), "--out", str(folder / "out")]


def the_line(err: str) -> str:
    """Return the single error line."""
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("hpcopt: error:")]
    return line


def refuses(name, line, folder):
    for word in CASES[name][1]:
        assert word in line
    assert not (folder / "out" / "model.npz").exists()


WRONG_USAGE = [(["run"], "SPEC.toml"), (["runn", "x"], "runn"), (["run", "x.toml", "--virtual", "0"], "--virtual")]


@pytest.fixture(scope="module")
def on_ranks(tmp_path_factory):
    """The folder of all cases, and by case the exit code and output of each of three ranks."""
    folder = tmp_path_factory.mktemp("cases")
    commands = {name: asked(folder / name, name) for name in CASES}
    commands |= {" ".join(arguments): arguments for arguments, _ in WRONG_USAGE}
    commands["diverging"] = diverging(folder / "diverging")
    done = python_ranks(3, PROGRAM, json.dumps(list(commands.values())), env=ROOT, timeout=100)
    assert done.returncode == 0, done.stderr
    return folder, dict(zip(commands, map(json.loads, done.stdout.splitlines()), strict=True))


def diverged(codes, out, folder):
    assert set(codes) == {3}
    assert "diverged" in out
    assert np.isfinite(np.load(folder / "out" / "model.npz")["coef"]).all()


def test_a_diverging_solve_stops_says_so_and_keeps_its_best_model(tmp_path, capsys):
    code = main(diverging(tmp_path / "case"))
    diverged([code], capsys.readouterr().out, tmp_path / "case")


@pytest.mark.parametrize("name", [name for name in CASES if name != "an empty shard"])
def test_bad_input_is_told_in_one_line_alone(tmp_path, name, capsys):
    folder = tmp_path / "case"
    assert main(asked(folder, name)) == 1
    refuses(name, the_line(capsys.readouterr().err), folder)


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_once_by_three_ranks(on_ranks, name):
    folder, answers = on_ranks
    codes, outs, errs = zip(*answers[name], strict=True)
    assert codes == (1, 1, 1)
    assert "Traceback" not in "".join(outs)
    refuses(name, the_line("".join(errs)), folder / name)


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize(("name", "ranks"), [("a malformed line", 1), ("a malformed line", 3)])
def test_bad_input_ends_the_processes_with_one(tmp_path, name, ranks):
    folder = tmp_path / "case"
    done = hpcopt_ranks(ranks, *asked(folder, name), timeout=40)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    refuses(name, the_line(done.stderr), folder)


@pytest.mark.mpi
@requires_mpi
def test_a_file_that_only_some_ranks_can_see_is_told_with_the_ranks(tmp_path):
    write(tmp_path, {"data.txt": GOOD})
    program = (
        "import sys, os\n"
        "from mpi4py import MPI\n"
        "from hpcopt.cli.main import main\n"
        "os.chdir(sys.argv[1] if MPI.COMM_WORLD.rank != 1 else '/')\n"
        "sys.exit(main(['fit', 'data.txt', '-o', sys.argv[1] + '/model.npz']))\n"
    )
    done = python_ranks(3, program, tmp_path, timeout=40, env=ROOT)
    assert done.returncode == 1
    line = the_line(done.stderr)
    assert "data.txt" in line
    assert "rank 1 of 3" in line
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.mpi
@requires_mpi
def test_a_diverging_solve_on_ranks_stops_says_so_and_keeps_its_best_model(on_ranks):
    folder, answers = on_ranks
    codes, outs, _ = zip(*answers["diverging"], strict=True)
    diverged(codes, "".join(outs), folder / "diverging")


@pytest.mark.parametrize(("arguments", "word"), WRONG_USAGE)
def test_wrong_usage_ends_with_two(arguments, word, capsys):
    assert main(arguments) == 2
    assert word in the_line(capsys.readouterr().err)


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize(("arguments", "word"), WRONG_USAGE)
def test_wrong_usage_on_ranks_is_told_once(on_ranks, arguments, word):
    codes, _, errs = zip(*on_ranks[1][" ".join(arguments)], strict=True)
    assert codes == (2, 2, 2)
    assert word in the_line("".join(errs))


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("arguments", [["runn", "x"]])
def test_wrong_usage_ends_the_processes_with_two(arguments):
    done = hpcopt_ranks(3, *arguments, timeout=40)
    assert done.returncode == 2
    the_line(done.stderr)
