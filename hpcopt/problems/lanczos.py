"""The largest eigenvalue of a matrix, and an upper bound on that of a matrix given as a function, from a few products.

Features near the largest double overflow when they are multiplied: the largest eigenvalue is then infinite.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from numpy.typing import NDArray

from hpcopt.arrays import Vector

TOLERANCE = 1e-3  # relative error of Lanczos
BASIS, SMALL_BASIS = 20, 6  # vectors that it keeps: ARPACK's default, and enough where these are too large
NUMBERS = 2**23  # most numbers of all these vectors, unless the basis is small


def largest_eigenvalue_of(matrix: NDArray[np.float64]) -> float:
    """Return the largest eigenvalue of a symmetric positive semidefinite matrix, shape (d, d)."""
    if not np.isfinite(matrix).all():
        return np.inf
    return float(scipy.linalg.eigvalsh(matrix, check_finite=False)[-1])


def largest_eigenvalue(product: Callable[[Vector], Vector], d: int) -> float:
    """Return the largest eigenvalue of a symmetric positive semidefinite A, increased by its relative error of 1e-3.

    Parameters
    ----------
    product
        Returns A v for v of shape (d,).
    d
        At least 2.
    """

    def column(v: Vector) -> Vector:
        return product(v.ravel())

    start = np.random.default_rng(0).standard_normal(d)  # the same in every run
    first = column(start)
    if not first.any():  # A is zero
        return 0.0
    if not np.isfinite(first).all():
        return np.inf
    operator = scipy.sparse.linalg.LinearOperator((d, d), matvec=column, dtype=np.float64)
    basis = min(d, BASIS, max(SMALL_BASIS, NUMBERS // d))
    values = scipy.sparse.linalg.eigsh(operator, k=1, ncv=basis, v0=start, tol=TOLERANCE, return_eigenvectors=False)
    return (1.0 + TOLERANCE) * float(values[0])
