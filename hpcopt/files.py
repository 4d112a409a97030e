"""Atomic file writes, and reading of at most the bytes that exist."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

from hpcopt.interrupts import undoing

UNFINISHED = ".hpcopt-*.part"
"""The prefix of incomplete files; short, so that any valid file name can be written."""

PIECE_BYTES = 1 << 24  # read at a time, so that an unchecked size does not allocate memory


def open_file(path: Path) -> BinaryIO:
    """Return a file open for reading its bytes.

    Raises
    ------
    OSError
        When it can't be opened; for a pipe or a device, too, which may keep its reader waiting and, read by one
        process, is empty for the next.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.open("rb")


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file, see `open_file`; raises `UnicodeDecodeError` where it is none."""
    with open_file(path) as file, io.TextIOWrapper(file, encoding=encoding) as text:
        return text.read()


def read(file: IO[bytes], count: int) -> bytearray:
    """Return the next `count` bytes of a file, or fewer at its end; memory is allocated only for existing bytes."""
    content = bytearray()
    while len(content) < count and (piece := file.read(min(count - len(content), PIECE_BYTES))):
        content += piece
    return content


def read_over(file: IO[bytes], count: int) -> None:
    """Read and discard `count` bytes, at most to the file's end."""
    while count > 0 and (piece := file.read(min(count, PIECE_BYTES))):
        count -= len(piece)


@contextmanager
def written_whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open `path` for writing; a reader finds the old file or the complete new one on disk.

    Data are written to a hidden file next to it until all of them are on disk; an error leaves `path` unchanged. A link
    is kept, and its target is written.

    Parameters
    ----------
    mode
        "w" for text, which is UTF-8, "wb" for bytes. Bytes of a path that are no UTF-8 are escaped in text.

    Raises
    ------
    OSError
        With `path` as the file name, also for errors of the hidden file.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(UNFINISHED.replace("*", os.urandom(6).hex()))
    remove = partial(unfinished.unlink, missing_ok=True)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    try:
        with undoing(remove), unfinished.open(mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            unfinished.replace(target)
    except OSError as error:
        if error.filename not in {None, str(unfinished)}:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            remove()
