"""LIBSVM / SVMlight text, plain or compressed: each process parses its chunks and knows its rows' numbers.

scikit-learn parses the text. Only if it fails, or if its result may differ from the text, are the lines examined one by
one, to report which line is wrong and what would be right. If only the first rows are used, later lines are ignored:
they count neither for the columns nor as faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from hpcopt.capacity import ask, ask_for_model, largest_model
from hpcopt.data.chunks import Chunk, lines_before, own_chunks
from hpcopt.data.faults import Fault, raise_first
from hpcopt.data.hashed import Hashed
from hpcopt.data.lines import INTEGER, NOTHING, SHOWN_BYTES, Piece, Syntax, shown, wrong_number
from hpcopt.data.table import LARGEST_INT32, Numbering, Part, RowNumbers, Table, csr
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group


def read_libsvm(
    path: Path,
    group: Group,
    *,
    rows: int | None = None,
    hash_bits: int | None = None,
    chunk_bytes: int | None = None,
) -> Part:
    """Read this process's rows of a LIBSVM text file. Collective.

    Parameters
    ----------
    path
        The file; `.gz`, `.bz2` and `.xz` are decompressed.
    group
        The processes that share the reading.
    rows
        Use only this number of first rows; later lines are ignored.
    hash_bits
        Hash the features, which may be names, into 2**hash_bits columns; see `data.hashed`.
    chunk_bytes
        Approximate amount of text parsed at a time.

    Returns
    -------
    Part
        CSR rows, with column numbers as in the file (see `features.settle`) unless they are hashed.

    Raises
    ------
    AgreedError
        On all processes: for the first invalid line, a damaged or unreadable file, a file without rows, an index too
        large, or too many rows, for the memory.
    """
    syntax: Syntax = _Indexed() if hash_bits is None else Hashed(hash_bits)
    stream = own_chunks(path, group.rank, group.size, chunk_bytes)
    pieces: list[Piece] = [NOTHING]
    numbers: list[RowNumbers] = [np.zeros(0, dtype=np.int64)]
    total = 0
    while True:
        new: list[Piece] = []
        with agreed(group):
            new.extend(_parse(path, syntax, islice(stream, None if rows is None else 1)))
        lengths = [len(piece.labels) for piece in new]
        first = total + _first_rows(group, lengths)
        # A process stops at a fault; after the used rows, a fault is ignored.
        faults = [Fault(p.place, p.fault) for p in new if p.fault and (rows is None or first[-1] + lengths[-1] < rows)]
        raise_first(group, faults[0] if faults else None)
        pieces += new
        numbers += [start + np.arange(length) for start, length in zip(first, lengths, strict=True)]
        read, chunks = group.sum(np.array([sum(len(p.labels) for p in new), len(new)], dtype=np.float64))
        total += int(read)
        if rows is None or chunks == 0 or total >= rows:
            break
    if total == 0:
        raise AgreedError(f"{path}: no rows in it")
    used = total if rows is None else min(total, rows)
    return _assemble(group, pieces, np.concatenate(numbers), used, syntax.width)


def _parse(path: Path, syntax: Syntax, chunks: Iterator[Chunk]) -> Iterator[Piece]:
    """Yield the rows of each chunk, up to the first fault."""
    held = 0
    for chunk in chunks:
        piece = _parsed(path, syntax, chunk)
        held += piece.nbytes
        ask(held, f"{path}: its rows so far, put together,")  # in addition to the pieces, which are kept until then
        yield piece
        if piece.fault:
            return


def _parsed(path: Path, syntax: Syntax, chunk: Chunk) -> Piece:
    """Return the rows of a chunk, up to its first bad line if it has one."""
    try:
        piece = syntax.rows_of(chunk.text)
    except (ValueError, OverflowError) as error:
        refused = f"{path}, after line {lines_before(path, chunk.offset)}: {error}"
        piece, suspicious = replace(NOTHING, fault=refused), True
    else:
        piece, suspicious = replace(piece, fault=chunk.fault), syntax.suspicious(chunk.text, piece)
    piece = replace(piece, place=chunk.index)
    return _up_to_the_fault(path, syntax, chunk, piece) if suspicious else piece


def _up_to_the_fault(path: Path, syntax: Syntax, chunk: Chunk, otherwise: Piece) -> Piece:
    """Return the rows before the first invalid line of a chunk, with its fault; `otherwise` if all are valid."""
    wrong_with, end = syntax.line_check(), 0
    for i, line in enumerate(BytesIO(chunk.text), start=1):
        message = wrong_with(line)
        if message:
            fault = f"{path}, line {lines_before(path, chunk.offset) + i}: {message}"
            return replace(syntax.rows_of(chunk.text[:end]), fault=fault, place=chunk.index)
        end += len(line)
    return otherwise


def _assemble(group: Group, pieces: Sequence[Piece], numbers: RowNumbers, total: int, width: int | None) -> Part:
    """Concatenate this process's rows with numbers below `total`; by default the columns are those that these use."""
    indices = [p.indices for p in pieces]
    found = 1 + max(int(columns.max(initial=-1)) for columns in indices)
    X = csr([p.data for p in pieces], indices, [p.lengths for p in pieces], width or found)
    table = Table(X, np.concatenate([p.labels for p in pieces]))
    wanted = numbers < total
    if not wanted.all():
        table, numbers = table.take(wanted), numbers[wanted]
    if width is not None:
        return Part(table, numbers, total)
    columns = table.X.indices
    low, high = int(columns.min(initial=LARGEST_INT32)), int(columns.max(initial=-1))
    minus_low, high_anywhere = group.max(np.array([-low, high], dtype=np.float64))
    numbering = Numbering(int(-minus_low), int(high_anywhere))
    X = csr_array((table.X.data, columns, table.X.indptr), shape=(table.n, numbering.largest + 1))
    return Part(replace(table, X=X), numbers, total, numbering)


def _first_rows(group: Group, lengths: Sequence[int]) -> RowNumbers:
    """Return the number of the first row in each of this process's chunks, given their numbers of rows. Collective.

    A process that stopped at a fault has fewer chunks than others; the numbers are correct up to the first fault.
    """
    counts = group.allgather(np.array(lengths, dtype=np.int64))
    by_chunk = np.zeros(group.size * max(map(len, counts)), dtype=np.int64)
    for rank, count in enumerate(counts):
        by_chunk[rank :: group.size][: len(count)] = count  # process r's k-th chunk is chunk r + k size
    return (np.cumsum(by_chunk) - by_chunk)[group.rank :: group.size][: len(lengths)]


class _Indexed:
    """The syntax of numbered features, `index:value`, parsed by scikit-learn."""

    width = None

    def rows_of(self, text: bytes) -> Piece:
        from sklearn.datasets import load_svmlight_file

        X, labels = load_svmlight_file(BytesIO(text), zero_based=True)
        return Piece(X.data, X.indices.astype(np.int32), np.diff(X.indptr).astype(np.int64), labels)

    def suspicious(self, text: bytes, piece: Piece) -> bool:
        return piece.inexact or b"_" in text or bool(_too_wide(int(piece.indices.max(initial=0))))

    def line_check(self) -> Callable[[bytes], str]:
        return partial(_wrong_with, widest=largest_model())


def _wrong_with(line: bytes, widest: int) -> str:
    """Return what is wrong with a line and what would be right; an empty string for a valid line.

    For indices above `widest`, the available memory is checked.
    """
    label, *entries = line.split(b"#", 1)[0].split() or [b"0"]
    wrong = wrong_number(label, "label")
    before = -1
    for i, entry in enumerate(entries):
        if wrong:
            break
        if i == 0 and entry.startswith(b"qid"):
            continue
        index, colon, value = entry.partition(b":")
        number = int(index) if INTEGER.fullmatch(index) and len(index) <= SHOWN_BYTES else None
        if not colon:
            wrong = f"{shown(entry)} is not of the form index:value"
            wrong += "" if INTEGER.fullmatch(entry) else "; names require data.hash_bits"
        elif number is None:
            wrong = f"feature index {shown(index)} is not an integer; names require data.hash_bits"
        elif not 0 <= number <= LARGEST_INT32:
            wrong = f"feature index {shown(index)} is out of range; expected 0 to {LARGEST_INT32}"
        elif number <= before:
            wrong = f"feature index {number} comes after {before}; indices must increase along a line"
        else:
            too_wide = _too_wide(number) if number > widest else ""
            wrong = too_wide or wrong_number(value, f"the value of feature {number}")
            before = number
    return wrong


def _too_wide(index: int) -> str:
    """Return why there is no memory for a feature with that index; an empty string if there is."""
    try:
        ask_for_model(index, f"feature index {index}")
    except InputError as error:
        return error.message
    return ""
