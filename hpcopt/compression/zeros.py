"""Vectors of float64 sent exactly, without their zeros: the models that a hub sends to its workers.

    a byte for the form    the nonzero numbers, 8 bytes each    where they are

The form is the shortest of three: all numbers; a bit for each number, set where it is not zero; a list of indices of
ceil(log2 d) bits each. The receiver knows d, and finds the number of indices from the message's length.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Vector
from hpcopt.compression.base import Message

_ALL, _MARKED, _LISTED = range(3)
_DOUBLE = 8  # bytes


def pack(x: Vector) -> Message:
    """Return the message of `x`, shape (d,); minus zero becomes zero."""
    d = x.size
    places = np.flatnonzero(x)
    sizes = (_DOUBLE * d, _DOUBLE * len(places) + _bytes(d), _DOUBLE * len(places) + _bytes(len(places) * _width(d)))
    form = sizes.index(min(sizes))
    values = x if form == _ALL else x[places]
    where = np.zeros(0, dtype=np.uint8)
    if form == _MARKED:
        where = np.packbits(x != 0.0)
    elif form == _LISTED:
        where = np.packbits(places[:, None] >> np.arange(_width(d)) & 1)
    return np.concatenate([np.array([form], dtype=np.uint8), values.view(np.uint8), where])


def unpack(message: Message, d: int) -> Vector:
    """Return the vector of d numbers in a message of `pack`."""
    form, rest = message[0], message[1:]
    if form == _ALL:
        return _doubles(rest, d)
    x = np.zeros(d)
    if form == _MARKED:
        where = np.flatnonzero(np.unpackbits(rest[len(rest) - _bytes(d) :], count=d))
    else:
        width = _width(d)
        count = 8 * len(rest) // (8 * _DOUBLE + width)
        bits = np.unpackbits(rest[_DOUBLE * count :], count=count * width).reshape(count, width)
        where = bits.astype(np.int64) @ (1 << np.arange(width))
    x[where] = _doubles(rest, len(where))
    return x


def _width(d: int) -> int:
    """Return the bits of an index."""
    return max(d - 1, 0).bit_length()


def _bytes(bits: int) -> int:
    return -(-bits // 8)


def _doubles(packed: Bytes, count: int) -> Vector:
    return packed[: _DOUBLE * count].copy().view(np.float64)
