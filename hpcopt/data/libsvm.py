"""LIBSVM / SVMlight text, plain or compressed: each process parses its chunks, all know every row's number.

scikit-learn parses; only when it refuses (or a number is not finite) are the lines gone through one by one to
tell a person which line is wrong and what would be right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.chunks import Chunk, lines_before, own_chunks
from hpcopt.data.faults import Fault, raise_first
from hpcopt.data.table import LARGEST_INT32, Numbering, Part, RowNumbers, Table, csr
from hpcopt.errors import AgreedError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group

SHOWN_BYTES = 24  # of a bad token in a message


@dataclass(frozen=True)
class _Piece:
    """The rows of one chunk: values, columns as written, entries a row, labels."""

    data: NDArray[np.float64]
    indices: NDArray[np.int32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.float64]


_NOTHING = _Piece(np.zeros(0), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), np.zeros(0))


def read_libsvm(path: Path, group: Group, *, rows: int | None = None, chunk_bytes: int | None = None) -> Part:
    """Read this process's rows of a LIBSVM text file. Collective.

    Parameters
    ----------
    path
        The file; `.gz`, `.bz2` and `.xz` are decompressed on the way.
    group
        The processes that share the reading.
    rows
        Use only so many first rows; the lines after them may or may not be looked at.
    chunk_bytes
        About how much text is parsed at a time.

    Returns
    -------
    Part
        With CSR rows whose columns carry the numbers of the file (see `features.settle`).

    Raises
    ------
    AgreedError
        On all processes: the first bad line, a damaged or unreadable file, a file without rows.
    """
    stream = own_chunks(path, group.rank, group.size, chunk_bytes)
    pieces: list[_Piece] = []
    total = 0
    while True:
        parsed: list[_Piece | Fault] = []
        with agreed(group):
            parsed.extend(_parse(path, islice(stream, None if rows is None else 1)))
        raise_first(group, next((p for p in parsed if isinstance(p, Fault)), None))
        new = [p for p in parsed if isinstance(p, _Piece)]
        pieces += new
        read, chunks = group.sum(np.array([sum(len(p.labels) for p in new), len(new)], dtype=np.float64))
        total += int(read)
        if rows is None or chunks == 0 or total >= rows:
            break
    if total == 0:
        raise AgreedError(f"{path}: no rows in it")
    return _assemble(group, pieces, total if rows is None else min(total, rows))


def _parse(path: Path, chunks: Iterator[Chunk]) -> Iterator[_Piece | Fault]:
    """Yield the rows of each chunk; at the first fault yield that and stop."""
    from sklearn.datasets import load_svmlight_file

    for chunk in chunks:
        try:
            X, labels = load_svmlight_file(BytesIO(chunk.text), zero_based=True)
        except (ValueError, OverflowError) as error:
            yield _find_fault(path, chunk, str(error))
            return
        if not (np.isfinite(X.data).all() and np.isfinite(labels).all()):
            yield _find_fault(path, chunk, "a number is not finite")
            return
        yield _Piece(X.data, X.indices.astype(np.int32), np.diff(X.indptr).astype(np.int64), labels)


def _assemble(group: Group, pieces: Sequence[_Piece], total: int) -> Part:
    """Put this process's chunks together and number its rows, keeping those with a number below `total`."""
    numbers = _row_numbers(group, [len(p.labels) for p in pieces])
    used = [p.indices for p in pieces if p.indices.size]
    low = min((int(u.min()) for u in used), default=LARGEST_INT32)
    high = max((int(u.max()) for u in used), default=-1)
    minus_low, high_anywhere = group.max(np.array([-low, high], dtype=np.float64))
    numbering = Numbering(int(-minus_low), int(high_anywhere))
    rows = [*pieces, _NOTHING]
    X = csr([p.data for p in rows], [p.indices for p in rows], [p.lengths for p in rows], numbering.largest + 1)
    table = Table(X, np.concatenate([p.labels for p in rows]))
    wanted = numbers < total
    if wanted.all():
        return Part(table, numbers, total, numbering)
    return Part(table.take(wanted), numbers[wanted], total, numbering)


def _row_numbers(group: Group, lengths: Sequence[int]) -> RowNumbers:
    """Return the numbers in the file of this process's rows, given the number of rows in each of its chunks."""
    counts = group.allgather(np.array(lengths, dtype=np.int64))
    by_chunk = np.zeros(group.size * max(map(len, counts)), dtype=np.int64)
    for rank, count in enumerate(counts):
        by_chunk[rank :: group.size][: len(count)] = count  # process r's k-th chunk is chunk r + k size
    first = (np.cumsum(by_chunk) - by_chunk)[group.rank :: group.size]
    runs = [start + np.arange(length, dtype=np.int64) for start, length in zip(first, lengths, strict=False)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *runs])


def _find_fault(path: Path, chunk: Chunk, parser_says: str) -> Fault:
    """Return the first bad line of a chunk that the parser refused."""
    before = lines_before(path, chunk.offset)
    for i, line in enumerate(chunk.text.split(b"\n"), start=1):
        message = _wrong_with(line)
        if message:
            return Fault(before + i, f"{path}, line {before + i}: {message}")
    return Fault(before + 1, f"{path}, after line {before}: {parser_says}")


def _wrong_with(line: bytes) -> str:
    """Return what is wrong with a line and what would be right; an empty string for a good one."""
    label, *entries = line.split(b"#", 1)[0].split() or [b"0"]
    wrong = _wrong_number(label, "label")
    before = -1
    for i, entry in enumerate(entries):
        if wrong:
            break
        if i == 0 and entry.startswith(b"qid"):
            continue
        index, colon, value = entry.partition(b":")
        number = _integer(index)
        if not colon:
            wrong = f"{_shown(entry)} is not of the form index:value"
        elif number is None:
            wrong = f"feature index {_shown(index)} is not an integer"
        elif not 0 <= number <= LARGEST_INT32:
            wrong = f"feature index {_shown(index)} is out of range; 0 to {LARGEST_INT32} are right"
        elif number <= before:
            wrong = f"feature index {number} comes after {before}; indices must increase along a line"
        else:
            wrong = _wrong_number(value, f"the value of feature {number}")
            before = number
    return wrong


def _wrong_number(text: bytes, what: str) -> str:
    """Return what is wrong with a number, an empty string where nothing is."""
    try:
        finite = math.isfinite(float(text))
    except ValueError:
        return f"{what} {_shown(text)} is not a number" + (" (is this LIBSVM text?)" if what == "label" else "")
    return "" if finite else f"{what} is {_shown(text)}; only finite numbers can be used"


def _integer(text: bytes) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _shown(text: bytes) -> str:
    """Return a token as it can be shown: quoted, printable, cut to a readable length."""
    start = ascii(text[:SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return start if len(text) <= SHOWN_BYTES else f"{start}..."
