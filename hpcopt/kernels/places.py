"""Messages with a few numbers of a vector and their indices.

The k values come first, as float32, in the order of their indices; then the indices, in one of two forms:

    listed    `width` bits each, from the lowest bit of the first byte on
    marked    one bit for each of the d numbers, if that is shorter (`width` is MARKED)

A list always has k indices: if a vector has fewer nonzero numbers, the last one is repeated.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.finite import Words
from hpcopt.kernels.lanes import load_single, load_word, store_word
from hpcopt.kernels.select import Places, largest, lowest_bit

MARKED = -1

_BLOCK = 4096  # numbers zeroed, then filled, while they are in the L1 cache
_8 = np.uint64(8)
_32 = np.uint64(32)
_BYTE = np.uint64(255)
_ONE = np.uint64(1)


@part()
def _list(places: Places, k: int, width: int, message: Bytes) -> None:
    """Write `places`, at least one, and repeat the last one up to k."""
    word, filled, at = np.uint64(0), 0, 0
    for j in range(k):
        word |= np.uint64(places[min(j, places.size - 1)]) << np.uint64(filled)
        filled += width
        if filled >= 32:
            store_word(message, at, np.uint32(word))
            word >>= _32
            filled -= 32
            at += 4
    while filled > 0:
        message[at] = word & _BYTE
        word >>= _8
        filled -= 8
        at += 1


@part()
def _mark(places: Places, message: Bytes) -> None:
    """Set the bits of `places` and clear all others."""
    message[:] = 0
    for j in range(places.size):
        message[places[j] >> 3] |= np.uint8(1 << (places[j] & 7))


@kernel()
def encode_largest(x: Floats, words: Words, infinity: int, k: int, width: int, message: Bytes) -> bool:
    """Fill `message` with the k numbers of largest magnitude; ties are resolved by the lower index.

    Parameters
    ----------
    x, words, infinity
        The vector, shape (d,), 1 <= d < 2**31; the same reinterpreted as signed integers; their `finite.INFINITY`.
    k
        1 <= k <= d.
    width
        Bits of an index in a list, at most 32; or MARKED.

    Returns
    -------
    bool
        False if NaN, infinity or a number beyond float32's range occurs; the message is then invalid.
    """
    places, finite = largest(words, infinity, k)
    if places.size == 0:  # the zero vector: send its first number
        places = np.zeros(1, dtype=np.uint32)
    for j in range(k):
        value = np.float32(x[places[min(j, places.size - 1)]])
        finite &= bool(abs(value) < np.inf)
        store_word(message, 4 * j, value)
    if width == MARKED:
        _mark(places, message[4 * k :])
    else:
        _list(places, k, width, message[4 * k :])
    return finite


@kernel()
def decode_list(message: Bytes, k: int, width: int, out: Floats) -> bool:
    """Fill `out`, shape (d,), with the k numbers at the listed indices, else zeros; False if an index is beyond d."""
    ones = (_ONE << np.uint64(width)) - _ONE
    word, filled, at, j = np.uint64(0), 0, 4 * k, 0
    place: int | np.int64 = -1  # index of number j, until its block is reached
    for first in range(0, out.size, _BLOCK):
        end = min(first + _BLOCK, out.size)
        out[first:end] = 0
        while j < k:
            while place < 0 and filled < width:
                word |= np.uint64(message[at]) << np.uint64(filled)
                filled += 8
                at += 1
            if place < 0:
                place = np.int64(word & ones)
                word >>= np.uint64(width)
                filled -= width
            if place >= end:
                break
            out[place] = load_single(message, 4 * j)
            place = -1
            j += 1
    return j == k


@kernel()
def decode_marks(message: Bytes, k: int, out: Floats) -> bool:
    """Fill `out`, shape (d,), with the k numbers at the marked indices, else zeros; False if an index is beyond d."""
    j = 0
    for first in range(0, out.size, _BLOCK):
        end = min(first + _BLOCK, out.size)
        out[first:end] = 0
        for i in range(first, end, 16):
            at = 4 * k + i // 8
            marks = np.uint64(load_word(message, at) if at + 1 < message.size else message[at])
            if end - i < 16 and marks >> np.uint64(end - i):
                return False
            while marks and j < k:
                out[i + lowest_bit(marks)] = load_single(message, 4 * j)
                marks &= marks - _ONE
                j += 1
    return True
