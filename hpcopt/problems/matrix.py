"""A shard's rows as an operator: the common interface of dense and sparse rows.

Each method is one pass of a kernel (`hpcopt.kernels`), or BLAS for the dense Gram matrix. The entries may be stored as
float32, which halves the memory traffic; vectors, sums and results are always float64. Arguments are checked here, once
per call: a kernel given a wrong shape would read or write beyond an array.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Columns, Rows, Vector
from hpcopt.fabric.meter import Storage
from hpcopt.kernels.pointwise import LossCode


class Matrix(abc.ABC):
    """The n rows x_i of a shard, with d features each.

    Vectors are float64: `w`, `v` of shape (d,), `y`, `s` of shape (n,); results are new arrays. `kind` is the code of a
    loss l (`hpcopt.kernels.pointwise`); `rows` are int64 row numbers in any order, possibly repeated. A wrong shape or
    row number raises `ValueError`.
    """

    n: int
    """Number of rows; may be 0."""
    d: int
    """Number of features."""
    nnz: int
    """Number of stored entries: n d if dense."""
    gram_flops: float
    """Floating-point operations of `gram`."""
    storage: np.dtype[Any]
    """dtype of the stored entries, float64 or float32."""
    kind: ClassVar[Storage]
    """How rows are stored."""
    nbytes: int
    """Bytes of the storage."""

    def margins(self, w: Vector, out: Vector | None = None) -> Vector:
        """Return X w, shape (n,), in `out` if given (float64, contiguous)."""
        out = np.empty(self.n) if out is None else out
        self._margins(vector("w", w, self.d), out)
        return out

    def loss_gradient(
        self, kind: LossCode, y: Vector, w: Vector, out: tuple[Vector, Vector] | None = None
    ) -> tuple[float, Vector, Vector, Vector]:
        """Return, from one pass, all that first-order and second-order methods need at `w`.

        Parameters
        ----------
        out
            Arrays for margins and curvature, each (n,), float64 and contiguous; default: new arrays.

        Returns
        -------
        loss
            sum_i l(x_i.w, y_i).
        gradient
            sum_i l'_i x_i, shape (d,).
        margins
            X w, shape (n,).
        curvature
            l''_i, shape (n,).
        """
        gradient = np.empty(self.d)
        margins, curvature = out or (np.empty(self.n), np.empty(self.n))
        y, w = vector("y", y, self.n), vector("w", w, self.d)
        return self._loss_gradient(kind, y, w, gradient, margins, curvature), gradient, margins, curvature

    def hessian_product(self, s: Vector, v: Vector) -> Vector:
        """Return sum_i s_i (x_i.v) x_i, shape (d,)."""
        out = np.empty(self.d)
        self._hessian_product(vector("s", s, self.n), vector("v", v, self.d), out)
        return out

    def gradient_of_rows(self, kind: LossCode, y: Vector, w: Vector, rows: Rows) -> tuple[float, Vector]:
        """Return the sum of the losses of `rows` and the sum of their gradients, shape (d,)."""
        gradient = np.empty(self.d)
        y, w = vector("y", y, self.n), vector("w", w, self.d)
        return self._gradient_of_rows(kind, y, w, self._rows(rows), gradient), gradient

    def sgd_steps(
        self, kind: LossCode, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None:
        """Update `w` in place by minibatch gradient steps.

        Parameters
        ----------
        w
            Model, shape (d,), float64, contiguous: overwritten.
        rows
            (m,); cut into consecutive batches of `batch` rows, the last may be shorter.
        steps
            (ceil(m / batch),); step j is w -= steps[j] (mean loss gradient of batch j at w + l2 w).
        l2, penalised
            The penalty's weight, and the number of leading coordinates that it acts on.
        """
        rows = self._rows(rows)
        if batch < 1:
            raise ValueError(f"batch: at least 1, got {batch}")
        if not 0 <= penalised <= self.d:
            raise ValueError(f"penalised: between 0 and {self.d}, got {penalised}")
        steps = vector("steps", steps, -(-len(rows) // batch))
        if not (w.dtype == np.float64 and w.shape == (self.d,) and w.flags.carray):
            raise ValueError(f"w: a contiguous, writable float64 vector of {self.d}")
        self._sgd_steps(kind, vector("y", y, self.n), w, rows, batch, steps, float(l2), penalised)

    def gram(self, s: Vector) -> NDArray[np.float64]:
        """Return sum_i s_i x_i x_i^T for s_i >= 0, shape (d, d), in Fortran order, as LAPACK expects."""
        s = vector("s", s, self.n)
        if (s < 0.0).any():
            raise ValueError("s: weights of a Gram matrix are at least 0")
        return self._gram(s)

    def products(self, W: Columns, rows: Rows | slice) -> Columns:
        """Return X W for the given rows, shape (m, k), for `W` of shape (d, k)."""
        if W.ndim != 2 or W.shape[0] != self.d:
            raise ValueError(f"W: shape ({self.d}, k), got {W.shape}")
        return self._products(plain(W, np.float64), rows if isinstance(rows, slice) else self._rows(rows))

    def add_transposed(self, D: Columns, rows: Rows | slice, out: Columns) -> None:
        """Add X^T D to `out`, (d, k) float64 and contiguous, for the given rows and their `D`, shape (m, k)."""
        count = len(range(*rows.indices(self.n))) if isinstance(rows, slice) else len(rows)
        if D.ndim != 2 or D.shape[0] != count:
            raise ValueError(f"D: shape ({count}, k), got {D.shape}")
        if not (out.dtype == np.float64 and out.shape == (self.d, D.shape[1]) and out.flags.carray):
            raise ValueError(f"out: a contiguous, writable float64 array of shape ({self.d}, {D.shape[1]})")
        self._add_transposed(plain(D, np.float64), rows if isinstance(rows, slice) else self._rows(rows), out)

    def restricted(self, rows: Rows) -> tuple[Rows, Matrix]:
        """Return the columns in which `rows` have entries, and these rows with these columns only.

        With sparse rows the work is proportional to the rows' entries and not to d.

        Returns
        -------
        columns
            Sorted, each once, int64; all d of them if the storage is dense.
        few
            The matrix of shape (m, number of columns), a copy.
        """
        return self._restricted(self._rows(rows))

    @abc.abstractmethod
    def largest_row(self) -> float:
        """Return max_i ||x_i||^2, 0 without rows."""

    @abc.abstractmethod
    def take(self, rows: Rows) -> Matrix:
        """Return the matrix of `rows`, a copy."""

    @abc.abstractmethod
    def head(self, count: int) -> Matrix:
        """Return the matrix of the first `count` rows (or all, if fewer), sharing their memory."""

    @abc.abstractmethod
    def as_array(self) -> Any:
        """Return the rows as a numpy array or a scipy CSR array, (n, d), in the storage's dtype."""

    @abc.abstractmethod
    def _margins(self, w: Vector, out: Vector) -> None: ...

    @abc.abstractmethod
    def _loss_gradient(
        self, kind: LossCode, y: Vector, w: Vector, gradient: Vector, margins: Vector, curvature: Vector
    ) -> float: ...

    @abc.abstractmethod
    def _hessian_product(self, s: Vector, v: Vector, out: Vector) -> None: ...

    @abc.abstractmethod
    def _gradient_of_rows(self, kind: LossCode, y: Vector, w: Vector, rows: Rows, gradient: Vector) -> float: ...

    @abc.abstractmethod
    def _sgd_steps(
        self, kind: LossCode, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None: ...

    @abc.abstractmethod
    def _restricted(self, rows: Rows) -> tuple[Rows, Matrix]: ...

    @abc.abstractmethod
    def _gram(self, s: Vector) -> NDArray[np.float64]: ...

    @abc.abstractmethod
    def _products(self, W: Columns, rows: Rows | slice) -> Columns: ...

    @abc.abstractmethod
    def _add_transposed(self, D: Columns, rows: Rows | slice, out: Columns) -> None: ...

    def _rows(self, rows: Rows) -> Rows:
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise ValueError(f"rows: a vector of integers, got {rows.dtype} of shape {rows.shape}")
        if rows.size and not (rows.min() >= 0 and rows.max() < self.n):
            raise ValueError(f"rows: between 0 and {self.n - 1}, got {rows.min()} ... {rows.max()}")
        return plain(rows, np.int64)


def vector(name: str, x: NDArray[Any], length: int) -> Vector:
    """Return `x` as a vector for kernels; raise `ValueError` with its `name` if its shape is not (length,)."""
    if x.shape != (length,):
        raise ValueError(f"{name}: shape ({length},), got {x.shape}")
    return plain(x, np.float64)


def plain(x: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return `x` or a copy in the only layout that kernels are compiled for: contiguous and writable."""
    if x.dtype == dtype and x.flags.carray:
        return x
    return np.require(x, dtype, ("C", "A", "W"))
