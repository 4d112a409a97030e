"""Memory of runs on many sparse features, in vectors of the model's length."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

import hpcopt

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
    assert most < 2 * 17  # of which 7 per node are the solver's own


def test_rows_without_any_entry_are_a_problem_like_others():
    table = spec(features=50)
    table["data"]["density"] = 1e-9
    assert hpcopt.run(table).trace[-1]["work"] == 0.0
