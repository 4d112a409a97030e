"""Three or five values per number: zero and one or two signed magnitudes, by random rounding or a threshold.

A vector is divided into buckets, each with its own magnitudes (by default one bucket), and independently into blocks of
`trits.BLOCK` numbers whose levels are packed together. A block is quantised and packed while it is in the L1 cache; a
bucket's magnitudes are computed at its first block.

All arithmetic is on float32(x). Magnitudes that are not finite show that x is not finite or exceeds float32.

Random rounding compares with u + f, where u has 16 bits per number and the fraction f is shared by all numbers of a
block. u + f is uniform on [0, 65536) to the last bit, so each number is unbiased however small it is, and the
dependence of two numbers of a block is at most 2^-16. This needs half the hashing of 32 bits per number, and hashing
dominates the cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Floats, Levels
from hpcopt.kernels.bits import sum_of_magnitudes
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.casts import INFINITY, Real, magnitude
from hpcopt.kernels.dither import bits32, fill
from hpcopt.kernels.lanes import load_single, nonzeros, ones, store_word
from hpcopt.kernels.sparse_levels import expand_list, is_list
from hpcopt.kernels.support import best_threshold
from hpcopt.kernels.trits import BLOCK, QUINARY, TERNARY, bytes_of_block, pack, unpack

ALL = 0  # rules for the threshold: kappa times the mean magnitude of all,
NONZERO = 1  # or of those that are not zero,
EXACT = 2  # or the threshold of least squares

_STEPS = np.float32(65536.0 + 2.0**-6)  # steps of a dither; two units in the last place more, so that 1 is always above
_LEAST = np.float32(2.0**-110)  # magnitudes below count as zero: _STEPS / _LEAST is still a float32
_SMALL_SQUARE = 2.0**-60  # of a block; above this, losses of float32 below 2^-126 don't matter
_LAST = np.uint32(0xFFFFFFFF)


@part()
def _largest(x: Floats) -> np.float32:
    """Return max |x| as a float32; infinity if it is not finite."""
    top = np.int32(0)
    for i in range(x.size):
        top = max(top, magnitude(x[i]))
    return np.int32(min(top, np.int32(INFINITY))).view(np.float32)


@part(fastmath=("reassoc",))
def _squares(x: Floats) -> np.float32:
    total = np.float32(0.0)
    for i in range(x.size):
        y = np.float32(x[i])
        total += y * y
    return total


@part(fastmath=("reassoc",))
def _squares_in_double(x: Floats) -> float:
    total = 0.0
    for i in range(x.size):
        y = np.float64(np.float32(x[i]))
        total += y * y
    return total


@part()
def _root_mean_square(x: Floats) -> float:
    """Return the root mean square of `x`, by blocks in float32, or in double if squares leave its range."""
    total = 0.0
    for first in range(0, x.size, BLOCK):
        block = x[first : first + BLOCK]
        some = np.float64(_squares(block))
        total += some if _SMALL_SQUARE < some < np.inf else _squares_in_double(block)
    return float(np.sqrt(total / x.size))


@part(fastmath=("reassoc",))
def _nonzeros(x: Floats) -> np.float32:
    count = np.float32(0.0)
    for i in range(x.size):
        count += np.float32(1.0) if x[i] != 0 else np.float32(0.0)
    return count


@part(fastmath=("reassoc",))
def _kept(x: Floats, threshold: np.float32, zero: Real) -> tuple[Real, np.float32]:
    """Return sum and number of the magnitudes above `threshold`, the sum in the precision of `zero`."""
    total = zero
    count = np.float32(0.0)
    for i in range(x.size):
        y = abs(np.float32(x[i]))
        above = y > threshold
        total += y if above else np.float32(0.0)
        count += np.float32(1.0) if above else np.float32(0.0)
    return total, count


@part()
def _steps_per_unit(unit: np.float32) -> np.float32:
    """Return the factor from magnitudes to steps of a dither, such that `unit` becomes all steps; 0 for unit 0."""
    return _STEPS / unit if unit >= _LEAST else np.float32(0.0)


@part()
def _shared_fraction(key: np.uint64, first: int) -> np.float32:
    """Return the fraction of a step, in [0, 1), shared by the numbers of the block that starts at `first`."""
    word = bits32(key, np.uint32(_LAST - np.uint32(first // BLOCK)))  # counted from the end; `fill` counts from zero
    return np.float32(word >> np.uint32(8)) * np.float32(2.0**-24)


@part(fastmath=("contract",))
def _round_to_unit(
    x: Floats, unit: np.float32, dither: NDArray[np.uint16], fraction: np.float32, levels: Levels
) -> None:
    """Fill `levels` with sgn(x) with probability |x| / `unit`, else 0."""
    steps = _steps_per_unit(unit)
    for i in range(x.size):
        y = np.float32(x[i])
        sign = np.int8(1) if y >= 0 else np.int8(-1)
        levels[i] = sign if abs(y) * steps - fraction > np.float32(dither[i]) else np.int8(0)


@part(fastmath=("contract",))
def _round_to_either(
    x: Floats, low: np.float32, high: np.float32, dither: NDArray[np.uint16], fraction: np.float32, levels: Levels
) -> None:
    """Fill `levels` with sgn(x) times 0, 1 or 2 (for 0, `low`, `high`): a random one of the two adjacent to |x|."""
    below = _steps_per_unit(low)
    above = _steps_per_unit(high - low)
    for i in range(x.size):
        y = np.float32(x[i])
        size = abs(y)
        is_above = size > low
        steps = (size - low) * above if is_above else size * below
        level = np.int8(np.int8(is_above) + np.int8(steps - fraction > np.float32(dither[i])))
        levels[i] = level if y >= 0 else np.int8(-level)


@part()
def _compare(x: Floats, threshold: np.float32, levels: Levels) -> None:
    """Fill `levels` with sgn(x) where |x| > `threshold`, else 0."""
    for i in range(x.size):
        y = np.float32(x[i])
        levels[i] = np.int8(np.int8(y > threshold) - np.int8(-y > threshold))


@part()
def _threshold(x: Floats, rule: int, kappa: float) -> np.float32:
    """Return the threshold of a bucket by its rule; NaN or infinity if `x` contains NaN or infinity."""
    if rule == EXACT:
        return best_threshold(x)
    total = 0.0
    count = 0.0
    for first in range(0, x.size, BLOCK):
        block = x[first : first + BLOCK]
        total += sum_of_magnitudes(block)
        count += np.float64(_nonzeros(block)) if rule == NONZERO else block.size
    return np.float32(kappa * total / max(count, 1.0))


@part()
def _two_scales(threshold: np.float32, largest: np.float32) -> tuple[np.float32, np.float32]:
    """Return the magnitudes to round to; `threshold` becomes zero or `largest` if a dither can't distinguish them."""
    zero = np.float32(0.0)
    if largest < _LEAST:
        return zero, zero
    low = min(threshold, largest)
    if low < _LEAST:
        low = zero
    elif largest - low < _LEAST:
        low = largest
    return low, largest


@part()
def _sum_kept(x: Floats, threshold: np.float32) -> tuple[float, float]:
    """Return sum and number of the magnitudes above `threshold`, in float32, or in double if that overflows."""
    total, count = _kept(x, threshold, np.float32(0.0))
    if total == np.inf:
        total = _kept(x, threshold, 0.0)[0]
    return float(total), float(count)


@part()
def _divided(base: int, d: int, bucket: int, message: Bytes) -> tuple[NDArray[np.float32], Bytes]:
    """Return an array for the scales of `d` numbers, and the rest of the message."""
    count = base // 2 * ((d + bucket - 1) // bucket)
    return np.empty(count, np.float32), message[4 * count :]


@part()
def _put(scales: NDArray[np.float32], message: Bytes) -> bool:
    """Write the scales to the beginning of the message; return whether they are finite."""
    finite = True
    for b in range(scales.size):
        store_word(message, 4 * b, scales[b])
        finite &= bool(scales[b] < np.inf)
    return finite


@part()
def _count(levels: Levels, n: int) -> int:
    """Return the number of nonzero levels among the `n` levels of a block, which is padded with zeros."""
    count = 0
    for i in range(0, n, 64):
        count += ones(nonzeros(levels, i))
    return count


@kernel()
def round_ternary(x: Floats, key: np.uint64, unit: float, clip: float, bucket: int, message: Bytes) -> int:
    """Quantise to sgn(x) s with probability |x| / s, else to 0, where s is the largest magnitude of a bucket.

    Parameters
    ----------
    x
        float32 or float64, shape (d,).
    unit
        If positive, s of all buckets; magnitudes above it become s.
    clip
        If positive, s is at most this many root mean squares of the bucket, and larger magnitudes become s.
    bucket
        Numbers in a bucket; the last may be shorter.
    message
        Filled with s of each bucket and the levels, shape (4 ceil(d/bucket) + ceil(d/5),).

    Returns
    -------
    The number of nonzero levels; -1 if a scale is not finite.
    """
    scales, packed = _divided(TERNARY, x.size, bucket, message)
    levels = np.empty(BLOCK, np.int8)
    words = np.empty(BLOCK // 2, np.uint32)
    dither = words.view(np.uint16)
    count = 0
    for first in range(0, x.size, BLOCK):
        n = min(BLOCK, x.size - first)
        fill(key, first // 2, words[: (n + 1) // 2])
        fraction = _shared_fraction(key, first)
        for b in range(first // bucket, (first + n - 1) // bucket + 1):
            start = b * bucket
            if start >= first:
                whole = x[start : start + bucket]
                scales[b] = np.float32(unit) if unit > 0.0 else _largest(whole)
                if clip > 0.0 and unit == 0.0:
                    scales[b] = min(scales[b], np.float32(clip * _root_mean_square(whole)))
            i, j = max(start, first), min(start + bucket, first + n)
            _round_to_unit(x[i:j], scales[b], dither[i - first :], fraction, levels[i - first :])
        pack(TERNARY, levels, n, bytes_of_block(TERNARY, first, n, packed))
        count += _count(levels, n)
    return count if _put(scales, message) else -1


@kernel()
def threshold_ternary(x: Floats, rule: int, kappa: float, bucket: int, message: Bytes) -> int:
    """Quantise to s sgn(x) if |x| is above the threshold of its bucket, else to 0; s is the mean of those above.

    Parameters
    ----------
    rule
        `ALL`, `NONZERO` or `EXACT`; `kappa` is for the first two.
    x, bucket, message
        As for `round_ternary`, like the return value.
    """
    scales, packed = _divided(TERNARY, x.size, bucket, message)
    levels = np.empty(BLOCK, np.int8)
    count = 0
    threshold = np.float32(0.0)
    total = kept = 0.0
    for first in range(0, x.size, BLOCK):
        n = min(BLOCK, x.size - first)
        for b in range(first // bucket, (first + n - 1) // bucket + 1):
            start = b * bucket
            if start >= first:
                threshold = _threshold(x[start : start + bucket], rule, kappa)
                total = kept = 0.0
            i, j = max(start, first), min(start + bucket, first + n)
            _compare(x[i:j], threshold, levels[i - first :])
            more, several = _sum_kept(x[i:j], threshold)
            total += more
            kept += several
            if j == min(start + bucket, x.size):
                scales[b] = total / max(kept, 1.0) if threshold < np.inf else np.inf
                count += int(kept)
        pack(TERNARY, levels, n, bytes_of_block(TERNARY, first, n, packed))
    return count if _put(scales, message) else -1


@kernel()
def round_quinary(x: Floats, key: np.uint64, rule: int, kappa: float, bucket: int, message: Bytes) -> int:
    """Round at random, without bias, to 0, the threshold of a bucket or its largest magnitude, with the sign of x.

    Parameters
    ----------
    message
        Filled with threshold and largest magnitude of each bucket and the levels, shape (8 ceil(d/bucket) +
        ceil(d/3),).
    x, key, rule, kappa, bucket
        As for `round_ternary` and `threshold_ternary`, like the return value.
    """
    scales, packed = _divided(QUINARY, x.size, bucket, message)
    levels = np.empty(BLOCK, np.int8)
    words = np.empty(BLOCK // 2, np.uint32)
    dither = words.view(np.uint16)
    count = 0
    for first in range(0, x.size, BLOCK):
        n = min(BLOCK, x.size - first)
        fill(key, first // 2, words[: (n + 1) // 2])
        fraction = _shared_fraction(key, first)
        for b in range(first // bucket, (first + n - 1) // bucket + 1):
            start = b * bucket
            if start >= first:
                whole = x[start : start + bucket]
                scales[2 * b], scales[2 * b + 1] = _two_scales(_threshold(whole, rule, kappa), _largest(whole))
            i, j = max(start, first), min(start + bucket, first + n)
            low, high = scales[2 * b], scales[2 * b + 1]
            _round_to_either(x[i:j], low, high, dither[i - first :], fraction, levels[i - first :])
        pack(QUINARY, levels, n, bytes_of_block(QUINARY, first, n, packed))
        count += _count(levels, n)
    return count if _put(scales, message) else -1


@part()
def _scale_ternary(levels: Levels, unit: np.float32, out: Floats) -> None:
    for i in range(out.size):
        out[i] = unit * np.float32(levels[i])


@part()
def _scale_quinary(levels: Levels, low: np.float32, high: np.float32, out: Floats) -> None:
    half = np.float32(0.5) * high
    for i in range(out.size):
        level = np.float32(levels[i])
        out[i] = (half if abs(level) > np.float32(1.5) else low) * level


@part()
def _expand_packed(base: int, packed: Bytes, scales: Floats, bucket: int, out: Floats) -> None:
    levels = np.empty(BLOCK, np.int8)
    fractions = np.empty(BLOCK // 3, np.uint8)
    for first in range(0, out.size, BLOCK):
        n = min(BLOCK, out.size - first)
        unpack(base, bytes_of_block(base, first, n, packed), fractions, levels)
        for b in range(first // bucket, (first + n - 1) // bucket + 1):
            i, j = max(b * bucket, first), min((b + 1) * bucket, first + n)
            if base == TERNARY:
                _scale_ternary(levels[i - first :], scales[b], out[i:j])
            else:
                _scale_quinary(levels[i - first :], scales[2 * b], scales[2 * b + 1], out[i:j])


@kernel()
def expand(base: int, message: Bytes, bucket: int, width: int, out: Floats) -> bool:
    """Fill `out`, shape (d,), with the numbers encoded by `message`.

    Parameters
    ----------
    base
        `TERNARY` for one magnitude per bucket, `QUINARY` for two.
    message, bucket
        From the quantisers, or from `sparse_levels.list_levels` applied afterwards.
    width
        Bits of an index in such a list.

    Returns
    -------
    bool
        False if a list has been cut or an index in it is out of range.
    """
    scales, levels = _divided(base, out.size, bucket, message)
    for b in range(scales.size):
        scales[b] = load_single(message, 4 * b)
    if is_list(message):
        scales[0] = abs(scales[0])
        return expand_list(base, levels, width, scales, bucket, out)
    _expand_packed(base, levels, scales, bucket, out)
    return True
