"""From a specification to shards on nodes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from hpcopt.fabric.conditions import PLAIN
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.runs.prepare import prepare
from hpcopt.spec.specification import specification_from


def prepared(path, nodes=2, **problem):
    return prepare(
        specification_from({"data": {"path": str(path)}, "problem": problem, "solver": {"name": "giant"}}),
        VirtualCluster(nodes),
        PLAIN,
    )


@pytest.mark.parametrize("partition", ["shuffled", "contiguous", "by-label", "unequal", "dirichlet"])
def test_shards_and_test_rows_are_those_of_a_cluster_of_the_holders_alone(partition):
    keys = {"unequal": {"fractions": [0.7, 0.3]}, "dirichlet": {"alpha": 0.5}}.get(partition, {})
    data = {"source": "breast-cancer", "test_fraction": 0.2, "partition": partition, **keys}
    spec = specification_from({"data": data, "solver": {"name": "giant"}})
    some, alone = prepare(spec, VirtualCluster(3, holders=[1, 2]), PLAIN), prepare(spec, VirtualCluster(2), PLAIN)
    assert some.problem == alone.problem
    assert some.shards[0].matrix.n == 0
    for node, shard in alone.shards.items():
        moved = some.shards[node + 1]
        np.testing.assert_array_equal(moved.y, shard.y)
        np.testing.assert_array_equal(moved.test_y, shard.test_y)
        np.testing.assert_array_equal(moved.matrix.as_array(), shard.matrix.as_array())


def test_generated_rows_have_a_vector_of_their_own_for_each_holder():
    data = {"source": "heterogeneous-least-squares", "rows": 64, "features": 4}
    spec = specification_from({"data": data, "problem": {"loss": "squared"}, "solver": {"name": "giant"}})
    some, alone = prepare(spec, VirtualCluster(5, holders=range(1, 5)), PLAIN), prepare(spec, VirtualCluster(4), PLAIN)
    for node, shard in alone.shards.items():
        np.testing.assert_array_equal(some.shards[node + 1].y, shard.y)


@pytest.fixture(params=["dense", "sparse"])
def rows(request, tmp_path):
    """A file of six float32 rows in two classes."""
    X, y = np.eye(6, dtype=np.float32), np.arange(6) % 2
    path = tmp_path / "rows.npz"
    if request.param == "dense":
        np.savez(path, X=X, y=y)
    else:
        sparse = scipy.sparse.csr_array(X)
        parts = {"data": sparse.data, "indices": sparse.indices, "indptr": sparse.indptr, "shape": sparse.shape}
        np.savez(path, y=y, **parts)
    return path


@pytest.mark.parametrize("intercept", [False, True])
def test_float32_data_stay_float32(rows, intercept):
    for shard in prepared(rows, intercept=intercept).shards.values():
        assert shard.matrix.storage == np.float32


def test_an_intercept_is_a_last_column_of_ones_and_a_last_coordinate(rows):
    made = prepared(rows, intercept=True)
    assert made.w0.shape == (7,)
    for shard in made.shards.values():
        X = shard.matrix.as_array()
        X = X.toarray() if scipy.sparse.issparse(X) else X
        np.testing.assert_array_equal(X[:, -1], 1.0)


def test_entries_and_rows_are_those_of_all_nodes(rows):
    made = prepared(rows, nodes=4)
    assert made.problem.total == sum(shard.matrix.n for shard in made.shards.values()) == 6
    assert made.problem.entries == sum(shard.matrix.nnz for shard in made.shards.values())


@pytest.mark.parametrize(("l2", "value"), [("1/n", 1 / 6), ("0.5/n", 0.5 / 6), (0.25, 0.25)])
def test_l2_counts_the_rows_of_all_nodes(rows, l2, value):
    assert prepared(rows, nodes=3, l2=l2).problem.formulation.penalty.curvature == pytest.approx(value)


def test_a_random_start_is_the_same_again(rows):
    starts = [prepared(rows, start="random").w0 for _ in range(2)]
    np.testing.assert_array_equal(*starts)
    assert starts[0].any()
