"""Real ranks that are killed, or asked to end, go on from their last checkpoint; the trace has no gap, no double."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpcopt.results import checkpoints
from tests.launch import hpcopt_ranks, mpiexec, python_ranks, requires_mpi

HERE = Path(__file__).parent
STRUCK = HERE / "ranks" / "struck.py"
ENVIRONMENT = {"PYTHONPATH": str(HERE.parent)}
SPECIFICATION = """
[data]
source = "logistic"
rows = 60
features = 3
[solver]
name = "sgd"
batch = 5
[cluster]
reduction = "ordered"
[output]
record_every = 5
"""


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / "spec.toml").write_text(SPECIFICATION)
    return ["run", str(tmp_path / "spec.toml"), "--out"]


def records(folder):
    return [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]


def is_in_step(folder, every=5):
    """Return whether there is a record of each fifth iteration, and one of the last."""
    found = [record["iteration"] for record in records(folder)]
    return found == [*range(0, found[-1], every), found[-1]]


@pytest.mark.mpi
@requires_mpi
def test_real_ranks_that_are_cut_short_end_with_the_same_bits(tmp_path):
    names = "sgd", "lbfgs", "deli-coco", "adagrad-cmd"
    done = python_ranks(3, HERE / "ranks" / "checkpoints.py", tmp_path, *names, timeout=100, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.mpi
@requires_mpi
def test_a_rank_that_is_killed_costs_what_came_after_the_checkpoint_and_nothing_else(arguments, tmp_path):
    stop = ["--set", "stop.iterations=100", "--set", "checkpoint.every=8"]
    whole = hpcopt_ranks(2, *arguments, tmp_path / "whole", *stop, timeout=100)
    assert whole.returncode == 0, whole.stderr
    killed = [sys.executable, STRUCK, "SIGKILL", "1", "12", *arguments, tmp_path / "cut", *stop]
    assert mpiexec(2, *killed, timeout=100, env=ENVIRONMENT).returncode != 0
    (saved,) = checkpoints.whole(tmp_path / "cut")
    assert 40 <= saved <= 56
    resumed = hpcopt_ranks(2, "run", tmp_path / "cut", "--resume", timeout=100)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resumed from the checkpoint at iteration {saved}\n" in resumed.stdout
    expected, found = ([{**row, "seconds": 0.0} for row in records(tmp_path / name)] for name in ("whole", "cut"))
    assert found == expected
    seconds = [record["seconds"] for record in records(tmp_path / "cut")]
    assert seconds == sorted(seconds)


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_rank_that_is_asked_to_end_lets_all_of_them_save_the_run(name, arguments, tmp_path):
    out = tmp_path / "out"
    started = [sys.executable, STRUCK, name, "1", "12", *arguments, out, "--set", "stop.iterations=1000000"]
    done = mpiexec(2, *started, timeout=100, env=ENVIRONMENT)
    assert done.returncode == 75, done.stderr
    (saved,) = checkpoints.whole(out)
    told = [line for line in done.stderr.splitlines() if line.startswith("hpcopt")]
    assert told == [f"hpcopt: checkpointed at iteration {saved} in {out}; the same command with --resume goes on"]
    assert json.loads((out / "run.json").read_text())["result"] is None
    more = hpcopt_ranks(2, "run", out, "--resume", "--set", f"stop.iterations={saved + 9}", timeout=100)
    assert more.returncode == 0, more.stderr
    assert records(out)[-1]["iteration"] == saved + 9
    assert is_in_step(out)


@pytest.mark.mpi
@requires_mpi
def test_asynchronous_ranks_stop_for_a_checkpoint_and_start_again_without_a_loss(tmp_path):
    names = "ad-psgd", "agp", "dsgd-aau"
    done = python_ranks(3, HERE / "ranks" / "restarts.py", tmp_path, *names, timeout=100, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alone_too(arguments, tmp_path):
    started = [sys.executable, STRUCK, "SIGTERM", "0", "12", *arguments, tmp_path / "out", "--virtual", "3"]
    stop = ["--set", "stop.iterations=1000000"]
    done = subprocess.run([*started, *stop], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 75, done.stderr
    assert len(checkpoints.whole(tmp_path / "out")) == 1
