"""Increasing indices, as a list of items that are nothing but an index (`kernels.items`)."""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Places
from hpcopt.kernels.cache import kernel
from hpcopt.kernels.items import end_list, item_at, put_item


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
    for j in range(m):
        k = j + 1 if j + 1 < m else 0
        places[k] = item_at(items, j, width)
    for k in range(1, m):
        if places[k] <= places[k - 1]:
            return False
    return bool(places[m - 1] < d)
