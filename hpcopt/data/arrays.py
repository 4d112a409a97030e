"""Arrays in numpy's files, `.npy` and `.npz`; each process reads only its rows.

    .npy   a 2-d array whose last column is the target
    .npz   X (n, d) and y (n,), or the members of scipy.sparse.save_npz (CSR) and y; other members are ignored

float32 stays float32; integers and booleans become float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.faults import check_exact, not_finite, raise_first, same_for_all
from hpcopt.data.sparse import check_integers, check_pointers, rows_of
from hpcopt.data.table import Features, Part, Table, as_floats, check_shapes, contiguous
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Group
from hpcopt.stored import Archive, Stored, archive, stored_array, word

SPARSE_MEMBERS = ("data", "indices", "indptr", "shape")
_LARGEST_SIDE = 2**63 - 1  # of a matrix whose pointers and indices are int64


def read_npy(path: Path, group: Group, *, rows: int | None = None, features: int | None = None) -> Part:
    """Read this process's rows of a 2-d array. Collective.

    Parameters
    ----------
    rows
        Use only this number of first rows.
    features
        Number of features, if known: an array with exactly this number of columns has no target column.

    Raises
    ------
    AgreedError
        For a file that is not such an array, is cut short, or contains NaN or infinity.
    """
    with same_for_all(group):
        array = stored_array(path)
        if len(array.shape) != 2 or array.shape[1] == 0:
            raise InputError(
                f"{path}: an array of shape {array.shape}; expected 2 dimensions: features and, last, the target"
            )
        start, stop, total = _own(array.shape[0], rows, group)
        own = _floats(array, start, stop)
        bare = array.shape[1] == features
        X = own if bare else np.array(own[:, :-1], order="C")
        y = None if bare else own[:, -1].astype(np.float64)
    return _checked(group, path, Part(Table(X, y), np.arange(start, stop), total))


def read_npz(path: Path, group: Group, *, rows: int | None = None) -> Part:
    """Read this process's rows of an archive with dense `X` or the members of a CSR matrix, and `y`. Collective.

    The target `y` may be absent (then the table has none).

    Raises
    ------
    AgreedError
        For members that are missing, of a wrong shape or type, cut short or damaged, or that contain NaN or infinity.
    """
    with same_for_all(group), archive(path) as members:
        read: Callable[[int, int], Features]
        if "X" in members:
            dense = members.member("X")
            shape, read = dense.shape, partial(_floats, dense)
        elif all(name in members for name in SPARSE_MEMBERS):
            shape, read = _sparse(path, members)
        else:
            held = members.in_words()
            raise InputError(f"{path}: holds {held}; expected X and y, or a CSR matrix of save_npz ({_SPARSE}) and y")
        targets = members.member("y") if "y" in members else None
        check_shapes(f"{path}", shape, None if targets is None else targets.shape)
        start, stop, total = _own(shape[0], rows, group)
        X: Features = read(start, stop)
        y = None if targets is None else _floats(targets, start, stop).astype(np.float64, copy=False)
    return _checked(group, path, Part(Table(X, y), np.arange(start, stop), total))


_SPARSE = ", ".join(SPARSE_MEMBERS)


def _own(n: int, rows: int | None, group: Group) -> tuple[int, int, int]:
    """Return start and stop of this process's rows, and the number of the n rows that are used."""
    total = n if rows is None else min(rows, n)
    return (*contiguous(total, group.rank, group.size), total)


def _floats(array: Stored, start: int, stop: int) -> NDArray[Any]:
    """Return rows `start` to `stop` of an array of real numbers."""
    as_floats(np.zeros(0, array.dtype), array.where)  # checks the type before anything is read
    own = array.read(start, stop)
    check_exact(array.where, own, lambda row: start + row)
    return np.ascontiguousarray(as_floats(own, array.where))


def _sparse(path: Path, members: Archive) -> tuple[tuple[int, int], Callable[[int, int], Features]]:
    """Return the shape of the CSR matrix of an archive, and a function that reads rows of it."""
    _check_format(path, members)
    shape, pointers, indices, data = (members.member(name) for name in ("shape", "indptr", "indices", "data"))
    for member in (shape, pointers, indices):
        check_integers(member.where, member.dtype)
    if shape.shape != (2,) or (sides := shape.read()).min() < 0 or sides.max() > _LARGEST_SIDE:
        raise InputError(
            f"{shape.where}: expected the numbers of rows and of columns, two integers from 0 to {_LARGEST_SIDE}"
        )
    n, d = (int(side) for side in sides)
    entries = math.prod(data.shape)
    for member, length in ((pointers, n + 1), (indices, entries), (data, entries)):
        if member.shape != (length,):
            expected = f"({length},) is right for {n} rows and data of length {entries}"
            raise InputError(f"{member.where} has shape {member.shape}; {expected}")
    for place, right in ((0, 0), (n, entries)):
        there = int(pointers.read(place, place + 1)[0])
        if there != right:
            raise InputError(f"{pointers.where}: {there} at place {place}, where {right} is right")

    def read(start: int, stop: int) -> Features:
        own = pointers.read(start, stop + 1)
        check_pointers(f"{path}", own, start, entries)
        first, last = int(own[0]), int(own[-1])
        return rows_of(f"{path}", data.read(first, last), indices.read(first, last), own, start, d)

    return (n, d), read


def _check_format(path: Path, members: Archive) -> None:
    """Raise an error for a sparse matrix that is declared in another format than CSR."""
    if "format" in members:
        member = members.member("format")
        name = word(member.where, member.read())
        if name != "csr":
            raise InputError(f"{path}: a sparse matrix in {name} format; save it as CSR: save_npz(file, X.tocsr())")


def _checked(group: Group, path: Path, part: Part) -> Part:
    raise_first(group, not_finite(part, str(path)))
    return part
