"""Rows and their targets: a table, and the part of one that a process holds during preparation.

Dense and sparse rows have the same interface, so the rest of this package does not distinguish them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from hpcopt.errors import InputError

Features: TypeAlias = Any  # (n, d) ndarray in C order or csr_array (scipy has no types), float64 or float32
RowNumbers: TypeAlias = NDArray[np.int64]

LARGEST_INT32 = 2**31 - 1
LARGEST_EXACT = 2**53 - 1  # integers up to this are represented exactly in float64


@dataclass(frozen=True)
class Table:
    """Some rows of a data set and their targets.

    Parameters
    ----------
    X
        Features, shape (n, d): a C-ordered array or a `csr_array`, float64 or float32.
    y
        Targets, shape (n,), float64, or None.
    """

    X: Features
    y: NDArray[np.float64] | None

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.X.shape[0])

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.X.shape[1])

    @property
    def sparse(self) -> bool:
        """Whether the rows are stored sparse."""
        return bool(issparse(self.X))

    @property
    def targets(self) -> NDArray[np.float64]:
        """The targets, (n,); only for tables with targets."""
        assert self.y is not None
        return self.y

    def take(self, rows: NDArray[Any]) -> Table:
        """Return a copy of the given rows (indices or a mask), in that order."""
        return Table(self.X[rows], None if self.y is None else self.y[rows])

    def between(self, start: int, stop: int) -> Table:
        """Return rows `start` to `stop`, sharing memory with this table (scipy copies small sparse slices)."""
        y = None if self.y is None else self.y[start:stop]
        if not self.sparse:
            return Table(self.X[start:stop], y)
        pointers = self.X.indptr[start : stop + 1]
        entries = slice(pointers[0], pointers[-1])
        inner = (self.X.data[entries], self.X.indices[entries], pointers - pointers[0])
        return Table(csr_array(inner, shape=(stop - start, self.d)), y)


def csr(
    data: Sequence[NDArray[Any]], indices: Sequence[NDArray[Any]], lengths: Sequence[NDArray[Any]], d: int
) -> csr_array:
    """Return CSR rows from pieces: values, columns and entries per row, all in row order.

    Index arrays are int32 if that is wide enough, which halves the memory traffic of products.
    """
    row_lengths, values = np.concatenate(lengths), np.concatenate(data)
    width = np.int32 if max(len(values), d) <= LARGEST_INT32 else np.int64
    pointers = np.zeros(len(row_lengths) + 1, dtype=width)
    np.cumsum(row_lengths, out=pointers[1:])
    columns = np.concatenate(indices).astype(width, copy=False)
    return csr_array((values, columns, pointers), shape=(len(row_lengths), d))


@dataclass(frozen=True)
class Numbering:
    """The range of column numbers in a text file, over all processes; shows whether columns count from 0 or 1."""

    smallest: int
    largest: int  # -1 if the file has no entries


@dataclass(frozen=True)
class Part:
    """The part of a data set that one process holds during preparation.

    Parameters
    ----------
    table
        The rows this process holds.
    rows
        Their row numbers in the whole data set, shape (table.n,), increasing.
    total
        Number of rows that all processes hold together.
    numbering
        Only for text files before `features.settle`: columns still have the numbers of the file.
    """

    table: Table
    rows: RowNumbers
    total: int
    numbering: Numbering | None = None

    def keep(self, kept: NDArray[np.bool_]) -> Part:
        """Return the part without the rows for which `kept`, shape (total,), is false; the others are renumbered."""
        own = kept[self.rows]
        renumbered = np.cumsum(kept, dtype=np.int64) - 1
        return replace(
            self, table=self.table.take(own), rows=renumbered[self.rows[own]], total=int(np.count_nonzero(kept))
        )


def contiguous(total: int, rank: int, size: int) -> tuple[int, int]:
    """Return start and stop of the rank-th of `size` nearly equal ranges of `total` items."""
    return total * rank // size, total * (rank + 1) // size


def check_shapes(where: str, X: tuple[int, ...], y: tuple[int, ...] | None) -> None:
    """Raise an error for inconsistent shapes of features and targets; `where` is the name of the data.

    Raises
    ------
    InputError
        If they are not (rows, features) and (rows,).
    """
    if len(X) != 2:
        raise InputError(f"{where}: X has shape {X}; expected (rows, features)")
    if y is not None and y != X[:1]:
        raise InputError(f"{where}: y has shape {y}; X has {X[0]} rows, so ({X[0]},) is right")


def as_floats(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Return the array as float32 if it is float32, otherwise as float64, in native byte order.

    Raises
    ------
    InputError
        For an array that does not contain real numbers; `where` is its name in the message.
    """
    if array.dtype.kind not in "bufi":
        raise InputError(
            f"{where}: contains values of type {array.dtype}; expected numbers (float64, float32 or integers)"
        )
    kind = np.float32 if array.dtype.itemsize == 4 and array.dtype.kind == "f" else np.float64
    with np.errstate(over="ignore"):  # of a wider type; the infinity is refused with its row, like any other
        return array.astype(kind, copy=False)
