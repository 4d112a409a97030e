"""From arrays in any form to operators whose kernels are ready."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.kernels import pointwise
from hpcopt.kernels.pointwise import LossCode
from hpcopt.problems.csr_matrix import as_csr
from hpcopt.problems.dense_matrix import as_dense
from hpcopt.problems.matrix import Matrix, vector

STORAGES = {"f64": np.float64, "f32": np.float32}

_WIDE = 512  # features


def as_matrix(X: Any, storage: str | None = "f64") -> Matrix:
    """Return `X` as an operator; it is copied if its layout or dtype differs, and never modified.

    Parameters
    ----------
    X
        Numpy array or scipy sparse matrix or array, (n, d).
    storage
        "f64" or "f32": how the entries are stored; None: f32 for float32, otherwise f64.

    Raises
    ------
    InputError
        If it is not a matrix of real numbers, or `storage` can't hold them.
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
            return as_csr(X, dtype) if sparse else as_dense(X, dtype)
    except FloatingPointError:
        raise InputError("storage: 'f32' can't hold all features, one is too large; use 'f64'") from None


def warm(matrix: Matrix, kind: LossCode, y: Vector) -> None:
    """Compile or load every kernel for a matrix of this type, by calling each on at most two rows.

    Parameters
    ----------
    matrix
        Only its type matters (dense or sparse, storage, writable or not), not its values.
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
    columns, fewer = few.restricted(rows)
    fewer.gradient_of_rows(kind, y, w[columns], rows)  # a type of its own if the shard's memory is read-only
    few.sgd_steps(kind, y, w, rows, 1, np.ones(few.n), 0.0, few.d)
    few.largest_row()
    if few.d <= _WIDE:  # otherwise even a Gram matrix of zeros costs much time and memory
        few.gram(s)
    pointwise.derivatives(kind, z, vector("y", y, few.n), few.margins(w), s)
    pointwise.loss_sum(kind, z, z)
    pointwise.ray_losses(kind, z, z, vector("y", y, few.n), np.ones(1), np.empty(1))
