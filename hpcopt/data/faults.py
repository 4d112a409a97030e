"""Faults in the data, reported once: the first fault in the order of the file, whichever process has found it.

`fabric.agreement` lets processes fail together and names the ranks. An invalid line is invalid on every rank, so here
only the line is named, and the message is the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from hpcopt.data.table import LARGEST_EXACT, Part, Table
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group


@dataclass(frozen=True)
class Fault:
    """A fault: its place in the data set (a line or row number) and the message to the user."""

    place: int
    message: str


class FaultError(InputError):
    """An `InputError` about a place in the data set, for `same_for_all`."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@contextmanager
def same_for_all(group: Group) -> Iterator[None]:
    """Wrap the reading of one data set by all processes: either all succeed, or all raise the same error.

    Collective. A fault in the data is reported as by a single process; only an error of the system, which may concern
    some processes only, names their ranks. The body must not contain a collective operation of `group`.

    Raises
    ------
    AgreedError
        On every process, about the first fault; faults without a place take precedence.
    """
    fault = None
    with agreed(group):
        try:
            yield
        except FaultError as error:
            fault = error.fault
        except InputError as error:
            fault = Fault(-1, error.message)
    raise_first(group, fault)


def raise_first(group: Group, fault: Fault | None) -> None:
    """Raise, on all processes, the fault with the smallest place, if any process has one. Collective.

    Raises
    ------
    AgreedError
        On every process, with that fault's message.
    """
    places = group.allgather(np.array([] if fault is None else [fault.place], dtype=np.int64))
    messages = group.allgather(
        np.frombuffer(b"" if fault is None else fault.message.encode(errors="surrogateescape"), dtype=np.uint8)
    )
    told = [
        (int(place[0]), bytes(text).decode(errors="surrogateescape"))
        for place, text in zip(places, messages, strict=True)
        if place.size
    ]
    if told:
        raise AgreedError(min(told)[1])


def check_exact(where: str, numbers: NDArray[Any], row_of: Callable[[int], int]) -> None:
    """Raise an error for integers that float64 cannot represent: two different ones could become the same number.

    Parameters
    ----------
    where
        Their name in messages.
    numbers
        Shape (n,) or (n, d).
    row_of
        Returns the row number, given the index along the first axis.

    Raises
    ------
    FaultError
        For the first such integer.
    """
    if numbers.dtype.kind not in "iu" or numbers.dtype.itemsize < 8:
        return
    large = np.argwhere((numbers > LARGEST_EXACT) | (numbers < -LARGEST_EXACT))
    values = numbers[tuple(large.T)]
    floats = values.astype(np.float64)
    above = floats >= 2.0 ** (63 if numbers.dtype.kind == "i" else 64)
    wrong = above | (np.where(above, 0.0, floats).astype(numbers.dtype) != values)
    for first in np.flatnonzero(wrong)[:1].tolist():
        row, column = row_of(int(large[first][0])), "".join(f"column {index}: " for index in large[first][1:])
        raise FaultError(
            Fault(
                row,
                f"{where}: row {row} (counted from 0): {column}{values[first]} is an integer that float64 cannot "
                f"represent; it would be read as {floats[first]:.0f}",
            )
        )


def not_finite(part: Part, where: str) -> Fault | None:
    """Return a fault for the first NaN or infinite entry or target of `part`; rows and columns count from 0."""
    table = part.table
    rows = [(row, text) for row, text in (_bad_feature(table), _bad_target(table)) if row >= 0]
    if not rows:
        return None
    row, text = min(rows)
    number = int(part.rows[row])
    return Fault(number, f"{where}: row {number} (counted from 0): {text}; only finite numbers can be used")


def _bad_feature(table: Table) -> tuple[int, str]:
    """Return row and description of the first feature that is not finite, or row -1 if all are finite."""
    if issparse(table.X):
        bad = _first(~np.isfinite(table.X.data))
        row = int(np.searchsorted(table.X.indptr, bad, side="right")) - 1
        column = int(table.X.indices[bad]) if bad >= 0 else -1
    else:
        row = _first(~np.isfinite(table.X).all(axis=1))
        column = _first(~np.isfinite(table.X[row])) if row >= 0 else -1
        bad = row
    return (-1, "") if bad < 0 else (row, f"column {column} is {table.X[row, column]}")


def _bad_target(table: Table) -> tuple[int, str]:
    """Return row and description of the first target that is not finite, or row -1 if all are finite."""
    row = -1 if table.y is None else _first(~np.isfinite(table.y))
    return (-1, "") if row < 0 else (row, f"the target is {table.targets[row]}")


def _first(bad: NDArray[Any]) -> int:
    """Return the index of the first true element, -1 if there is none."""
    return int(bad.argmax()) if bad.any() else -1
