"""Sums of K messages with the values -unit, 0 and unit: exact, as small integers of log2(2K + 1) bits each.

unit, float32    the integers -K ... K, plus K, packed as digits
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.compression.base import Message
from hpcopt.compression.symbols import digit_bytes, digits

_HEADER = 4  # bytes


def pack_sum(total: Vector, unit: float, count: int) -> Message:
    """Return the message of `total`, shape (d,), a sum of `count` decoded messages with the scale `unit`, a float32."""
    levels = np.rint(total / unit) if unit > 0.0 else np.zeros(total.size)
    scale = np.array([unit], dtype=np.float32)
    return np.concatenate([scale.view(np.uint8), pack_digits(levels + count, 2 * count + 1)])


def unpack_sum(message: Message, d: int, count: int) -> Vector:
    """Return the sum in a message of `pack_sum`, shape (d,)."""
    levels = unpack_digits(message[_HEADER:], d, 2 * count + 1) - count
    return levels * float(message[:_HEADER].view(np.float32)[0])


def pack_digits(values: NDArray[Any], radix: int) -> Message:
    """Return `values`, shape (d,), integers from 0 to radix - 1 of any type, as digits in words of 64 bits."""
    d, per = values.size, digits(radix)
    symbols = np.zeros(-(-d // per) * per, dtype=np.uint64)
    symbols[:d] = values
    words = symbols.reshape(-1, per) @ np.uint64(radix) ** np.arange(per, dtype=np.uint64)
    packed: Message = words.view(np.uint8)[: digit_bytes(d, radix)]
    return packed


def unpack_digits(packed: Message, d: int, radix: int) -> Vector:
    """Return what `pack_digits` packed, shape (d,)."""
    words = np.zeros(-(-d // digits(radix)), dtype=np.uint64)
    words.view(np.uint8)[: len(packed)] = packed
    values = np.empty((len(words), digits(radix)))
    for place in range(digits(radix)):
        words, values[:, place] = np.divmod(words, np.uint64(radix))
    return values.reshape(-1)[:d]
