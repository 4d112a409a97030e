"""Natural compression: rounding to powers of two, by operations on the bits of a float32.

A float32 consists of sign, exponent e and mantissa m: 2**e (1 + m / 2**23). Adding a random number below 2**23 to its
bits carries into the exponent with probability m / 2**23, as unbiased rounding to 2**e or 2**(e + 1) requires; the
upper 9 bits of the sum are sent. Below 2**-126 the same sum rounds to 0 or 2**-126, also without bias. The random
number is a 16-bit dither, accurate to 2**-17 of the mantissa's range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.dither import fill
from hpcopt.kernels.packing import PER, pack, unpack
from hpcopt.kernels.views import uncounted

BLOCK = 4096  # elements processed together, in the L1 cache

_MAGNITUDE = np.uint32(0x7FFFFFFF)
_LARGEST = np.uint32(0x7F000000)  # 2**127; the next power of two exceeds float32
_HALF = np.uint32(64)
_TO_MANTISSA = np.uint32(7)
_MANTISSA = np.uint32(23)
_SIGN = np.uint32(31)


@part()
def _round(x: Floats, dithers: NDArray[np.uint16], exponents: Bytes, signs: Bytes) -> np.uint32:
    """Return the bits of the largest magnitude: bits have the order of magnitudes, infinity and NaN last."""
    largest = np.uint32(0)
    for i in range(x.size):
        bits = np.float32(x[i]).view(np.uint32)
        magnitude = np.uint32(bits & _MAGNITUDE)
        largest = magnitude if magnitude > largest else largest
        bits = np.uint32(bits + np.uint32((np.uint32(dithers[i]) << _TO_MANTISSA) | _HALF))
        exponents[i] = np.uint8(bits >> _MANTISSA)
        signs[i] = np.uint8(bits >> _SIGN)
    return largest


@part()
def _values(exponents: Bytes, signs: Bytes, out: Floats) -> None:
    for i in range(out.size):
        bits = np.uint32(np.uint32(exponents[i]) << _MANTISSA) | np.uint32(np.uint32(signs[i]) << _SIGN)
        out[i] = np.uint32(bits).view(np.float32)


@kernel()
def encode(x: Floats, key: np.uint64, message: Bytes) -> bool:
    """Fill `message` with d exponents, then d sign bits; False if a number is NaN or beyond 2**127.

    Parameters
    ----------
    x
        float32 or float64 (rounded to float32 first), shape (d,).
    message
        Shape (d + ceil(d / 8),). The signs of each BLOCK numbers are packed by `packing.pack`.
    """
    x, message = uncounted(x), uncounted(message)
    hashes = np.empty(BLOCK // 2, np.uint32)
    signs = np.empty(BLOCK, np.uint8)
    for first in range(0, x.size, BLOCK):
        v = x[first : first + BLOCK]
        fill(key, first >> 1, hashes)
        if _round(v, hashes.view(np.uint16), message[first : first + v.size], signs) > _LARGEST:
            return False
        pack(signs[: v.size], 1, 0, PER, message[x.size + first // 8 :])
    return True


@kernel()
def decode(message: Bytes, out: Floats) -> None:
    """Fill `out`, shape (d,), with the powers of two of `message`."""
    message, out = uncounted(message), uncounted(out)
    signs = np.empty(BLOCK, np.uint8)
    for first in range(0, out.size, BLOCK):
        v = out[first : first + BLOCK]
        unpack(message[out.size + first // 8 :], 1, 0, PER, signs[: v.size])
        _values(message[first : first + v.size], signs, v)
