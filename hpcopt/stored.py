"""Arrays in numpy's files, `.npy` and the members of `.npz`; headers are checked against the contents.

A header gives shape and type; the resulting number of bytes is compared with the actual one before memory is allocated.
Only requested members of an archive are read. Objects are never unpickled. Any damage, and any exception of the
libraries, becomes a one-line error with the file and the member.
"""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hpcopt.capacity import DOUBLE, ask
from hpcopt.errors import InputError
from hpcopt.files import open_file, read, read_over

_LONGEST_HEADER = 1 << 14  # bytes; numpy itself reads none of more than 10,000 characters
_LARGEST_RATIOS = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1 << 11}  # of a member's content to what is stored
_VERSIONS = {(1, 0), (2, 0), (3, 0)}  # of numpy's format
_LONGEST_TOLD = 120  # characters of what a library says of a file
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # in memory: another one on each rank
_ENCODINGS = {"S": "ascii", "U": "utf-32-le"}
_LARGEST_RATIO = 1 << 21  # for other compression methods


@dataclass(frozen=True)
class Stored:
    """An array in a file: its header, and its entries on demand.

    Parameters
    ----------
    where, kind
        Its name in messages, and the expected kind of file.
    opened
        Opens the file for reading from its first byte.
    offset
        Bytes before the first entry.
    """

    where: str
    kind: str
    opened: Callable[[], IO[bytes]]
    offset: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, where: str, kind: str, opened: Callable[[], IO[bytes]], length: int) -> Stored:
        """Return the array in a file of `length` bytes.

        Raises
        ------
        InputError
            For an invalid header, or one that implies a different number of bytes.
        """
        with _sound(where, kind), opened() as file:
            start = BytesIO(file.read(_LONGEST_HEADER))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about unusual headers, which are checked below
                version = npy.read_magic(start)
                if version not in _VERSIONS:
                    raise ValueError(f"version {version[0]}.{version[1]} of the format is unknown")
                read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, fortran, dtype = read_header(start)
            if any(isinstance(side, bool) or side < 0 for side in shape):
                raise ValueError(f"its header says that its shape is {shape}")
        if dtype.hasobject:
            raise InputError(f"{where}: it contains Python objects, which are never loaded")
        array = cls(where, kind, opened, start.tell(), shape, bool(fortran), dtype)
        promised, there = array.offset + math.prod(shape) * dtype.itemsize, length
        if promised > there:
            raise InputError(
                f"{where}: cut short: its header promises {promised:,} bytes, and there are {there:,}; fetch or write "
                "the file again"
            )
        if promised < there:
            raise InputError(f"{where}: damaged: its header promises {promised:,} bytes, and there are {there:,}")
        return array

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return entries `start` to `stop` (default: the last) along the first axis; without axes, everything.

        Other entries are not read.

        Raises
        ------
        InputError
            If they do not fit into memory, or cannot be read.
        """
        sides, n = self.shape[1:], self.shape[0] if self.shape else 1
        stop = n if stop is None else stop
        rows = stop - start
        entries = rows * math.prod(sides)
        itemsize = self.dtype.itemsize
        ask(entries * (itemsize + DOUBLE * (self.dtype.kind in "iub")), f"{self.where}: its {entries:,} entries")
        with _sound(self.where, self.kind), self.opened() as file:
            # The process with the last rows reads to the end, so that the checksum of an archive's member is verified.
            to_the_end = stop == n
            forward = partial(read_over if to_the_end else _seek_on, file)
            forward(self.offset)
            if not self.fortran or len(self.shape) < 2:
                forward(start * math.prod(sides) * itemsize)
                own = self._array(read(file, entries * itemsize), (rows, *sides) if self.shape else ())
            else:
                columns = bytearray()
                for _ in range(math.prod(sides)):  # the first axis varies fastest
                    forward(start * itemsize)
                    columns += read(file, rows * itemsize)
                    forward((n - stop) * itemsize)
                own = np.ascontiguousarray(self._array(columns, (*reversed(sides), rows)).T)
            if to_the_end:
                file.read(1)
            return own

    def _array(self, content: bytearray, shape: tuple[int, ...]) -> NDArray[Any]:
        if len(content) < math.prod(shape) * self.dtype.itemsize:
            raise EOFError
        return np.frombuffer(content, dtype=self.dtype).reshape(shape)


def _seek_on(file: IO[bytes], count: int) -> None:
    file.seek(count, 1)


def word(where: str, array: NDArray[Any]) -> str:
    """Return the text in an array without axes.

    Raises
    ------
    InputError
        If it contains anything else, or characters that cannot be printed.
    """
    if array.dtype.kind not in "SU" or array.ndim:
        raise InputError(f"{where}: expected a text, got {array.dtype} of shape {array.shape}")
    try:  # not by numpy, which accepts any four bytes as a character
        text = array.astype(array.dtype.newbyteorder("<")).tobytes().decode(_ENCODINGS[array.dtype.kind]).rstrip("\0")
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise InputError(f"{where}: expected a text, got invalid characters")
    return text


def stored_array(path: Path) -> Stored:
    """Return the array in an `.npy` file.

    Raises
    ------
    InputError
        For a damaged file.
    OSError
        If the file can't be opened or read.
    """
    return Stored.of(f"{path}", ".npy file", partial(open_file, path), path.stat().st_size)


class Archive:
    """An open `.npz` file.

    Raises
    ------
    InputError
        For a file that is none.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self._path, self._file = path, file
        self._names = {name.removesuffix(".npy"): name for name in file.namelist()}
        self._all = [name.removesuffix(".npy") for name in file.namelist()]

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names, without ".npy", in alphabetical order."""
        return tuple(sorted(self._names))

    def in_words(self) -> str:
        """Return a list of the members for messages."""
        return ", ".join(map(_shown, self.names)) or "nothing"

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def member(self, name: str) -> Stored:
        """Return the array with this name, which must exist.

        Raises
        ------
        InputError
            For a damaged member.
        """
        where = f"{self._path}: {_shown(name)}"
        if (count := self._all.count(name)) > 1:
            raise InputError(f"{where}: {count} members have this name; write the file again with one of them")
        info = self._file.getinfo(self._names[name])
        most = info.compress_size * _LARGEST_RATIOS.get(info.compress_type, _LARGEST_RATIO)
        if info.file_size > most or info.compress_size > self._path.stat().st_size:
            raise InputError(f"{where}: damaged: it cannot hold the {info.file_size:,} bytes that the archive says")
        return Stored.of(where, "array", lambda: self._file.open(info), info.file_size)


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


@contextmanager
def archive(path: Path) -> Iterator[Archive]:
    """Open an `.npz` file.

    Raises
    ------
    InputError
        For a file that is none.
    OSError
        If the file can't be opened.
    """
    with open_file(path) as file:
        with _sound(f"{path}", ".npz file"):
            members = Archive(path, zipfile.ZipFile(file))
        yield members


@contextmanager
def _sound(where: str, kind: str) -> Iterator[None]:
    """Convert exceptions of numpy, zipfile and the decompressors for a damaged file to a one-line error.

    They raise many types: ValueError, TypeError, OverflowError, TokenError, BadZipFile, zlib.error, ...
    """
    try:
        yield
    except InputError:
        raise
    except EOFError:
        raise InputError(f"{where}: cut short: it ends too early; fetch or write the file again") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, EINVAL):
            raise
        told = "".join(each if each.isprintable() else " " for each in f"{error}") or type(error).__name__
        told = _ADDRESS.sub("", " ".join(told.split()))
        told = told if len(told) <= _LONGEST_TOLD else f"{told[:_LONGEST_TOLD]}..."
        raise InputError(f"{where}: not a valid {kind}: {told}") from None
