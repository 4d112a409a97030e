"""k of d places drawn by a key alone, none twice, and messages of the numbers found there.

The places are the first images of a permutation made of hashes, so that each is computed by itself: the numbers 0, 1,
2, ... are written with two digits, (row, column), of about sqrt(d) values each, and in each round one digit moves on by
a hash of the other, a step that can be undone (a Feistel network). The first two rounds bring a number to any place
with equal probability, the others break up what two numbers have in common. Rows times columns exceed d by less than a
column: what falls beyond d is passed over.

    (i, j) -> (i', j), i' = i + h1(j) -> (i', j'), j' = j + h2(i') -> ...        digits modulo rows and columns

Each round is a loop of its own over a block of numbers: through all rounds at once, every step would wait for the
one before it (measured: three times slower).
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
_FEW = 256  # places that are so few that equal probability takes more rounds: measured to a part in a thousand
_ROUNDS_OF_FEW = 24
_BLOCK = 1024
_LARGEST = 65536  # value of a digit, so counters of a round
_16 = np.uint32(16)
_ONE = np.uint32(1)


@part()
def _turn(key: np.uint64, turn: int, base: int, digits: Digits, others: Digits) -> None:
    """Move each digit below `base` on by a hash of the other one."""
    modulus = np.uint32(base)
    counter = np.uint32(turn * _LARGEST)
    for p in range(digits.size):
        word = bits32(key, np.uint32(counter + others[p]))
        total = np.uint32(digits[p] + np.uint32(np.uint32((word >> _16) * modulus) >> _16))
        digits[p] = min(total, np.uint32(total - modulus))  # the second one wraps around where total < base


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
    """Tell whether all `places` are below `d`."""
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
            for p in range(count):  # without branches; what lies beyond d is written over
                place = images[p]
                places[filled] = place
                filled += place < d
        column += count
        if column == columns:
            row, column = row + 1, 0
    return places


@kernel()
def encode_drawn(x: Floats, key: np.uint64, k: int, scale: float, message: Bytes) -> bool:
    """Fill `message`, shape (8 + 4 k,), with `key` and `scale` times the k numbers of `x` that it draws, as float32.

    Parameters
    ----------
    x
        Shape (d,), k <= d < 2**31.

    Returns
    -------
    bool
        Whether the numbers drawn are finite in float32; the others aren't looked at.
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
    """Fill `out`, shape (d,), with the numbers of `message` in the places that its key draws, and zeros."""
    key = np.uint64(0)
    for byte in range(8):
        key |= np.uint64(message[byte]) << np.uint64(8 * byte)
    places = _draw(key, out.size, (message.size - 8) // 4)
    out[:] = 0
    for j in range(places.size):
        out[places[j]] = load_single(message, 8 + 4 * j)
