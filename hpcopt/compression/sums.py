"""Sums of K messages with the values -unit, 0 and unit: exact, as small integers of log2(2K + 1) bits each.

unit, float32    the integers -K ... K, plus K, packed as digits
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.compression.base import Message
from hpcopt.compression.symbols import digit_bytes, digits

_HEADER = 4  # bytes


def pack_sum(total: Vector, unit: float, count: int) -> Message:
    """Return the message of `total`, shape (d,), a sum of `count` decoded messages with the scale `unit`, a float32."""
    radix, d = 2 * count + 1, total.size
    levels = np.rint(total / unit) if unit > 0.0 else np.zeros(d)
    symbols = np.zeros(-(-d // digits(radix)) * digits(radix), dtype=np.uint64)
    symbols[:d] = levels + count
    words = symbols.reshape(-1, digits(radix)) @ _powers(radix)
    scale = np.array([unit], dtype=np.float32)
    return np.concatenate([scale.view(np.uint8), words.view(np.uint8)[: digit_bytes(d, radix)]])


def unpack_sum(message: Message, d: int, count: int) -> Vector:
    """Return the sum in a message of `pack_sum`, shape (d,)."""
    radix = 2 * count + 1
    words = np.zeros(-(-d // digits(radix)), dtype=np.uint64)
    words.view(np.uint8)[: len(message) - _HEADER] = message[_HEADER:]
    levels = np.empty((len(words), digits(radix)))
    for place in range(digits(radix)):
        words, levels[:, place] = np.divmod(words, np.uint64(radix))
    return (levels.reshape(-1)[:d] - count) * float(message[:_HEADER].view(np.float32)[0])


def _powers(radix: int) -> NDArray[np.uint64]:
    return np.uint64(radix) ** np.arange(digits(radix), dtype=np.uint64)
