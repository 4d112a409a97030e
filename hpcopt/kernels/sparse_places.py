"""Increasing indices, as a list of items that are nothing but an index (`kernels.items`), or as bits that are set."""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Places
from hpcopt.kernels.cache import kernel
from hpcopt.kernels.items import end_list, item_at, put_item, read_list_of
from hpcopt.kernels.select import lowest_bit


@kernel()
def list_places(places: Places, width: int, items: Bytes) -> None:
    """Fill `items` with the list of `places`, increasing, shape (m,), m > 0.

    Parameters
    ----------
    width
        Bits of an index, at most 32.
    items
        The list and `items.SPARE` bytes more, the first of them 0.
    """
    for j in range(1, places.size):
        put_item(items, j - 1, width, np.uint64(places[j]))
    end_list(items, places.size - 1, width, np.uint64(places[0]))


@kernel()
def read_places(items: Bytes, width: int, d: int, places: Places) -> bool:
    """Fill `places`, shape (m,), m > 0, with the indices in a list of m; False unless they increase and are below d."""
    m = places.size
    if m == 1 and item_at(items, 0, width) != item_at(items, 1, width):
        return False
    read_list_of(items, width, places)
    for k in range(1, m):
        if places[k] <= places[k - 1]:
            return False
    return bool(places[m - 1] < d)


@kernel()
def mark_places(places: Places, marks: Bytes) -> None:
    """Set the bits of `places`, shape (m,), in `marks`, which are zero."""
    for j in range(places.size):
        marks[places[j] >> 3] |= np.uint8(1 << (places[j] & 7))


@kernel()
def read_marks(marks: Bytes, places: Places) -> None:
    """Fill `places`, shape (m,), with the indices of the m bits that are set."""
    j = 0
    for i in range(marks.size):
        byte = np.uint64(marks[i])
        while byte:
            places[j] = 8 * i + lowest_bit(byte)
            byte &= byte - np.uint64(1)
            j += 1
