"""Plain data (nested dicts, lists, numbers, strings, None and arrays) in one .npz file, without pickle.

The file has two members: `plain`, JSON text as bytes, and `arrays`, the bytes of all arrays one after another. In the
JSON an array is {"": [its first byte, its type, its shape]}. The arrays are not copied to be written.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.files import PIECE_BYTES, open_file, written_whole
from hpcopt.stored import Archive, archive

_ARRAY = ""  # the key of an array's place; no other dict has it
_KINDS = "fiub"  # of arrays: numbers and truth values


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What shows that a file is whole and unchanged.

    Parameters
    ----------
    bytes
        Its length.
    sha256
        Its SHA-256 in hexadecimal digits.
    """

    bytes: int
    sha256: str


def write_plain(path: Path, content: Any) -> Seal:
    """Write plain data to `path`, completely or not at all.

    Raises
    ------
    OSError
        If it can't be written.
    TypeError
        For anything but plain data.
    """
    arrays: list[NDArray[Any]] = []
    text = json.dumps(_emptied(content, arrays, 0)[0]).encode()
    with written_whole(path, "wb") as file:
        sealing = _Sealing(file)
        with zipfile.ZipFile(sealing, "w") as members:  # type: ignore[call-overload]  # it only writes
            _write_bytes(members, "plain", [np.frombuffer(text, dtype=np.uint8)])
            _write_bytes(members, "arrays", arrays)
        return Seal(bytes=sealing.count, sha256=sealing.sum.hexdigest())


def read_plain(path: Path) -> Any:
    """Return the plain data in `path`.

    Raises
    ------
    InputError
        If the file is damaged.
    OSError
        If it can't be read.
    """
    with archive(path) as members:
        text, room = (_read_bytes(path, members, name) for name in ("plain", "arrays"))
    try:
        return _filled(json.loads(text.tobytes()), room)
    except (ValueError, TypeError, RecursionError):
        raise InputError(f"{path}: damaged: its contents are not plain data") from None


def sealed(path: Path) -> Seal:
    """Return the seal of a file.

    Raises
    ------
    OSError
        If it can't be read.
    """
    count, summed = 0, hashlib.sha256()
    with open_file(path) as file:
        while piece := file.read(PIECE_BYTES):
            count += len(piece)
            summed.update(piece)
    return Seal(bytes=count, sha256=summed.hexdigest())


class _Sealing:
    """A file to be written from its first byte to its last, counted and summed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.count = 0
        self.sum = hashlib.sha256()

    def write(self, piece: bytes | memoryview) -> int:
        view = memoryview(piece)
        self._file.write(view)
        self.sum.update(view)
        self.count += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        self._file.flush()


def _write_bytes(members: zipfile.ZipFile, name: str, arrays: Iterable[NDArray[Any]]) -> None:
    """Write the bytes of all arrays as one array."""
    arrays = list(arrays)
    header = {"descr": "|u1", "fortran_order": False, "shape": (sum(array.nbytes for array in arrays),)}
    with members.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        npy.write_array_header_1_0(file, header)
        for array in arrays:
            if array.nbytes:
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _read_bytes(path: Path, members: Archive, name: str) -> NDArray[np.uint8]:
    if name not in members:
        raise InputError(f"{path}: damaged: it has no member {name}, but {members.in_words()}")
    array = members.member(name).read()
    if array.dtype != np.uint8 or array.ndim != 1:
        raise InputError(f"{path}: damaged: its member {name} does not hold bytes")
    return array


def _emptied(value: Any, arrays: list[NDArray[Any]], used: int) -> tuple[Any, int]:
    """Return `value` with places instead of arrays, which are appended to `arrays`, and the bytes that these take."""
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        arrays.append(value)
        return {_ARRAY: [used, value.dtype.str, list(value.shape)]}, used + value.nbytes
    if isinstance(value, dict) and all(isinstance(name, str) and name != _ARRAY for name in value):
        emptied: dict[str, Any] = {}
        for name, item in value.items():
            emptied[name], used = _emptied(item, arrays, used)
        return emptied, used
    if isinstance(value, list):
        items = []
        for item in value:
            there, used = _emptied(item, arrays, used)
            items.append(there)
        return items, used
    if value is None or isinstance(value, bool | int | float | str):
        return value, used
    raise TypeError(f"expected plain data, got {value!r}")


def _filled(value: Any, room: NDArray[np.uint8]) -> Any:
    """Return `value` with the arrays at their places."""
    if isinstance(value, list):
        return [_filled(item, room) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY not in value:
        return {name: _filled(item, room) for name, item in value.items()}
    first, kind, shape = value[_ARRAY]
    dtype = np.dtype(kind)
    last = first + math.prod(shape) * dtype.itemsize
    if dtype.kind not in _KINDS or not 0 <= first <= last <= room.size:
        raise ValueError
    return room[first:last].view(dtype).reshape(shape).copy()  # aligned, as kernels expect
