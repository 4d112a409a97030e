"""QSGD's rounding to levels: one float32 norm per bucket, and symbols s + floor(s v_i / norm + u_i) in few bits.

    symbol_i in [0, 2s],   E symbol_i = s + s v_i / norm,   v_i decoded as (symbol_i - s) norm / (s tau)

The dithers u_i are multiples of 2**-16, so the expectation is exact to 2**-17 of a level and float32's rounding. The
sum s v_i / norm + u_i is computed in integers with 2**16 per level, as float32 would round the dither away.

The divisor is the norm as sent, increased by four millionths, so that the quotient never exceeds s in spite of
rounding. A norm below 2**-96 is sent as -2**96 times the norm, since its reciprocal and steps would leave the range of
float32; a norm below 2**-192 becomes zero.

A bucket is processed in blocks that fit the L1 cache: dithers, symbols, packing. Symbols of 8 bits need no packing; of
longer symbols, the lower bytes of a block are sent first, followed by the upper bits, packed. Decoding is as fast as a
memcpy of the float32 numbers; encoding is as fast for data in main memory, and takes twice as long in the caches, a
third of it for the dithers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.dither import fill
from hpcopt.kernels.lanes import load_single, store_word
from hpcopt.kernels.packing import LANES, pack, unpack
from hpcopt.kernels.views import uncounted

Dithers = NDArray[np.uint16]
Room = tuple[NDArray[np.uint32], Bytes]

BLOCK = 4096  # elements processed together, or the number that makes full groups of words

_SUM = ("contract", "reassoc")
_EXACT = ("contract",)

_MARGIN = 1.0 + 2.0**-18
_PIECE = 512  # numbers
_SQUARES_FROM = 2.0**-80  # smaller sums of squares may have lost digits in float32
SMALL = 2.0**-96  # 65536 * 32767 / SMALL is still a float32
_RAISE = 2.0**96
_LARGEST = 3.4028234663852886e38


@part(fastmath=_SUM)
def _squares(x: Floats, kind: type[np.floating]) -> np.floating:
    total = kind(0.0)
    for i in range(x.size):
        v = kind(x[i])
        total += v * v
    return total


@part()
def _norm(x: Floats) -> float:
    """Return the norm of `x`, raised by the margin; it may be infinite or NaN.

    The squares are added in the precision of `x`, a piece at a time: float32 is twice as fast as float64 and, for so
    few numbers, accurate to a third of the margin. Only if squares leave its range is the piece added again in float64.
    """
    total = 0.0
    for first in range(0, x.size, _PIECE):
        piece = x[first : first + _PIECE]
        squares = float(_squares(piece, x.dtype.type))
        if not _SQUARES_FROM < squares < np.inf:
            squares = float(_squares(piece, np.float64))
        total += squares
    return float(np.sqrt(total) * _MARGIN)


@part(fastmath=_EXACT)
def _quantise(x: Floats, factor: np.float32, levels: int, dithers: Dithers, symbols: Bytes) -> None:
    offset = np.float32(65536.0 * levels + 0.5)
    for i in range(x.size):
        level = np.int32(np.float32(x[i]) * factor + offset)
        symbols[i] = np.uint8(np.int32(level + np.int32(dithers[i])) >> np.int32(16))


@part(fastmath=_EXACT)
def _quantise_wide(x: Floats, factor: np.float32, levels: int, dithers: Dithers, low: Bytes, high: Bytes) -> None:
    offset = np.uint32(levels << 16)
    half = np.float32(0.5)
    for i in range(x.size):
        level = np.uint32(np.int32(np.floor(np.float32(x[i]) * factor + half)))
        symbol = np.uint32(np.uint32(level + offset) + np.uint32(dithers[i])) >> np.uint32(16)
        low[i] = np.uint8(symbol)
        high[i] = np.uint8(symbol >> np.uint32(8))


@part(fastmath=_EXACT)
def _values(symbols: Bytes, levels: int, step: np.float32, out: Floats) -> None:
    zero = np.float32(levels)
    for i in range(out.size):
        out[i] = (np.float32(symbols[i]) - zero) * step


@part(fastmath=_EXACT)
def _values_wide(low: Bytes, high: Bytes, levels: int, step: np.float32, out: Floats) -> None:
    zero = np.float32(levels)
    for i in range(out.size):
        out[i] = (np.float32(high[i]) * np.float32(256.0) + np.float32(low[i]) - zero) * step


@part()
def _encode_bucket(
    x: Floats, first: int, scale: float, levels: int, bits: int, per: int, key: np.uint64, room: Room, message: Bytes
) -> int:
    """Write the symbols of a bucket whose first element has index `first`; return their number of bytes."""
    hashes, symbols = room
    factor = np.float32(65536.0 * levels / scale if scale else 0.0)
    at = 0
    for begin in range(0, x.size, symbols.size):
        v = x[begin : begin + symbols.size]
        fill(key, (first + begin) >> 1, hashes[: v.size // 2 + 1])
        dithers = hashes.view(np.uint16)[(first + begin) & 1 :]
        if bits >= 8:
            low = message[at : at + v.size]
            at += v.size
        else:
            low = symbols
        if bits > 8:
            _quantise_wide(v, factor, levels, dithers, low, symbols)
        else:
            _quantise(v, factor, levels, dithers, low)
        if bits != 8:
            at += pack(symbols[: v.size], max(bits - 8, bits & 7), 2 * levels + 1, per, message[at:])
    return at


@part()
def decode_block(
    message: Bytes, step: np.float32, levels: int, bits: int, per: int, symbols: Bytes, out: Floats
) -> int:
    """Fill `out` with a block whose symbols are at the start of `message`; return their number of bytes."""
    at = 0
    low = symbols
    if bits >= 8:
        low = message[: out.size]
        at = out.size
    if bits != 8:
        at += unpack(message[at:], max(bits - 8, bits & 7), 2 * levels + 1, per, symbols[: out.size])
    if bits > 8:
        _values_wide(low, symbols, levels, step, out)
    else:
        _values(low, levels, step, out)
    return at


@part()
def _decode_bucket(message: Bytes, step: np.float32, levels: int, bits: int, per: int, room: Room, out: Floats) -> int:
    """Fill `out` with a bucket whose symbols are at the start of `message`; return their number of bytes."""
    _, symbols = room
    at = 0
    for begin in range(0, out.size, symbols.size):
        v = out[begin : begin + symbols.size]
        at += decode_block(message[at:], step, levels, bits, per, symbols, v)
    return at


@part()
def room_for(per: int) -> Room:
    """Return scratch for a block: hashes and symbols."""
    group = LANES * per
    block = max(BLOCK // group, 1) * group
    return np.empty(block // 2 + 1, np.uint32), np.empty(block, np.uint8)


@part()
def step_of(scale: np.float32, divisor: float) -> np.float32:
    """Return the distance of two levels, given the norm as sent; raised, if it was, by 1 / SMALL."""
    return np.float32(abs(scale) / divisor)


@kernel()
def encode(x: Floats, bucket: int, levels: int, bits: int, per: int, key: np.uint64, message: Bytes) -> bool:
    """Fill `message` with a float32 norm per bucket and the packed symbols; False if a norm exceeds float32.

    Parameters
    ----------
    x
        float32 or float64, shape (d,).
    bucket
        Number of elements of a bucket, at least 1; the last bucket has the rest.
    levels
        s in [1, 32767]: symbols are below 2s + 1.
    bits, per
        Bits of a symbol in [2, 16] and `packing.PER`; or 0 and the symbols per word as in `packing.pack`.
    """
    room = room_for(per)
    x, message = uncounted(x), uncounted(message)
    at = 4 * count(x.size, bucket)
    for b in range(count(x.size, bucket)):
        v = x[b * bucket : (b + 1) * bucket]
        norm = _norm(v)
        if not norm <= _LARGEST:
            return False
        sign = 1.0
        if norm < SMALL:
            v = v * x.dtype.type(_RAISE)
            norm = _norm(v)
            norm = norm if norm >= SMALL else 0.0
            sign = -1.0
        scale = np.float32(norm)
        store_word(message, 4 * b, np.float32(sign * scale))
        at += _encode_bucket(v, b * bucket, float(scale), levels, bits, per, key, room, message[at:])
    return True


@kernel()
def decode(
    message: Bytes, bucket: int, levels: int, bits: int, per: int, divisor: float, last_divisor: float, out: Floats
) -> None:
    """Fill `out`, shape (d,), with (symbol - levels) * norm / divisor; the last bucket has a separate divisor.

    The other parameters as in `encode`.
    """
    room = room_for(per)
    message, out = uncounted(message), uncounted(out)
    buckets = count(out.size, bucket)
    at = 4 * buckets
    for b in range(buckets):
        v = out[b * bucket : (b + 1) * bucket]
        scale = load_single(message, 4 * b)
        step = step_of(scale, last_divisor if b == buckets - 1 else divisor)
        at += _decode_bucket(message[at:], step, levels, bits, per, room, v)
        if scale < 0.0:
            for i in range(v.size):
                v[i] *= out.dtype.type(SMALL)


@part()
def count(d: int, bucket: int) -> int:
    """Return the number of buckets of `d` numbers."""
    return (d + bucket - 1) // bucket
