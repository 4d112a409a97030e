"""LIBSVM text with names instead of numbers: each feature is hashed into one of 2**bits columns, with a sign.

    +1 price:2.5 red 17:0.3

A name is any text without spaces, `#` and `|`, as it is written: 7 and 07 are two names. Without `:value` its value is
1. Features of a row that meet in a column are summed, in the order of the line. The vocabulary need not be known, and
nothing about it is exchanged between processes: see `hpcopt.kernels.hashing` for the hash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from msgspec import Meta

from hpcopt.data.lines import NOTHING, Piece, shown, wrong_number

MOST_BITS = 30
HashBits = Annotated[int, Meta(ge=1, le=MOST_BITS)]

_SPACES = b" \t\n\v\f\r"


@dataclass(frozen=True)
class Hashed:
    """The syntax of named features.

    Parameters
    ----------
    bits
        The number of columns is 2**bits; between 1 and `MOST_BITS`.
    """

    bits: int

    @property
    def width(self) -> int:
        """Number of features."""
        return int(2**self.bits)

    def rows_of(self, text: bytes) -> Piece:
        """Return the rows in `text`, sorted by column; see `Syntax.rows_of`."""
        if not text:
            return NOTHING
        from hpcopt.kernels.cache import compile_safely  # numba, which other rows do without

        return compile_safely(partial(self._scanned, text))

    def _scanned(self, text: bytes) -> Piece:
        from hpcopt.kernels import hashing

        tokens, lines = sum(text.count(space) for space in _SPACES) + 1, text.count(b"\n") + 1
        data, indices, odd = np.empty(tokens), np.empty(tokens, np.int32), np.empty((tokens, 3), np.int64)
        lengths, labels = np.empty(lines, np.int64), np.empty(lines)
        seen = np.frombuffer(text, dtype=np.uint8)
        rows, entries, odds = hashing.scan(seen, self.bits, data, indices, lengths, labels, odd)
        if rows < 0:
            raise ValueError("a line is not of the form: label name:value ...")
        for place, start, stop in odd[:odds].tolist():
            if place < 0:
                labels[-1 - place] = float(text[start:stop])
            else:
                data[place] *= float(text[start:stop])
        entries = hashing.merge(data, indices, lengths[:rows])
        return Piece(data[:entries].copy(), indices[:entries].copy(), lengths[:rows].copy(), labels[:rows].copy())

    def suspicious(self, text: bytes, piece: Piece) -> bool:  # noqa: ARG002
        """Return whether a number has to be looked at."""
        return piece.inexact

    def line_check(self) -> Callable[[bytes], str]:
        """Return the function that says what is wrong with a line."""
        return self._wrong_with

    def _wrong_with(self, line: bytes) -> str:
        label, *entries = line.split(b"#", 1)[0].split() or [b"0"]
        wrong = wrong_number(label, "label")
        for i, entry in enumerate(entries):
            if wrong:
                break
            if i == 0 and entry.startswith(b"qid:"):
                continue
            name, colon, value = entry.rpartition(b":")
            if b"|" in entry:
                wrong = f"{shown(entry)} contains a |, and namespaces are not supported"
            elif colon and not name:
                wrong = f"{shown(entry)} has no name before the colon"
            elif colon:
                wrong = wrong_number(value, f"the value of feature {shown(name)}")
        if not wrong and not np.isfinite(self.rows_of(line).data).all():
            wrong = "the sum of features that are hashed into one column overflows"
        return wrong
