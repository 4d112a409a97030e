"""Text files cut into chunks of whole lines, dealt to the processes in turn.

    plain        process r seeks to its chunks r, r + size, ... and reads nothing else
    compressed   every process runs through the stream, chunk by chunk, and keeps its own

A chunk ends at a line's end. Where the cuts fall has no influence on the rows' numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hpcopt.data.opening import compressed, opened, telling

PLAIN_BYTES = 4 << 20  # at most: a small file is cut into one chunk a process
COMPRESSED_BYTES = 1 << 19  # smaller, as the length of the text is unknown and every process should get some


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file: the chunk's index, the byte of the (decompressed) text it starts at, and its text."""

    index: int
    offset: int
    text: bytes


def own_chunks(path: Path, rank: int, size: int, chunk_bytes: int | None = None) -> Iterator[Chunk]:
    """Yield the chunks of the text file `path` whose index is `rank` modulo `size`, in order.

    Parameters
    ----------
    chunk_bytes
        About how long a chunk is; default `PLAIN_BYTES` or `COMPRESSED_BYTES`.

    Raises
    ------
    InputError
        When a compressed file is cut short, damaged or not compressed.
    OSError
        When the file can't be opened or read.
    """
    with telling(path):
        if compressed(path):
            yield from _compressed(path, rank, size, chunk_bytes or COMPRESSED_BYTES)
        else:
            yield from _plain(path, rank, size, chunk_bytes or PLAIN_BYTES)


def lines_before(path: Path, offset: int) -> int:
    """Return how many lines of the text file `path` end before byte `offset` of its (decompressed) text."""
    lines = 0
    with telling(path), opened(path) as file:
        while offset > 0 and (text := file.read(min(offset, PLAIN_BYTES))):
            lines += text.count(b"\n")
            offset -= len(text)
    return lines


def _plain(path: Path, rank: int, size: int, chunk_bytes: int) -> Iterator[Chunk]:
    """Yield own chunks by seeking: chunk i holds the lines that start in bytes [i step, (i + 1) step)."""
    with path.open("rb") as file:
        length = file.seek(0, 2)
        step = max(1, min(chunk_bytes, -(-length // size)))
        for index in range(rank, -(-length // step), size):
            start = _line_start(file, index * step)
            stop = _line_start(file, min((index + 1) * step, length))
            file.seek(start)
            yield Chunk(index, start, file.read(stop - start))


def _line_start(file: BinaryIO, offset: int) -> int:
    """Return the first byte at or after `offset` that starts a line."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    file.readline()
    return file.tell()


def _compressed(path: Path, rank: int, size: int, chunk_bytes: int) -> Iterator[Chunk]:
    """Yield own chunks of a stream that all processes decompress."""
    with opened(path) as file:
        index = offset = 0
        while text := file.read(chunk_bytes):
            text += file.readline()
            if index % size == rank:
                yield Chunk(index, offset, text)
            index += 1
            offset += len(text)
