"""What the two forms of LIBSVM text, with numbered and with hashed features, have in common."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.table import LARGEST_EXACT

SHOWN_BYTES = 24  # most bytes of a bad token in a message

# Decimal numbers as read by strtod; Python's parser accepts more forms, such as 1_000.
_NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
INTEGER = re.compile(rb"[+-]?[0-9]+")


@dataclass(frozen=True)
class Piece:
    """The rows of one chunk: values, columns, entries per row, labels."""

    data: NDArray[np.float64]
    indices: NDArray[np.int32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.float64]
    fault: str = ""  # the fault after these rows
    place: int = 0  # byte offset of the chunk

    @property
    def nbytes(self) -> int:
        """Number of bytes of its arrays."""
        return int(self.data.nbytes + self.indices.nbytes + self.lengths.nbytes + self.labels.nbytes)

    @property
    def inexact(self) -> bool:
        """Whether a number is not finite, or may be an integer that float64 cannot represent."""
        # NaN is the largest for numpy, whatever the other is (Python's max would drop it), and compares as false.
        largest = np.max([np.abs(numbers).max(initial=0.0) for numbers in (self.data, self.labels)])
        return not largest <= LARGEST_EXACT


NOTHING = Piece(np.zeros(0), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), np.zeros(0))


class Syntax(Protocol):
    """How the features of a line are written."""

    @property
    def width(self) -> int | None:
        """Number of features; None if the text determines it."""

    def rows_of(self, text: bytes) -> Piece:
        """Return the rows in `text`, whole lines.

        Raises
        ------
        ValueError, OverflowError
            If a line is not valid.
        """

    def suspicious(self, text: bytes, piece: Piece) -> bool:
        """Return whether the lines that were read as `piece` have to be looked at one by one."""

    def line_check(self) -> Callable[[bytes], str]:
        """Return the function that says what is wrong with a line and what would be right; "" for a valid line."""


def wrong_number(text: bytes, what: str) -> str:
    """Return what is wrong with a number; an empty string if it is valid."""
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is not None and not math.isfinite(value):
        return f"{what} is {shown(text)}; only finite numbers can be used"
    if value is None or not _NUMBER.fullmatch(text):
        return f"{what} {shown(text)} is not a number" + (" (is this LIBSVM text?)" if what == "label" else "")
    if abs(value) > LARGEST_EXACT and INTEGER.fullmatch(text) and int(text) != value:
        return f"{what} is {shown(text)}, an integer that float64 cannot represent; it would be read as {value:.0f}"
    return ""


def shown(text: bytes) -> str:
    """Format a token for a message: quoted, printable, cut to a readable length."""
    start = ascii(text[:SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return start if len(text) <= SHOWN_BYTES else f"{start}..."
