"""Ranks that die, and the others, which go on, with Open MPI's fault tolerance; skipped with other MPI libraries."""

import json
import subprocess

import pytest

from tests.launch import find_mpiexec, hpcopt_ranks, requires_mpi

FAULT_TOLERANT = ("--with-ft", "ulfm")
SPECIFICATION = """
[data]
source = "logistic"
rows = 240
features = 5
[problem]
l2 = 0.01
[solver]
name = "{name}"
[cluster]
reduction = "ordered"
{cluster}
[stop]
iterations = 200
[output]
record_every = 10
"""


def _is_open_mpi():
    program = find_mpiexec()
    if program is None:
        return False
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return "Open MPI" in told.stdout


pytestmark = [
    pytest.mark.mpi,
    requires_mpi,
    pytest.mark.skipif(not _is_open_mpi(), reason="only Open MPI's launcher lets ranks outlive others"),
]


def run(folder, name, *inject, cluster="", ranks=4):
    (folder / "spec.toml").write_text(SPECIFICATION.format(name=name, cluster=cluster))
    faults = [part for fault in inject for part in ("--inject", fault)]
    out = ("run", folder / "spec.toml", "--out", folder / "out", *faults)
    done = hpcopt_ranks(ranks, *out, options=FAULT_TOLERANT, timeout=120)
    described = json.loads((folder / "out" / "run.json").read_text())
    trace = [json.loads(line) for line in (folder / "out" / "trace.jsonl").read_text().splitlines()]
    return done, described["result"], trace


@pytest.mark.parametrize(
    ("name", "cluster"),
    [("dgd", 'topology = "ring"'), ("choco-sgd", 'topology = "star"'), ("multilevel-sgd", "hubs = { hubs = 2 }")],
)
@pytest.mark.parametrize("victims", [(2,), (0,), (1, 3)])
def test_the_others_go_on(name, cluster, victims, tmp_path):
    done, result, trace = run(tmp_path, name, *(f"kill:rank={rank},round=30" for rank in victims), cluster=cluster)
    assert done.returncode == 0, done.stderr
    assert sorted(node for one in result["departures"] for node in one["nodes"]) == list(victims)
    assert result["lost_rows"] == 60 * len(victims)
    assert trace[-1]["iteration"] == 200
    assert trace[-1]["left"] == list(victims)
    for column in ("bytes", "seconds", "round", "iteration"):
        values = [record[column] for record in trace]
        assert values == sorted(values), column
    assert "go on without" in done.stderr
    assert (tmp_path / "out" / "model.npz").exists()


def test_a_run_that_needs_all_ranks_ends_in_one_line(tmp_path):
    done, result, _ = run(tmp_path, "lbfgs", "kill:rank=2,round=9")
    assert done.returncode not in (0, 75)
    assert result is None
    errors = [line for line in done.stderr.splitlines() if line.startswith("hpcopt: error")]
    assert len(errors) == 1
    assert "rank 2" in errors[0]
    assert "Traceback" not in done.stderr
