"""A shard's rows as an operator, dense or sparse, so that nothing above asks which.

Each method is one pass of a kernel (`hpcopt.kernels`), or BLAS for the dense Gram matrix. The entries may be
stored as float32, which halves what is read from memory; vectors, sums and results are float64 always.

Arguments are checked here, once a call: a kernel given a wrong shape would read or write beyond an array.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from hpcopt.errors import InputError
from hpcopt.kernels import csr, dense, pointwise

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

STORAGES = {"f64": np.float64, "f32": np.float32}

_LINE = 64  # bytes; rows that start at multiples of it are read up to 1.3 times faster
_WORTH_ALIGNING = 2**20  # bytes; smaller matrices are read from the cache, whatever their place
_BLOCK = 512  # rows of a block in the dense Gram matrix: enough for BLAS's speed, and it stays in the cache


class Matrix(abc.ABC):
    """The n rows x_i of a shard, with d features each.

    Vectors are float64: `w`, `v` of shape (d,), `y`, `s` of shape (n,); results are new arrays. `kind` is the code
    of a loss l (`hpcopt.kernels.pointwise`), `rows` are int64 row numbers in any order, repetitions allowed. A
    wrong shape or row number is a `ValueError`.
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

    def margins(self, w: Vector) -> Vector:
        """Return X w, shape (n,)."""
        out = np.empty(self.n)
        self._margins(_vector("w", w, self.d), out)
        return out

    def loss_gradient(self, kind: int, y: Vector, w: Vector) -> tuple[float, Vector, Vector, Vector]:
        """Return, from one pass, what a first and second order method needs to know at `w`.

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
        gradient, margins, curvature = np.empty(self.d), np.empty(self.n), np.empty(self.n)
        y, w = _vector("y", y, self.n), _vector("w", w, self.d)
        return self._loss_gradient(kind, y, w, gradient, margins, curvature), gradient, margins, curvature

    def hessian_product(self, s: Vector, v: Vector) -> Vector:
        """Return sum_i s_i (x_i.v) x_i, shape (d,)."""
        out = np.empty(self.d)
        self._hessian_product(_vector("s", s, self.n), _vector("v", v, self.d), out)
        return out

    def gradient_of_rows(self, kind: int, y: Vector, w: Vector, rows: Rows) -> tuple[float, Vector]:
        """Return the sum of the losses of `rows` and the sum of their gradients, shape (d,)."""
        gradient = np.empty(self.d)
        y, w = _vector("y", y, self.n), _vector("w", w, self.d)
        return self._gradient_of_rows(kind, y, w, self._rows(rows), gradient), gradient

    def sgd_steps(
        self, kind: int, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None:
        """Move `w`, in place, by minibatch gradient steps.

        Parameters
        ----------
        w
            Model, shape (d,), float64, contiguous: overwritten.
        rows
            (m,); cut into consecutive batches of `batch` rows, the last may be shorter.
        steps
            (ceil(m / batch),); step j is w -= steps[j] (mean loss gradient of batch j at w + l2 w).
        l2, penalised
            The regulariser's weight, and on how many leading coordinates it acts.
        """
        rows = self._rows(rows)
        if batch < 1:
            raise ValueError(f"batch: at least 1, got {batch}")
        if not 0 <= penalised <= self.d:
            raise ValueError(f"penalised: between 0 and {self.d}, got {penalised}")
        steps = _vector("steps", steps, -(-len(rows) // batch))
        if not (w.dtype == np.float64 and w.shape == (self.d,) and w.flags.carray):
            raise ValueError(f"w: a contiguous, writable float64 vector of {self.d}")
        self._sgd_steps(kind, _vector("y", y, self.n), w, rows, batch, steps, float(l2), penalised)

    def diagonal(self, s: Vector) -> Vector:
        """Return sum_i s_i x_ij^2 for each j, shape (d,): the diagonal of `gram(s)`."""
        out = np.empty(self.d)
        self._weighted_squares(_vector("s", s, self.n), out)
        return out

    def gram(self, s: Vector) -> NDArray[np.float64]:
        """Return sum_i s_i x_i x_i^T for s_i >= 0, shape (d, d), in Fortran order as LAPACK likes it."""
        s = _vector("s", s, self.n)
        if (s < 0.0).any():
            raise ValueError("s: weights of a Gram matrix are at least 0")
        return self._gram(s)

    @abc.abstractmethod
    def largest_row(self) -> float:
        """Return max_i ||x_i||^2, 0 without rows."""

    @abc.abstractmethod
    def take(self, rows: Rows) -> Matrix:
        """Return the matrix of `rows`, a copy."""

    @abc.abstractmethod
    def head(self, count: int) -> Matrix:
        """Return the matrix of the first `count` rows (or all), sharing their memory."""

    @abc.abstractmethod
    def as_array(self) -> Any:
        """Return the rows as a numpy array or a scipy CSR array, (n, d), in the storage's dtype."""

    @abc.abstractmethod
    def _margins(self, w: Vector, out: Vector) -> None: ...

    @abc.abstractmethod
    def _loss_gradient(
        self, kind: int, y: Vector, w: Vector, gradient: Vector, margins: Vector, curvature: Vector
    ) -> float: ...

    @abc.abstractmethod
    def _hessian_product(self, s: Vector, v: Vector, out: Vector) -> None: ...

    @abc.abstractmethod
    def _gradient_of_rows(self, kind: int, y: Vector, w: Vector, rows: Rows, gradient: Vector) -> float: ...

    @abc.abstractmethod
    def _sgd_steps(
        self, kind: int, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None: ...

    @abc.abstractmethod
    def _weighted_squares(self, s: Vector, out: Vector) -> None: ...

    @abc.abstractmethod
    def _gram(self, s: Vector) -> NDArray[np.float64]: ...

    def _rows(self, rows: Rows) -> Rows:
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise ValueError(f"rows: a vector of integers, got {rows.dtype} of shape {rows.shape}")
        if rows.size and not (rows.min() >= 0 and rows.max() < self.n):
            raise ValueError(f"rows: between 0 and {self.n - 1}, got {rows.min()} ... {rows.max()}")
        return _plain(rows, np.int64)


class DenseMatrix(Matrix):
    """Rows stored one after another.

    Parameters
    ----------
    X
        (n, d), float64 or float32, C-contiguous; kept, not copied.
    """

    def __init__(self, X: NDArray[Any]) -> None:
        self.X = X
        self.n, self.d = X.shape
        self.nnz = X.size
        self.gram_flops = float(self.n) * self.d * (self.d + 2)
        self.storage = X.dtype

    def largest_row(self) -> float:  # noqa: D102
        return dense.largest_square(self.X)

    def take(self, rows: Rows) -> DenseMatrix:  # noqa: D102
        rows = self._rows(rows)
        return DenseMatrix(np.take(self.X, rows, axis=0, out=aligned_empty(len(rows), self.d, self.storage)))

    def head(self, count: int) -> DenseMatrix:  # noqa: D102
        return DenseMatrix(self.X[:count])

    def as_array(self) -> NDArray[Any]:  # noqa: D102
        return self.X

    def _margins(self, w: Vector, out: Vector) -> None:
        dense.margins(self.X, w, out)

    def _loss_gradient(
        self, kind: int, y: Vector, w: Vector, gradient: Vector, margins: Vector, curvature: Vector
    ) -> float:
        return dense.loss_gradient(kind, self.X, y, w, gradient, margins, curvature)

    def _hessian_product(self, s: Vector, v: Vector, out: Vector) -> None:
        dense.hessian_product(self.X, s, v, out)

    def _gradient_of_rows(self, kind: int, y: Vector, w: Vector, rows: Rows, gradient: Vector) -> float:
        return dense.gradient_of_rows(kind, self.X, y, w, rows, gradient)

    def _sgd_steps(
        self, kind: int, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None:
        dense.sgd_steps(kind, self.X, y, w, rows, batch, steps, l2, penalised)

    def _weighted_squares(self, s: Vector, out: Vector) -> None:
        dense.weighted_squares(self.X, s, out)

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


class CsrMatrix(Matrix):
    """Rows that store their nonzero entries only.

    Parameters
    ----------
    X
        scipy CSR, (n, d), float64 or float32, its indices sorted and without duplicates; its entries are kept,
        not copied.
    """

    def __init__(self, X: Any) -> None:
        self._set(X.data, _plain(X.indices, np.int32), _plain(X.indptr, np.int64), X.shape[1])

    def _set(self, data: NDArray[Any], indices: NDArray[np.int32], indptr: Rows, d: int) -> None:
        self.data = data
        self.indices = indices
        self.indptr = indptr
        self.n, self.d = len(indptr) - 1, d
        self.nnz = int(indptr[-1] - indptr[0])
        lengths = np.diff(indptr).astype(np.float64)
        self.gram_flops = float(lengths @ lengths + 2.0 * lengths.sum())
        self.storage = data.dtype

    def largest_row(self) -> float:  # noqa: D102
        return csr.largest_square(self.data, self.indptr)

    def take(self, rows: Rows) -> CsrMatrix:  # noqa: D102
        return CsrMatrix(self.as_array()[self._rows(rows)])

    def head(self, count: int) -> CsrMatrix:  # noqa: D102
        first = object.__new__(CsrMatrix)
        first._set(self.data, self.indices, self.indptr[: count + 1], self.d)
        return first

    def as_array(self) -> Any:  # noqa: D102
        stored = slice(0, int(self.indptr[-1]))
        parts = self.data[stored], self.indices[stored], self.indptr
        return scipy.sparse.csr_array(parts, shape=(self.n, self.d))

    def _margins(self, w: Vector, out: Vector) -> None:
        csr.margins(self.data, self.indices, self.indptr, w, out)

    def _loss_gradient(
        self, kind: int, y: Vector, w: Vector, gradient: Vector, margins: Vector, curvature: Vector
    ) -> float:
        return csr.loss_gradient(kind, self.data, self.indices, self.indptr, y, w, gradient, margins, curvature)

    def _hessian_product(self, s: Vector, v: Vector, out: Vector) -> None:
        csr.hessian_product(self.data, self.indices, self.indptr, s, v, out)

    def _gradient_of_rows(self, kind: int, y: Vector, w: Vector, rows: Rows, gradient: Vector) -> float:
        return csr.gradient_of_rows(kind, self.data, self.indices, self.indptr, y, w, rows, gradient)

    def _sgd_steps(
        self, kind: int, y: Vector, w: Vector, rows: Rows, batch: int, steps: Vector, l2: float, penalised: int
    ) -> None:
        csr.sgd_steps(kind, self.data, self.indices, self.indptr, y, w, rows, batch, steps, l2, penalised)

    def _weighted_squares(self, s: Vector, out: Vector) -> None:
        csr.weighted_squares(self.data, self.indices, self.indptr, s, out)

    def _gram(self, s: Vector) -> NDArray[np.float64]:
        total = np.empty((self.d, self.d))
        csr.gram(self.data, self.indices, self.indptr, s, total)
        return total.T  # symmetric: the same matrix in Fortran order


def as_matrix(X: Any, storage: str | None = "f64") -> Matrix:
    """Return `X` as an operator; it is copied where its layout or dtype is another, and never changed.

    Parameters
    ----------
    X
        Numpy array or scipy sparse matrix or array, (n, d).
    storage
        "f64" or "f32": how the entries are kept; None: as f32 if they come so, else as f64.

    Raises
    ------
    InputError
        If it is no matrix of real numbers, or `storage` can't hold them.
    """
    if storage not in {None, *STORAGES}:
        raise InputError(f"storage: one of {', '.join(STORAGES)}; got '{storage}'")
    sparse = scipy.sparse.issparse(X)
    X = X if sparse else np.asarray(X)
    dtype = np.dtype(STORAGES[storage or ("f32" if X.dtype == np.float32 else "f64")])
    if X.ndim != 2:
        raise InputError(f"the features form a matrix (rows, features), got {X.ndim} dimension(s): shape {X.shape}")
    if X.dtype.kind not in "fiub":
        raise InputError(f"the features are real numbers, got {X.dtype}")
    if sparse and X.shape[1] > np.iinfo(np.int32).max:
        raise InputError(f"a sparse matrix has at most {np.iinfo(np.int32).max} features, got {X.shape[1]}")
    try:
        with np.errstate(over="raise"):
            return _as_csr(X, dtype) if sparse else _as_dense(X, dtype)
    except FloatingPointError:
        raise InputError("storage: 'f32' can't hold all features, one is too large; use 'f64'") from None


def aligned_empty(n: int, d: int, dtype: Any = np.float64) -> NDArray[Any]:
    """Return an uninitialised C-contiguous (n, d) array whose memory starts at a multiple of 64 bytes.

    numpy's own large arrays never do; rows of a multiple of 64 bytes then straddle two cache lines with every
    wide load.
    """
    size = n * d * np.dtype(dtype).itemsize
    memory = np.empty(size + _LINE, dtype=np.uint8)
    start = -memory.ctypes.data % _LINE
    array: NDArray[Any] = memory[start : start + size].view(dtype).reshape(n, d)
    return array


def warm(matrix: Matrix, kind: int, y: Vector) -> None:
    """Compile, or load, every kernel for a matrix of this type, by calling each on at most two rows.

    Parameters
    ----------
    matrix
        Its type counts (dense or sparse, storage, writable or not), not its values.
    kind
        Loss code.
    y
        Targets, shape (n,).
    """
    few = matrix.head(2)
    y = y[: few.n]
    rows = np.arange(few.n)
    w = np.zeros(few.d)
    _, _, z, s = few.loss_gradient(kind, y, w)
    few.hessian_product(s, few.gradient_of_rows(kind, y, w, rows)[1])
    few.sgd_steps(kind, y, w, rows, 1, np.ones(few.n), 0.0, few.d)
    few.diagonal(s)
    few.largest_row()
    if few.d <= _BLOCK:  # beyond, even a Gram matrix of zeros takes its time and memory
        few.gram(s)
    pointwise.derivatives(kind, z, _vector("y", y, few.n), few.margins(w), s)
    pointwise.loss_sum(kind, z, z)
    pointwise.ray_losses(kind, z, z, _vector("y", y, few.n), np.ones(1), np.empty(1))


def _as_dense(X: NDArray[Any], dtype: np.dtype[Any]) -> DenseMatrix:
    lines_up = X.strides[0] % _LINE or X.ctypes.data % _LINE == 0 or X.nbytes < _WORTH_ALIGNING
    if X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned and lines_up:
        return DenseMatrix(X)
    copy = aligned_empty(X.shape[0], X.shape[1], dtype)
    copy[:] = X
    return DenseMatrix(copy)


def _as_csr(X: Any, dtype: np.dtype[Any]) -> CsrMatrix:
    rows = X.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return CsrMatrix(rows.astype(dtype, copy=False))


def _vector(name: str, x: NDArray[Any], length: int) -> Vector:
    if x.shape != (length,):
        raise ValueError(f"{name}: shape ({length},), got {x.shape}")
    return _plain(x, np.float64)


def _plain(x: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return `x` itself or a copy of the one layout that kernels are compiled for: contiguous and writable."""
    if x.dtype == dtype and x.flags.carray:
        return x
    return np.require(x, dtype, ("C", "A", "W"))
