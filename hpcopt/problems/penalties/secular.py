"""The scalar equations behind proximal operators of norms in a diagonal metric.

    sum_i (b_i / (s + e_i))^2 = 1        for one s > 0 per group of coordinates

The reciprocal of the root of the left side is increasing and concave in s, so that Newton's method on it converges
monotonically from any s below the solution: Conn, Gould and Toint, Trust-region methods (2000), section 7.3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector

MOST = 100  # steps; a few are enough
CLOSE = 1e-14  # relative


def solutions(b: Vector, e: Vector, sizes: NDArray[np.int64]) -> Vector:
    """Return s for each group, shape (groups,); 0 for groups whose left side is at most 1 at s = 0.

    Parameters
    ----------
    b, e
        Shape (d,), the groups one after the other; e at least 0.
    sizes
        Number of coordinates of each group, at least 1, shape (groups,).
    """
    starts = np.cumsum(sizes) - sizes
    s = np.maximum(np.maximum.reduceat(np.abs(b) - e, starts), 0.0)  # from each term alone
    for _ in range(MOST):
        shifted = np.repeat(s, sizes) + e
        shifted[shifted == 0.0] = np.inf  # of terms with b = 0
        terms = (b / shifted) ** 2
        left = np.add.reduceat(terms, starts)
        ahead = np.sqrt(left) - 1.0
        below = ahead > CLOSE
        if not below.any():
            break
        slope = np.add.reduceat(terms / shifted, starts)
        s = s + np.divide(left * ahead, slope, out=np.zeros_like(s), where=below)
    return s
