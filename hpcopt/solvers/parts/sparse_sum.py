"""Sums of sparse vectors, in time that depends on their nonzero numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcopt.arrays import Array, Places, Vector
from hpcopt.kernels import marks


class SparseSum:
    """The union of lists of coordinates below d, and sums of vectors with these coordinates.

    Attributes
    ----------
    places
        The union of the last lists.
    """

    places: Places

    def __init__(self, d: int) -> None:
        self._marks = marks.empty(d)
        self._d = d

    def over(self, lists: Sequence[Array]) -> None:
        """Set the coordinates of vectors: `lists` of integers, each sorted."""
        numbers = np.concatenate(lists).astype(np.int32, copy=False)
        self._within = np.empty_like(numbers)
        union = np.empty(min(len(numbers), self._d) + marks.SPARE, dtype=np.int64)
        self.places = union[: marks.number(numbers, self._marks, self._within, union)]

    def sum(self, values: Sequence[Vector]) -> Vector:
        """Return the sum of the vectors, added in their order, at `places`."""
        total = np.zeros(len(self.places))
        marks.add(self._within, np.concatenate(values), total)
        return total

    def spread(self, x: Vector) -> Vector:
        """Return the numbers of `x`, given at `places`, that belong to each list, one list after another."""
        return x[self._within]
