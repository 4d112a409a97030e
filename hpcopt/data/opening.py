"""Opens files, plain or compressed according to their names, and reads them no further than needed.

A compressed file consists of consecutive streams, possibly followed by zero bytes. Anything else after a stream is
damage and is reported with its place; Python's own bz2 and xz files would treat it as the end.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.data.listening import tell
from hpcopt.errors import InputError
from hpcopt.files import open_file, read_over

_BLOCK = 1 << 16  # bytes of a compressed file processed together
_DICTIONARY = 1 << 30  # most bytes that the decompression of a stream may need; xz -9 needs 65 MB


class _Gzip:
    """zlib's decompressor of a gzip stream, with the interface of those of bz2 and xz."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)  # gzip header and checksum

    def decompress(self, block: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + block, most)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": _Gzip,
    ".bz2": bz2.BZ2Decompressor,
    ".xz": partial(lzma.LZMADecompressor, memlimit=_DICTIONARY),
}
_LARGEST_RATIOS = {".gz": 1 << 11, ".bz2": 1 << 21, ".xz": 1 << 14}  # of the content's length to the file's
_BEGINNINGS = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0"}  # of a stream
_OTHERS = {
    **{
        start: f"{suffix[1:]}-compressed, but its name does not end in {suffix}"
        for suffix, start in _BEGINNINGS.items()
    },
    b"PK\x03\x04": "a zip archive; numpy's end in .npz, of others unpack the file",
    b"\x28\xb5\x2f\xfd": "zstd-compressed, which is not read; decompress it",
}


def compressed(path: Path) -> bool:
    """Return whether the file is compressed, by its name."""
    return path.suffix in _DECOMPRESSORS


def misnamed(path: Path) -> str:
    """Return what the first bytes of a file say that its name does not: that it is compressed; else ""."""
    with telling(path), open_file(path) as file:
        begun = file.read(max(map(len, _OTHERS)))
    return next((words for start, words in _OTHERS.items() if begun.startswith(start) and not compressed(path)), "")


def longest_content(path: Path) -> int:
    """Return an upper bound on the number of (decompressed) bytes of the file."""
    return path.stat().st_size * _LARGEST_RATIOS.get(path.suffix, 1)


def opened(path: Path) -> Any:
    """Open the file for reading its (decompressed) bytes.

    Reading raises an InputError, with the file and the place, if a compressed file is cut short or damaged.
    """
    if not compressed(path):
        return open_file(path)
    return io.BufferedReader(_Streams(path), _BLOCK)


def skip(path: Path, file: Any, count: int) -> None:
    """Skip `count` bytes of the file that `opened` returned for `path`, at most to its end."""
    if compressed(path):
        read_over(file, count)
    else:
        file.seek(count, 1)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Add the file's name to system errors.

    Raises
    ------
    OSError
        If the file can't be opened or read.
    """
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


class _Streams(io.RawIOBase):
    """The decompressed bytes of all streams of a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._kind = path, path.suffix[1:]
        self._new = _DECOMPRESSORS[path.suffix]
        self._file = open_file(path)
        self._length = path.stat().st_size
        self._stream: Any = None  # the decompressor of the current stream
        self._ended = 0  # number of complete streams so far
        self._left = b""  # read but not yet processed
        self._looked_at = 0  # bytes of the previous block

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the next bytes, perhaps partly; return their number, 0 at the end of the file."""
        while self._stream is not None or self._begins():
            content = self._decompressed(len(buffer))
            if self._stream.eof:
                self._left, self._stream = self._stream.unused_data, None
                self._ended += 1
            if content:
                buffer[: len(content)] = content
                return len(content)
        return 0

    def _begins(self) -> bool:
        """Start the next stream, skipping zero bytes before any but the first; return whether there is one."""
        if self._ended:
            self._left = self._left.lstrip(b"\0")
            while not self._left:
                block = self._file.read(_BLOCK)
                if not block:
                    return False
                self._left = block.lstrip(b"\0")
            start = _BEGINNINGS[self._path.suffix]
            self._left += self._file.read(len(start))  # a block may end inside these bytes
            if not self._left.startswith(start):
                self._looked_at = len(self._left)
                raise self._damaged()
        self._stream = self._new()
        return True

    def _decompressed(self, most: int) -> bytes:
        """Return at most `most` of the current stream's next bytes, possibly none yet."""
        block = b""
        if self._stream.needs_input:
            block, self._left = self._left or self._file.read(_BLOCK), b""
            if not block:
                raise InputError(
                    f"{self._path}: cut short: the {self._kind} stream stops before its end; fetch the file again"
                )
            self._looked_at = len(block)
            tell(self._path, self._file.tell(), self._length)
        try:
            content: bytes = self._stream.decompress(block, most)
        except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError) as error:
            if "Memory usage limit" in str(error):
                raise InputError(
                    f"{self._path}: takes more than {_DICTIONARY >> 20} MiB to be decompressed; compress it again"
                ) from None
            raise self._damaged() from None
        return content

    def _damaged(self) -> InputError:
        """Return the error for a damaged file, with the place of the block in which the damage was found."""
        end = self._file.tell()
        self._file.seek(0)
        start = _BEGINNINGS[self._path.suffix]
        if self._file.read(len(start)) != start:
            return InputError(f"{self._path}: damaged, or not {self._kind}-compressed as its name says")
        behind = f" (after {self._ended} {self._kind} stream{'s' * (self._ended > 1)})" if self._ended else ""
        where = f"between the bytes {end - self._looked_at:,} and {end:,} of {self._file.seek(0, 2):,}"
        return InputError(f"{self._path}: damaged {where}{behind}; fetch the file again")
