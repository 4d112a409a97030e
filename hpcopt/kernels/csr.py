"""Row-wise passes over a sparse matrix, each reading it once; the same functions as in `dense`.

Rows are short and their columns scattered, so the bottleneck is the number of instructions per entry. If LLVM may
reassociate sums, it gathers into vectors, which is 2.5-3 times slower than single loads, so `reassoc` is not used; long
rows use four explicit accumulators. Unsigned indices avoid the test for negative ones.

Everywhere the matrix is (data, indices, indptr): float64 or float32, int32 sorted within each row, int64; all
arithmetic is float64; `kind` is a loss code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Columns, Rows, Vector
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.dense import mirror, scaled
from hpcopt.kernels.pointwise import BLOCK, LossCode, evaluate

Data = NDArray[np.floating]
Indices = NDArray[np.int32]
Indptr = NDArray[np.int64]

_CONTRACT = ("contract", "nsz")

_LONG = 64  # entries from which four accumulators pay off; shorter rows overlap with their neighbours anyway
_SMALLEST_SCALE, _LARGEST_SCALE = 1e-9, 1e9  # outside this range, the factor c of w = c u is multiplied into u


@part(fastmath=_CONTRACT)
def _dot(data: Data, indices: Indices, start: int, stop: int, w: Vector) -> float:
    """Return sum over entries start ... stop - 1 of data[k] w[indices[k]]."""
    if stop - start > _LONG:
        return _long_dot(data, indices, start, stop, w)
    z = 0.0
    for at in range(start, stop):
        k = np.uintp(at)
        z += data[k] * w[np.uintp(indices[k])]
    return z


@part(fastmath=_CONTRACT)
def _long_dot(data: Data, indices: Indices, start: int, stop: int, w: Vector) -> float:
    z0, z1, z2, z3 = 0.0, 0.0, 0.0, 0.0
    whole = start + (stop - start) // 4 * 4
    for at in range(start, whole, 4):
        k = np.uintp(at)
        z0 += data[k] * w[np.uintp(indices[k])]
        z1 += data[k + np.uintp(1)] * w[np.uintp(indices[k + np.uintp(1)])]
        z2 += data[k + np.uintp(2)] * w[np.uintp(indices[k + np.uintp(2)])]
        z3 += data[k + np.uintp(3)] * w[np.uintp(indices[k + np.uintp(3)])]
    for at in range(whole, stop):
        k = np.uintp(at)
        z0 += data[k] * w[np.uintp(indices[k])]
    return (z0 + z1) + (z2 + z3)


@part(fastmath=_CONTRACT)
def _add(data: Data, indices: Indices, start: int, stop: int, scale: float, out: Vector) -> None:
    """Add `scale` times entries start ... stop - 1 to `out`."""
    for at in range(start, stop):
        k = np.uintp(at)
        out[np.uintp(indices[k])] += scale * data[k]


@kernel()
def margins(data: Data, indices: Indices, indptr: Indptr, w: Vector, out: Vector) -> None:
    """Fill `out` (n,) with X w."""
    stop = indptr[0]
    for i in range(out.size):
        start, stop = stop, indptr[i + 1]
        out[i] = _dot(data, indices, start, stop, w)


@kernel()
def loss_gradient(
    kind: LossCode,
    data: Data,
    indices: Indices,
    indptr: Indptr,
    y: Vector,
    w: Vector,
    gradient: Vector,
    margins: Vector,
    curvature: Vector,
) -> float:
    """Return sum_i l(x_i.w, y_i), and fill in all other results of the same pass.

    Parameters
    ----------
    gradient
        (d,); becomes sum_i l'_i x_i.
    margins
        (n,); becomes X w.
    curvature
        (n,); becomes l''_i.
    """
    gradient[:] = 0.0
    losses, residual = np.empty(BLOCK), np.empty(BLOCK)
    total = 0.0
    for first in range(0, margins.size, BLOCK):
        count = min(BLOCK, margins.size - first)
        stop = indptr[first]
        for i in range(first, first + count):
            start, stop = stop, indptr[i + 1]
            margins[i] = _dot(data, indices, start, stop, w)
        here = slice(first, first + count)
        total += evaluate(kind, margins[here], y[here], losses, residual, curvature[here])
        stop = indptr[first]
        for i in range(first, first + count):
            start, stop = stop, indptr[i + 1]
            _add(data, indices, start, stop, residual[i - first], gradient)
    return total


@kernel()
def hessian_product(data: Data, indices: Indices, indptr: Indptr, s: Vector, v: Vector, out: Vector) -> None:
    """Fill `out` (d,) with sum_i s_i (x_i.v) x_i, for `s` (n,)."""
    out[:] = 0.0
    stop = indptr[0]
    for i in range(s.size):
        start, stop = stop, indptr[i + 1]
        _add(data, indices, start, stop, s[i] * _dot(data, indices, start, stop, v), out)


@kernel()
def gradient_of_rows(
    kind: LossCode, data: Data, indices: Indices, indptr: Indptr, y: Vector, w: Vector, rows: Rows, gradient: Vector
) -> float:
    """Return the sum of the losses of `rows` (m,) and fill `gradient` (d,) with the sum of their gradients."""
    gradient[:] = 0.0
    scratch = np.empty((5, min(BLOCK, rows.size)))
    residual, z, target, curvature, losses = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    total = 0.0
    for first in range(0, rows.size, BLOCK):
        count = min(BLOCK, rows.size - first)
        for k in range(count):
            row = rows[first + k]
            z[k] = _dot(data, indices, indptr[row], indptr[row + 1], w)
            target[k] = y[row]
        total += evaluate(kind, z[:count], target[:count], losses, residual, curvature)
        for k in range(count):
            row = rows[first + k]
            _add(data, indices, indptr[row], indptr[row + 1], residual[k], gradient)
    return total


@kernel()
def sgd_steps(
    kind: LossCode,
    data: Data,
    indices: Indices,
    indptr: Indptr,
    y: Vector,
    w: Vector,
    rows: Rows,
    batch: int,
    steps: Vector,
    l2: float,
    penalised: int,
) -> None:
    """Update `w` (d,) by minibatch gradient steps, at a cost independent of d.

    The penalised coordinates are stored as w = c u, so the penalty's shrinkage of all of them is one product with c.
    The others (an intercept) come last and are stored directly.

    Parameters
    ----------
    rows
        (m,); cut into consecutive batches of `batch` rows, the last may be shorter.
    steps
        (ceil(m / batch),); step j is w -= steps[j] (mean loss gradient of batch j + l2 w).
    l2, penalised
        The penalty's weight, and the number of leading coordinates that it acts on.
    """
    scratch = np.empty((5, min(batch, rows.size)))
    residual, z, target, curvature, losses = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    c = 1.0
    for j in range(steps.size):
        first = j * batch
        count = min(batch, rows.size - first)
        for k in range(count):
            row = rows[first + k]
            start, stop = indptr[row], indptr[row + 1]
            border = _border(indices, start, stop, penalised)
            z[k] = c * _dot(data, indices, start, border, w) + _dot(data, indices, border, stop, w)
            target[k] = y[row]
        evaluate(kind, z[:count], target[:count], losses, residual, curvature)
        c *= 1.0 - steps[j] * l2
        if not _SMALLEST_SCALE < abs(c) < _LARGEST_SCALE:  # also if a step sets w to 0, and for NaN
            scaled(w, penalised, c)
            c = 1.0
        scale = -steps[j] / count
        for k in range(count):
            row = rows[first + k]
            start, stop = indptr[row], indptr[row + 1]
            border = _border(indices, start, stop, penalised)
            _add(data, indices, start, border, scale * residual[k] / c, w)
            _add(data, indices, border, stop, scale * residual[k], w)
    scaled(w, penalised, c)


@part()
def _border(indices: Indices, start: int, stop: int, penalised: int) -> int:
    """Return the first of the sorted entries start ... stop - 1 whose column is not penalised, else `stop`."""
    while stop > start and indices[stop - 1] >= penalised:
        stop -= 1
    return stop


@kernel(fastmath=_CONTRACT)
def gram(data: Data, indices: Indices, indptr: Indptr, s: Vector, out: NDArray[np.float64]) -> None:
    """Fill `out` (d, d) with sum_i s_i x_i x_i^T."""
    out[:] = 0.0
    for i in range(s.size):
        start, stop = indptr[i], indptr[i + 1]
        for a in range(start, stop):
            _add(data, indices, start, a + 1, s[i] * data[a], out[indices[a]])
    mirror(out)


@kernel(fastmath=_CONTRACT)
def products(data: Data, indices: Indices, indptr: Indptr, rows: Rows, W: Columns, out: Columns) -> None:
    """Fill `out` (m, k) with the product of `rows` (m,) of the matrix and `W` (d, k)."""
    out[:] = 0.0
    for i in range(rows.size):
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            x = np.float64(data[at])
            column = np.uintp(indices[at])
            for j in range(out.shape[1]):
                out[i, j] += x * W[column, j]


@kernel(fastmath=_CONTRACT)
def add_transposed(data: Data, indices: Indices, indptr: Indptr, rows: Rows, D: Columns, out: Columns) -> None:
    """Add to `out` (d, k) the product of the transpose of `rows` (m,) of the matrix and `D` (m, k)."""
    for i in range(rows.size):
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            x = np.float64(data[at])
            column = np.uintp(indices[at])
            for j in range(D.shape[1]):
                out[column, j] += x * D[i, j]


@kernel(fastmath=_CONTRACT)
def largest_square(data: Data, indptr: Indptr) -> float:
    """Return max_i ||x_i||^2, 0 without rows."""
    largest = 0.0
    for i in range(indptr.size - 1):
        total = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            x = np.float64(data[k])
            total += x * x
        largest = max(largest, total)
    return largest
