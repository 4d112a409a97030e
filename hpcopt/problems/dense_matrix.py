"""Dense rows, stored one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from hpcopt.arrays import Columns, Rows, Vector
from hpcopt.kernels import dense
from hpcopt.kernels.pointwise import LossCode
from hpcopt.problems.matrix import Matrix

_LINE = 64  # bytes; rows that start at multiples of this are read up to 1.3 times faster
_WORTH_ALIGNING = 2**20  # bytes; smaller matrices are read from the cache anyway
_BLOCK = 512  # rows per block of the Gram matrix: enough for BLAS to be fast, and small enough for the cache


class DenseMatrix(Matrix):
    """Rows stored one after another.

    Parameters
    ----------
    X
        (n, d), float64 or float32, C-contiguous; not copied.
    """

    kind = "dense"

    def __init__(self, X: NDArray[Any]) -> None:
        self.X = X
        self.n, self.d = X.shape
        self.nnz = X.size
        self.gram_flops = float(self.n) * self.d * (self.d + 2)
        self.storage = X.dtype
        self.nbytes = X.nbytes

    def largest_row(self) -> float:
        return dense.largest_square(self.X)

    def take(self, rows: Rows) -> DenseMatrix:
        rows = self._rows(rows)
        return DenseMatrix(np.take(self.X, rows, axis=0, out=aligned_empty(len(rows), self.d, self.storage)))

    def head(self, count: int) -> DenseMatrix:
        return DenseMatrix(self.X[:count])

    def as_array(self) -> NDArray[Any]:
        return self.X

    def _margins(self, w: Vector, out: Vector) -> None:
        dense.margins(self.X, w, out)

    def _loss_gradient(
        self, kind: LossCode, y: Vector, w: Vector, gradient: Vector, margins: Vector, curvature: Vector
    ) -> float:
        return dense.loss_gradient(kind, self.X, y, w, gradient, margins, curvature)

    def _hessian_product(self, s: Vector, v: Vector, out: Vector) -> None:
        dense.hessian_product(self.X, s, v, out)

    def _gradient_of_rows(self, kind: LossCode, y: Vector, w: Vector, rows: Rows, gradient: Vector) -> float:
        return dense.gradient_of_rows(kind, self.X, y, w, rows, gradient)

    def _sgd_steps(
        self, kind: LossCode, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None:
        dense.sgd_steps(kind, self.X, y, w, rows, batch, steps, l2, penalised)

    def _restricted(self, rows: Rows) -> tuple[Rows, DenseMatrix]:
        return np.arange(self.d), self.take(rows)

    def _gram(self, s: Vector) -> NDArray[np.float64]:
        total = np.zeros((self.d, self.d), order="F")
        root = np.sqrt(s)
        scaled = np.empty((min(_BLOCK, self.n), self.d))
        for first in range(0, self.n, _BLOCK):
            block = self.X[first : first + _BLOCK]
            # (sqrt(s) X)^T (sqrt(s) X), added to the lower triangle
            np.multiply(block, root[first : first + _BLOCK, None], out=scaled[: len(block)])
            total = dsyrk(1.0, scaled[: len(block)].T, beta=1.0, c=total, lower=1, overwrite_c=1)
        dense.mirror(total)
        return total

    def _products(self, W: Columns, rows: Rows | slice) -> Columns:
        return np.asarray(self.X[rows] @ W)

    def _add_transposed(self, D: Columns, rows: Rows | slice, out: Columns) -> None:
        out += self.X[rows].T @ D


def aligned_empty(n: int, d: int, dtype: Any = np.float64) -> NDArray[Any]:
    """Return an uninitialised C-contiguous (n, d) array whose memory is aligned to 64 bytes.

    numpy's large arrays are not; with rows of a multiple of 64 bytes, every wide load would then straddle two cache
    lines.
    """
    size = n * d * np.dtype(dtype).itemsize
    memory = np.empty(size + _LINE, dtype=np.uint8)
    start = -memory.ctypes.data % _LINE
    array: NDArray[Any] = memory[start : start + size].view(dtype).reshape(n, d)
    return array


def as_dense(X: NDArray[Any], dtype: np.dtype[Any]) -> DenseMatrix:
    """Return `X` (n, d) with entries of `dtype`, copied if its layout or type differs."""
    lines_up = X.strides[0] % _LINE or X.ctypes.data % _LINE == 0 or X.nbytes < _WORTH_ALIGNING
    if X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned and lines_up:
        return DenseMatrix(X)
    copy = aligned_empty(X.shape[0], X.shape[1], dtype)
    copy[:] = X
    return DenseMatrix(copy)
