"""Real ranks: what only MPI can show."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.launch import RANKS, SETTINGS, find_mpiexec, hpcopt_ranks, python_ranks, requires_mpi

pytestmark = [pytest.mark.mpi, requires_mpi]

PROGRAMS = Path(__file__).parent / "ranks"
ROOT = Path(__file__).resolve().parents[1]
EVERY_SIZE = pytest.mark.parametrize("ranks", RANKS)
SPECIFICATION = """
[data]
source = "logistic"
rows = 500
features = 30
test_fraction = 0.2
[solver]
name = "{solver}"
[stop]
rounds = 40
gradient_norm = 1e-7
"""


def ranks_of(ranks, program, *arguments, **settings):
    """Run a program of `tests/ranks`, which writes "done" on every rank."""
    done = python_ranks(ranks, PROGRAMS / program, *arguments, env={"PYTHONPATH": str(ROOT)}, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == ranks


def specification(folder, solver="lbfgs"):
    path = folder / "spec.toml"
    path.write_text(SPECIFICATION.format(solver=solver))
    return path


@EVERY_SIZE
def test_collectives_and_exchanges_of_neighbours(ranks):
    ranks_of(ranks, "operations.py")


@EVERY_SIZE
def test_every_solver_has_the_iterates_of_the_virtual_cluster(ranks):
    ranks_of(ranks, "iterates.py", timeout=100)


@pytest.mark.parametrize(("ranks", "topology"), [(1, "ring"), (2, "ring"), (3, "star"), (5, "ring")])
def test_compressed_gossip_has_the_bits_of_the_virtual_cluster(ranks, topology):
    ranks_of(ranks, "gossip.py", topology, timeout=100)


@pytest.mark.parametrize("ranks", [1, 3, 6])
def test_hub_networks_have_the_bits_of_the_virtual_cluster(ranks):
    ranks_of(ranks, "hubs.py", timeout=100)


def test_sub_communicators_run_side_by_side(tmp_path):
    ranks_of(4, "halves.py", tmp_path)
    assert json.loads((tmp_path / "1" / "run.json").read_text())["nodes"] == 2


@pytest.mark.parametrize("ranks", RANKS[-1:])
def test_a_run_leaves_its_folder_and_speaks_on_one_rank_only(tmp_path, ranks):
    done = hpcopt_ranks(ranks, "run", specification(tmp_path), "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("objective: mean logistic loss") == 1
    described = json.loads((tmp_path / "out" / "run.json").read_text())
    assert described["nodes"] == ranks
    assert described["result"]["rounds"] <= 40
    rows = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert rows[-1]["clock"] == "wall"
    assert rows[-1]["bytes"] == 2 * (ranks - 1) * 8 * 31 * rows[-1]["round"]
    files = {"run.json", "trace.jsonl", "model.npz", "convergence.png", "operations.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files


def test_same_seed_same_trace(tmp_path):
    traces = []
    for name in ("one", "two"):
        done = hpcopt_ranks(2, "run", specification(tmp_path, "local-sgd"), "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in (tmp_path / name / "trace.jsonl").read_text().splitlines()]
        traces.append([{key: value for key, value in row.items() if key != "seconds"} for row in rows])
    assert traces[0] == traces[1]
    assert len(traces[0]) > 5


def test_the_number_of_ranks_changes_the_optimum_by_roundoff_only(tmp_path):
    coefs = []
    for ranks in (1, 3):
        model = tmp_path / f"{ranks}.npz"
        X = np.random.default_rng(0).standard_normal((50, 4))
        np.savez(tmp_path / "data.npz", X=X, y=np.sign(X @ [1, 2, 3, 4] + 1))
        done = hpcopt_ranks(ranks, "fit", tmp_path / "data.npz", "-o", model, "--l2", "0.01")
        assert done.returncode == 0, done.stderr
        coefs.append(np.load(model)["coef"])
    np.testing.assert_allclose(coefs[0], coefs[1], rtol=1e-7)


@pytest.mark.parametrize("rank", [0, 2])
def test_an_exception_on_one_rank_ends_the_job_with_that_ranks_traceback(tmp_path, rank):
    start = time.monotonic()
    done = python_ranks(
        3,
        f"import sys; sys.argv[0] = {str(PROGRAMS / 'failing.py')!r}; exec(open(sys.argv[0]).read())",
        rank,
        specification(tmp_path, "sgd"),
        "--out",
        tmp_path / "out",
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode not in (0, 75)
    assert f"[rank {rank}] ZeroDivisionError: as a defect of ours would" in done.stderr
    assert time.monotonic() - start < 30  # including start-up; a hang would last forever
    assert json.loads((tmp_path / "out" / "run.json").read_text())["result"] is None
    assert not (tmp_path / "out" / "model.npz").exists()


def test_singletons_of_a_wrong_launcher_are_refused_with_the_remedy(tmp_path):
    flavour = subprocess.run([find_mpiexec(), "--version"], capture_output=True, text=True, check=True).stdout
    foreign = "PMI" if "Open MPI" in flavour else "OMPI_COMM_WORLD"
    told = []
    for rank in (0, 1):
        done = subprocess.run(
            [sys.executable, "-m", "hpcopt", "run", specification(tmp_path), "--out", tmp_path / "out"],
            env={**os.environ, **SETTINGS, f"{foreign}_SIZE": "2", f"{foreign}_RANK": str(rank)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 1
        told.append(done.stderr.strip())
    for text in told:  # not started by a launcher's daemon: each reports for itself
        assert "2 processes were started" in text
        assert "start with the mpiexec that came with this MPI" in text
        assert f"unset {foreign}_SIZE and {foreign}_RANK" in text
    assert not (tmp_path / "out").exists()


def test_a_virtual_cluster_on_several_ranks_is_refused(tmp_path):
    done = hpcopt_ranks(2, "run", specification(tmp_path), "--virtual", 3, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.count("cluster.kind: a virtual cluster runs in one process, but 2 ranks were started") == 1


def test_ranks_with_different_specifications_are_refused(tmp_path):
    program = (
        "import sys\n"
        "from mpi4py import MPI\n"
        "from hpcopt.cli.main import main\n"
        "rows = 'output.record_every=' + str(1 + MPI.COMM_WORLD.rank % 2)\n"
        "sys.exit(main(['run', *sys.argv[1:], '--set', rows]))\n"
    )
    arguments = specification(tmp_path), "--out", tmp_path / "out"
    done = python_ranks(3, program, *arguments, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1
    assert done.stderr.count("rank 1 has read a different specification than rank 0") == 1


def test_workers_unlike_the_number_of_ranks_are_refused(tmp_path):
    done = hpcopt_ranks(2, "run", specification(tmp_path), "--set", "cluster.workers=3", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.count("cluster.workers: 3 requested, but the job has 2 ranks") == 1


def test_the_fabric_benchmark_tells_what_the_driver_adds(tmp_path):
    done = hpcopt_ranks(2, "bench", "fabric", "--quick", "--json", tmp_path / "bench.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert {"name", "ours", "peer", "peer_name", "ratio", "goal"} == set(rows[0])
    assert any("overhead" in row["name"] and "budget" in row["peer_name"] for row in rows)
    assert any("gossip round" in row["name"] for row in rows)


@pytest.mark.parametrize("arguments", [("show", "giant")])
def test_verbs_that_need_no_ranks_speak_once(arguments):
    done = hpcopt_ranks(3, *arguments)
    assert done.returncode == 0, done.stderr
    assert len(re.findall("^giant", done.stdout, re.MULTILINE)) == 1


def test_info_tells_the_ranks_once():
    done = hpcopt_ranks(2, "info")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 ranks") == 1
