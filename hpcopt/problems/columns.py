"""Sums over the rows of a matrix, by column: they show the units and the offsets of the features.

Second moments are summed around a given centre in a separate pass: for a column of 1.6e9 that varies by 1, the
difference of two squares would lose the variance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.problems.matrix import Matrix

BLOCK = 2**18  # entries converted to dense at a time


def sums(matrix: Matrix) -> Vector:
    """Return sum_i x_i, shape (d,)."""
    X = matrix.as_array()
    return np.asarray(X.sum(axis=0, dtype=np.float64)).ravel() if matrix.n else np.zeros(matrix.d)


def squares(matrix: Matrix, centre: Vector) -> Vector:
    """Return sum_i (x_i - c)^2, element-wise, shape (d,), for the centre c (d,). One pass; sparse rows stay sparse."""
    X = matrix.as_array()
    if scipy.sparse.issparse(X):
        data = np.asarray(X.data, dtype=np.float64) - centre[X.indices]
        stored = np.bincount(X.indices, minlength=matrix.d)
        found = np.bincount(X.indices, weights=data * data, minlength=matrix.d)
        return np.asarray(found + (matrix.n - stored) * centre**2)
    total = np.zeros(matrix.d)
    for block in _blocks(X):
        total += np.square(block - centre).sum(axis=0)
    return total


def gram(matrix: Matrix, centre: Vector) -> NDArray[np.float64]:
    """Return sum_i (x_i - c)(x_i - c)^T, shape (d, d), for the centre c (d,)."""
    total = np.zeros((matrix.d, matrix.d))
    for block in _blocks(matrix.as_array()):
        centred = block - centre
        total += centred.T @ centred
    return total


def _blocks(X: Any) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of `X`, dense or CSR, as dense float64 blocks."""
    rows = max(1, BLOCK // max(1, X.shape[1]))
    for first in range(0, X.shape[0], rows):
        block = X[first : first + rows]
        yield np.asarray(block.toarray() if scipy.sparse.issparse(block) else block, dtype=np.float64)
