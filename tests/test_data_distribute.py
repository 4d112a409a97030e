from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array

from hpcopt.data.distribute import distribute
from hpcopt.data.partition import assign, spread
from hpcopt.data.table import Part, Table
from hpcopt.fabric.solo import SoloGroup
from tests.fake_group import FakeCluster, on_processes

ROWS = 29


def numbered(group, sparse, dtype):
    """The rows of one process, assigned in turn: row i has the features (i + 1, 0, 0) and the target i."""
    rows = np.arange(group.rank, ROWS, group.size)
    X = np.zeros((len(rows), 3), dtype=dtype)
    X[:, 0] = rows + 1
    return Part(Table(csr_array(X) if sparse else X, rows.astype(float)), rows, ROWS)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("rule", ["shuffled", "contiguous"])
def test_every_row_stands_on_its_node_at_its_place(sparse, dtype, nodes, many, rule):
    assignment = assign(rule, ROWS, nodes, 3)

    def work(group):
        return distribute(numbered(group, sparse, dtype), assignment, FakeCluster(group, nodes))

    shards = {node: shard for here in on_processes(nodes if many else 1, work) for node, shard in here.items()}
    assert sorted(shards) == list(range(nodes))
    for node, shard in shards.items():
        rows = shard.y.astype(int)
        assert_array_equal(assignment.owner[rows], node)
        assert_array_equal(assignment.place[rows], np.arange(shard.n))
        X = shard.X.toarray() if shard.sparse else shard.X
        assert X.dtype == dtype
        assert_array_equal(X[:, 0], rows + 1)
        assert (X[:, 1:] == 0).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_nodes_without_rows_get_an_empty_table_of_the_right_width(sparse, many):
    nodes = ROWS + 2

    def work(group):
        return distribute(numbered(group, sparse, np.float64), spread(ROWS, nodes), FakeCluster(group, nodes))

    last = on_processes(nodes if many else 1, work)[-1][nodes - 1]
    assert (last.n, last.d, last.sparse) == (0, 3, sparse)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_rows_go_to_the_holders_only(sparse, many):
    nodes, holders = 5, (1, 2, 4)
    assignment = assign("shuffled", ROWS, len(holders), 3)

    def work(group):
        return distribute(numbered(group, sparse, np.float64), assignment, FakeCluster(group, nodes, holders))

    shards = {node: shard for here in on_processes(nodes if many else 1, work) for node, shard in here.items()}
    for node in range(nodes):
        held = np.flatnonzero(assignment.owner == holders.index(node)) if node in holders else []
        assert sorted(shards[node].y.astype(int)) == list(held)
        assert (shards[node].d, shards[node].sparse) == (3, sparse)


def test_rows_in_the_order_of_their_places_are_not_copied():
    part = numbered(SoloGroup(), False, np.float64)
    shards = distribute(part, assign("contiguous", ROWS, 3, 0), FakeCluster(SoloGroup(), 3))
    assert all(np.shares_memory(shard.X, part.table.X) for shard in shards.values())
