"""Memory of runs on many sparse features, in vectors of the model's length."""

from __future__ import annotations

import gc
import json
import tracemalloc

import numpy as np
import pytest

import hpcopt
from hpcopt.problems import lanczos
from tests.launch import python_ranks, requires_mpi

FEATURES = 400_000


def spec(features=FEATURES, **stop):
    return {
        "data": {"source": "logistic", "rows": 60, "features": features, "density": 1e-4},
        "problem": {"l2": 1e-3},
        "solver": {"name": "sgd", "batch": 8, "step_size": 0.1},
        "cluster": {"kind": "virtual", "workers": 2},
        "stop": {"iterations": 3, **stop},
    }


@pytest.fixture
def vectors():
    """Return functions that give the traced memory, now and at most since the last call, in vectors."""
    hpcopt.run(spec(features=50, scaled_gradient=1e-9))  # compiles, imports
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield lambda: tuple(size / (8 * FEATURES) for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    gc.enable()


def test_a_run_needs_few_vectors_per_node_and_leaves_none_but_its_model(vectors):
    run = hpcopt.run(spec(scaled_gradient=1e-9))
    now, most = vectors()
    assert len(run.model.coef) == FEATURES
    assert now < 2
    assert most < 2 * 18  # of which 7 per node are the solver's own, and 2 the bound on the Hessian and its inverse


def test_rows_without_any_entry_are_a_problem_like_others():
    table = spec(features=50)
    table["data"]["density"] = 1e-9
    assert hpcopt.run(table).trace[-1]["work"] == 0.0


ON_RANKS = """
import json, resource, sys
import hpcopt
run = hpcopt.run(json.loads(sys.argv[1]))
assert len(run.model.coef) == 2**20
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1e6, "kB; measured: 0.35e6"
assert run.result["objective"].hex() == sys.argv[2]
"""


@pytest.mark.mpi
@requires_mpi
def test_a_million_hashed_features_on_two_ranks_fit_into_a_gigabyte_each(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{sign} " + " ".join(f"w{k}:{sign + k % 3}" for k in rng.integers(0, 5000, 20)) for sign in [1, -1] * 60]
    (tmp_path / "words.txt").write_text("\n".join(lines))
    table = {**spec(), "data": {"path": str(tmp_path / "words.txt"), "hash_bits": 20}}
    on_one = hpcopt.run(table).result["objective"]
    table["cluster"] = {"reduction": "ordered"}
    done = python_ranks(2, ON_RANKS, json.dumps(table), on_one.hex())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("d", [2, 5, 7, 300])
def test_a_small_basis_gives_the_largest_eigenvalue_as_well(d, monkeypatch):
    monkeypatch.setattr(lanczos, "NUMBERS", 0)
    X = np.random.default_rng(0).standard_normal((40, d))
    largest = np.linalg.norm(X, 2) ** 2
    assert largest <= lanczos.largest_eigenvalue(lambda v: X.T @ (X @ v), d) <= 1.002 * largest
