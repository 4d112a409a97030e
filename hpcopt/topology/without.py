"""Graphs and mixing matrices of the nodes that remain when others have left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
from scipy.sparse import csr_array

from hpcopt.topology.base import UNDIRECTED_RULES, Graph
from hpcopt.topology.connected import apart
from hpcopt.topology.mixing import Mixing
from hpcopt.topology.weights import weigh


def mixing_without(mixing: Mixing, lost: Collection[int]) -> Mixing:
    """Return the mixing matrix of the nodes that remain, renumbered in their order.

    Their graph is that of `graphs_without`. Rules that fit every graph stay ("metropolis", "max-degree", "laplacian",
    and "uniform" where the matrix was not symmetric); "metropolis" replaces the others.

    Parameters
    ----------
    lost
        The nodes that have left; at least one remains.
    """
    name = f"{mixing.name} without {nodes_in_words(lost)}"
    if mixing.n - len(lost) == 1:
        return Mixing(name, mixing.rule, (csr_array([[1.0]]),))
    rule = mixing.rule
    if rule not in UNDIRECTED_RULES:
        rule = "metropolis" if mixing.symmetric else "uniform"
    graphs = [_graph(matrix, directed=mixing.one_way) for matrix in mixing.matrices]
    return Mixing(name, rule, tuple(weigh(graph, rule) for graph in graphs_without(graphs, lost)))


def graphs_without(graphs: Sequence[Graph], lost: Collection[int]) -> tuple[Graph, ...]:
    """Return the graphs of the nodes that remain, renumbered in their order, without the weights of a file.

    They keep their edges. If these do not connect them, the neighbours of each lost node are linked in a path; on
    directed graphs, each node that sent to it sends to those it sent to. So the graphs stay connected.

    Parameters
    ----------
    graphs
        One per step; the edges of all of them together connect the nodes.
    """
    kept = np.setdiff1d(np.arange(graphs[0].n), sorted(lost))
    induced = [_restricted(graph, kept) for graph in graphs]
    if len(kept) > 1 and apart(induced) is not None:
        for node in sorted(lost):
            graphs = _bridged(graphs, node)
        induced = [_restricted(graph, kept) for graph in graphs]
    return tuple(induced)


def nodes_in_words(nodes: Collection[int]) -> str:
    """Return "node 2" or "nodes 2, 5"."""
    return f"node{'s' * (len(nodes) > 1)} {', '.join(map(str, sorted(nodes)))}"


def _graph(matrix: csr_array, *, directed: bool) -> Graph:
    """Return the graph of a mixing matrix."""
    entries = matrix.tocoo()
    senders, receivers = entries.col.astype(np.int64), entries.row.astype(np.int64)
    kept = senders != receivers if directed else senders < receivers
    return Graph(matrix.shape[0], np.column_stack([senders[kept], receivers[kept]]), directed=directed)


def _restricted(graph: Graph, kept: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Graph:
    """Return the graph of the nodes `kept`, ascending, renumbered."""
    pairs = graph.pairs[np.isin(graph.pairs, kept).all(axis=1)]
    return Graph(len(kept), np.searchsorted(kept, pairs).reshape(-1, 2), directed=graph.directed)


def _bridged(graphs: Sequence[Graph], node: int) -> tuple[Graph, ...]:
    """Return the graphs without the edges of `node`, and with new ones between its neighbours in the first graph."""
    pairs = np.concatenate([graph.pairs for graph in graphs])
    if graphs[0].directed:
        sources, targets = (np.unique(pairs[pairs[:, 1 - end] == node, end]).tolist() for end in (0, 1))
        wanted = {(source, target) for source, target in product(sources, targets) if source != target}
    else:
        touching = pairs[(pairs == node).any(axis=1)]
        wanted = set(pairwise(np.setdiff1d(touching, [node]).tolist()))
    left = [replace(graph, pairs=graph.pairs[(graph.pairs != node).all(axis=1)], weights=None) for graph in graphs]
    new = sorted(
        wanted
        - set(map(tuple, left[0].pairs.tolist()))
        - {(b, a) for a, b in left[0].pairs.tolist() if not graphs[0].directed}
    )
    added = np.array(new, dtype=np.int64).reshape(-1, 2)
    return (replace(left[0], pairs=np.concatenate([left[0].pairs, added])), *left[1:])
