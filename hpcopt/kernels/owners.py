"""Coordinates divided among K nodes in turn: coordinate i belongs to node i mod K, which knows it as i // K.

So every node owns as many of the common coordinates as of the rare ones, whatever their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Places
from hpcopt.kernels.cache import kernel

Numbers = NDArray[np.int32]


@kernel()
def divide(places: Places, owners: int, counts: Numbers, own: Numbers, where: Numbers) -> None:
    """Sort coordinates by their owners.

    Parameters
    ----------
    places
        Coordinates, sorted, shape (m,).
    owners
        K.
    counts
        Becomes how many of them each node owns, shape (K,).
    own
        Becomes the owners' numbers of the coordinates, first those of node 0, then of node 1 ..., shape (m,).
    where
        Becomes the position in `own` of each coordinate, shape (m,).
    """
    counts[:] = 0
    size = np.uint32(owners)
    for j in range(places.size):
        place = np.uint32(places[j])
        owner = place % size
        where[j] = owner
        own[j] = place // size
        counts[owner] += 1
    numbers = own.copy()
    next_one = np.zeros(owners, np.int64)
    for k in range(1, owners):
        next_one[k] = next_one[k - 1] + counts[k - 1]
    for j in range(places.size):
        owner = np.uint32(where[j])
        at = next_one[owner]
        next_one[owner] = at + 1
        own[at] = numbers[j]
        where[j] = at
