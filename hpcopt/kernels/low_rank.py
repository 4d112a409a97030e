"""Low-rank approximation of a vector as a matrix: row-wise products with few columns, and products of the factors.

The vector of d numbers fills an m x n matrix M row by row; missing numbers at its end are zero and not stored. The r
columns of a factor are stored as rows, shape (r, m) or (r, n), so that every loop has unit stride. The parts of
`encode_product` are separate kernels: inlined, they would take twice as long to compile and run no faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.dither import bits32
from hpcopt.kernels.lanes import load_single, store_word

Factor = NDArray[np.floating]

_SUM = ("contract", "reassoc")
_SMALL = 1e-6  # of a column's length: a smaller remainder is roundoff
_UNIT = 2.0**-32


@kernel()
def _fill_normal(key: np.uint64, out: Factor) -> None:
    """Fill `out`, shape (r, n), with independent standard normal numbers of `key` (Box and Muller)."""
    numbers = out.reshape(-1)
    for i in range(0, numbers.size, 2):
        radius = np.sqrt(-2.0 * np.log((bits32(key, i) + 0.5) * _UNIT))
        angle = 2.0 * np.pi * _UNIT * bits32(key, i + 1)
        numbers[i] = radius * np.cos(angle)
        if i + 1 < numbers.size:
            numbers[i + 1] = radius * np.sin(angle)


@part(fastmath=_SUM)
def _dot(x: Floats, y: Floats) -> Any:
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@part()
def _accumulate(scale: Any, factor: Floats, line: Floats) -> None:
    """Add `scale` times the first n numbers of `factor` to `line`, shape (n,)."""
    for j in range(line.size):
        line[j] += scale * factor[j]


@kernel()
def _times(x: Floats, Q: Factor, P: Factor) -> None:
    """P = M Q."""
    n = Q.shape[1]
    for i in range(P.shape[1]):
        row = x[i * n : (i + 1) * n]
        for c in range(P.shape[0]):
            P[c, i] = _dot(row, Q[c, : row.size])


@kernel()
def _transposed_times(x: Floats, P: Factor, Q: Factor) -> None:
    """Q = M^T P."""
    n = Q.shape[1]
    Q[:] = 0
    for i in range(P.shape[1]):
        row = x[i * n : (i + 1) * n]
        for c in range(P.shape[0]):
            _accumulate(P[c, i], row, Q[c, : row.size])


@kernel()
def _orthonormalise(P: Factor) -> None:
    """Orthonormalise the rows of `P` in place; a row that depends linearly on earlier ones becomes zero.

    By Gram-Schmidt, applied twice, which is enough (Giraud, Langou and Rozloznik, 2005), in double precision. A row
    that is not finite, or whose squares are not, becomes NaN.
    """
    basis = P.astype(np.float64)
    for c in range(P.shape[0]):
        before = np.sqrt(_dot(basis[c], basis[c]))
        for _ in range(2):
            for b in range(c):
                _accumulate(-_dot(basis[b], basis[c]), basis[b], basis[c])
        after = np.sqrt(_dot(basis[c], basis[c]))
        if not after < np.inf:
            basis[c] = np.nan
        elif after <= _SMALL * before:
            basis[c] = 0.0
        else:
            basis[c] /= after
    P[:] = basis


@kernel()
def _write(factor: Factor, at: int, message: Bytes) -> bool:
    """Write `factor` as float32 from byte `at` on; return whether it is finite."""
    numbers = factor.reshape(-1)
    finite = True
    for i in range(numbers.size):
        number = np.float32(numbers[i])
        finite &= bool(abs(number) < np.inf)
        store_word(message, at + 4 * i, number)
    return finite


@kernel()
def encode_product(x: Floats, key: np.uint64, iterations: int, rank: int, n: int, message: Bytes) -> bool:
    """Fill `message` with P, an orthonormal basis of M G with G normal numbers of `key`, and with Q = M^T P.

    Parameters
    ----------
    x
        M, shape (d,), with n columns.
    iterations
        At least 1; further ones take Q in place of G.
    message
        P and Q, one after the other, as float32: shapes (rank, m) and (rank, n), m = ceil(d / n).

    Returns
    -------
    bool
        False if NaN, infinity or a number beyond float32's range occurs; the message is then invalid.
    """
    m = (x.size + n - 1) // n
    P, Q = np.empty((rank, m), dtype=x.dtype), np.empty((rank, n), dtype=x.dtype)
    _fill_normal(key, Q)
    for _ in range(iterations):
        _orthonormalise(Q)  # the same range, without growth of the numbers
        _times(x, Q, P)
        _orthonormalise(P)
        _transposed_times(x, P, Q)
    return _write(P, 0, message) & _write(Q, 4 * rank * m, message)


@part()
def _add(scale: np.float32, factor: Floats, line: NDArray[np.float32], out: Floats) -> None:
    """Fill `out`, shape (n,), with `line` + `scale` `factor`, both of which may be longer."""
    for j in range(out.size):
        out[j] = line[j] + scale * factor[j]


@kernel()
def decode_product(message: Bytes, rank: int, n: int, out: Floats) -> None:
    """Fill `out`, shape (d,), with P Q^T, computed in float32 in the same order everywhere.

    Parameters
    ----------
    message
        P and Q, one after the other, as float32, at any alignment: shapes (rank, m) and (rank, n), m = ceil(d / n).
    """
    m = (out.size + n - 1) // n
    factors = np.empty(rank * (m + n), dtype=np.float32)
    for i in range(factors.size):
        factors[i] = load_single(message, 4 * i)
    line = np.zeros(n, dtype=np.float32)  # all columns but the last
    for i in range(m):
        if rank > 1:
            line[:] = 0.0
        for c in range(rank - 1):
            _accumulate(factors[c * m + i], factors[rank * m + c * n :], line)
        _add(factors[(rank - 1) * m + i], factors[rank * (m + n) - n :], line, out[i * n : (i + 1) * n])
