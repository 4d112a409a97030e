"""trace.jsonl during a run: one record per line, readable meanwhile. A resumed run goes on at its checkpoint's place.

The records after that place are cut off: they are made again, so that each record is there once.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.results import checked
from hpcopt.results.checkpoints import Mark
from hpcopt.results.folder import TRACE
from hpcopt.results.record import Record


class TraceFile:
    """The trace of a run in progress.

    Raises
    ------
    OSError
        If it cannot be written; this holds for all methods.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / TRACE
        self._file: BinaryIO | None = None
        self._held: int | None = None  # another descriptor of the file, which stays open after a failure
        self._records, self._bytes, self._sum = 0, 0, hashlib.sha256()
        self._before = self._place()

    def open(self, *, goes_on: bool) -> None:
        """Create the file, or go on at its end."""
        if goes_on:
            content = self.path.read_bytes()
            self._records, self._bytes = content.count(b"\n"), len(content)
            self._sum.update(content)
        self._file = self.path.open("ab" if goes_on else "wb")
        self._held = os.dup(self._file.fileno())

    def append(self, record: Record) -> None:
        """Write one record."""
        assert self._file is not None, "begun"
        line = record.line().encode()
        self._before = self._place()
        self._file.write(line)
        self._file.flush()
        self._records += 1
        self._bytes += len(line)
        self._sum.update(line)

    def mark(self, *, without_last: bool) -> Mark:
        """Return the place after the last record, or before it, once all records are on disk."""
        assert self._file is not None, "begun"
        os.fsync(self._file.fileno())
        records, count, summed = self._before if without_last else self._place()
        return Mark(records=records, bytes=count, sha256=summed.hexdigest())

    def is_replaced(self) -> bool:
        """Return whether another file has been put in the place of this one, which is still open."""
        return (
            self._held is not None
            and self.path.exists()
            and not os.path.samestat(self.path.stat(), os.fstat(self._held))
        )

    def stop(self) -> None:
        """Write no more, after a failure: the records before it stay, as a checkpoint may need them."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
        if self._held is not None:
            with suppress(OSError):
                os.ftruncate(self._held, self._bytes)

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Close the file and remove it, in any state."""
        for step in (self.close, self.path.unlink):
            with suppress(OSError):
                step()

    def _place(self) -> tuple[int, int, hashlib._Hash]:
        return self._records, self._bytes, self._sum.copy()


def records_until(folder: Path, mark: Mark) -> list[Record]:
    """Return the records of a trace before a place.

    Raises
    ------
    InputError
        If the trace is not what it was there.
    OSError
        If it can't be read.
    """
    return checked.records_in(folder / TRACE, _checked_until(folder, mark).decode())


def cut(folder: Path, mark: Mark) -> None:
    """Remove the records after a place, all of them or none.

    Raises
    ------
    InputError
        If the trace is not what it was there.
    OSError
        If it can't be read or written.
    """
    content = _checked_until(folder, mark)
    with written_whole(folder / TRACE, "wb") as file:
        file.write(content)


def _checked_until(folder: Path, mark: Mark) -> bytes:
    path = folder / TRACE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: missing; the checkpoint needs its first {mark.records} records") from None
    if len(content) < mark.bytes:
        held = content.count(b"\n")
        raise InputError(f"{path}: cut short: it has {held} records, and had {mark.records} at the checkpoint")
    content = content[: mark.bytes]
    if hashlib.sha256(content).hexdigest() != mark.sha256:
        raise InputError(f"{path}: damaged: its first {mark.records} records have been changed since the checkpoint")
    return content
