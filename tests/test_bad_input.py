"""Bad input gives one clear line, once, without a traceback, on one rank and on three."""

from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np
import pytest

from tests.launch import hpcopt_ranks, requires_mpi

pytestmark = [pytest.mark.mpi, requires_mpi]

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


def case(**files):
    return files


CASES = {
    "a malformed line": (
        {"data.txt": GOOD + "+1 1:0.5 x:1\n"},
        ["data.txt, line 5"],
        1,
    ),
    "labels of three values": ({"data.txt": GOOD + "2 1:1\n"}, ["data.txt", "data.classes"], 1),
    "an underscore in a number": ({"data.txt": GOOD + "+1 1:1_0\n"}, ["data.txt, line 5", "'1_0' is not a number"], 1),
    "a damaged second stream": (
        {"data.txt.bz2": bz2.compress(GOOD.encode()) * 2 + b"x", "--set": "data.path={folder}/data.txt.bz2"},
        ["data.txt.bz2: damaged between the bytes", "(after 2 bz2 streams)"],
        1,
    ),
    "a NaN": ({"data.txt": GOOD + "+1 1:nan\n"}, ["data.txt, line 5", "nan"], 1),
    "an infinity": ({"data.txt": GOOD.replace("3:2", "3:inf")}, ["data.txt, line 2", "inf"], 1),
    "a missing file": ({}, ["data.txt", "No such file"], 1),
    "an empty file": ({"data.txt": ""}, ["data.txt"], 1),
    "a wrong type": ({"data.txt": GOOD, "--set": "problem.intercept=3"}, ["problem.intercept", "true or false"], 1),
    "an unknown key": ({"data.txt": GOOD, "--set": "problem.los=1"}, ["problem.los", "did you mean 'loss'"], 1),
    "a mistyped solver": ({"data.txt": GOOD, "--set": "solver.name=lbgfs"}, ["did you mean 'lbfgs'"], 1),
    "a parameter out of range": ({"data.txt": GOOD, "--set": "solver.memory=0"}, ["memory", "at least 1"], 1),
    "more features to test on": (
        {"data.txt": GOOD, "test.txt": "+1 4:1\n-1 1:1\n", "--set": "data.test={folder}/test.txt"},
        ["test.txt has 4 features", "data.txt 3"],
        1,
    ),
    "a specification that is no TOML": ({"data.txt": GOOD, "spec.toml": "[data\n"}, ["spec.toml, line 1"], 1),
    "a folder with another run": ({"data.txt": GOOD, "out/run.json": "{}"}, ["holds another run", "--overwrite"], 1),
    "a start of the wrong shape": (
        {"data.txt": GOOD, "start.npy": np.zeros(7), "--set": "problem.start={folder}/start.npy"},
        ["start.npy", "shape (7,)", "(3,)"],
        1,
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


def told(done) -> str:
    """Return the single error line."""
    assert "Traceback" not in done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("hpcopt: error:")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("name", list(CASES))
def test_bad_input_is_told_once_in_one_line(tmp_path, name, ranks):
    files, words, status = CASES[name]
    options = write(tmp_path, files)
    done = hpcopt_ranks(ranks, "run", tmp_path / "spec.toml", "--out", tmp_path / "out", *options, timeout=40)
    line = told(done)
    assert done.returncode == status
    for word in words:
        assert word in line
    assert not (tmp_path / "out" / "model.npz").exists()


@pytest.mark.parametrize("ranks", [3])
def test_an_empty_shard_is_refused(tmp_path, ranks):
    write(tmp_path, {"data.txt": "+1 1:1\n-1 2:1\n"})
    done = hpcopt_ranks(ranks, "run", tmp_path / "spec.toml", "--out", tmp_path / "out", timeout=40)
    assert done.returncode == 1
    assert "3 nodes but 2 rows" in told(done)


def test_a_file_that_only_some_ranks_can_see_is_told_with_the_ranks(tmp_path):
    write(tmp_path, {"data.txt": GOOD})
    program = (
        "import sys, os\n"
        "from mpi4py import MPI\n"
        "from hpcopt.cli.main import main\n"
        "os.chdir(sys.argv[1] if MPI.COMM_WORLD.rank != 1 else '/')\n"
        "sys.exit(main(['fit', 'data.txt', '-o', sys.argv[1] + '/model.npz']))\n"
    )
    from tests.launch import python_ranks

    done = python_ranks(3, program, tmp_path, timeout=40, env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])})
    assert done.returncode == 1
    line = told(done)
    assert "data.txt" in line
    assert "rank 1 of 3" in line
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_diverging_solve_stops_says_so_and_keeps_its_best_model(tmp_path, ranks):
    X = np.random.default_rng(0).standard_normal((30, 3))
    np.savez(tmp_path / "data.npz", X=X, y=X @ np.arange(3.0))
    text = SPECIFICATION.replace("{folder}/data.txt", f"{tmp_path}/data.npz").replace("logistic", "squared")
    text = text.replace('name = "lbfgs"', 'name = "sgd"\nstep_size = 50.0').replace("rounds = 5", "rounds = 500")
    (tmp_path / "spec.toml").write_text(text)
    done = hpcopt_ranks(ranks, "run", tmp_path / "spec.toml", "--out", tmp_path / "out", timeout=40)
    assert done.returncode == 3, done.stderr
    assert "diverged" in done.stdout
    assert np.isfinite(np.load(tmp_path / "out" / "model.npz")["coef"]).all()


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["run"], "SPEC.toml"), (["runn", "x"], "runn"), (["run", "x.toml", "--virtual", "0"], "--virtual")],
)
def test_wrong_usage_ends_with_two(ranks, arguments, word):
    done = hpcopt_ranks(ranks, *arguments, timeout=40)
    assert done.returncode == 2
    assert word in told(done)
