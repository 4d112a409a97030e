"""Sums of K messages with the values -unit, 0 and unit: exact, as small integers of log2(2K + 1) bits each.

unit, float32    the integers -K ... K, plus K, packed as symbols
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression.base import Message
from hpcopt.compression.symbols import symbol_bytes, way
from hpcopt.kernels.packing import pack_symbols, unpack_symbols

MOST = 127  # messages: a symbol is one of at most 255

_HEADER = 4  # bytes


def pack_sum(total: Vector, unit: float, count: int) -> Message:
    """Return the message of `total`, shape (d,), a sum of `count` decoded messages with the scale `unit`, a float32."""
    radix = 2 * count + 1
    levels = np.rint(total / unit) if unit > 0.0 else np.zeros_like(total)
    message = np.empty(_HEADER + symbol_bytes(total.size, radix), dtype=np.uint8)
    message[:_HEADER].view(np.float32)[:] = unit
    bits, per = way(radix)
    pack_symbols((levels + count).astype(np.uint8), bits, radix, per, message[_HEADER:])
    return message


def unpack_sum(message: Message, d: int, count: int) -> Vector:
    """Return the sum in a message of `pack_sum`, shape (d,)."""
    radix = 2 * count + 1
    symbols = np.empty(d, dtype=np.uint8)
    bits, per = way(radix)
    unpack_symbols(message[_HEADER:], bits, radix, per, symbols)
    levels = symbols.astype(np.float64) - count
    levels *= float(message[:_HEADER].view(np.float32)[0])
    return levels
