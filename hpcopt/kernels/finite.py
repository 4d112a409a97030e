"""Passes over a vector that detect NaN and infinity at memory bandwidth.

Without the sign, the bits of floating-point numbers have the same order as the numbers, with infinity and NaN last. A
maximum of integers does not depend on the order, so the loops are vectorised without fastmath flags.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.kernels.cache import kernel

Words = NDArray[Any]
"""int32 or int64: floating-point numbers reinterpreted as signed integers."""

WORDS: dict[int, type[np.signedinteger]] = {4: np.int32, 8: np.int64}
"""Bytes per number -> type of `Words`."""
INFINITY: dict[int, Any] = {4: np.int32(0x7F800000), 8: np.int64(0x7FF0000000000000)}
"""The bits of infinity for each type."""

_MAGNITUDE = 0x7FFFFFFFFFFFFFFF


@kernel()
def all_finite(words: Words, infinity: int) -> bool:
    """Return whether the numbers of `words`, shape (d,), are all finite; `infinity` is `INFINITY` of them."""
    magnitude = words.dtype.type(infinity | (infinity - 1))
    top = words.dtype.type(0)
    for i in range(words.size):
        top = max(top, words.dtype.type(words[i] & magnitude))
    return bool(top < infinity)


@kernel()
def add_finite(x: Vector, scale: float, y: Vector, out: Vector) -> bool:
    """Fill `out` with x + `scale` y, all (d,); return whether it is finite throughout."""
    top = 0
    for i in range(x.size):
        total = x[i] + scale * y[i]
        out[i] = total
        top = max(top, int(np.float64(total).view(np.int64)) & _MAGNITUDE)
    return top < 0x7FF0000000000000
