"""One bit per number: signs, eight per byte, and sums of magnitudes.

Element i is bit i mod 8 of byte i // 8, set if the number is negative; padding bits are zero. A block is read twice,
once for its bits and once for its sum; the second time it is in the L1 cache.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.casts import Real
from hpcopt.kernels.lanes import LANES, choose, load_single, load_word, negatives, store_word

BLOCK = 4096  # numbers processed together: 16 or 32 kB, half of the L1 cache or all of it


@part(fastmath=("reassoc",))
def _added(x: Floats, total: Real) -> Real:
    for i in range(x.size):
        total += abs(x[i])
    return total


@part()
def sum_of_magnitudes(x: Floats) -> float:
    """Return the sum of |x|, shape (n,), in the precision of `x`, or in double if that overflows."""
    total = float(_added(x, x.dtype.type(0)))
    return total if total < np.inf else float(_added(x, 0.0))


@kernel()
def encode_signs(x: Floats, message: Bytes) -> float:
    """Fill `message`, shape (4 + ceil(d/8),), with the mean of |x| as a float32 and the signs of `x`, shape (d,).

    Returns the mean in double precision. It does not depend on the arrays' alignment, and is NaN or infinite if `x`
    contains NaN or infinity.
    """
    total = 0.0
    for first in range(0, x.size, BLOCK):
        count = min(BLOCK, x.size - first)
        block = x[first : first + count]
        bits = message[4 + first // 8 :]
        whole = count - count % LANES
        for i in range(0, whole, LANES):
            store_word(bits, i >> 3, negatives(block, i))
        for i in range(whole, count, 8):
            byte = 0
            for k in range(i, min(i + 8, count)):
                byte |= (block[k] < 0) << (k - i)
            bits[i >> 3] = byte
        total += sum_of_magnitudes(block)
    mean = total / max(x.size, 1)
    store_word(message, 0, np.float32(mean))
    return mean


@kernel()
def decode_signs(message: Bytes, out: Floats) -> None:
    """Fill `out`, shape (d,), with the numbers in a `message` of `encode_signs`."""
    plus = out.dtype.type(load_single(message, 0))
    minus = -plus
    bits = message[4:]
    whole = out.size - out.size % LANES
    for i in range(0, whole, LANES):
        choose(out, i, load_word(bits, i >> 3), plus, minus)
    for i in range(whole, out.size):
        out[i] = minus if (bits[i >> 3] >> (i & 7)) & 1 else plus
