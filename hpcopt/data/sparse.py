"""Checks that three arrays are rows of a valid CSR matrix, before anything is computed with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hpcopt.data.faults import Fault, FaultError, check_exact
from hpcopt.data.table import as_floats, csr
from hpcopt.errors import InputError


def check_integers(where: str, dtype: np.dtype[Any]) -> None:
    """Raise an error for pointers, indices or a shape that are not integers.

    Raises
    ------
    InputError
        In that case.
    """
    if dtype.kind not in "iu":
        raise InputError(f"{where}: contains values of type {dtype}; expected integers")


def check_pointers(where: str, pointers: NDArray[Any], first: int, entries: int) -> None:
    """Raise an error for invalid row pointers of a matrix.

    Parameters
    ----------
    where
        Name of the matrix in messages.
        pointers
            The pointers of rows `first`, `first` + 1, ... and the end of the last of them.
    entries
        Number of entries of the whole matrix.

    Raises
    ------
    FaultError
        For the first row whose pointer is smaller than the previous one, or out of range.
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
    """Return rows of a matrix of d columns, with sorted columns and duplicate entries summed.

    Parameters
    ----------
    where
        Name of the matrix in messages.
        data, indices
            The entries of these rows only, shape (pointers[-1] - pointers[0],).
        pointers
            Checked pointers into the whole matrix.
        first
            The number of the first row.

    Raises
    ------
    FaultError
        For the first entry whose column is out of range, or whose value is an integer that float64 cannot represent.
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
