"""Lists of items of a fixed number of bits, one after another from the lowest bit of the first byte on.

An item has at least 8 bits, so that the length of a list in bytes determines the number of items, whatever the padding
bits of the last byte; and at most 32, so that it fits into the words used here.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes
from hpcopt.kernels.cache import part
from hpcopt.kernels.lanes import load_long, store_word

SPARE = 8  # bytes after a list that `put_item` needs


@part()
def room_for_items(size: int) -> Bytes:
    """Return room for a list of at most `size` bytes."""
    room = np.empty(size + SPARE, np.uint8)
    room[0] = 0
    return room


@part()
def put_item(items: Bytes, place: int, bits: int, item: np.uint64) -> None:
    """Write the item at `place`; those before it have been written, those after it are lost."""
    at = place * bits >> 3
    store_word(items, at, np.uint64(np.uint64(items[at]) | np.uint64(item << np.uint64(place * bits & 7))))


@part()
def item_at(items: Bytes, place: int, bits: int) -> np.uint64:
    """Return the item at `place`."""
    at = place * bits >> 3
    if at + 8 <= items.size:
        word = load_long(items, at)
    else:
        word = np.uint64(0)
        for k in range(items.size - at):
            word |= np.uint64(items[at + k]) << np.uint64(8 * k)
    return np.uint64((word >> np.uint64(place * bits & 7)) & np.uint64((1 << bits) - 1))
