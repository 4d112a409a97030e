"""Jobs on a real SLURM: submitted, signalled, put back, cancelled, in arrays, and after the failure of a node."""

from __future__ import annotations

import json
import os
import re
import sys
import time

import pytest

from hpcopt.batch import queue
from hpcopt.kernels.cache import place
from tests.job_scripts import job_scripts
from tests.launch import hpcopt_ranks, requires_mpi
from tests.slurm import requires_slurm, slurm

pytestmark = [pytest.mark.slurm, requires_slurm, requires_mpi]

SPEC = """
[data]
source = "breast-cancer"
scale = "standard"
[problem]
l2 = "1/n"
[solver]
name = "sgd"
step_size = 0.01
[stop]
rounds = 40
"""
LONG = SPEC.replace("rounds = 40", "rounds = 1500") + "[output]\nrecord_every = 25\n"
PAUSE = ("--set", "cluster.stragglers.pauses=[{ node = 1, at = 0.01, seconds = 4 }]")  # time to do something to the job
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
PROFILES = '[srun]\nlauncher = "srun"\n[mpiexec]\nlauncher = "mpiexec"\n[auto]\n'


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm(tmp_path_factory.mktemp("slurm") / "it") as running:
        # kernels are compiled already: jobs would do it again in a new folder for temporary files
        (running.folder / "tmp" / f"hpcopt-{os.getuid()}").symlink_to(place().folder.parent)
        yield running


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The records of the long run without an interruption."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "long.toml").write_text(LONG)
    done = hpcopt_ranks(2, "run", "long.toml", "--quiet", cwd=folder)
    assert done.returncode == 0, done.stderr
    return records(folder / "runs" / "long")


@pytest.fixture
def here(cluster, tmp_path, monkeypatch):
    """The folder from which jobs are submitted; SLURM's commands use the cluster."""
    (tmp_path / "a.toml").write_text(SPEC)
    (tmp_path / "long.toml").write_text(LONG)
    (tmp_path / "clusters.toml").write_text(PROFILES)
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def submit(cluster, here, *words):
    """Submit by `hpcopt submit`; return the number of the job."""
    said = cluster.told(sys.executable, "-m", "hpcopt", "submit", *words, "--time", "5:00", cwd=here)
    return re.match(r"job (\d+): ", said)[1]


def result(folder):
    return json.loads((folder / "run.json").read_text())


def records(folder):
    """Return the lines of a trace without their seconds."""
    lines = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]


def wait_for_records(cluster, job, folder, output):
    """Wait until a run has begun."""
    deadline = time.monotonic() + 60
    trace = folder / "trace.jsonl"
    while not (trace.exists() and trace.read_text().count("\n") > 0):
        state = cluster.job(job)["JobState"]
        said = output.read_text() if output.exists() else ""
        assert state not in ENDED, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def start_again(cluster, job):
    """Let a job that is in the queue again start at once: SLURM waits until its old credentials have expired."""
    cluster.until(job, "PENDING")
    cluster.told("scontrol", "update", f"JobId={job}", "StartTime=now+1")


def test_slurm_accepts_every_script(cluster, here):
    for path in job_scripts():
        several = ["--array=1-6%2"] if path.stem == "array" else []
        cluster.told("sbatch", "--test-only", *several, path, cwd=here)


@pytest.mark.parametrize("launcher", ["srun", "mpiexec"])
def test_a_job_runs_on_two_nodes(cluster, here, launcher):
    job = submit(cluster, here, "a.toml", "--nodes", "2", "--tasks-per-node", "1", "--profile", launcher)
    end = cluster.until(job, *ENDED)
    said = (here / "runs" / "a" / f"a-{job}.out").read_text()
    assert end["JobState"] == "COMPLETED", said
    assert end["NodeList"] == "n[1-2]"
    assert result(here / "runs" / "a")["nodes"] == 2
    assert queue.states([job]) == {job: "COMPLETED"}


@pytest.mark.parametrize("launcher", ["srun", "mpiexec"])
def test_a_job_that_is_warned_goes_on_later_as_if_nothing_had_happened(cluster, here, launcher, uninterrupted):
    job = submit(cluster, here, "long.toml", "--nodes", "2", "--tasks-per-node", "1", "--profile", launcher, *PAUSE)
    folder = here / "runs" / "long"
    output = folder / f"long-{job}.out"
    wait_for_records(cluster, job, folder, output)
    cluster.told("scancel", "--signal=USR1", "--batch", job)
    start_again(cluster, job)
    end = cluster.until(job, *ENDED)
    assert (end["JobState"], end["Restarts"]) == ("COMPLETED", "1"), output.read_text()
    assert output.read_text().count("goes on later: restart 1 of at most 20") == 1
    assert records(folder) == uninterrupted
    assert result(folder)["result"]["rounds"] == 1500


def test_a_job_that_is_cancelled_ends_and_is_not_put_back(cluster, here):
    job = submit(cluster, here, "long.toml", "--nodes", "2", "--tasks-per-node", "1", "--profile", "srun", *PAUSE)
    folder = here / "runs" / "long"
    output = folder / f"long-{job}.out"
    wait_for_records(cluster, job, folder, output)
    cluster.told("scancel", job)
    assert cluster.until(job, *ENDED, timeout=20)["JobState"] == "CANCELLED"
    assert result(folder)["result"] is None
    assert not list(folder.rglob(".hpcopt-*.part"))
    assert "restart" not in output.read_text()


def test_of_an_array_one_job_may_fail(cluster, here):
    values = "0.01,0.02,1e300,0.03,0.04,0.05"  # the third diverges
    array = ("--array", f"solver.step_size={values}", "--at-once", "4")
    job = submit(cluster, here, "a.toml", *array, "--profile", "auto")
    for task in range(6):
        cluster.until(f"{job}_{task}", *ENDED)
    wanted = {f"{job}_{task}": "COMPLETED" for task in range(6)} | {f"{job}_2": "FAILED"}
    assert queue.states([job]) == wanted
    for value in values.split(","):
        status = result(here / "runs" / "a" / f"solver.step_size={value}")["result"]["status"]
        assert (status == "diverged") == (value == "1e300")
