"""Sparse levels, as a list of the nonzero ones.

An item (`kernels.items`) consists of the index of a level, its sign and, in base 5, a bit for the larger magnitude. The
sign of the first scale of the message indicates a list; where it is empty, all scales are zero.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Floats, Places, Vector
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.items import count_items, end_list, put_item, read_list_of, room_for_items
from hpcopt.kernels.lanes import nonzeros
from hpcopt.kernels.select import lowest_bit
from hpcopt.kernels.trits import BLOCK, bytes_of_block, unpack

_1 = np.uint64(1)


@part()
def is_list(message: Bytes) -> bool:
    """Return whether the levels in a message are a list: its first scale then has a minus sign."""
    return message.size > 0 and message[3] >= 128


@kernel()
def list_levels(base: int, message: Bytes, header: int, d: int, width: int, size: int) -> None:
    """Replace the levels of `message` by a list of the nonzero ones.

    Parameters
    ----------
    base
        Base of the levels, `TERNARY` or `QUINARY`.
    message
        A message from `ternary`: `header` bytes of scales and `d` levels; the list is not longer.
    width
        Bits of an index, at most 31; an item has 1 more in base 3, 2 more in base 5.
    size
        Bytes of the list.
    """
    packed = message[header:]
    items = room_for_items(size)
    bits_of_level = base // 2
    levels = np.empty(BLOCK, np.int8)
    fractions = np.empty(BLOCK // 3, np.uint8)
    place, smallest = -1, np.uint64(0)
    for first in range(0, d, BLOCK):
        n = min(BLOCK, d - first)
        unpack(base, bytes_of_block(base, first, n, packed), fractions, levels)
        levels[n:] = 0
        for i in range(0, n, 64):
            marks = nonzeros(levels, i)
            while marks:
                j = i + lowest_bit(marks)
                marks &= marks - _1
                level = levels[j]
                code = (np.int64(abs(level) == 2) << 1) | np.int64(level < 0)
                item = np.uint64((first + j) | (code << width))
                if place < 0:
                    smallest = item
                else:
                    put_item(items, place, width + bits_of_level, item)
                place += 1
    if place < 0:
        message[:header] = 0
    else:
        end_list(items, place, width + bits_of_level, smallest)
    for i in range(size):
        packed[i] = items[i]
    message[3] |= 128


@kernel()
def list_numbers(base: int, places: Places, numbers: Vector, high: float, width: int, items: Bytes) -> None:
    """Fill `items` with the list of `numbers` (m,), m > 0, none of them zero, at the increasing indices `places`.

    Parameters
    ----------
    base, width
        As for `list_levels`.
    high
        In base 5, the larger magnitude.
    items
        The list and `items.SPARE` bytes more, the first of them 0.
    """
    bits_of_level = base // 2
    smallest = np.uint64(0)
    for j in range(places.size):
        code = (np.int64(bits_of_level == 2 and abs(numbers[j]) == high) << 1) | np.int64(numbers[j] < 0.0)
        item = np.uint64(places[j] | (code << width))
        if j == 0:
            smallest = item
        else:
            put_item(items, j - 1, width + bits_of_level, item)
    end_list(items, places.size - 1, width + bits_of_level, smallest)


@kernel()
def read_list(base: int, items: Bytes, width: int, d: int, scales: Vector, places: Places, numbers: Vector) -> int:
    """Fill the beginning of `places` and `numbers` from the list `items`, by increasing index, and return how many.

    Parameters
    ----------
    base, width, d
        As for `list_levels`.
    scales
        Of the one bucket, shape (base // 2,).
    places, numbers
        Shape (m,), m the number of items.

    Returns
    -------
    int
        The number of different items; -1 if the list has been cut or an index is out of range.
    """
    bits_of_level = base // 2
    w = width + bits_of_level
    count = count_items(items, w)
    ones = np.uint64((1 << width) - 1)
    read_list_of(items, w, places[: max(count, 0)])
    for k in range(count):
        item = np.uint64(places[k])
        places[k] = item & ones
        code = np.int64(item >> np.uint64(width))
        scale = scales[(code >> 1) & (bits_of_level - 1)]
        numbers[k] = -scale if code & 1 else scale
    for k in range(1, count):
        if places[k] <= places[k - 1]:
            return -1
    return count if (places[count - 1] < d if count > 0 else not scales.any()) else -1


@part()
def expand_list(base: int, items: Bytes, width: int, scales: Floats, bucket: int, out: Floats) -> bool:
    """Fill `out`, shape (d,), with the numbers given by `items` and `scales`.

    Parameters
    ----------
    base, items, width
        As for `list_levels`.
    scales, bucket
        float32 scales, one or two per bucket; numbers in a bucket.

    Returns
    -------
    bool
        False if the list has been cut or an index is out of range.
    """
    bits_of_level = base // 2
    w = width + bits_of_level
    count = count_items(items, w)
    if count < 0 or (count == 0 and scales.any()):
        return False
    out[:] = 0
    ones = np.uint64((1 << width) - 1)
    listed = np.empty(count, np.int64)
    read_list_of(items, w, listed)
    before = np.int64(-1)
    for k in range(count):
        item = np.uint64(listed[k])
        index = np.int64(item & ones)
        if not before < index < out.size:
            return False
        before = index
        code = np.int64(item >> np.uint64(width))
        b = index // bucket
        scale = scales[b] if bits_of_level == 1 else scales[2 * b + ((code >> 1) & 1)]
        out[index] = -scale if code & 1 else scale
    return True
