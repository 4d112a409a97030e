"""Sparse rows in CSR format: only nonzero entries are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hpcopt.arrays import Columns, Rows, Vector
from hpcopt.kernels import csr, marks
from hpcopt.kernels.pointwise import LossCode
from hpcopt.problems.matrix import Matrix, plain


class CsrMatrix(Matrix):
    """Rows of which only the nonzero entries are stored.

    Parameters
    ----------
    X
        scipy CSR, (n, d), float64 or float32, with sorted indices and without duplicates; its entries are not copied.
    """

    kind = "sparse"

    def __init__(self, X: Any) -> None:
        self._set(X.data, plain(X.indices, np.int32), plain(X.indptr, np.int64), X.shape[1])

    def _set(self, data: NDArray[Any], indices: NDArray[np.int32], indptr: Rows, d: int) -> None:
        self.data = data
        self.indices = indices
        self.indptr = indptr
        self.n, self.d = len(indptr) - 1, d
        self.nnz = int(indptr[-1] - indptr[0])
        lengths = np.diff(indptr).astype(np.float64)
        self.gram_flops = float(lengths @ lengths + 2.0 * lengths.sum())
        self.storage = data.dtype
        self.nbytes = self.nnz * (data.itemsize + indices.itemsize) + indptr.nbytes
        self._marks: marks.Marks | None = None  # made when it is needed

    def largest_row(self) -> float:
        return csr.largest_square(self.data, self.indptr)

    def take(self, rows: Rows) -> CsrMatrix:
        return CsrMatrix(self.as_array()[self._rows(rows)])

    def head(self, count: int) -> CsrMatrix:
        first = object.__new__(CsrMatrix)
        first._set(self.data, self.indices, self.indptr[: count + 1], self.d)
        return first

    def as_array(self) -> Any:
        stored = slice(0, int(self.indptr[-1]))
        parts = self.data[stored], self.indices[stored], self.indptr
        return scipy.sparse.csr_array(parts, shape=(self.n, self.d))

    def _margins(self, w: Vector, out: Vector) -> None:
        csr.margins(self.data, self.indices, self.indptr, w, out)

    def _loss_gradient(
        self, kind: LossCode, y: Vector, w: Vector, gradient: Vector, margins: Vector, curvature: Vector
    ) -> float:
        return csr.loss_gradient(kind, self.data, self.indices, self.indptr, y, w, gradient, margins, curvature)

    def _hessian_product(self, s: Vector, v: Vector, out: Vector) -> None:
        csr.hessian_product(self.data, self.indices, self.indptr, s, v, out)

    def _gradient_of_rows(self, kind: LossCode, y: Vector, w: Vector, rows: Rows, gradient: Vector) -> float:
        return csr.gradient_of_rows(kind, self.data, self.indices, self.indptr, y, w, rows, gradient)

    def _sgd_steps(
        self, kind: LossCode, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None:
        csr.sgd_steps(kind, self.data, self.indices, self.indptr, y, w, rows, batch, steps, l2, penalised)

    def _restricted(self, rows: Rows) -> tuple[Rows, CsrMatrix]:
        indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(self.indptr[rows + 1] - self.indptr[rows], out=indptr[1:])
        data = np.empty(indptr[-1], dtype=self.storage)
        indices = np.empty(indptr[-1], dtype=np.int32)
        found = np.empty(min(int(indptr[-1]), self.d) + marks.SPARE, dtype=np.int64)
        if self._marks is None:
            self._marks = marks.empty(self.d)
        count = marks.restrict(self.data, self.indices, self.indptr, rows, self._marks, data, indices, found)
        columns = found[:count]
        few = object.__new__(CsrMatrix)
        few._set(data, indices, indptr, len(columns))
        return columns, few

    def _gram(self, s: Vector) -> NDArray[np.float64]:
        total = np.empty((self.d, self.d))
        csr.gram(self.data, self.indices, self.indptr, s, total)
        return total.T  # symmetric: the same matrix in Fortran order

    def _products(self, W: Columns, rows: Rows | slice) -> Columns:
        rows = self._numbers(rows)
        out = np.empty((len(rows), W.shape[1]))
        csr.products(self.data, self.indices, self.indptr, rows, W, out)
        return out

    def _add_transposed(self, D: Columns, rows: Rows | slice, out: Columns) -> None:
        csr.add_transposed(self.data, self.indices, self.indptr, self._numbers(rows), D, out)

    def _numbers(self, rows: Rows | slice) -> Rows:
        return np.arange(*rows.indices(self.n), dtype=np.int64) if isinstance(rows, slice) else rows


def as_csr(X: Any, dtype: np.dtype[Any]) -> CsrMatrix:
    """Return a scipy sparse `X` (n, d) with entries of `dtype`, copied if its format or type differs."""
    rows = X.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return CsrMatrix(rows.astype(dtype, copy=False))
