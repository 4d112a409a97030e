"""Rows of text whose features are names: scanned, hashed into buckets with a sign, and summed by bucket.

The hash is MurmurHash3 (x86, 32 bits, seed 0) of a name's bytes, and buckets and signs are those of scikit-learn's
`FeatureHasher`: |h| mod 2**bits, and the sign of h. Signed hashing is that of Weinberger et al. (ICML 2009, arXiv
0902.2206): collisions cancel on average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Vector
from hpcopt.kernels.cache import kernel, part

Buckets = NDArray[np.int32]
Lengths = NDArray[np.int64]

EXACT, LONG, WRONG = 0, 1, 2  # a number whose value was found; one that strtod has to read; no number

_NEWLINE, _HASH, _COLON, _BAR, _PLUS, _MINUS, _POINT = 10, 35, 58, 124, 43, 45, 46
_EXACT_DIGITS, _EXACT_POWER = 15, 22  # such a mantissa and such a power of ten are exact, so one rounding is right
_POWERS = 10.0 ** np.arange(_EXACT_POWER + 1)
_ALL = 0xFFFFFFFF
_QID = (113, 105, 100, 58)  # "qid:" before the features


@part()
def _is_space(byte: int) -> bool:
    return byte == 32 or 9 <= byte <= 13


@part()
def _mixed(k: int) -> int:
    k = (k * 0xCC9E2D51) & _ALL
    k = ((k << 15) | (k >> 17)) & _ALL
    return (k * 0x1B873593) & _ALL


@part()
def _byte(text: Bytes, at: int, shift: int) -> int:
    return np.int64(text[at]) << shift  # type: ignore[return-value]


@part()
def _murmur(text: Bytes, start: int, stop: int) -> int:
    """Return MurmurHash3 of bytes start ... stop - 1, as a signed 32-bit integer."""
    h = 0
    whole = start + (stop - start) // 4 * 4
    for at in range(start, whole, 4):
        h ^= _mixed(_byte(text, at, 0) | _byte(text, at + 1, 8) | _byte(text, at + 2, 16) | _byte(text, at + 3, 24))
        h = ((h << 13) | (h >> 19)) & _ALL
        h = (h * 5 + 0xE6546B64) & _ALL
    tail = 0
    for at in range(whole, stop):
        tail |= _byte(text, at, 8 * (at - whole))
    if stop > whole:
        h ^= _mixed(tail)
    h ^= stop - start
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _ALL
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _ALL
    h ^= h >> 16
    return h - 2**32 if h >= 2**31 else h


@part()
def _number(text: Bytes, start: int, stop: int) -> tuple[float, int]:
    """Return the decimal number in bytes start ... stop - 1, and EXACT; or with LONG or WRONG, any number."""
    at = start
    if at < stop and (text[at] == _PLUS or text[at] == _MINUS):
        at += 1
    mantissa, digits, power, seen, behind = 0, 0, 0, False, False
    while at < stop and (48 <= text[at] <= 57 or (text[at] == _POINT and not behind)):
        if text[at] == _POINT:
            behind = True
        else:
            seen = True
            digits += 1 if digits or text[at] > 48 else 0
            mantissa = mantissa * 10 + text[at] - 48 if digits <= _EXACT_DIGITS else mantissa
            power -= 1 if behind else 0
        at += 1
    if seen and at < stop and (text[at] == 69 or text[at] == 101):
        at += 1
        falls = at < stop and text[at] == _MINUS
        at += 1 if at < stop and (text[at] == _PLUS or text[at] == _MINUS) else 0
        seen, exponent = at < stop, 0
        while at < stop and 48 <= text[at] <= 57:
            exponent = min(exponent * 10 + text[at] - 48, 9999)
            at += 1
        power += -exponent if falls else exponent
    if not seen or at < stop:
        return 0.0, WRONG
    if digits > _EXACT_DIGITS or abs(power) > _EXACT_POWER:
        return 0.0, LONG
    value = mantissa * _POWERS[power] if power >= 0 else mantissa / _POWERS[-power]
    return (-value if text[start] == _MINUS else value), EXACT


@part()
def _feature(text: Bytes, start: int, stop: int, bits: int) -> tuple[int, float, int, int]:
    """Return bucket and value of the feature in bytes start ... stop - 1, and where its number starts and its kind.

    The value has the sign of the hash; it is that sign alone if the number is LONG. A name alone has the value 1.
    """
    colon = stop
    for at in range(start, stop):
        if text[at] == _BAR:
            return 0, 0.0, start, WRONG
        if text[at] == _COLON:
            colon = at
    value, kind = 1.0, EXACT
    if colon < stop:
        value, kind = _number(text, colon + 1, stop)
    if colon == start or kind == WRONG:
        return 0, 0.0, start, WRONG
    h = _murmur(text, start, colon)
    value = 1.0 if kind == LONG else value
    return abs(h) & ((1 << bits) - 1), (value if h >= 0 else -value), colon + 1, kind


@part()
def _line(text: Bytes, start: int) -> tuple[int, int]:
    """Return the ends of the line from `start` on, without and with its comment."""
    end = start
    while end < text.size and text[end] != _NEWLINE:
        end += 1
    stop = start
    while stop < end and text[stop] != _HASH:
        stop += 1
    return stop, end


@part()
def _token(text: Bytes, at: int, stop: int) -> tuple[int, int]:
    """Return start and end of the next token before `stop`; `stop` twice if there is none."""
    while at < stop and _is_space(text[at]):
        at += 1
    start = at
    while at < stop and not _is_space(text[at]):
        at += 1
    return start, at


@part()
def _is_qid(text: Bytes, start: int, stop: int) -> bool:
    found = stop - start >= 4
    for k in range(4):
        found = found and text[start + k] == _QID[k]
    return found


@kernel()
def scan(
    text: Bytes, bits: int, values: Vector, buckets: Buckets, lengths: Lengths, labels: Vector, odd: NDArray[np.int64]
) -> tuple[int, int, int]:
    """Read lines `label name:value ...`; return the numbers of rows, of entries and of odd numbers; -1 for a fault.

    Parameters
    ----------
    values, buckets
        Become the entries, in the order of the text, with the sign of their hash; a name alone has the value 1.
    lengths, labels
        Become the number of entries and the label of each row.
    odd
        Becomes place, start and stop of each number that is left to be read: the place of its entry in `values`, where
        its sign stands; or -1 - row for a label.
    """
    rows, entries, odds, start = 0, 0, 0, 0
    while start < text.size:
        stop, end = _line(text, start)
        first, at = _token(text, start, stop)
        start = end + 1
        if first == stop:
            continue
        labels[rows], kind = _number(text, first, at)
        place, before = -1 - rows, entries
        while True:
            if kind == WRONG:
                return -1, 0, 0
            if kind == LONG:
                odd[odds, 0], odd[odds, 1], odd[odds, 2] = place, first, at
                odds += 1
            first, at = _token(text, at, stop)
            if place < 0 and _is_qid(text, first, at):
                first, at = _token(text, at, stop)
            if first == stop:
                break
            buckets[entries], values[entries], first, kind = _feature(text, first, at, bits)
            place = entries
            entries += 1
        lengths[rows] = entries - before
        rows += 1
    return rows, entries, odds


@kernel()
def merge(values: Vector, buckets: Buckets, lengths: Lengths) -> int:
    """Sort the entries of each row by bucket, sum those of one bucket in their order; return the number of entries.

    All in place: the entries that are left come first, and `lengths` becomes their number in each row.
    """
    longest = 0
    for row in range(lengths.size):
        longest = max(longest, lengths[row])
    keys, own = np.empty(longest, dtype=np.int64), np.empty(longest)
    start, to = 0, 0
    for row in range(lengths.size):
        count, before = lengths[row], to
        for k in range(count):
            keys[k] = np.int64(buckets[start + k]) << 32 | k
            own[k] = values[start + k]
        keys[:count].sort()
        for k in range(count):
            bucket, value = np.int32(keys[k] >> 32), own[keys[k] & _ALL]
            if to > before and buckets[to - 1] == bucket:
                values[to - 1] += value
            else:
                buckets[to], values[to] = bucket, value
                to += 1
        lengths[row] = to - before
        start += count
    return to
