"""What makes three arrays the rows of a CSR matrix, checked before anything is computed with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hpcopt.data.faults import Fault, FaultError, check_exact
from hpcopt.data.table import as_floats, csr
from hpcopt.errors import InputError


def check_integers(where: str, dtype: np.dtype[Any]) -> None:
    """Refuse pointers, indices or a shape of another type.

    Raises
    ------
    InputError
        If they are no integers.
    """
    if dtype.kind not in "iu":
        raise InputError(f"{where}: contains values of type {dtype}; expected integers")


def check_pointers(where: str, pointers: NDArray[Any], first: int, entries: int) -> None:
    """Refuse pointers into the entries of a matrix that do not belong to one.

    Parameters
    ----------
    where
        What the matrix is called in messages.
    pointers
        Those of rows `first`, `first` + 1, ... and the one that ends the last of these.
    entries
        Number of entries of the whole matrix.

    Raises
    ------
    FaultError
        About the first row whose pointer is smaller than the one before, or out of range.
    """
    outside = (pointers < 0) | (pointers > entries)
    falls = np.concatenate([[False], pointers[1:] < pointers[:-1]])
    for place in np.flatnonzero(outside | falls)[:1].tolist():
        what = f"{where}: indptr: {pointers[place]} at place {first + place}"
        if outside[place]:
            raise FaultError(Fault(first + place, f"{what}: out of range; indices and data have {entries} entries"))
        raise FaultError(Fault(first + place, f"{what} after {pointers[place - 1]}; it must not decrease"))


def rows_of(
    where: str, data: NDArray[Any], indices: NDArray[Any], pointers: NDArray[Any], first: int, d: int
) -> csr_array:
    """Return rows of a matrix of d columns, their columns in order, entries at the same place added up.

    Parameters
    ----------
    where
        What the matrix is called in messages.
    data, indices
        Their entries alone, shape (pointers[-1] - pointers[0],).
    pointers
        Checked ones, of the whole matrix.
    first
        The number of the first of the rows.

    Raises
    ------
    FaultError
        About the first entry whose column is out of range, or whose value is an integer that float64 cannot represent.
    """
    lengths = np.diff(pointers.astype(np.int64))
    ends = np.cumsum(lengths)

    def row_of(entry: int) -> int:
        return first + int(np.searchsorted(ends, entry, side="right"))

    for entry in np.flatnonzero((indices < 0) | (indices >= d))[:1].tolist():
        row, place = row_of(entry), int(pointers[0]) + entry
        raise FaultError(
            Fault(
                row,
                f"{where}: indices: {indices[entry]} at place {place} (row {row}, counted from 0): out of range; "
                f"a matrix of {d} columns has 0 to {d - 1}",
            )
        )
    check_exact(f"{where}: data", data, row_of)
    X = csr([as_floats(data, f"{where}: data")], [indices], [lengths], d)
    X.sum_duplicates()
    return X
