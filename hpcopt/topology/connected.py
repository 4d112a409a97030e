"""Whether a graph is connected (directed graphs: strongly), and its diameter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array

from hpcopt.topology.base import Graph


def apart(graphs: Sequence[Graph]) -> tuple[int, int] | None:
    """Return two nodes without a path from the first to the second; None if there are none.

    Parameters
    ----------
    graphs
        The graphs of all steps; the edges of all of them count.
    """
    from scipy.sparse.csgraph import breadth_first_order

    n = graphs[0].n
    senders, receivers = (np.concatenate(ends) for ends in zip(*(graph.arcs() for graph in graphs), strict=True))
    matrix = csr_array(coo_array((np.ones(len(senders)), (senders, receivers)), shape=(n, n)))
    for turned in (False, True):
        reached = breadth_first_order(matrix.T if turned else matrix, 0, return_predecessors=False)
        if len(reached) < n:
            missing = int(np.setdiff1d(np.arange(n), reached)[0])
            return (missing, 0) if turned else (0, missing)
    return None


def diameter(pattern: csr_array) -> int:
    """Return the diameter: the largest distance between two nodes, in edges.

    Parameters
    ----------
    pattern
        The n x n pattern of a connected graph, with an entry for each edge (two for an undirected one).
    """
    n = int(pattern.shape[0])
    if pattern.nnz - np.count_nonzero(pattern.diagonal()) == n * (n - 1):
        return min(1, n - 1)  # a complete graph, for which the search below would take n^3
    return max(_farthest(pattern, node) for node in range(n))


def _farthest(pattern: csr_array, start: int) -> int:
    """Return the distance of the node that breadth-first search finds last."""
    from scipy.sparse.csgraph import breadth_first_order

    order, before = breadth_first_order(pattern, start)
    node, distance = int(order[-1]), 0
    while node != start:
        node, distance = int(before[node]), distance + 1
    return distance
