"""The k largest magnitudes of a vector, exactly, in about one pass.

Partitioning would move all d numbers; here all but a few are read only once. A sample gives a bound that slightly more
than k magnitudes reach; one pass collects these, with 64 comparisons giving one word of bits; and the k-th largest of
the few is found by bisection with counting. Magnitudes are compared as integers: without the sign, the bits of
floating-point numbers have the same order as the numbers, with infinity and NaN last. If the sample was misleading, the
bound is lowered to the smallest number above zero, so the result is always the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hpcopt.kernels.cache import part
from hpcopt.kernels.dither import bits32
from hpcopt.kernels.finite import Words

Places = NDArray[np.uint32]

_LANES = 64
_MANY = 4096  # more keys than this don't fit into the L1 cache
_UNIT = 2.0**-32


@intrinsic
def _compare(typingctx: Any, words: Any, first: Any, magnitude: Any, bound: Any) -> Any:  # noqa: ARG001
    """Compare 64 words, without their signs, with `bound`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, *numbers = arguments
        kind = signature.args[0]
        lanes = ir.VectorType(context.get_value_type(kind.dtype), _LANES)
        start = builder.gep(context.make_array(kind)(context, builder, array).data, [first])
        loaded = builder.load(builder.bitcast(start, lanes.as_pointer()), align=context.get_abi_sizeof(lanes.element))
        lowest = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), None)
        alone = (builder.insert_element(ir.Constant(lanes, None), n, ir.IntType(32)(0)) for n in numbers)
        magnitudes, bounds = (builder.shuffle_vector(vector, vector, lowest) for vector in alone)
        reached = builder.icmp_signed(">=", builder.and_(loaded, magnitudes), bounds)
        return builder.bitcast(reached, ir.IntType(_LANES))

    return types.uint64(words, types.intp, words.dtype, words.dtype), generate


@part()
def _reaching(words: Words, first: int, magnitude: int, bound: int) -> np.uint64:
    """Return 64 bits: for which of 64 words from `first` on (word & magnitude) >= bound; lowest bit first."""
    return _compare(words, first, magnitude, bound)  # type: ignore[call-arg]  # numba's typing context


@intrinsic
def _trailing(typingctx: Any, word: Any) -> Any:  # noqa: ARG001
    """Count the zeros below the lowest bit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.intp(types.uint64), generate


@part()
def lowest_bit(word: np.uint64) -> int:
    """Return the position of the lowest set bit of a nonzero word."""
    return _trailing(word)  # type: ignore[call-arg]  # numba's typing context


@part()
def _count(keys: Words, bound: int) -> int:
    """Return the number of keys, of fewer than 2**31, that are at least `bound`."""
    limit = keys.dtype.type(bound)
    count = np.int32(0)  # as wide as float32 keys, so that a register holds as many
    for j in range(keys.size):
        count = np.int32(count + (keys[j] >= limit))
    return int(count)


@part()
def _between(keys: Words, low: int, high: int, count: int) -> Words:
    """Return the `count` keys with low <= key < high."""
    inside = np.empty(count + 1, dtype=keys.dtype)
    filled = 0
    for j in range(keys.size):
        inside[filled] = keys[j]
        filled += (keys[j] >= low) & (keys[j] < high)
    return inside[:count]


@part()
def _reached_by(keys: Words, k: int, most: int) -> int:
    """Return a number that at least k and, if possible, at most `most` keys reach; otherwise the k-th largest key.

    1 <= k <= size, k <= most.
    """
    low, high = 0, 0
    for j in range(keys.size):
        high = max(high, keys[j])
    high += 1
    reach_low, reach_high = keys.size, 0  # keys >= low, at least k; keys >= high, fewer than k
    while high - low > 1 and reach_low > most:
        middle = low + (high - low) // 2
        count = _count(keys, middle)
        if count >= k:
            low, reach_low = middle, count
        else:
            high, reach_high = middle, count
        if keys.size > _MANY and 8 * (reach_low - reach_high) < keys.size:
            keys = _between(keys, low, high, reach_low - reach_high)
            k, most, reach_low, reach_high = k - reach_high, most - reach_high, keys.size, 0
    return low


@part()
def _sampled_bound(words: Words, magnitude: int, k: int) -> tuple[int, int]:
    """Return a magnitude reached by k or slightly more numbers, and the maximum number expected to reach it.

    One number of each of m equal segments is drawn. If the k largest of d numbers were at random positions, the sample
    would contain p = k m / d of them, with standard deviation sqrt(p); the bound has a safety margin of four
    deviations.
    """
    d = words.size
    m = min(d, 4 * int(np.sqrt(d)) + 64)
    keys = np.empty(m, dtype=words.dtype)
    stretch = d / m
    for j in range(m):
        keys[j] = words[int((j + bits32(np.uint64(d), np.uint32(j)) * _UNIT) * stretch)] & magnitude
    p = k * m / d
    rank = int(p + 4.0 * np.sqrt(p) + 1.0)
    if rank >= m:
        return 1, d
    return max(1, _reached_by(keys, rank, rank + rank // 8)), min(d, int(2.0 * (rank + 4.0 * np.sqrt(rank)) * d / m))


@part()
def _collect(words: Words, magnitude: int, bound: int, places: Places, keys: Words) -> int:
    """Write indices and keys of magnitudes >= `bound`, in order; return their number, or -1 if they don't fit."""
    count = 0
    whole = words.size - words.size % _LANES
    for first in range(0, whole, _LANES):
        reached = _reaching(words, first, magnitude, bound)
        if reached:
            if count + _LANES > places.size:
                return -1
            while reached:
                i = first + lowest_bit(reached)
                places[count] = i
                keys[count] = words[i] & magnitude
                count += 1
                reached &= reached - np.uint64(1)
    for i in range(whole, words.size):
        if (words[i] & magnitude) >= bound:
            if count == places.size:
                return -1
            places[count] = i
            keys[count] = words[i] & magnitude
            count += 1
    return count


@part()
def _candidates(words: Words, magnitude: int, k: int) -> tuple[Places, Words]:
    """Return indices and magnitudes of a set that contains the k largest numbers, or all nonzero ones."""
    bound, room = _sampled_bound(words, magnitude, k)
    places, keys = np.empty(room + _LANES, dtype=np.uint32), np.empty(room + _LANES, dtype=words.dtype)
    count = _collect(words, magnitude, words.dtype.type(bound), places, keys)
    if count < 0 or (count < k and bound > 1):
        room = words.size
        places, keys = np.empty(room + _LANES, dtype=np.uint32), np.empty(room + _LANES, dtype=words.dtype)
        count = _collect(words, magnitude, words.dtype.type(1), places, keys)
    return places[:count], keys[:count]


@part()
def largest(words: Words, infinity: int, k: int) -> tuple[Places, bool]:
    """Return the indices of the k largest magnitudes, ascending; ties are resolved by the lower index.

    Parameters
    ----------
    words
        The vector, shape (d,), d < 2**31, reinterpreted as signed integers.
    infinity
        The corresponding `finite.INFINITY`.
    k
        1 <= k <= d.

    Returns
    -------
    tuple
        The indices, fewer than k if the other numbers are zero; and whether all numbers are finite.
    """
    magnitude = words.dtype.type(infinity | (infinity - 1))
    candidates, keys = _candidates(words, magnitude, k)
    top = 0
    for j in range(keys.size):
        top = max(top, keys[j])
    last = _reached_by(keys, min(k, keys.size), k)
    equal = k - _count(keys, last + 1)
    places = np.empty(keys.size + 1, dtype=np.uint32)
    count = 0
    for j in range(keys.size):  # branch-free: half of the branches would be mispredicted
        places[count] = candidates[j]
        tied = keys[j] == last
        count += (keys[j] > last) | (tied & (equal > 0))
        equal -= tied
    return places[:count], top < infinity
