"""The mixing matrix W of a gossip step, x_i <- sum_j w_ij x_j.

A `Mixing` holds only its name, its rule and sparse matrices: process 0 builds it and sends it, pickled, to the others.
Its properties (gap, symmetry) are computed on demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hpcopt.arrays import Vector
from hpcopt.topology import spectrum

_SAME = 1e-12  # tolerance for row and column sums of one

_RULES = {
    "metropolis": "Metropolis weights",
    "max-degree": "maximum-degree weights",
    "laplacian": "best constant weights",
    "uniform": "uniform weights",
    "authors": "the authors' weights",
    "file": "the file's weights",
    "hub-average": "exact averages",
    "hub-laplacian": "Laplacian hub weights",
    "hub-metropolis": "Metropolis hub weights",
}


@dataclass(frozen=True)
class Row:
    """One node's part of a gossip step.

    Parameters
    ----------
    sources
        The nodes that it receives from, ascending, without itself.
    weights
        w_ij of each source j, in their order.
    own
        w_ii.
    targets
        The nodes that receive from it, ascending, without itself.
    """

    sources: tuple[int, ...]
    weights: tuple[float, ...]
    own: float
    targets: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Mixing:
    """One mixing matrix, or several that are used in turn.

    Parameters
    ----------
    name
        The name of the topology: "ring".
    rule
        The rule of the weights: "metropolis", ...
    matrices
        Each n x n, float64, with sorted indices and rows that sum to one; one per gossip step, repeated cyclically.
        Row i holds the weights of what node i receives.
    stationary
        Shape (n,), positive with sum one: pi with pi_i w_ij = pi_j w_ji, if there is one matrix and it has such weights
        (those of hubs). Mixing preserves the mean of the nodes weighted by pi. None if it is not known.
    """

    name: str
    rule: str
    matrices: tuple[csr_array, ...]
    stationary: Vector | None = None

    @property
    def n(self) -> int:
        """Number of nodes."""
        return int(self.matrices[0].shape[0])

    @property
    def period(self) -> int:
        """Number of matrices used in turn."""
        return len(self.matrices)

    @property
    def varying(self) -> bool:
        """Whether the neighbours change from step to step."""
        return self.period > 1

    def row(self, node: int, step: int = 0) -> Row:
        """Return the part of `node` in gossip step `step` (counted from 0, modulo the period), in O(degree) time."""
        place = step % self.period
        sources, weights = _line(self.matrices[place], node)
        targets, _ = _line(self._columns[place], node)
        return Row(
            tuple(j for j in sources if j != node),
            tuple(w for j, w in zip(sources, weights, strict=True) if j != node),
            next((w for j, w in zip(sources, weights, strict=True) if j == node), 0.0),
            tuple(j for j in targets if j != node),
        )

    @cached_property
    def _columns(self) -> tuple[csr_array, ...]:
        """The transposed matrices: row j of these is column j."""
        return tuple(_sorted(matrix.T.tocsr()) for matrix in self.matrices)

    @cached_property
    def symmetric(self) -> bool:
        """Whether every matrix is bitwise symmetric."""
        return all(
            np.array_equal(matrix.indptr, turned.indptr)
            and np.array_equal(matrix.indices, turned.indices)
            and np.array_equal(matrix.data, turned.data)
            for matrix, turned in zip(self.matrices, self._columns, strict=True)
        )

    @cached_property
    def doubly_stochastic(self) -> bool:
        """Whether the rows and the columns of every matrix sum to one: mixing preserves the mean of the nodes."""
        return all(np.abs(matrix.sum(axis=axis) - 1.0).max() <= _SAME for matrix in self.matrices for axis in (0, 1))

    @cached_property
    def second_eigenvalue(self) -> float:
        """The second largest modulus of an eigenvalue, after the 1 of the constant vector; below 1 for consensus.

        The asymptotic factor by which the nodes' disagreement shrinks per step. For a sequence of p matrices: the p-th
        root of that of their product.
        """
        radius = spectrum.largest_modulus(
            self.matrices, symmetric=self.symmetric and not self.varying, stationary=self.stationary
        )
        return float(radius ** (1.0 / self.period))

    @property
    def gap(self) -> float:
        """The spectral gap, 1 - `second_eigenvalue`."""
        return 1.0 - self.second_eigenvalue

    @cached_property
    def smallest_eigenvalue(self) -> float:
        """The smallest eigenvalue of a symmetric matrix; for a sequence, the smallest of all.

        Raises
        ------
        ValueError
            If a matrix is not symmetric.
        """
        if not self.symmetric:
            raise ValueError("the smallest eigenvalue is that of symmetric matrices")
        return min(spectrum.smallest(matrix) for matrix in self.matrices)

    @property
    def beta(self) -> float:
        """||I - W||_2 = 1 - `smallest_eigenvalue`, at most 2; raises as that does."""
        return 1.0 - self.smallest_eigenvalue

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """Shape (period, n): the number of nodes that each node receives from in each step."""
        counts = [np.diff(matrix.indptr) - (matrix.diagonal() != 0.0) for matrix in self.matrices]
        return np.array(counts, dtype=np.int64)

    @cached_property
    def one_way(self) -> bool:
        """Whether some matrix has a directed graph: a node receives from one that does not receive from it."""
        return any(
            not (np.array_equal(matrix.indptr, turned.indptr) and np.array_equal(matrix.indices, turned.indices))
            for matrix, turned in zip(self.matrices, self._columns, strict=True)
        )

    @cached_property
    def union(self) -> csr_array:
        """A matrix with an entry where some step's matrix has one."""
        return csr_array(sum(abs(matrix) for matrix in self.matrices))

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """Shape (edges, 2): the edges of all steps, ascending; (sender, receiver) if they are directed."""
        union = self.union.tocoo()
        senders, receivers = union.col.astype(np.int64), union.row.astype(np.int64)
        kept = senders != receivers if self.one_way else senders < receivers
        pairs = np.column_stack([senders[kept], receivers[kept]])
        return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]

    def words(self) -> str:
        """Return one line: 'ring, 16 nodes, 16 edges, degree 2, Metropolis weights: second eigenvalue ..., gap ...'."""
        if self.n == 1:
            return f"{self.name}, 1 node: no neighbours"
        low, high = int(self.degrees.min()), int(self.degrees.max())
        parts = (
            self.name,
            f"{self.n:,} nodes",
            f"{len(self.pairs):,} {'directed ' if self.one_way else ''}edge{'' if len(self.pairs) == 1 else 's'}"
            + (f" in a cycle of {self.period} steps" if self.varying else ""),
            f"degree {low}" if low == high else f"degree {low} to {high}",
            _RULES[self.rule],
        )
        second, gap = four_digits(self.second_eigenvalue), four_digits(self.gap)
        return f"{', '.join(parts)}: second eigenvalue {second}, spectral gap {gap}"


def _line(matrix: csr_array, node: int) -> tuple[list[int], list[float]]:
    """Return the columns and values of row `node`."""
    begin, end = matrix.indptr[node], matrix.indptr[node + 1]
    return matrix.indices[begin:end].tolist(), matrix.data[begin:end].tolist()


def _sorted(matrix: Any) -> csr_array:
    matrix.sort_indices()
    return matrix


def four_digits(value: float) -> str:
    """Format a number between 0 and 1 with four decimals, or more if it is very close to 0 or 1."""
    if value in {0.0, 1.0}:
        return f"{value:.0f}"
    if value < 1e-3:
        return f"{value:.3e}"
    return f"{value:.4f}" if value <= 1.0 - 1e-3 else f"{value:.10f}"
