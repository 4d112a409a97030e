"""Rules that turn a graph into a mixing matrix; `base.Topology` lists them.

Xiao and Boyd, "Fast linear iterations for distributed averaging", Systems and Control Letters 2004.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array

from hpcopt.errors import InputError
from hpcopt.topology import spectrum
from hpcopt.topology.base import Graph

Values = NDArray[np.float64]


def weigh(graph: Graph, rule: str) -> csr_array:
    """Return the mixing matrix of `graph` by `rule`, n x n with sorted indices; its rows sum to one.

    Raises
    ------
    InputError
        If the weights of a file leave no positive weight for a node's own value.
    """
    senders, receivers = graph.arcs()
    degrees = np.bincount(receivers, minlength=graph.n).astype(np.float64)
    values: Values
    if rule == "metropolis":
        values = 1.0 / (1.0 + np.maximum(degrees[senders], degrees[receivers]))
    elif rule == "max-degree":
        values = np.full(len(senders), 1.0 / (1.0 + degrees.max()))
    elif rule == "laplacian":
        values = np.full(len(senders), _best_constant(graph))
    elif rule in {"uniform", "authors"}:
        values = 1.0 / (1.0 + degrees[receivers])
    else:
        values = _given(graph, receivers)
    return row_stochastic(graph.n, senders, receivers, values)


def row_stochastic(n: int, senders: NDArray[np.int64], receivers: NDArray[np.int64], values: Values) -> csr_array:
    """Return W with `values` at (receiver, sender) and one minus the row sum on the diagonal."""
    beside = csr_array(coo_array((values, (receivers, senders)), shape=(n, n)))
    own = 1.0 - beside.sum(axis=1)
    matrix = csr_array(beside + diags_array(own))
    matrix.sort_indices()
    return matrix


def _best_constant(graph: Graph) -> float:
    """Return 2 / (l_1 + l_{n-1}) of the Laplacian L, from I - L / (2 d), whose spectrum lies in [0, 1]."""
    senders, receivers = graph.arcs()
    scale = 2.0 * float(np.bincount(receivers, minlength=graph.n).max())
    matrix = row_stochastic(graph.n, senders, receivers, np.full(len(senders), 1.0 / scale))
    second = spectrum.largest_modulus([matrix], symmetric=True)
    return 2.0 / (scale * ((1.0 - spectrum.smallest(matrix)) + (1.0 - second)))


def _given(graph: Graph, receivers: NDArray[np.int64]) -> Values:
    """Return the weight of every message as given by the file.

    A node without a weight for its own value might exchange values with its neighbour forever.
    """
    assert graph.weights is not None, "the rule `file` requires a file with weights"
    values = graph.weights if graph.directed else np.concatenate([graph.weights, graph.weights])
    sums = np.bincount(receivers, values, minlength=graph.n)
    if sums.max() >= 1.0 - 1e-12:
        node = int(sums.argmax())
        raise InputError(
            f"weights: the file's weights at node {node} sum to {sums[node]:.6g}; expected less than 1, since the "
            "remainder is the weight of the node's own value"
        )
    return values
