"""The least-squares support: which magnitudes to replace by one common magnitude.

If s sgn(v_i) is sent on a support and 0 elsewhere, the error is smallest for the support of the K largest magnitudes
that maximises F(K) = (sum of them)^2 / K, with s their mean: it is ||v||^2 - F(K). Sorting all of v to find K would
cost far more than everything else; here only magnitudes near the cut are sorted.

At the best cut, every kept magnitude is at least s/2 and every other at most s/2. As s is between the mean and the
largest magnitude, the cut is between half of each. One pass counts and sums magnitudes in that range in bins (floats
have the order of their bits, so a bin is a range of bits). This gives F at the borders of bins. Within a bin of n
magnitudes, at most h, that follow the K largest with sum S,

    F(K + k) <= (S + k h)^2 / (K + k),  convex in k, so at most the larger of its values at k = 0 and k = n,

and only bins in which this bound exceeds the best known F are collected, sorted and searched.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Floats
from hpcopt.kernels.bits import sum_of_magnitudes
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.casts import INFINITY, magnitude

Table = NDArray[np.float64]

_BLOCK = 1024
_GROUP = 64
_BINS = 2048  # maximum: two doubles each, about the size of the L1 cache
_ASIDE = 8  # further bins, used in turn for magnitudes below the range: a single one would be a dependency chain
_WIDER = 1.0 + 2.0**-20  # factor on the range, larger than all roundoff
_BETTER = 1.0 + 1e-12  # an improvement must exceed roundoff


@part()
def _single(b: int) -> np.float32:
    """Return the float32 with the bits `b`."""
    return np.uint32(b).view(np.float32)


@part()
def _sum_and_top(x: Floats) -> tuple[float, int]:
    """Return the sum of |x| and the bits of the largest magnitude."""
    total = 0.0
    top = np.int32(0)
    for first in range(0, x.size, _BLOCK):
        block = x[first : first + _BLOCK]
        total += sum_of_magnitudes(block)
        for i in range(block.size):
            top = max(top, magnitude(block[i]))
    return total, int(top)


@part()
def _fill_bins(x: Floats, low: np.int32, shift: np.int32, table: Table) -> None:
    """Count and sum magnitudes by bin: bin k starts at the bits low + k 2^shift; the last one is unbounded."""
    last = np.int32(table.shape[0] - 1 - _ASIDE)
    place = np.empty(_BLOCK, np.int32)
    for first in range(0, x.size, _BLOCK):
        block = x[first : first + _BLOCK]
        for i in range(block.size):
            b = np.int32(magnitude(block[i]) - low)
            inside = min(np.int32(b >> shift), last)
            place[i] = np.int32(last + 1 + i % _ASIDE) if b < 0 else inside
        for i in range(block.size):
            k = np.uint32(place[i])
            table[k, 0] += 1.0
            table[k, 1] += np.float64(abs(np.float32(block[i])))


@part()
def _count_between(block: Floats, low: np.int32, high: np.int32) -> int:
    count = np.int32(0)
    for i in range(block.size):
        b = magnitude(block[i])
        count = np.int32(count + np.int32((b >= low) & (b < high)))
    return int(count)


@part()
def _collect(x: Floats, low: np.int32, high: np.int32, found: NDArray[np.float32]) -> None:
    """Fill `found` with the magnitudes whose bits are in [low, high); it has room for one more."""
    n = 0
    for first in range(0, x.size, _GROUP):
        group = x[first : first + _GROUP]
        if _count_between(group, low, high) == 0:  # the usual case, decided for 64 numbers by a few instructions
            continue
        for i in range(group.size):
            b = magnitude(group[i])
            found[n] = abs(np.float32(group[i]))
            n += int((b >= low) & (b < high))


@kernel()
def _best_of(found: NDArray[np.float32], count: float, total: float, best: float, cut: int) -> int:
    """Return the bits of the smallest magnitude kept at the best cut; `cut` if no cut in `found` is better than `best`.

    Parameters
    ----------
    found
        Magnitudes, shape (n,), in any order.
    count, total
        Number and sum of the magnitudes above all of them.
    """
    ordered = np.sort(found)
    for i in range(ordered.size - 1, -1, -1):
        count += 1.0
        total += np.float64(ordered[i])
        if total * total > best * count:
            best = total * total / count
            cut = int(magnitude(ordered[i]))
    return cut


@part()
def _best_border(table: Table, low: int, shift: int) -> tuple[float, int]:
    """Return the largest F at a border between bins, and the bits of that border."""
    count = total = best = 0.0
    cut = low
    for k in range(table.shape[0] - 1 - _ASIDE, -1, -1):
        count += table[k, 0]
        total += table[k, 1]
        if total * total > best * count:
            best = total * total / count
            cut = low + (k << shift)
    return best, cut


@part()
def _search(x: Floats, low: int, shift: int, table: Table) -> int:
    """Return the bits of the smallest magnitude kept at the best cut of all."""
    best, cut = _best_border(table, low, shift)
    count = total = above = above_total = within = 0.0
    first = last = -1
    for k in range(table.shape[0] - 1 - _ASIDE, -1, -1):
        n = table[k, 0]
        most = total + n * np.float64(_single(low + ((k + 1) << shift)))
        if k < table.shape[0] - 1 - _ASIDE and n > 1.0 and most * most > best * _BETTER * (count + n):
            if last < 0:
                last, above, above_total = k, count, total
            first = k
            within = count + n - above
        count += n
        total += table[k, 1]
    if last < 0:
        return cut
    found = np.empty(int(within) + 1, np.float32)
    _collect(x, np.int32(low + (first << shift)), np.int32(low + ((last + 1) << shift)), found)
    return _best_of(found[:-1], above, above_total, best, cut)


@kernel()
def best_threshold(x: Floats) -> np.float32:
    """Return a threshold such that the magnitudes above it are the least-squares support.

    Parameters
    ----------
    x
        float32 or float64, shape (d,), taken as float32.

    Returns
    -------
    The threshold as a float32; infinity if `x` is not finite or beyond float32's range.
    """
    total, top = _sum_and_top(x)
    if not (total < np.inf and top < INFINITY):
        return np.float32(np.inf)
    if top == 0:
        return np.float32(0.0)
    low = int(magnitude(total / (2.0 * _WIDER * x.size)))
    high = int(magnitude(0.5 * _WIDER * _single(top)))
    shift = 0
    while (high - low) >> shift >= min(_BINS, max(16, x.size // 16)):
        shift += 1
    table = np.zeros((((high - low) >> shift) + 2 + _ASIDE, 2))
    _fill_bins(x, np.int32(low), np.int32(shift), table)
    return _single(_search(x, low, shift, table) - 1)
