"""Files written whole or not at all, whatever interrupts the writing, and read as far as there is anything."""

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
"""What files that are not yet whole are called; short, so that any name that a folder takes can be written."""

PIECE_BYTES = 1 << 24  # read at a time, so that a size that nobody has checked asks for no memory


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
    """Return the next `count` bytes of a file, or what is left; memory is taken only for bytes that there are."""
    content = bytearray()
    while len(content) < count and (piece := file.read(min(count - len(content), PIECE_BYTES))):
        content += piece
    return content


def read_over(file: IO[bytes], count: int) -> None:
    """Go on by `count` bytes, at most to the file's end, looking at all of them."""
    while count > 0 and (piece := file.read(min(count, PIECE_BYTES))):
        count -= len(piece)


@contextmanager
def written_whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open `path` for writing; a reader finds the old file or the new one on the disk, never a half.

    What is written stands in a hidden file beside it until all of it is on the disk; an error leaves `path` alone. A
    link stays one, and the file that it leads to is the one that is written.

    Parameters
    ----------
    mode
        "w" for text, which is UTF-8, "wb" for bytes.

    Raises
    ------
    OSError
        With `path` as the file's name, whichever file it was about.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(UNFINISHED.replace("*", os.urandom(6).hex()))
    remove = partial(unfinished.unlink, missing_ok=True)
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    try:
        with undoing(remove), unfinished.open(mode, encoding=encoding, newline=newline) as file:
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
