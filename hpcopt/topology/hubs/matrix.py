"""The hub matrix H, by which hubs of unequal weights mix: y_d <- sum_j H_jd z_j (Algorithm 1 of the paper).

H has an entry for each edge and on the diagonal, its columns sum to one, and H b = b for the hubs' weights b, so that
mixing changes neither hubs in agreement nor the weighted mean of the others.

The paper prints the third condition as b_i H_ij = b_j H_ji. With columns that sum to one that is a misprint: H b = b
follows from detailed balance the other way round, b_j H_ij = b_i H_ji, and that is what holds here:
(H b)_i = sum_j H_ij b_j = sum_j H_ji b_i = b_i.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from hpcopt.arrays import Vector
from hpcopt.topology.base import Graph
from hpcopt.topology.weights import row_stochastic

HubRule = Literal["auto", "laplacian", "metropolis"]

_SAME = 1e-12  # relative; what rounding leaves of H b = b and of the columns' sums


def rule_of(graph: Graph, rule: str) -> str:
    """Return the rule that "auto" means: "average" on complete graphs, else "laplacian"."""
    if rule != "auto":
        return rule
    return "average" if 2 * len(graph.pairs) == graph.n * (graph.n - 1) else "laplacian"


def hub_matrix(graph: Graph, b: Vector, rule: str = "auto") -> csr_array:
    """Return H of the hubs on `graph`, checked.

    Parameters
    ----------
    graph
        Of the D hubs, undirected and connected.
    b
        Shape (D,), the hubs' weights, positive with sum one.
    rule
        With d_i the number of neighbours of hub i, d the largest of them, and L the graph's Laplacian:

        - "laplacian": H = I - a L diag(b)^-1, a = min(b) / (d + 1); for equal weights I - L / (d + 1)
        - "metropolis": H_ij = min(b_j / (d_j + 1), b_i / (d_i + 1)) / b_j for neighbours, H_jj what is left to one
        - "auto": H = b 1^T on complete graphs, the exact weighted mean in one step; else that of "laplacian"

    Returns
    -------
    csr_array
        Shape (D, D), sorted indices.

    Raises
    ------
    ArithmeticError
        If rounding spoils H b = b or the columns' sums.
    """
    if rule_of(graph, rule) == "average":
        hub = csr_array(np.tile(b[:, None], graph.n))
    else:
        first, second = graph.arcs()
        degrees = np.bincount(first, minlength=graph.n).astype(np.float64)
        if rule == "metropolis":
            share = b / (degrees + 1.0)
            values = np.minimum(share[first], share[second]) / b[first]
        else:
            values = b.min() / (degrees.max() + 1.0) / b[first]
        hub = csr_array(row_stochastic(graph.n, second, first, values).T)  # column `first`, row `second`
    hub.sort_indices()
    _check(hub, b)
    return hub


def _check(hub: csr_array, b: Vector) -> None:
    fixed = np.abs(hub @ b - b) <= _SAME * b
    stochastic = np.abs(hub.sum(axis=0) - 1.0) <= _SAME
    if not (fixed.all() and stochastic.all() and hub.data.min() >= 0.0):
        raise ArithmeticError("hub matrix: H b = b does not hold in double precision")
