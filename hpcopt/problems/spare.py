"""Vectors that are used again.

A fresh array of a few hundred kilobytes costs a page fault every 4 kB when it is first written: as much as a whole
pass over sparse rows. What a point of the oracle no longer needs, the next one takes.
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
        """Return a vector (n,) that nobody else uses."""
        return self._free.pop() if self._free else np.empty(self._n)

    def give(self, x: Vector) -> None:
        """Take a vector back: the giver must not look at it again."""
        if len(self._free) < KEPT:
            self._free.append(x)
