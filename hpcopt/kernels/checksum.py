"""A checksum of rows that depends neither on their order nor on their storage, by SplitMix64's mixing of 64 bits.

    row       h(bits of y  +  sum over the nonzero entries (j, v) of h(h(j) + bits of v))
    checksum  the sum of the rows, modulo 2^64

Sums commute, so neither the order of the rows nor that of a row's entries matters, and zeros may be stored or not.
Numbers count with all their bits, as doubles. Not for cryptography.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Rows, Vector
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.dither import mixed

_NONE = np.uint64(0)


@part()
def _bits(value: Any) -> np.uint64:
    """Return the bits of a number as a double, with one zero only."""
    return np.float64(np.float64(value) + 0.0).view(np.uint64)


@part()
def _entry(column: int, value: Any) -> np.uint64:
    """Return the hash of an entry; 0 if it is zero."""
    return mixed(np.uint64(mixed(np.uint64(column)) + _bits(value))) if value != 0.0 else _NONE


@kernel()
def of_dense(X: NDArray[Any], y: Vector) -> np.uint64:
    """Return the checksum of dense rows (n, d) with targets (n,)."""
    total = _NONE
    for i in range(X.shape[0]):
        row = _bits(y[i])
        for j in range(X.shape[1]):
            row = np.uint64(row + _entry(j, X[i, j]))
        total = np.uint64(total + mixed(row))
    return total


@kernel()
def of_sparse(data: NDArray[Any], indices: NDArray[Any], indptr: Rows, y: Vector) -> np.uint64:
    """Return the checksum of rows in CSR format with targets (n,)."""
    total = _NONE
    for i in range(y.size):
        row = _bits(y[i])
        for k in range(indptr[i], indptr[i + 1]):
            row = np.uint64(row + _entry(indices[k], data[k]))
        total = np.uint64(total + mixed(row))
    return total
