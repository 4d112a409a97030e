"""The columns in which a few rows of a sparse matrix have entries, found by marking them in a set of bits.

A bit for each of d columns is so little memory that it stays in the cache where d numbers do not (measured for a
million columns: 2.2 times faster than sorting the entries, 4 times faster than marks of four bytes). The columns come
out sorted, and a column's place among them is the number of bits before it: those of all earlier words, which are
counted once, and those of its own word.

The rows are scattered, so the next ones are prefetched (1.4 times faster).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Places, Rows, Vector
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.lanes import ones
from hpcopt.kernels.prefetch import prefetch_slice
from hpcopt.kernels.select import lowest_bit

Data = NDArray[np.floating]
Indices = NDArray[np.int32]
Indptr = NDArray[np.int64]

Marks = tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.int32]]
"""The bits, 64 to a word; whether a word has one; the number of bits before a word."""

SPARE = 4  # numbers written beyond the last column

_GROUP = 8  # words whose bytes are looked at together
_AHEAD = 256  # entries
_LONGEST = 1024  # bytes of a row prefetched; the hardware prefetches the rest
_HIGHEST = np.uint64(1 << 63)
_IN_WORD = np.uint64(63)
_WORD = np.uint64(6)
_ONE = np.uint64(1)


def empty(d: int) -> Marks:
    """Return the memory of `restrict` for `d` columns, d/5 bytes; each call leaves it as it was."""
    words = -(-d // (64 * _GROUP)) * _GROUP
    return np.zeros(words, np.uint64), np.zeros(words, np.uint8), np.zeros(words, np.int32)


@kernel()
def restrict(
    data: Data,
    indices: Indices,
    indptr: Indptr,
    rows: Rows,
    marks: Marks,
    new_data: Data,
    new_indices: Indices,
    columns: Places,
) -> int:
    """Copy the entries of `rows` (m,), one row after another, and number their columns anew, from 0 on in sorted order.

    Parameters
    ----------
    marks
        `empty(d)`.
    new_data, new_indices
        Shape (entries,).
    columns
        Becomes the columns with entries, sorted, each once; shape (min(entries, d) + SPARE,).

    Returns
    -------
    The number of these columns.
    """
    bits, marked, before = marks
    ahead = 1 + _AHEAD * rows.size // (new_data.size + 1)
    for i in range(rows.size):
        soon = rows[min(i + ahead, rows.size - 1)]
        prefetch_slice(indices, indptr[soon], indptr[soon + 1], _LONGEST)
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            _mark(indices[np.uintp(at)], bits, marked)
    count = _list(marks, columns)
    to = 0
    for i in range(rows.size):
        soon = rows[min(i + ahead, rows.size - 1)]
        prefetch_slice(data, indptr[soon], indptr[soon + 1], _LONGEST)
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            new_indices[to] = _place(indices[np.uintp(at)], bits, before)
            new_data[to] = data[np.uintp(at)]
            to += 1
    _clear(marks)
    return count


@kernel()
def number(indices: Indices, marks: Marks, new_indices: Indices, columns: Places) -> int:
    """Give the columns in `indices`, shape (entries,), new numbers like `restrict`; return how many there are."""
    bits, marked, before = marks
    for at in range(indices.size):
        _mark(indices[at], bits, marked)
    count = _list(marks, columns)
    for at in range(indices.size):
        new_indices[at] = _place(indices[at], bits, before)
    _clear(marks)
    return count


@kernel()
def add(indices: Indices, values: Vector, total: Vector) -> None:
    """Add `values` to `total` at `indices`, one after another; indices may be repeated."""
    for at in range(indices.size):
        total[np.uintp(indices[at])] += values[at]


@part()
def _mark(index: np.int32, bits: NDArray[np.uint64], marked: NDArray[np.uint8]) -> None:
    column = np.uint64(index)
    word = np.uintp(column >> _WORD)
    bits[word] |= _ONE << (column & _IN_WORD)
    marked[word] = 1


@part()
def _place(index: np.int32, bits: NDArray[np.uint64], before: NDArray[np.int32]) -> np.int64:
    """Return the number of marked columns below `index`."""
    column = np.uint64(index)
    word = np.uintp(column >> _WORD)
    return np.int64(before[word]) + ones(bits[word] & ((_ONE << (column & _IN_WORD)) - _ONE))


@part()
def _list(marks: Marks, columns: Places) -> int:
    """Fill `columns` with the marked columns, and `before`; return their number.

    A word has few bits. To write the first ones without asking whether they exist is faster than to guess wrongly.
    """
    bits, marked, before = marks
    groups = marked.view(np.uint64)
    count = 0
    for group in range(groups.size):
        if groups[group] == 0:
            continue
        for word in range(_GROUP * group, _GROUP * group + _GROUP):
            left = bits[word]
            before[word] = count
            found = ones(left)
            for k in range(SPARE):
                columns[count + k] = 64 * word + lowest_bit(left | _HIGHEST)
                left &= left - _ONE
            for k in range(SPARE, found):
                columns[count + k] = 64 * word + lowest_bit(left)
                left &= left - _ONE
            count += found
    return count


@part()
def _clear(marks: Marks) -> None:
    bits, marked, _ = marks
    groups = marked.view(np.uint64)
    for group in range(groups.size):
        if groups[group] != 0:
            groups[group] = 0
            bits[_GROUP * group : _GROUP * group + _GROUP] = 0
