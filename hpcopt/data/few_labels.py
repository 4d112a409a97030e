"""Equal shards with a few labels each: which node holds which labels, and how many rows of each.

holders of a label    in proportion to its rows, at least one
labels of a node      drawn, exactly `labels_per_node` of them, such that every label gets its holders
rows of a label       divided equally over its holders, then moved between nodes that share a label until shards are
                      as equal as possible: a maximum flow from the larger shards to the smaller ones
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError

Counts = NDArray[np.int64]


def rows_of_labels(counts: Counts, sizes: Counts, labels_per_node: int, rng: np.random.Generator) -> Counts:
    """Return the number of rows of each label on each node, shape (nodes, labels): above 0 for its labels, else 0.

    Parameters
    ----------
    counts
        Number of rows of each label, shape (labels,).
    sizes
        Desired number of rows on each node, shape (nodes,), with the same sum as `counts`.
    labels_per_node
        Number of labels on each node.

    Raises
    ------
    InputError
        If there are fewer labels, too few nodes to hold all labels, or too few rows for all holders.
    """
    held = _drawn(_holders(counts, len(sizes), labels_per_node), len(sizes), labels_per_node, rng)
    rows = np.zeros(held.shape, dtype=np.int64)
    for label, count in enumerate(counts):
        holders = rng.permutation(np.flatnonzero(held[:, label]))
        rows[holders, label] = count // len(holders)
        rows[holders[: count % len(holders)], label] += 1
    return _evened(rows, held, sizes)


def _holders(counts: Counts, nodes: int, labels_per_node: int) -> Counts:
    """Return the number of holders of each label, (labels,): the next holder goes to the label with most rows each."""
    if not 1 <= labels_per_node <= len(counts):
        raise InputError(f"data.labels_per_node: between 1 and the {len(counts)} labels, got {labels_per_node}")
    if nodes * labels_per_node < len(counts):
        raise InputError(
            f"data.labels_per_node: {nodes} nodes with {labels_per_node} labels each cannot hold all {len(counts)} "
            f"labels; at least {-(-len(counts) // nodes)}, got {labels_per_node}"
        )
    most = np.minimum(counts, nodes)
    if most.sum() < nodes * labels_per_node:
        raise InputError(
            f"data.labels_per_node: the labels have too few rows for {nodes} nodes with {labels_per_node} labels each"
        )
    holders = np.ones(len(counts), dtype=np.int64)
    for _ in range(nodes * labels_per_node - len(counts)):
        holders[np.argmax(np.where(holders < most, counts / holders, -1.0))] += 1
    return holders


def _drawn(holders: Counts, nodes: int, labels_per_node: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which node holds which label, (nodes, labels), with given row sums (labels) and column sums (holders).

    The nodes draw in turn, weighted by the holders that a label still lacks; a label that needs all remaining nodes is
    always drawn.
    """
    lacking = holders.copy()
    held = np.zeros((nodes, len(holders)), dtype=np.bool_)
    for node in range(nodes):
        forced = lacking == nodes - node
        free = np.where(forced, 0, lacking)
        wanted = labels_per_node - int(forced.sum())
        held[node] = forced
        if wanted:
            held[node, rng.choice(len(free), size=wanted, replace=False, p=free / free.sum())] = True
        lacking -= held[node]
    return held


def _evened(rows: Counts, held: NDArray[np.bool_], sizes: Counts) -> Counts:
    """Move rows of a label between its holders, leaving at least one on each, until the nodes have their sizes.

    Vertices of the flow: the nodes, the labels, and a source and a sink, numbered in this order.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_flow

    nodes, labels = rows.shape
    source, sink = nodes + labels, nodes + labels + 1
    surplus = rows.sum(axis=1) - sizes
    over, under = np.flatnonzero(surplus > 0), np.flatnonzero(surplus < 0)
    node, label = np.nonzero(held)
    tails = np.concatenate([np.full(len(over), source), under, node, nodes + label])
    heads = np.concatenate([over, np.full(len(under), sink), nodes + label, node])
    room = [surplus[over], -surplus[under], rows[held] - 1, np.full(len(node), rows.sum())]
    capacity = csr_array((np.concatenate(room).astype(np.int32), (tails, heads)), shape=(sink + 1, sink + 1))
    flow = maximum_flow(capacity, source, sink).flow
    return np.asarray(rows - flow[:nodes, nodes:source].toarray())
