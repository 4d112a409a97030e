"""Reused vectors.

A new array of a few hundred kilobytes costs a page fault per 4 kB at the first write, as much as a whole pass over
sparse rows. So a point of the oracle reuses the vectors of an earlier one.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Vector

KEPT = 4  # vectors: two points' worth


class SpareVectors:
    """Float64 vectors of one length, uninitialised.

    Parameters
    ----------
    n
        Their length.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._free: list[Vector] = []

    def take(self) -> Vector:
        """Return a vector (n,) that is not in use."""
        return self._free.pop() if self._free else np.empty(self._n)

    def give(self, x: Vector) -> None:
        """Accept a vector for reuse; the caller must not access it again."""
        if len(self._free) < KEPT:
            self._free.append(x)
