"""Arrays in numpy's files: `.npy` mapped into memory, `.npz` read member by member, each process only its rows.

    .npy   a 2-d array whose last column is the target
    .npz   X (n, d) and y (n,), or the members of scipy.sparse.save_npz (CSR) and y

Objects are never unpickled. float32 stays float32; integers and booleans become float64.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hpcopt.data.faults import not_finite, raise_first
from hpcopt.data.table import Features, Part, Table, as_floats, check_shapes, contiguous, csr
from hpcopt.errors import InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group

SPARSE_MEMBERS = ("data", "indices", "indptr", "shape")


def read_npy(path: Path, group: Group, *, rows: int | None = None, features: int | None = None) -> Part:
    """Read this process's rows of a 2-d array. Collective.

    Parameters
    ----------
    rows
        Use only so many first rows.
    features
        Number of features, where it is known: an array with just so many columns has no target column.

    Raises
    ------
    AgreedError
        A file that is no such array, cut short, or not finite somewhere.
    """
    with agreed(group), _telling(path):
        array = npy.open_memmap(path, mode="r")
        if array.ndim != 2 or array.shape[1] == 0:
            raise InputError(
                f"{path}: an array of shape {array.shape}; expected 2 dimensions: features and, last, the target"
            )
        total = array.shape[0] if rows is None else min(rows, array.shape[0])
        start, stop = contiguous(total, group.rank, group.size)
        own = as_floats(array[start:stop], f"{path}")
        bare = array.shape[1] == features
        X = np.array(own if bare else own[:, :-1], order="C")
        y = None if bare else own[:, -1].astype(np.float64)
    return _checked(group, path, Part(Table(X, y), np.arange(start, stop), total))


def read_npz(path: Path, group: Group, *, rows: int | None = None) -> Part:
    """Read this process's rows of an archive with dense `X` or the members of a CSR matrix, and `y`. Collective.

    The target `y` may be absent (then the table has none). A dense array in Fortran order is read whole and cut.

    Raises
    ------
    AgreedError
        Members that are missing, of a wrong shape or type, cut short, or not finite somewhere.
    """
    with agreed(group), _telling(path), zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): _Member.of(archive, name) for name in archive.namelist()}
        if "X" in members:
            shape = members["X"].shape
        elif all(name in members for name in SPARSE_MEMBERS):
            shape = tuple(int(side) for side in members["shape"].read(0, 2))
        else:
            held = ", ".join(sorted(members)) or "nothing"
            raise InputError(f"{path}: holds {held}; expected X and y, or a CSR matrix of save_npz ({_SPARSE}) and y")
        check_shapes(f"{path}", shape, None)
        total = shape[0] if rows is None else min(rows, shape[0])
        start, stop = contiguous(total, group.rank, group.size)
        X = _dense(path, members["X"], start, stop) if "X" in members else _sparse(path, members, shape, start, stop)
        y = _targets(path, members["y"], shape, start, stop) if "y" in members else None
    return _checked(group, path, Part(Table(X, y), np.arange(start, stop), total))


_SPARSE = ", ".join(SPARSE_MEMBERS)


@dataclass(frozen=True)
class _Member:
    """An array inside an archive: its header, and its rows on demand."""

    archive: zipfile.ZipFile
    name: str
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, archive: zipfile.ZipFile, name: str) -> _Member:
        with archive.open(name) as file:
            return cls(archive, name, *_header(file))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return entries `start` to `stop` along the first axis, reading no others where the order allows."""
        with self.archive.open(self.name) as file:
            _header(file)
            whole = self.fortran and len(self.shape) > 1
            length = self.shape[0] if self.shape else 1
            first, last = (0, length) if whole else (start, min(stop, length))
            row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
            file.seek(first * row_bytes, 1)
            buffer = bytearray((last - first) * row_bytes)
            if file.readinto(buffer) < len(buffer):  # type: ignore[attr-defined]
                raise EOFError
        flat = np.frombuffer(buffer, dtype=self.dtype)
        if whole:
            return flat.reshape(self.shape, order="F")[start:stop]
        return flat.reshape(last - first, *self.shape[1:])


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array in numpy's format: shape, Fortran order, dtype."""
    version = npy.read_magic(file)
    shape, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    return shape, fortran, dtype


def _dense(path: Path, member: _Member, start: int, stop: int) -> Features:
    return np.ascontiguousarray(as_floats(member.read(start, stop), f"{path}: X"))


def _sparse(path: Path, members: dict[str, _Member], shape: tuple[int, ...], start: int, stop: int) -> Features:
    """Read rows `start` to `stop` of the CSR matrix of an archive."""
    kind = str(members["format"].read(0, 1).astype(np.str_)[0]) if "format" in members else "csr"
    if kind != "csr":
        raise InputError(f"{path}: a sparse matrix in {kind} format; save it as CSR: save_npz(file, X.tocsr())")
    n, d = shape
    if members["indptr"].shape != (n + 1,):
        raise InputError(f"{path}: indptr has shape {members['indptr'].shape}; a matrix of {n} rows has ({n + 1},)")
    pointers = members["indptr"].read(start, stop + 1).astype(np.int64)
    lengths = np.diff(pointers)
    entries = math.prod(members["data"].shape)
    flat = members["data"].shape == members["indices"].shape == (entries,)
    if not flat or pointers[0] < 0 or (lengths < 0).any() or pointers[-1] > entries:
        raise InputError(f"{path}: indptr, indices and data don't fit together as the members of a CSR matrix")
    data = as_floats(members["data"].read(pointers[0], pointers[-1]), f"{path}: data")
    indices = members["indices"].read(pointers[0], pointers[-1])
    if indices.size and not 0 <= indices.min() <= indices.max() < d:
        raise InputError(f"{path}: column {indices.max()} in a matrix of {d} columns")
    X = csr([data], [indices], [lengths], d)
    X.sum_duplicates()
    return X


def _targets(path: Path, member: _Member, shape: tuple[int, ...], start: int, stop: int) -> NDArray[np.float64]:
    check_shapes(f"{path}", shape, member.shape)
    return as_floats(member.read(start, stop), f"{path}: y").astype(np.float64, copy=False)


def _checked(group: Group, path: Path, part: Part) -> Part:
    raise_first(group, not_finite(part, str(path)))
    return part


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn what numpy and zipfile raise over a bad file into one line that names it."""
    try:
        yield
    except InputError:
        raise
    except EOFError:
        raise InputError(f"{path}: cut short: an array in it ends too early; fetch or write the file again") from None
    except (ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: not a sound {path.suffix} file: {told}") from None
