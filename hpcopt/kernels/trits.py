"""Small integers packed into bytes: five of {-1, 0, 1}, or three of {-2, ..., 2}.

A byte is the number whose digits in base 3 (base 5) are the levels plus 1 (plus 2), so zeros give the byte 121 (62):
1.6 bits per ternary number, close to the minimum log2 3 = 1.585. The digits of one byte come from distant levels: in a
block of n levels and m = ceil(n/5) bytes, byte j holds levels j, m + j, ..., 4 m + j, padded with zeros. So packing and
unpacking are loops over whole bytes without shuffles, 64 of them per instruction.

Unpacking converts the byte to a fraction of 243 in units of 1/256, rounded up, and reads the digits from the top: three
times the fraction overflows eight bits by the digit, and the remainder is the next fraction.

Two bits per number would be 25 % longer and no faster: packing costs a tenth of quantising.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Bytes, Levels
from hpcopt.kernels.cache import part

BLOCK = 3840  # levels packed together: 15 * 256, whole bytes and whole registers in both bases

TERNARY = 3  # bases
QUINARY = 5
PER_BYTE = {TERNARY: 5, QUINARY: 3}  # digits


@part()
def _bytes_of(base: int, n: int) -> int:
    """Return the number of bytes of `n` levels."""
    digits = 5 if base == TERNARY else 3
    return (n + digits - 1) // digits


@part()
def bytes_of_block(base: int, first: int, n: int, packed: Bytes) -> Bytes:
    """Return the bytes of the block of `n` levels that starts at `first`, a multiple of `BLOCK`."""
    start = _bytes_of(base, first)
    return packed[start : start + _bytes_of(base, n)]


@part()
def _pack_trits(levels: Levels, out: Bytes) -> None:
    m = out.size
    for j in range(m):
        n = levels[4 * m + j]
        n = np.int8(n + n + n + levels[3 * m + j])
        n = np.int8(n + n + n + levels[2 * m + j])
        n = np.int8(n + n + n + levels[m + j])
        n = np.int8(n + n + n + levels[j])
        out[j] = np.uint8(n + np.int8(121))


@part()
def _pack_quints(levels: Levels, out: Bytes) -> None:
    m = out.size
    for j in range(m):
        n = np.int8(5 * levels[2 * m + j] + levels[m + j])
        out[j] = np.uint8(5 * n + levels[j] + 62)


@part()
def pack(base: int, levels: Levels, n: int, out: Bytes) -> None:
    """Pack the first `n` levels of a block into `out`, the bytes of the block.

    Parameters
    ----------
    base
        `TERNARY` or `QUINARY`.
    levels
        Shape (BLOCK,); those after the first `n` become zero.
    """
    levels[n:] = 0
    if base == TERNARY:
        _pack_trits(levels, out)
    else:
        _pack_quints(levels, out)


@part()
def _carry_3(fraction: np.uint8) -> np.int8:
    """Return the overflow of 3 `fraction` beyond eight bits, minus one."""
    return np.int8(np.int8(fraction >= 171) - np.int8(fraction < 86))


@part()
def _carry_5(fraction: np.uint8) -> np.int8:
    """Return the overflow of 5 `fraction` beyond eight bits, minus two."""
    above = np.int8(np.int8(fraction >= 154) + np.int8(fraction >= 205))
    below = np.int8(np.int8(fraction < 52) + np.int8(fraction < 103))
    return np.int8(above - below)


@part()
def _unpack_trits(packed: Bytes, fractions: Bytes, levels: Levels) -> None:
    m = packed.size
    for j in range(m):
        fractions[j] = packed[j] + (13 * packed[j] + 242) // 243
    a, b, c, d, e = levels[:m], levels[m : 2 * m], levels[2 * m : 3 * m], levels[3 * m : 4 * m], levels[4 * m : 5 * m]
    for j in range(m):
        f = fractions[j]
        e[j] = _carry_3(f)
        f = np.uint8(f + f + f)
        d[j] = _carry_3(f)
        f = np.uint8(f + f + f)
        c[j] = _carry_3(f)
        f = np.uint8(f + f + f)
        b[j] = _carry_3(f)
        f = np.uint8(f + f + f)
        a[j] = _carry_3(f)


@part()
def _unpack_quints(packed: Bytes, fractions: Bytes, levels: Levels) -> None:
    m = packed.size
    for j in range(m):
        fractions[j] = 2 * packed[j] + (6 * packed[j] + 124) // 125
    a, b, c = levels[:m], levels[m : 2 * m], levels[2 * m : 3 * m]
    for j in range(m):
        f = fractions[j]
        c[j] = _carry_5(f)
        f = np.uint8(5 * f)
        b[j] = _carry_5(f)
        f = np.uint8(5 * f)
        a[j] = _carry_5(f)


@part()
def unpack(base: int, packed: Bytes, fractions: Bytes, levels: Levels) -> None:
    """Fill the beginning of `levels`, shape (BLOCK,), with the digits of `packed`.

    Parameters
    ----------
    base
        `TERNARY` or `QUINARY`.
    packed
        The bytes of one block.
    fractions
        A buffer of the same size.
    """
    if base == TERNARY:
        _unpack_trits(packed, fractions, levels)
    else:
        _unpack_quints(packed, fractions, levels)
