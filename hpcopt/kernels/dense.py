"""Passes over a dense matrix, each reading it once: margins, loss with gradient, Hessian product, minibatches.

Memory bandwidth is the bottleneck, which determines the structure of the loops: a group of rows is multiplied with the
vector and added to the result while it is in the L1 cache. Eight float64 rows are read side by side, so the vector is
loaded once for all of them; narrow rows and float32 rows are read one after another. For rows of 304 float64 aligned to
64 bytes, a Hessian product takes 1.2 times, loss and gradient 1.2-1.4 times as long as reading the matrix (on idle
cores; up to twice on busy ones); unaligned rows cost a fifth more.

Everywhere X is (n, d), C-contiguous, float64 or float32; all arithmetic is float64; `kind` is a loss code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Rows, Vector
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.pointwise import BLOCK, LossCode, evaluate
from hpcopt.kernels.prefetch import prefetch_rows

Dense = NDArray[np.floating]

_SUM = ("contract", "reassoc", "nsz")

_SIDE_BY_SIDE = 128  # features from which eight float64 rows are read side by side
_AHEAD = 16  # rows prefetched if they are read one after another
_GROUP = 16  # rows whose losses are evaluated together: they fill two registers, and the rows are still in L1


@part(fastmath=_SUM)
def _dot(X: Dense, i: int, w: Vector) -> float:
    total = 0.0
    for j in range(w.size):
        total += X[i, j] * w[j]
    return total


@part(fastmath=_SUM)
def _add(X: Dense, i: int, scale: float, out: Vector) -> None:
    for j in range(out.size):
        out[j] += scale * X[i, j]


@part(fastmath=_SUM)
def _eight_dots(X: Dense, i: int, w: Vector, z: Vector, at: int) -> None:
    """Set z[at + k] = x_{i+k}.w for k < 8, reading the rows side by side."""
    z0, z1, z2, z3, z4, z5, z6, z7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(w.size):
        v = w[j]
        z0 += X[i, j] * v
        z1 += X[i + 1, j] * v
        z2 += X[i + 2, j] * v
        z3 += X[i + 3, j] * v
        z4 += X[i + 4, j] * v
        z5 += X[i + 5, j] * v
        z6 += X[i + 6, j] * v
        z7 += X[i + 7, j] * v
    z[at], z[at + 1], z[at + 2], z[at + 3] = z0, z1, z2, z3
    z[at + 4], z[at + 5], z[at + 6], z[at + 7] = z4, z5, z6, z7


@part(fastmath=_SUM)
def _add_eight(X: Dense, i: int, c: Vector, at: int, out: Vector) -> None:
    """Add sum_{k<8} c[at + k] x_{i+k} to `out`."""
    c0, c1, c2, c3 = c[at], c[at + 1], c[at + 2], c[at + 3]
    c4, c5, c6, c7 = c[at + 4], c[at + 5], c[at + 6], c[at + 7]
    for j in range(out.size):
        low = (c0 * X[i, j] + c1 * X[i + 1, j]) + (c2 * X[i + 2, j] + c3 * X[i + 3, j])
        high = (c4 * X[i + 4, j] + c5 * X[i + 5, j]) + (c6 * X[i + 6, j] + c7 * X[i + 7, j])
        out[j] += low + high


@part()
def scaled(w: Vector, count: int, factor: float) -> None:
    """Multiply the first `count` elements by `factor`; numba takes 1 s to compile `w[:count] *= factor`."""
    for j in range(count):
        w[j] *= factor


@part()
def _side_by_side(X: Dense) -> bool:
    return X.itemsize == 8 and X.shape[1] >= _SIDE_BY_SIDE


@part()
def _dots(X: Dense, first: int, count: int, w: Vector, z: Vector, at: int) -> None:
    """Set z[at + k] = x_{first+k}.w for k < count, and prefetch the following rows."""
    whole = count // 8 * 8 if _side_by_side(X) else 0
    for k in range(0, whole, 8):
        _eight_dots(X, first + k, w, z, at + k)
        prefetch_rows(X, first + k + 8, 8)
    for k in range(whole, count):
        prefetch_rows(X, first + k + _AHEAD, 1)
        z[at + k] = _dot(X, first + k, w)


@part()
def _add_rows(X: Dense, first: int, count: int, c: Vector, out: Vector) -> None:
    """Add sum_{k<count} c[k] x_{first+k} to `out`."""
    whole = count // 8 * 8
    for k in range(0, whole, 8):
        _add_eight(X, first + k, c, k, out)
    for k in range(whole, count):
        _add(X, first + k, c[k], out)


@kernel()
def margins(X: Dense, w: Vector, out: Vector) -> None:
    """Fill `out` (n,) with X w."""
    for i in range(0, X.shape[0], 8):
        _dots(X, i, min(8, X.shape[0] - i), w, out, i)


@kernel()
def loss_gradient(
    kind: LossCode, X: Dense, y: Vector, w: Vector, gradient: Vector, margins: Vector, curvature: Vector
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
    group = 8 if _side_by_side(X) else _GROUP
    losses, residual = np.empty(group), np.empty(group)
    total = 0.0
    for i in range(0, X.shape[0], group):
        count = min(group, X.shape[0] - i)
        _dots(X, i, count, w, margins, i)
        at = slice(i, i + count)
        total += evaluate(kind, margins[at], y[at], losses, residual, curvature[at])
        _add_rows(X, i, count, residual, gradient)
    return total


@kernel()
def hessian_product(X: Dense, s: Vector, v: Vector, out: Vector) -> None:
    """Fill `out` (d,) with sum_i s_i (x_i.v) x_i, for `s` (n,)."""
    out[:] = 0.0
    c = np.empty(8)
    for i in range(0, X.shape[0], 8):
        count = min(8, X.shape[0] - i)
        _dots(X, i, count, v, c, 0)
        for k in range(count):
            c[k] *= s[i + k]
        _add_rows(X, i, count, c, out)


@part()
def _residuals(
    kind: LossCode, X: Dense, y: Vector, w: Vector, rows: Rows, first: int, count: int, scratch: NDArray[np.float64]
) -> float:
    """Return the sum of the losses of rows[first : first + count]; scratch[0] becomes their dl/dz."""
    for k in range(count):
        row = rows[first + k]
        scratch[1, k] = _dot(X, row, w)
        scratch[2, k] = y[row]
    return evaluate(kind, scratch[1, :count], scratch[2, :count], scratch[4], scratch[0], scratch[3])


@kernel()
def gradient_of_rows(kind: LossCode, X: Dense, y: Vector, w: Vector, rows: Rows, gradient: Vector) -> float:
    """Return the sum of the losses of `rows` (m,) and fill `gradient` (d,) with the sum of their gradients."""
    gradient[:] = 0.0
    scratch = np.empty((5, min(BLOCK, rows.size)))
    total = 0.0
    for first in range(0, rows.size, BLOCK):
        count = min(BLOCK, rows.size - first)
        total += _residuals(kind, X, y, w, rows, first, count, scratch)
        for k in range(count):
            _add(X, rows[first + k], scratch[0, k], gradient)
    return total


@kernel()
def sgd_steps(
    kind: LossCode,
    X: Dense,
    y: Vector,
    w: Vector,
    rows: Rows,
    batch: int,
    steps: Vector,
    l2: float,
    penalised: int,
) -> None:
    """Update `w` (d,) by minibatch gradient steps.

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
    for j in range(steps.size):
        first = j * batch
        count = min(batch, rows.size - first)
        _residuals(kind, X, y, w, rows, first, count, scratch)
        scaled(w, penalised, 1.0 - steps[j] * l2)
        scale = -steps[j] / count
        for k in range(count):
            _add(X, rows[first + k], scale * scratch[0, k], w)


@part(fastmath=_SUM)
def _square(X: Dense, i: int) -> float:
    total = 0.0
    for j in range(X.shape[1]):
        x = np.float64(X[i, j])
        total += x * x
    return total


@kernel()
def largest_square(X: Dense) -> float:
    """Return max_i ||x_i||^2, 0 without rows."""
    largest = 0.0
    for i in range(X.shape[0]):
        largest = max(largest, _square(X, i))
    return largest


@kernel()
def mirror(H: Dense) -> None:
    """Copy the lower triangle of `H` (d, d) to the upper one, in place."""
    for i in range(H.shape[0]):
        for j in range(i):
            H[j, i] = H[i, j]
