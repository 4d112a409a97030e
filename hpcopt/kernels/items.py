"""Lists of items of a fixed number of bits, one after another from the lowest bit of the first byte on.

An item has at least 8 bits, so that the length of a list in bytes determines the number of items, whatever the padding
bits of the last byte; and at most 32, so that it fits into the words used here.

The lowest bits of an item are an index. Items are ordered by index, but the smallest index comes last, and an item
alone comes twice. A list that has been cut does not end with a smaller index, and is recognised without a byte more.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Places
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
def end_list(items: Bytes, place: int, bits: int, smallest: np.uint64) -> int:
    """Write the item of the smallest index, given the number of the others, and return the number of items written."""
    if place == 0:
        put_item(items, 0, bits, smallest)
        place = 1
    put_item(items, place, bits, smallest)
    return place + 1


@part()
def count_items(items: Bytes, bits: int) -> int:
    """Return the number of different items of a list; -1 if it has another length."""
    count = 8 * items.size // bits
    if items.size != (count * bits + 7) // 8 or count == 1:
        return -1
    return 1 if count == 2 and item_at(items, 0, bits) == item_at(items, 1, bits) else count


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


@part()
def read_list_of(items: Bytes, bits: int, into: Places) -> None:
    """Fill `into` with the m different items of a list by increasing index, shape (m,).

    The loop over those whose eight bytes are all in the list has no branch: it is ten times as fast.
    """
    m = into.size
    if m == 0:
        return
    ones = np.uint64((1 << bits) - 1)
    near = min(m - 1, max(8 * (items.size - 8) // max(bits, 1) + 1, 0))
    for k in range(near):
        into[k + 1] = (load_long(items, k * bits >> 3) >> np.uint64(k * bits & 7)) & ones
    for k in range(near, m - 1):
        into[k + 1] = item_at(items, k, bits)
    into[0] = item_at(items, m - 1, bits)
