"""Reads every kind of data, chosen by a file's suffix or first bytes, or by a source's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hpcopt.data import embedded
from hpcopt.data.arrays import read_npy, read_npz
from hpcopt.data.features import counts_from_zero, either_way, settle, width_of
from hpcopt.data.idx import is_idx, labels_beside, read_idx
from hpcopt.data.libsvm import read_libsvm
from hpcopt.data.opening import misnamed
from hpcopt.data.request import ARRAYS, GENERATED, DataRequest
from hpcopt.data.rows import Rows, read_arrays
from hpcopt.data.synthesis import generate
from hpcopt.data.table import Part, Table
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group
from hpcopt.fabric.solo import SoloGroup
from hpcopt.files import open_file

_EMBEDDED = {"breast-cancer": embedded.breast_cancer, "digits": embedded.digits}


def read_training(request: DataRequest, group: Group, nodes: int, rows: Rows | None = None) -> Part:
    """Return this process's part of the requested rows, including targets. Collective.

    Parameters
    ----------
    nodes
        Number of nodes for the rows; generated rows may differ from node to node.
    rows
        The rows, if the request is for arrays.

    Raises
    ------
    AgreedError
        On all processes: for rows in memory that the request does not ask for, or missing ones; any error of
        `read_file` or `read_arrays`.
    """
    with agreed(group):
        if rows is None and request.source == ARRAYS:
            raise InputError(f'data.source: "{ARRAYS}" are passed in Python, by run(..., rows=from_arrays(X, y))')
        if rows is not None and request.source != ARRAYS:
            raise InputError(f'data.source: rows were passed, which only source = "{ARRAYS}" takes')
    if rows is not None:
        rows.check_alike(group)
        return read_arrays(*rows.train, request.name, group, whole=rows.whole, first=request.rows)
    if request.path is not None:
        return read_file(
            Path(request.path), group, rows=request.rows, labels=request.labels, hash_bits=request.hash_bits
        )
    source = request.source or ""
    if source in GENERATED:
        return generate(request.recipe, group, nodes)
    part = _EMBEDDED[source](group)
    if request.rows is None or request.rows >= part.total:
        return part
    return part.keep(np.arange(part.total) < request.rows)


def read_test(request: DataRequest, group: Group, rows: Rows | None = None) -> tuple[Part, str] | None:
    """Return this process's part of separately requested test rows, and their name. Collective.

    Raises
    ------
    AgreedError
        On all processes: for test rows in memory together with a test fraction; any error of `read_training`.
    """
    if request.test is not None:
        path, labels = Path(request.test), request.test_labels
        return read_file(path, group, rows=request.rows, labels=labels, hash_bits=request.hash_bits), path.name
    if rows is None or rows.test is None:
        return None
    if request.test_fraction:
        raise AgreedError("data.test_fraction: given together with test rows; remove one of the two")
    name = f"the test set of {request.name}"
    return read_arrays(*rows.test, name, group, whole=rows.whole, first=request.rows), name


def read_file(
    path: Path,
    group: Group,
    *,
    rows: int | None = None,
    labels: str | None = None,
    features: int | None = None,
    hash_bits: int | None = None,
    targets: bool = True,
) -> Part:
    """Return this process's part of a file: `.npz`, `.npy`, IDX, or otherwise LIBSVM text. Collective.

    Parameters
    ----------
    rows
        Use only this number of first rows.
    labels
        The file with the labels of an IDX file; default: the one beside it, named like MNIST's.
    features
        Number of features, if known (an `.npy` array may then have no target column).
    hash_bits
        Hash the features of a text file into 2**hash_bits columns.
    targets
        Whether targets are required.

    Raises
    ------
    AgreedError
        On all processes: for a file that one of them can't open, or that differs between them; for invalid contents;
        for no rows; for features to be hashed that are not text.
    """
    _same_everywhere(path, group)
    part = _read(path, group, rows=rows, labels=labels, features=features, hash_bits=hash_bits)
    if part.total == 0:
        raise AgreedError(f"{path}: no rows in it")
    if targets and part.table.y is None:
        if path.suffix == ".npz":
            raise AgreedError(f"{path}: no targets in it; store them under the name y")
        raise AgreedError(f"{path}: no labels beside it; name their file: data.labels, or data.test_labels")
    return part


def _read(
    path: Path, group: Group, *, rows: int | None, labels: str | None, features: int | None, hash_bits: int | None
) -> Part:
    """Read a file with the reader for its kind."""
    idx = False
    with agreed(group):
        idx = path.suffix not in {".npz", ".npy"} and is_idx(path)
        if not idx and path.suffix not in {".npz", ".npy"} and (what := misnamed(path)):
            raise InputError(f"{path}: {what}")
        if hash_bits is not None and (idx or path.suffix in {".npz", ".npy"}):
            raise InputError(f"{path}: hash_bits is given, but only the features of LIBSVM text can be hashed")
        if labels is not None and not idx:
            raise InputError(f"{labels}: named as the labels of {path}, which is not an IDX file and contains its own")
    if idx:
        named = labels_beside(path, group) if labels is None else Path(labels)
        if named is not None:
            _same_everywhere(named, group)
        return read_idx(path, named, group, rows=rows)
    if path.suffix == ".npz":
        return read_npz(path, group, rows=rows)
    if path.suffix == ".npy":
        return read_npy(path, group, rows=rows, features=features)
    return read_libsvm(path, group, rows=rows, hash_bits=hash_bits)


def _same_everywhere(path: Path, group: Group) -> None:
    """Raise an error for a file that a process can't open, or whose length differs between processes. Collective."""
    length = 0
    with agreed(group), open_file(path) as file:
        length = file.seek(0, 2)
    lengths = [int(told[0]) for told in group.allgather(np.array([length]))]
    if len(set(lengths)) > 1:
        other = next(rank for rank, told in enumerate(lengths) if told != lengths[0])
        raise AgreedError(
            f"{path}: {lengths[0]} bytes on rank 0 but {lengths[other]} on rank {other}; all ranks need the same file"
        )


def read_table(
    path: str | Path,
    features: int | None = None,
    *,
    zero_based: bool | None = None,
    hash_bits: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> Table:
    """Read a whole file in one process, for predictions.

    Parameters
    ----------
    path
        `.npz`, `.npy`, IDX, or LIBSVM text. Only text needs a target: an `.npy` may have exactly `features` columns, an
        `.npz` no `y`, and an IDX file no labels' file.
    features
        Required number of features; default: as in the file.
    zero_based
        Whether the columns of a text file count from 0; default: they do if column 0 occurs.
    hash_bits
        Hash the features of a text file into 2**hash_bits columns.
    tell
        Called with a line if both interpretations fit `features`, so that the default decides.

    Raises
    ------
    InputError
        For a file that can't be read, invalid contents, or a different number of features; for hashed features with a
        numbering.
    """
    path = Path(path)
    if hash_bits is not None and zero_based is not None:
        raise InputError("the model hashes features: column numbers are names, which count neither from 0 nor from 1")
    part = read_file(path, SoloGroup(), features=features, hash_bits=hash_bits, targets=False)
    seen = counts_from_zero(part)
    if seen and zero_based is False:
        raise InputError(f"{path.name} has a feature 0, but the model's features count from 1")
    from_zero = seen if zero_based is None else zero_based
    d = width_of(part, zero_based=from_zero) if features is None else features
    if tell is not None and zero_based is None and (told := either_way(part, d, path.name)):
        tell(told)
    return settle(part, zero_based=from_zero, d=d, where=path.name, than="the model").table
