"""Rows from arrays in memory, one of the sources of data.

On several processes, the arrays are either each process's part of the rows, in the order of the processes, or all rows
on every process; each then keeps a contiguous part, as with a file:

    parts            process 0: rows 0 ... n_0 - 1    process 1: rows n_0 ... n_0 + n_1 - 1    ...
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
    """Rows in memory, not checked yet: errors are reported when all processes read them.

    Parameters
    ----------
    train, test
        Features and targets; `test` is None without test rows.
    whole
        Whether every process has all rows instead of a part.
    """

    train: tuple[Any, Any]
    test: tuple[Any, Any] | None
    whole: bool

    def check_alike(self, group: Group) -> None:
        """Raise an error if only some processes pass test rows, or set `whole`. Collective.

        Raises
        ------
        AgreedError
            On all processes, in that case.
        """
        told = group.allgather(np.array([self.test is not None, self.whole]))
        for place, what in enumerate(("test rows", "whole = True")):
            given = [bool(own[place]) for own in told]
            if len(set(given)) > 1:
                raise AgreedError(f"rows: {what} on rank {given.index(True)} but not on rank {given.index(False)}")


def from_arrays(X: Any, y: Any, *, test: tuple[Any, Any] | None = None, whole: bool = False) -> Rows:
    """Return rows in memory as a source of data, for a table [data] with source = "arrays".

    They are processed like rows from a file, so the shards are bitwise equal. Dense rows are not copied if their type
    and order allow it; the arrays are never modified.

    Parameters
    ----------
    X
        Features, shape (n, d): an array or anything that numpy converts to one, or a scipy sparse matrix. float32 stays
        float32; other numbers become float64. On several processes: this process's rows, possibly none, numbered after
        those of the preceding processes.
    y
        Targets or labels, shape (n,), numbers.
    test
        X and y of the test rows.
    whole
        Whether all processes pass the same arrays with all rows.

    Returns
    -------
    Rows
        To be passed to `hpcopt.run` or `load`. There, all processes raise the same error for inconsistent shapes,
        values that are not finite numbers, or no rows.
    """
    return Rows((X, y), test, whole)


def read_arrays(X: Any, y: Any, where: str, group: Group, *, whole: bool, first: int | None = None) -> Part:
    """Return this process's part of the rows. Collective.

    Parameters
    ----------
    where
        Name of the rows in messages.
    whole
        Whether all processes pass the same arrays.
    first
        Use only this number of first rows.

    Raises
    ------
    AgreedError
        On all processes: for shapes that do not match, values that are not finite numbers, no rows, inconsistent parts;
        for whole arrays that differ between processes, or parts that are all the same.
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
    """Return features, an array or CSR of any numbers, and targets; raise an error for anything else."""
    if np.ma.is_masked(X) or np.ma.is_masked(y):
        raise InputError(f"{where}: a masked array with masked values; fill them in first")
    try:
        X, y = X if issparse(X) else np.asarray(X), np.asarray(y)
        check_shapes(where, X.shape, y.shape)
        X = _checked_csr(X, where) if issparse(X) else X
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, InputError) else InputError(f"{where}: no array ({error})") from None
    numbers = X.data if issparse(X) else X
    for name, dtype in (("X", numbers.dtype), ("y", y.dtype)):  # the values are converted later
        as_floats(np.zeros(0, dtype), f"{where}: {name}")
    return X, y


def _checked_csr(X: Any, where: str) -> Any:
    """Return a sparse matrix as CSR with valid pointers; errors in its rows are reported when the rows are taken."""
    if X.format == "csr":
        n, entries = X.shape[0], min(len(X.data), len(X.indices))
        if len(X.indptr) != n + 1 or X.indptr[0] != 0:
            raise InputError(f"{where}: X: indptr does not begin with 0, or has not {n + 1} numbers, for {n} rows")
        check_pointers(f"{where}: X", X.indptr, 0, entries)
        return X
    if X.format in ("csc", "bsr"):
        X.check_format(full_check=True)  # scipy's conversion does not check indices
    if X.format == "coo":
        for axis, indices in enumerate(X.coords):
            for place in np.flatnonzero((indices < 0) | (indices >= X.shape[axis]))[:1].tolist():
                raise InputError(
                    f"{where}: X: coordinate {indices[place]} of entry {place}: out of range; its shape is {X.shape}"
                )
    return X.tocsr()


def _table(X: Features, y: NDArray[Any], where: str, numbers: NDArray[np.int64]) -> Table:
    """Return the rows with these numbers as a table."""
    first = int(numbers[0]) if numbers.size else 0
    check_exact(f"{where}: y", y, lambda row: first + row)
    targets = as_floats(y, f"{where}: y").astype(np.float64, copy=False)
    if issparse(X):
        used = slice(X.indptr[0], X.indptr[-1])
        return Table(rows_of(where, X.data[used], X.indices[used], X.indptr, first, X.shape[1]), targets)
    check_exact(f"{where}: X", X, lambda row: first + row)
    return Table(np.ascontiguousarray(as_floats(X, f"{where}: X")), targets)


def _alike(X: Features, y: NDArray[Any], group: Group) -> bool:
    """Return whether all processes pass the same arrays, judged by shapes, targets and the first and last row."""
    if group.size == 1:
        return True
    seen = hashlib.sha256(repr((X.shape, str(X.dtype), issparse(X))).encode())
    seen.update(y.tobytes())
    for row in (X[:1], X[-1:]):
        parts = (row.data, row.indices.astype(np.int64)) if issparse(row) else (row,)  # the indices are not checked yet
        for part in parts:
            seen.update(part.tobytes())
    digests = group.allgather(np.frombuffer(seen.digest(), dtype=np.uint8))
    return all(np.array_equal(digest, digests[0]) for digest in digests)


def _check_kinds(table: Table, where: str, group: Group) -> None:
    """Raise an error for parts with different numbers of features or different storage. Collective."""
    own = np.array([table.d, int(table.sparse), table.X.dtype.itemsize])
    kinds = [tuple(int(value) for value in kind) for kind in group.allgather(own)]
    for rank, kind in enumerate(kinds):
        if kind != kinds[0]:
            told, other = (f"{d} features, {('dense', 'sparse')[s]} float{8 * size}" for d, s, size in (kinds[0], kind))
            raise AgreedError(f"{where}: {told} on rank 0 but {other} on rank {rank}; all need the same")
