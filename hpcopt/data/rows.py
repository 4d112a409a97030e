"""Rows from arrays in memory: a source beside files, libraries and generators.

On several processes the arrays are either a part of the rows each, in the order of the processes, or all rows on every
process, of which each then keeps a run, as it would of a file:

    each its own     process 0: rows 0 ... n_0 - 1    process 1: rows n_0 ... n_0 + n_1 - 1    ...
    whole            process r of K: rows n r / K ... n (r + 1) / K - 1
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from hpcopt.data.faults import check_exact, not_finite, raise_first, same_for_all
from hpcopt.data.sparse import check_pointers, rows_of
from hpcopt.data.table import Features, Part, Table, as_floats, check_shapes, contiguous
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in memory that nobody has looked at yet: what is wrong with them is told when all processes read them.

    Parameters
    ----------
    train, test
        Features and targets; `test` is None without test rows.
    whole
        Whether every process has all rows, and not a part of them.
    """

    train: tuple[Any, Any]
    test: tuple[Any, Any] | None
    whole: bool

    def check_alike(self, group: Group) -> None:
        """Refuse processes of which some pass test rows, or all the rows, and others do not. Collective.

        Raises
        ------
        AgreedError
            On all processes, if they do.
        """
        told = group.allgather(np.array([self.test is not None, self.whole]))
        for place, what in enumerate(("test rows", "whole = True")):
            given = [bool(own[place]) for own in told]
            if len(set(given)) > 1:
                raise AgreedError(f"rows: {what} on rank {given.index(True)} but not on rank {given.index(False)}")


def from_arrays(X: Any, y: Any, *, test: tuple[Any, Any] | None = None, whole: bool = False) -> Rows:
    """Return rows in memory as a source of data, for a table [data] with source = "arrays".

    They go the way of rows from a file, so the shards are the same to the last bit. Dense rows are not copied where
    their type and order allow it; nothing is ever written to the arrays.

    Parameters
    ----------
    X
        Features, shape (n, d): an array or whatever numpy makes one of, or a sparse matrix of scipy. float32 stays
        float32, other numbers become float64. On several processes: this process's rows, perhaps none, numbered behind
        those of the processes before.
    y
        Targets or labels, shape (n,), numbers.
    test
        X and y of rows to test on.
    whole
        Whether all processes pass the same, all the rows.

    Returns
    -------
    Rows
        To be given to `hpcopt.run` or `load`, where all processes refuse together what is wrong with any part: shapes
        that do not fit, other things than finite numbers, no rows.
    """
    return Rows((X, y), test, whole)


def read_arrays(X: Any, y: Any, where: str, group: Group, *, whole: bool, first: int | None = None) -> Part:
    """Return this process's part of the rows. Collective.

    Parameters
    ----------
    where
        What the rows are called in messages.
    whole
        Whether all processes pass the same.
    first
        Use only so many first rows.

    Raises
    ------
    AgreedError
        On all processes: shapes that do not match, values that are not finite numbers, no rows, inconsistent parts; all
        rows on each process that are not all the same, or parts that are.
    """
    with agreed(group):
        X, y = _looked_at(X, y, where)
    n = X.shape[0]
    alike = _alike(X, y, group)
    if whole:
        if not alike:
            raise AgreedError(f"{where}: not the same on all {group.size} processes, as whole = True says")
        start, stop = contiguous(n, group.rank, group.size)
        total, numbers = n, np.arange(start, stop)
        X, y = X[start:stop], y[start:stop]
    else:
        counts = [int(count[0]) for count in group.allgather(np.array([n]))]
        if alike and group.size > 1 and n:
            raise AgreedError(
                f"{where}: all {group.size} processes pass the same {n} rows; give whole = True if these are all "
                "there are, else to each process its own"
            )
        total, numbers = sum(counts), np.arange(n) + sum(counts[: group.rank])
    if total == 0:
        raise AgreedError(f"{where}: no rows in it")
    with same_for_all(group):
        part = Part(_table(X, y, where, numbers), numbers, total)
    _check_kinds(part.table, where, group)
    raise_first(group, not_finite(part, where))
    return part if first is None or first >= total else part.keep(np.arange(total) < first)


def _looked_at(X: Any, y: Any, where: str) -> tuple[Features, NDArray[Any]]:
    """Return features, an array or CSR of any numbers, and targets; refuse what is neither."""
    if np.ma.is_masked(X) or np.ma.is_masked(y):
        raise InputError(f"{where}: a masked array, some of whose values are masked; fill them in first")
    try:
        X, y = X if issparse(X) else np.asarray(X), np.asarray(y)
        check_shapes(where, X.shape, y.shape)
        X = _checked_csr(X, where) if issparse(X) else X
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, InputError) else InputError(f"{where}: no array ({error})") from None
    numbers = X.data if issparse(X) else X
    for name, dtype in (("X", numbers.dtype), ("y", y.dtype)):  # the numbers themselves are turned once they are cut
        as_floats(np.zeros(0, dtype), f"{where}: {name}")
    return X, y


def _checked_csr(X: Any, where: str) -> Any:
    """Return a sparse matrix as CSR whose pointers fit its entries; what is of its rows is told when these are cut."""
    if X.format == "csr":
        n, entries = X.shape[0], min(len(X.data), len(X.indices))
        if len(X.indptr) != n + 1 or X.indptr[0] != 0:
            raise InputError(f"{where}: X: indptr does not begin with 0, or has not {n + 1} numbers, for {n} rows")
        check_pointers(f"{where}: X", X.indptr, 0, entries)
        return X
    if X.format in ("csc", "bsr"):
        X.check_format(full_check=True)  # scipy's own conversion would follow indices to anywhere
    if X.format == "coo":
        for axis, indices in enumerate(X.coords):
            for place in np.flatnonzero((indices < 0) | (indices >= X.shape[axis]))[:1].tolist():
                raise InputError(
                    f"{where}: X: coordinate {indices[place]} of entry {place}: out of range; its shape is {X.shape}"
                )
    return X.tocsr()


def _table(X: Features, y: NDArray[Any], where: str, numbers: NDArray[np.int64]) -> Table:
    """Return the rows of these numbers as everything later wants them."""
    first = int(numbers[0]) if numbers.size else 0
    check_exact(f"{where}: y", y, lambda row: first + row)
    targets = as_floats(y, f"{where}: y").astype(np.float64, copy=False)
    if issparse(X):
        used = slice(X.indptr[0], X.indptr[-1])
        return Table(rows_of(where, X.data[used], X.indices[used], X.indptr, first, X.shape[1]), targets)
    check_exact(f"{where}: X", X, lambda row: first + row)
    return Table(np.ascontiguousarray(as_floats(X, f"{where}: X")), targets)


def _alike(X: Features, y: NDArray[Any], group: Group) -> bool:
    """Tell whether all processes pass the same, as far as shapes, targets and the first and last row show it."""
    if group.size == 1:
        return True
    seen = hashlib.sha256(repr((X.shape, str(X.dtype), issparse(X))).encode())
    seen.update(y.tobytes())
    for row in (X[:1], X[-1:]):
        parts = (row.data, row.indices.astype(np.int64)) if issparse(row) else (row,)  # its indices are not checked yet
        for part in parts:
            seen.update(part.tobytes())
    digests = group.allgather(np.frombuffer(seen.digest(), dtype=np.uint8))
    return all(np.array_equal(digest, digests[0]) for digest in digests)


def _check_kinds(table: Table, where: str, group: Group) -> None:
    """Refuse parts with other numbers of features, or stored otherwise. Collective."""
    own = np.array([table.d, int(table.sparse), table.X.dtype.itemsize])
    kinds = [tuple(int(value) for value in kind) for kind in group.allgather(own)]
    for rank, kind in enumerate(kinds):
        if kind != kinds[0]:
            told, other = (f"{d} features, {('dense', 'sparse')[s]} float{8 * size}" for d, s, size in (kinds[0], kind))
            raise AgreedError(f"{where}: {told} on rank 0 but {other} on rank {rank}; all need the same")
