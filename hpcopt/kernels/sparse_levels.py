"""Sparse levels, as a list of the nonzero ones.

An item consists of the index of a level, its sign and, in base 5, a bit for the larger magnitude: w bits, from the
lowest bit of the first byte on, ordered by index. w is at least 8, so the length of the list determines the number of
items, whatever the padding bits. The sign of the first scale of the message indicates a list.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.lanes import load_long, nonzeros, store_word
from hpcopt.kernels.select import lowest_bit
from hpcopt.kernels.trits import BLOCK, bytes_of_block, unpack

_1 = np.uint64(1)
_8 = np.uint64(8)
_32 = np.uint64(32)
_BYTE = np.uint64(255)


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
        Bits of an index, at most 31; w is 1 more in base 3, 2 more in base 5.
    size
        Bytes of the list, ceil(count w / 8).
    """
    packed = message[header:]
    items = np.empty(size, np.uint8)
    bits_of_level = base // 2
    levels = np.empty(BLOCK, np.int8)
    fractions = np.empty(BLOCK // 3, np.uint8)
    word, filled, at = np.uint64(0), 0, 0
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
                word |= np.uint64((first + j) | (code << width)) << np.uint64(filled)
                filled += width + bits_of_level
                if filled >= 32:
                    store_word(items, at, np.uint32(word))
                    word >>= _32
                    filled -= 32
                    at += 4
    while filled > 0:
        items[at] = word & _BYTE
        word >>= _8
        filled -= 8
        at += 1
    for i in range(size):
        packed[i] = items[i]
    message[3] |= 128


@part()
def _bits_from(items: Bytes, position: int) -> np.uint64:
    """Return the bits from `position` on, at least 33 of them if the list has that many."""
    at = position >> 3
    if at + 8 <= items.size:
        word = load_long(items, at)
    else:
        word = np.uint64(0)
        for k in range(items.size - at):
            word |= np.uint64(items[at + k]) << np.uint64(8 * k)
    return np.uint64(word >> np.uint64(position & 7))


@part()
def expand_list(base: int, items: Bytes, width: int, scales: Floats, bucket: int, out: Floats) -> bool:
    """Fill `out`, shape (d,), with the numbers given by `items` and `scales`; False if an index is out of range.

    Parameters
    ----------
    base, items, width
        As for `list_levels`.
    scales, bucket
        float32 scales, one or two per bucket; numbers in a bucket.
    """
    out[:] = 0
    bits_of_level = base // 2
    w = width + bits_of_level
    ones = np.uint64((1 << width) - 1)
    for k in range(8 * items.size // w):
        item = _bits_from(items, k * w)
        index = np.int64(item & ones)
        if index >= out.size:
            return False
        code = np.int64(item >> np.uint64(width))
        b = index // bucket
        scale = scales[b] if bits_of_level == 1 else scales[2 * b + ((code >> 1) & 1)]
        out[index] = -scale if code & 1 else scale
    return True
