"""k distinct indices out of d, determined by a key, and messages with the numbers at these indices.

The indices are the first images of a permutation built from hashes, so each can be computed independently: the numbers
0, 1, 2, ... are written with two digits, (row, column), of about sqrt(d) values each, and in each round one digit is
shifted by a hash of the other, which is invertible (a Feistel network). The first two rounds map a number to every
index with equal probability; the others decorrelate pairs of numbers. Rows times columns exceed d by less than a
column; indices beyond d are skipped.

    (i, j) -> (i', j), i' = i + h1(j) -> (i', j'), j' = j + h2(i') -> ...        digits modulo rows and columns

Each round is a separate loop over a block of numbers: with all rounds in one loop, every step would wait for the
previous one (measured: three times slower).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.dither import bits32
from hpcopt.kernels.lanes import load_single, store_word

Digits = NDArray[np.uint32]

_ROUNDS = 6
_FEW = 256  # with so few indices, uniformity to one part in a thousand needs more rounds (measured)
_ROUNDS_OF_FEW = 24
_BLOCK = 1024
_LARGEST = 65536  # values of a digit, so counters of a round
_16 = np.uint32(16)
_ONE = np.uint32(1)


@part()
def _turn(key: np.uint64, turn: int, base: int, digits: Digits, others: Digits) -> None:
    """Shift each digit below `base` by a hash of the other one."""
    modulus = np.uint32(base)
    counter = np.uint32(turn * _LARGEST)
    for p in range(digits.size):
        word = bits32(key, np.uint32(counter + others[p]))
        total = np.uint32(digits[p] + np.uint32(np.uint32((word >> _16) * modulus) >> _16))
        digits[p] = min(total, np.uint32(total - modulus))  # the second one wraps around if total < base


@part()
def _permute(key: np.uint64, row: int, column: int, rows: int, columns: int, places: Digits, scratch: Digits) -> None:
    """Fill `places`, shape (n,), with the images of (row, column), (row, column + 1), ..."""
    number = np.uint32(column)
    for p in range(places.size):
        places[p] = np.uint32(row)
        scratch[p] = number
        number = np.uint32(number + _ONE)
    for turn in range(0, _ROUNDS if rows * columns >= _FEW else _ROUNDS_OF_FEW, 2):
        _turn(key, turn, rows, places, scratch)
        _turn(key, turn + 1, columns, scratch, places)
    width = np.uint32(columns)
    for p in range(places.size):
        places[p] = np.uint32(places[p] * width + scratch[p])


@part()
def _fits(places: Digits, d: int) -> bool:
    """Return whether all `places` are below `d`."""
    largest = np.uint32(0)
    for p in range(places.size):
        largest = max(largest, places[p])
    return bool(largest < d)


@part()
def _draw(key: np.uint64, d: int, k: int) -> Digits:
    """Return k different places below `d`."""
    rows = max(1, int(np.ceil(np.sqrt(d))))
    columns = (d + rows - 1) // rows
    places, scratch = np.empty(k, dtype=np.uint32), np.empty(min(_BLOCK, columns), dtype=np.uint32)
    row, column, filled = 0, 0, 0
    while filled < k:
        count = min(scratch.size, columns - column, k - filled)
        images = places[filled : filled + count]
        _permute(key, row, column, rows, columns, images, scratch[:count])
        if _fits(images, d):
            filled += count
        else:
            for p in range(count):  # branch-free; indices beyond d are overwritten
                place = images[p]
                places[filled] = place
                filled += place < d
        column += count
        if column == columns:
            row, column = row + 1, 0
    return places


@kernel()
def encode_drawn(x: Floats, key: np.uint64, k: int, scale: float, message: Bytes) -> bool:
    """Fill `message`, shape (8 + 4 k,), with `key` and `scale` times the k selected numbers of `x`, as float32.

    Parameters
    ----------
    x
        Shape (d,), k <= d < 2**31.

    Returns
    -------
    bool
        Whether the selected numbers are finite in float32; the others are not examined.
    """
    store_word(message, 0, key)
    places = _draw(key, x.size, k)
    finite = True
    for j in range(k):
        value = np.float32(x[places[j]] * scale)
        finite &= bool(abs(value) < np.inf)
        store_word(message, 8 + 4 * j, value)
    return finite


@kernel()
def decode_drawn(message: Bytes, out: Floats) -> None:
    """Fill `out`, shape (d,), with the numbers of `message` at the indices given by its key, and zeros elsewhere."""
    key = np.uint64(0)
    for byte in range(8):
        key |= np.uint64(message[byte]) << np.uint64(8 * byte)
    places = _draw(key, out.size, (message.size - 8) // 4)
    out[:] = 0
    for j in range(places.size):
        out[places[j]] = load_single(message, 8 + 4 * j)
