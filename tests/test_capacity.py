"""Free memory is the minimum of all limits; a lack of memory gives a one-line error."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse

import hpcopt
from hpcopt import capacity
from hpcopt.capacity import ask, free, in_words
from hpcopt.data import from_arrays
from hpcopt.errors import InputError
from tests.launch import mpiexec, requires_mpi

GB = 10**9


def system(root, **files):
    """Write system files into a folder; "/" in their names separates folders."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_what_the_machine_has_free_is_a_limit(tmp_path):
    assert free(system(tmp_path, **{"proc/meminfo": "MemTotal: 900 kB\nMemAvailable: 300 kB\n"})) == 300 * 1024


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/job/step", "sys/fs/cgroup/job", ("memory.max", "memory.current", "inactive_file")),
        ("0::/", "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")),
        (
            "7:memory:/job",
            "sys/fs/cgroup/memory/job",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_a_control_group_and_those_above_it_limit_what_is_free_pages_of_files_aside(tmp_path, line, folder, names):
    limit, used, cached = names
    files = {"proc/self/cgroup": f"{line}\n", f"{folder}/{limit}": "5000\n", f"{folder}/{used}": "3000\n"}
    assert free(system(tmp_path, **files, **{f"{folder}/memory.stat": f"anon 9\n{cached} 500\n"})) == 2500


@pytest.mark.parametrize("none", ["max", str(2**63 - 4096)])
def test_a_control_group_without_a_limit_is_none(tmp_path, none):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": none, "proc/meminfo": "MemAvailable: 1 kB"}
    assert free(system(tmp_path, **files)) == 1024


def test_the_limit_of_the_process_counts():
    own = f"resource.setrlimit(resource.RLIMIT_AS, ({4 * GB}, resource.RLIM_INFINITY))"
    program = f"import resource\nfrom hpcopt.capacity import free\n{own}\nprint(free())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 0 < int(told) < 4 * GB


def test_processes_of_one_host_share_what_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(capacity, "_sharing", 3)
    assert free(system(tmp_path, **{"proc/meminfo": "MemAvailable: 3 kB\n"})) == 1024
    with pytest.raises(InputError, match="are free here for each of the 3 processes of this host"):
        ask(10**21, "data.rows: 10 numbers")


@pytest.mark.mpi
@requires_mpi
def test_ranks_know_with_how_many_they_share_a_host():
    program = "from hpcopt import capacity as c\nfrom hpcopt.fabric.job import bring_up\nbring_up()\nprint(c._sharing)"
    done = mpiexec(3, sys.executable, "-c", program)
    assert sorted("".join(done.stdout.split())) == ["3"] * 3


def test_what_does_not_fit_is_refused_with_what_it_takes_and_what_is_free():
    ask(1, "little")
    with pytest.raises(InputError, match=re.escape("data.rows: 10 numbers take 1e+03 EB of memory, of which ")):
        ask(10**21, "data.rows: 10 numbers")


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 bytes"), (999, "999 bytes"), (16_000_000_008, "16 GB"), (1_234_567, "1.23 MB")]
)
def test_sizes_are_told_in_words(size, words):
    assert in_words(size) == words


TOO_LARGE = {
    "rows": (["data.rows=1000000000000"], "data.rows, data.features: 1000000000000 x 20 take "),
    "a number of rows beyond all types": (
        ["data.rows=1" + "0" * 30],
        f"data.rows, data.features: 1{'0' * 30} x 20 take ",
    ),
    "features": (["data.features=100000000000"], "data.features: 100000000000: the 7 vectors of that many numbers"),
    "a basis": (["data.features=3000000"], "data.rows, data.features: 100 x 3000000 take 144 TB of memory"),
    "hidden layers": (
        ["problem.model=mlp", "problem.loss=softmax", "problem.hidden=[10000000, 10000000]", 'solver.name="sgd"'],
        "a model of 100000240000002 numbers: the 7 vectors of that many numbers that a run needs, 800 TB each, take",
    ),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_sizes_in_a_specification_are_compared_with_the_memory_before_they_are_believed(case):
    overrides, message = TOO_LARGE[case]
    tables = {
        "data": {"source": "logistic", "rows": 100},
        "problem": {"l2": 0.1},
        "solver": {"name": "giant"},
        "cluster": {"kind": "virtual", "workers": 2},
        "stop": {"rounds": 2},
    }
    if "hidden" in case:
        tables["solver"] = {"name": "sgd", "step_size": 0.1}
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        hpcopt.run(tables, overrides=overrides)


def test_every_node_of_a_process_has_vectors_of_its_own(monkeypatch):
    monkeypatch.setattr(capacity, "free", lambda: 10**9)
    d, y = 4_000_000, np.tile([-1.0, 1.0], 10)
    tables = {
        "data": {"source": "arrays"},
        "solver": {"name": "sgd"},
        "cluster": {"kind": "virtual", "workers": 10},
    }
    with pytest.raises(InputError, match=r"10 nodes with 7 vectors of 4000000 numbers each take"):
        hpcopt.run(tables, rows=from_arrays(scipy.sparse.csr_array((20, d)), y))
