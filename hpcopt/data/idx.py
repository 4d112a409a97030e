"""IDX files, the format of MNIST: images in one file, their labels in another, plain or compressed.

    00 00 | type of the entries | number of dimensions | their sizes, 4 bytes each | the entries, last dimension fastest

All numbers are big-endian (Y. LeCun, "The MNIST database of handwritten digits"). An image becomes a row: all
dimensions but the first are flattened. A process seeks to its rows, or decompresses up to them; until all are read, it
stores them as in the file (one byte per pixel).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.capacity import DOUBLE, ask
from hpcopt.data.faults import not_finite, raise_first, same_for_all
from hpcopt.data.opening import compressed, longest_content, opened, skip, telling
from hpcopt.data.table import Part, Table, as_floats, contiguous
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Group
from hpcopt.files import read

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

MOST_DIMENSIONS = 32

_NAMED = re.compile(r"[.-]idx\d")


def is_idx(path: Path) -> bool:
    """Return whether the file is an IDX file, by its name or because it starts with two zero bytes (no text does)."""
    if _NAMED.search(path.name):
        return True
    with telling(path), opened(path) as file:
        return bool(file.read(2) == b"\0\0")


def named_as_labels(images: Path) -> Path:
    """Return MNIST's name of the labels' file for a file of images.

    For `train-images-idx3-ubyte.gz` this is `train-labels-idx1-ubyte.gz`.
    """
    return images.with_name(re.sub(r"idx\d", "idx1", images.name.replace("images", "labels")))


def labels_beside(images: Path, group: Group) -> Path | None:
    """Return the labels' file of a file of images, if it has MNIST's name; None if no process sees one.

    Collective.
    """
    beside = named_as_labels(images)
    seen = group.max(np.array([float(beside != images and beside.is_file())]))
    return beside if seen[0] else None


def read_idx(path: Path, labels: Path | None, group: Group, *, rows: int | None = None) -> Part:
    """Read this process's rows of a file of images and of its file of labels, if there is one. Collective.

    Parameters
    ----------
    rows
        Use only this number of first rows.

    Raises
    ------
    AgreedError
        For a file that is not in this format, is cut short or has data after its end; for a number of labels that
        differs from the rows; for NaN or infinity.
    """
    with same_for_all(group):
        with _entries(path) as images:
            n = _rows(images)
            total = n if rows is None else min(rows, n)
            start, stop = contiguous(total, group.rank, group.size)
            X = images.between(start, stop)
        y = None if labels is None else _labels(labels, path, n, start, stop)
    part = Part(Table(X.reshape(stop - start, math.prod(images.shape[1:])), y), np.arange(start, stop), total)
    raise_first(group, not_finite(part, str(path)))
    return part


@dataclass(frozen=True)
class _Entries:
    """An open file, positioned after its header."""

    path: Path
    file: Any  # binary, open
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Return the entries `start` to `stop` along the first dimension, flattened and as floating-point numbers."""
        entries = math.prod(self.shape[1:])
        row_bytes = self.dtype.itemsize * entries
        ask((stop - start) * (row_bytes + entries * DOUBLE), f"{self.path}: its {_by(self.shape)} entries")
        skip(self.path, self.file, start * row_bytes)
        content = read(self.file, (stop - start) * row_bytes)
        self._compare(len(content), (stop - start) * row_bytes)
        if stop == self.shape[0]:
            self._compare(len(self.file.read(1)), 0)
        return as_floats(np.frombuffer(content, self.dtype), str(self.path))

    def check_length(self) -> None:
        """Raise an error if the header contradicts the file's length, before memory is allocated.

        The length of a compressed file's contents is known only after reading it to its end.
        """
        promised = self.dtype.itemsize * math.prod(self.shape)
        if compressed(self.path):
            self._compare(min(longest_content(self.path), promised), promised)
        else:
            self._compare(self.path.stat().st_size - self.file.tell(), promised)

    def _compare(self, found: int, promised: int) -> None:
        """Raise an error for more or fewer bytes than the header declares."""
        if found < promised:
            raise InputError(f"{self.path}: cut short: its header promises {_by(self.shape)} entries; fetch it again")
        if found > promised:
            raise InputError(f"{self.path}: damaged: there are data after the {_by(self.shape)} entries of its header")


@contextmanager
def _entries(path: Path) -> Iterator[_Entries]:
    """Open a file and read its header."""
    with telling(path), opened(path) as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= MOST_DIMENSIONS:
            known = ", ".join(f"{code:02x}" for code in TYPES)
            raise InputError(
                f"{path}: not an IDX file: it starts with {magic.hex(' ') or 'nothing'}; expected 00 00, a type "
                f"({known}) and the number of dimensions, 1 to {MOST_DIMENSIONS}"
            )
        sizes = file.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise InputError(f"{path}: cut short: it ends in its header; fetch it again")
        entries = _Entries(path, file, np.dtype(TYPES[magic[2]]), tuple(np.frombuffer(sizes, ">u4").tolist()))
        entries.check_length()
        yield entries


def _rows(images: _Entries) -> int:
    """Return the number of rows of a file of images."""
    if len(images.shape) < 2:
        raise InputError(
            f"{images.path}: {_dimensions(images.shape)}, as labels have; give the file of the images here, and that "
            "of the labels as data.labels (or data.test_labels)"
        )
    return images.shape[0]


def _labels(path: Path, images: Path, n: int, start: int, stop: int) -> NDArray[np.float64]:
    """Return the labels of rows `start` to `stop` of `n` images."""
    with _entries(path) as labels:
        if len(labels.shape) != 1:
            raise InputError(f"{path}: {_dimensions(labels.shape)}; a file of labels has one")
        if labels.shape[0] != n:
            raise InputError(f"{path}: {labels.shape[0]} labels, but {images} has {n} rows; give the file that fits it")
        return labels.between(start, stop).astype(np.float64, copy=False)


def _dimensions(shape: tuple[int, ...]) -> str:
    return f"{len(shape)} dimension{'s' * (len(shape) > 1)} ({_by(shape)})"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
