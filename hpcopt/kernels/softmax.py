"""The softmax of many rows' outputs, its cross-entropy and the derivative, in place.

Three sweeps over a row while it is in the cache; the exponentials are one flat loop, so that they are vectorised for
any number of classes. NaN gives NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.kernels.cache import kernel
from hpcopt.kernels.pointwise import exp_of_negative


@kernel()
def cross_entropy(z: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the sum over the rows of log(sum_c exp(z_c)) - z_y, and replace `z` by the derivative.

    Parameters
    ----------
    z
        Outputs, shape (n, classes), contiguous; becomes softmax(z) - (1 at y).
    y
        The rows' classes, shape (n,), each at least 0 and below the number of classes.
    """
    n, classes = z.shape
    total = 0.0
    for i in range(n):
        largest = z[i, 0]
        for c in range(1, classes):
            largest = max(z[i, c], largest)
        for c in range(classes):
            z[i, c] -= largest
        total -= z[i, y[i]]
    flat = z.ravel()
    for k in range(flat.size):
        flat[k] = exp_of_negative(flat[k])
    for i in range(n):
        weight = 0.0
        for c in range(classes):
            weight += z[i, c]
        total += np.log(weight)
        for c in range(classes):
            z[i, c] /= weight
        z[i, y[i]] -= 1.0
    return total
