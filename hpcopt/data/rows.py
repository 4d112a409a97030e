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

from hpcopt.data.faults import not_finite, raise_first
from hpcopt.data.table import Features, Part, Table, as_floats, check_shapes, contiguous, csr
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
        On all processes: shapes that do not fit, no numbers, no finite numbers, no rows, parts that are unlike; all
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
    part = Part(_table(X, y), numbers, total)
    _check_kinds(part.table, where, group)
    raise_first(group, not_finite(part, where))
    return part if first is None or first >= total else part.keep(np.arange(total) < first)


def _looked_at(X: Any, y: Any, where: str) -> tuple[Features, NDArray[np.float64]]:
    """Return features, an array or CSR of any numbers, and targets; refuse what is neither."""
    try:
        X, y = X if issparse(X) else np.asarray(X), np.asarray(y)
    except ValueError as error:
        raise InputError(f"{where}: no array ({error})") from None
    check_shapes(where, X.shape, y.shape)
    X = X.tocsr() if issparse(X) else X
    as_floats((X.data if issparse(X) else X)[:0], f"{where}: X")  # its type; the numbers are turned once they are cut
    return X, as_floats(y, f"{where}: y").astype(np.float64, copy=False)


def _table(X: Features, y: NDArray[np.float64]) -> Table:
    """Return the rows as everything later wants them."""
    if not issparse(X):
        return Table(np.ascontiguousarray(as_floats(X, "X")), y)
    own = csr([as_floats(X.data, "X")], [X.indices], [np.diff(X.indptr)], X.shape[1])
    own.sum_duplicates()
    return Table(own, y)


def _alike(X: Features, y: NDArray[np.float64], group: Group) -> bool:
    """Tell whether all processes pass the same, as far as shapes, targets and the first and last row show it."""
    if group.size == 1:
        return True
    seen = hashlib.sha256(repr((X.shape, str(X.dtype), issparse(X))).encode())
    seen.update(y.tobytes())
    for row in (X[:1], X[-1:]):
        seen.update((row.toarray() if issparse(row) else row).tobytes())
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
