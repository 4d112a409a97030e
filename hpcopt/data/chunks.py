"""Text files cut into chunks of whole lines, assigned to the processes in turn.

    plain        process r seeks to its chunks r, r + size, ... and reads nothing else
    compressed   every process decompresses the whole stream, chunk by chunk, and keeps its own chunks

A chunk ends at the end of a line. The positions of the cuts do not affect the row numbers. Faults of the file itself
belong to a chunk, too, so that one process reports them and the rows before them can be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hpcopt.data.listening import tell
from hpcopt.data.opening import compressed, opened, telling
from hpcopt.errors import InputError
from hpcopt.files import open_file

PLAIN_BYTES = 4 << 20  # maximum: a small file is cut into one chunk per process
COMPRESSED_BYTES = 1 << 19  # smaller, as the length of the text is unknown and every process should get a part
LONGEST_LINE = 64 << 20  # bytes; about a line of five million entries


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file.

    Parameters
    ----------
    index
        The chunk's number.
    offset
        The byte offset of its start in the (decompressed) text.
    text
        Its lines.
    fault
        The fault of the file after these lines; empty if there is none.
    """

    index: int
    offset: int
    text: bytes
    fault: str = ""


def own_chunks(path: Path, rank: int, size: int, chunk_bytes: int | None = None) -> Iterator[Chunk]:
    """Yield the chunks of the text file `path` whose index is `rank` modulo `size`, in order.

    If a compressed file is cut short, damaged or not compressed, or if a line is too long, the chunk at that place has
    a fault and is the last one.

    Parameters
    ----------
    chunk_bytes
        Approximate length of a chunk; default: `PLAIN_BYTES` or `COMPRESSED_BYTES`.

    Raises
    ------
    OSError
        If the file can't be opened or read.
    """
    with telling(path):
        if compressed(path):
            yield from _compressed(path, rank, size, chunk_bytes or COMPRESSED_BYTES)
        else:
            yield from _plain(path, rank, size, chunk_bytes or PLAIN_BYTES)


def lines_before(path: Path, offset: int) -> int:
    """Return the number of lines of the text file `path` that end before byte `offset` of its (decompressed) text."""
    lines = 0
    with telling(path), opened(path) as file:
        while offset > 0 and (text := file.read(min(offset, COMPRESSED_BYTES))):
            lines += text.count(b"\n")
            offset -= len(text)
    return lines


def _plain(path: Path, rank: int, size: int, chunk_bytes: int) -> Iterator[Chunk]:
    """Yield own chunks by seeking: chunk i holds the lines that start in bytes [i step, (i + 1) step)."""
    with open_file(path) as file:
        length = file.seek(0, 2)
        step = max(1, min(chunk_bytes, -(-length // size)))
        for index in range(rank, -(-length // step), size):
            stop = min((index + 1) * step, length)
            start = _line_start(file, index * step, stop)
            file.seek(start)
            text = file.read(stop - start)
            tell(path, stop, length)
            yield _whole(path, file, index, start, text)


def _line_start(file: BinaryIO, offset: int, stop: int) -> int:
    """Return the first byte at or after `offset` that starts a line, or `stop` if there is none before it."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    file.readline(stop - offset + 1)
    return file.tell()


def _compressed(path: Path, rank: int, size: int, chunk_bytes: int) -> Iterator[Chunk]:
    """Yield this process's chunks of a stream that all processes decompress."""
    with opened(path) as file:
        index = offset = 0
        chunk = Chunk(-1, 0, b"")
        while not chunk.fault:
            try:
                text = file.read(chunk_bytes)
                if not text:
                    return
                chunk = _whole(path, file, index, offset, text)
            except InputError as error:
                chunk = Chunk(index, offset, b"", error.message)
            if index % size == rank:
                yield chunk
            index += 1
            offset += len(chunk.text)


def _whole(path: Path, file: Any, index: int, offset: int, text: bytes) -> Chunk:
    """Return the chunk that begins with `text`, extended by the rest of its last line from `file`."""
    begun = len(text) - (text.rfind(b"\n") + 1)
    if begun == 0:
        return Chunk(index, offset, text)
    rest = file.readline(LONGEST_LINE - begun + 1)
    if begun + len(rest) <= LONGEST_LINE:
        return Chunk(index, offset, text + rest)
    lines = text[: len(text) - begun]
    number = lines_before(path, offset) + lines.count(b"\n") + 1
    return Chunk(index, offset, lines, f"{path}, line {number}: longer than {LONGEST_LINE >> 20} MiB (is this text?)")
