"""A launcher's variables are inherited and may have any values: every command does its work regardless."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch import hpcopt_ranks, mpiexec, python_ranks, requires_mpi

ROOT = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
ROWS = "+1 1:0.5 2:1\n-1 1:-1 3:2\n+1 2:1\n-1 3:1\n"


@pytest.fixture
def predict(tmp_path):
    from hpcopt.cli.main import main

    (tmp_path / "rows.svm").write_text(ROWS)
    assert main(["fit", str(tmp_path / "rows.svm"), "-o", str(tmp_path / "m.npz"), "--quiet"]) == 0
    return ["predict", str(tmp_path / "m.npz"), str(tmp_path / "rows.svm"), "-o"]


def hpcopt(*arguments, **variables):
    return python("-m", "hpcopt", *map(str, arguments), **variables)


def python(*arguments, **variables):
    command = [sys.executable, *arguments]
    env = {**os.environ, **ROOT, **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


SAID = [
    {"PMI_SIZE": "2", "PMI_RANK": "1"},
    {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"},
    {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"},
]
NONSENSE = [
    {"PMI_SIZE": "", "PMI_RANK": ""},
    {"PMI_SIZE": "x", "PMI_RANK": "0"},
    {"PMI_SIZE": "2"},
    {"PMI_SIZE": "-3", "PMI_RANK": "1"},
    {"PMI_SIZE": "2", "PMI_RANK": "2"},
    {"PMI_SIZE": "9" * 30, "PMI_RANK": "1"},
    {"PMI_SIZE": "2", "PMI_RANK": "1", "PMI_FD": "99"},
    {"OMPI_COMM_WORLD_SIZE": "two", "OMPI_COMM_WORLD_RANK": "1"},
    {"SLURM_STEP_NUM_TASKS": "4(x2)", "SLURM_PROCID": "1"},
    {"PMIX_RANK": ""},
]


@pytest.mark.parametrize("variables", SAID, ids=str)
def test_a_verb_that_needs_no_ranks_does_its_work_and_says_so(predict, tmp_path, variables):
    done = hpcopt(*predict, tmp_path / "out", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 predictions in" in done.stdout
    assert len((tmp_path / "out").read_text().splitlines()) == 4


@pytest.mark.parametrize("variables", NONSENSE, ids=str)
def test_a_process_is_alone_where_the_variables_make_no_sense(variables):
    program = "from hpcopt.fabric.job import bring_up; print(bring_up().COMM_WORLD.size)"
    done = python("-c", program, **variables)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "1\n")


@pytest.mark.mpi
@requires_mpi
def test_an_error_that_all_ranks_meet_is_told_once_and_ends_without_an_abort(tmp_path):
    (tmp_path / "rows.svm").write_text(ROWS)
    done = hpcopt_ranks(3, "fit", tmp_path / "rows.svm", "-o", tmp_path / "m.npz", env={"NUMBA_DISABLE_JIT": "1"})
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "hpcopt: error: NUMBA_DISABLE_JIT is set, but the kernels need numba's compiler: unset it"
    ]


CHILD = """
import subprocess, sys
from mpi4py import MPI
rank = MPI.COMM_WORLD.rank
program = [sys.executable, "-m", "hpcopt"]
subprocess.run([*program, *sys.argv[2:], f"{sys.argv[1]}/out{rank}"], check=True, timeout=40)
if rank == 1:  # alone, so that nobody would answer it
    subprocess.run([*program, "fit", f"{sys.argv[1]}/rows.svm", "-o", f"{sys.argv[1]}/own.npz"], check=True, timeout=40)
"""


@pytest.mark.mpi
@requires_mpi
def test_a_program_that_a_rank_starts_is_alone(predict, tmp_path):
    done = python_ranks(2, CHILD, tmp_path, *predict, env=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 predictions in") == 2
    assert all((tmp_path / name).exists() for name in ("out0", "out1", "own.npz"))


@pytest.mark.mpi
@requires_mpi
def test_each_rank_does_its_own_work_and_one_speaks(predict, tmp_path):
    done = mpiexec(3, sys.executable, "-c", OWN, *predict, tmp_path, env=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("predictions in") == 1
    assert all(len((tmp_path / f"out{rank}").read_text().splitlines()) == 4 for rank in range(3))


OWN = """
import os, sys
from hpcopt.cli.main import console
rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"]
sys.argv[-1] += f"/out{rank}"
console()
"""


@pytest.mark.mpi
@requires_mpi
def test_an_error_of_a_verb_that_needs_no_ranks_is_told_once():
    done = hpcopt_ranks(3, "predict", "nowhere.npz", "x")
    assert done.returncode == 1
    assert done.stderr.count("nowhere.npz: no such file") == 1
