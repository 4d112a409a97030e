"""Eigenvalues of mixing matrices: all of them for small ones, the ends of the spectrum by Lanczos for large ones.

With J = 11^T / n, W - J has W's eigenvalues with the 1 of the constant vector replaced by 0, so the second eigenvalue
of W is the largest of W - J. For a sequence, W is the product over a period. A reversible W, pi_i w_ij =
pi_j w_ji, has the spectrum of the symmetric D W D^-1, D = diag(sqrt(pi)), whose eigenvector for 1 is sqrt(pi): W - J
itself may be defective (of W = 1 pi^T it is nilpotent), and rounding would show as eigenvalues of 1e-8.

Our own Lanczos iteration has no restarts and no reorthogonalisation: only the extreme eigenvalues are needed, without
vectors, and the spurious copies due to rounding do not change these. On a ring or path of 4,000 nodes, whose
eigenvalues cluster at 1, it takes a fifth of a second and all digits are right. ARPACK (scipy's `eigsh`, k = 1) takes
seconds there, and on a ring of 600 nodes it returned the second eigenvalue from the end, with a residual of 1e-14.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array

from hpcopt.arrays import Vector

_DENSE = 500  # nodes up to which all eigenvalues are computed: half a second
_FIRST_LOOK = 64  # Lanczos steps before the first convergence check
_MOST_STEPS = 50  # Lanczos steps per node, far more than the largest number observed (1.4, on a path)
_RESIDUAL = 1e-10  # of an accepted pair; the eigenvalue's error is about its square divided by the gap
_ROUNDOFF = 1e-13  # the largest rounding error of a product of matrices that averages exactly
_OUTERMOST = 6  # eigenvalues requested from Arnoldi, so that it does not miss the outermost one


def largest_modulus(matrices: Sequence[Any], *, symmetric: bool, stationary: Vector | None = None) -> float:
    """Return the spectral radius of P - J, with P the product of the n x n `matrices`, the first applied first.

    Parameters
    ----------
    matrices
        Sparse, rows sum to one.
    symmetric
        Whether there is one matrix and it is symmetric.
    stationary
        pi, shape (n,), positive with sum one, if there is one matrix and it is reversible for it; else None.

    Raises
    ------
    ArithmeticError
        If an iteration does not converge.
    """
    n = matrices[0].shape[0]
    values: NDArray[Any]
    if n == 1:
        return 0.0
    if symmetric or stationary is not None:
        values = _symmetric(matrices[0], np.full(n, 1.0 / n) if stationary is None else stationary)
    elif n <= _DENSE:
        values = np.linalg.eigvals(_deflated(matrices, np.eye(n)))
    else:
        values = _outermost(matrices)
    radius = float(np.abs(values).max())
    return radius if radius > _ROUNDOFF else 0.0


def smallest(matrix: Any) -> float:
    """Return the smallest eigenvalue of a symmetric sparse matrix; raises as `largest_modulus` does."""
    if matrix.shape[0] <= _DENSE:
        return float(np.linalg.eigvalsh(matrix.toarray())[0])
    return _ends(matrix, None)[0]


def _symmetric(matrix: Any, stationary: Vector) -> Vector:
    """Return all eigenvalues, or the two ends, of a matrix that is reversible for `stationary`, without the 1."""
    unit = np.sqrt(stationary)
    scaled = matrix if np.ptp(unit) == 0.0 else diags_array(unit) @ matrix @ diags_array(1.0 / unit)
    if len(unit) <= _DENSE:
        values: Vector = np.linalg.eigvalsh(scaled.toarray() - np.outer(unit, unit))
        return values
    return np.array(_ends(scaled, unit))


def _deflated(matrices: Sequence[Any], x: Vector) -> Vector:
    """Return (P - J) x, for a vector or the columns of a matrix."""
    mean = x.mean(axis=0)
    for matrix in matrices:
        x = matrix @ x
    deflated: Vector = x - mean
    return deflated


def _ends(matrix: Any, unit: Vector | None) -> tuple[float, float]:
    """Return the smallest and the largest eigenvalue of a symmetric matrix, perhaps on what is orthogonal to `unit`."""
    n = matrix.shape[0]
    v, before, beta = _start(n), np.zeros(n), 0.0
    if unit is not None:
        v -= (unit @ v) * unit
    v /= np.linalg.norm(v)
    diagonal: list[float] = []
    beside: list[float] = []
    look = _FIRST_LOOK
    while len(diagonal) < _MOST_STEPS * n:
        w = matrix @ v
        alpha = float(v @ w)
        w -= alpha * v + beta * before
        if unit is not None:
            w -= (unit @ w) * unit
        beta = float(np.linalg.norm(w))
        diagonal.append(alpha)
        if beta < _ROUNDOFF or len(diagonal) == look:
            ends = [_ritz(diagonal, beside, place) for place in (0, len(diagonal) - 1)]
            if all(beta * last < _RESIDUAL for _, last in ends):
                return ends[0][0], ends[1][0]
            look += look // 2
        beside.append(beta)
        v, before = w / beta, v
    raise ArithmeticError(f"Lanczos: no convergence after {len(diagonal)} steps")


def _ritz(diagonal: list[float], beside: list[float], place: int) -> tuple[float, float]:
    """Return an eigenvalue of the tridiagonal matrix, counted from the smallest, and |last entry| of its vector."""
    from scipy.linalg import eigh_tridiagonal

    values, vectors = eigh_tridiagonal(diagonal, beside, select="i", select_range=(place, place))
    return float(values[0]), abs(float(vectors[-1, 0]))


def _outermost(matrices: Sequence[Any]) -> NDArray[np.complex128]:
    """Return eigenvalues of largest modulus of a nonsymmetric P - J, by Arnoldi."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    n = matrices[0].shape[0]
    if np.abs(_deflated(matrices, _start(n))).max() < _ROUNDOFF:
        return np.zeros(1, dtype=np.complex128)  # P = J, and ARPACK cannot handle a zero matrix
    operator = LinearOperator((n, n), matvec=lambda x: _deflated(matrices, x), dtype=np.float64)
    try:
        values: NDArray[np.complex128] = eigs(operator, k=_OUTERMOST, v0=_start(n), return_eigenvectors=False, ncv=64)
    except ArpackNoConvergence as error:
        raise ArithmeticError(f"Arnoldi: {error}") from None
    return values


def _start(n: int) -> Vector:
    """Return a fixed starting vector with mean 0."""
    x: Vector = np.random.default_rng(0).standard_normal(n)
    x -= x.mean()
    return x
