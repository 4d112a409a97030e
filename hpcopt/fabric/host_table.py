"""A table in the shared memory of a host: one slot for each rank there, which the rank writes and the others read.

It needs no operation of MPI while the job runs, so it also tells about ranks that are stuck in one, stopped or dead.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

PLACES = ("/dev/shm", tempfile.gettempdir())  # that of shared memory first: the other may be a slow disk
NUMBERS, TEXT = 8, 4032  # numbers of a slot, and bytes of its text
_SLOT = np.dtype([("numbers", np.int64, NUMBERS), ("text", np.uint8, TEXT)])
_PID, _RANK, _ENDS, _TOLD, PULSE, SINCE, ROUND = range(7)
"""The numbers of a slot. The last three are the watchdog's: when the process last looked, when it last progressed (0:
outside a run), both in ns, and its round."""


class HostTable:
    """The table of one host.

    Parameters
    ----------
    memory
        Shared memory, all zero before the first use.
    own
        The number of this process's slot.
    size
        The number of slots.
    rank
        The rank of this process in the job.
    """

    def __init__(self, memory: mmap.mmap, own: int, size: int, rank: int) -> None:
        self.own, self.size = own, size
        self._slots = np.frombuffer(memory, dtype=_SLOT, count=size)
        self.numbers(own)[:2] = os.getpid(), rank

    def numbers(self, slot: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the numbers of a slot, shape (8,); only its process changes them, but for `claim`."""
        numbers: np.ndarray[tuple[int], np.dtype[np.int64]] = self._slots["numbers"][slot]
        return numbers

    def column(self, number: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return one of the numbers of all slots, shape (size,)."""
        column: np.ndarray[tuple[int], np.dtype[np.int64]] = self._slots["numbers"][:, number]
        return column

    def pid(self, slot: int) -> int:
        """Return the process of a slot."""
        return int(self.numbers(slot)[_PID])

    def rank(self, slot: int) -> int:
        """Return the rank of a slot's process."""
        return int(self.numbers(slot)[_RANK])

    def ends(self, slot: int) -> bool:
        """Return whether a slot's process has said that it ends."""
        return bool(self.numbers(slot)[_ENDS])

    def is_in_run(self, slot: int) -> bool:
        """Return whether a slot's process is in a run, so that the watchdog sees it."""
        return bool(self.numbers(slot)[SINCE])

    def job_ends(self) -> bool:
        """Return whether any process of the host has said that it ends."""
        return bool(self.column(_ENDS).any())

    def say_end(self) -> None:
        """Say that this process ends, and why has been or will be reported."""
        self.numbers(self.own)[_ENDS] = 1

    def claim(self) -> bool:
        """Return whether this process is to report an event of the host, which no other has reported yet."""
        told = self.numbers(0)
        if told[_TOLD]:
            return False
        told[_TOLD] = 1
        return True

    def write(self, text: str) -> None:
        """Replace the text of this process's slot; what does not fit is cut."""
        raw = text.encode(errors="backslashreplace")[: TEXT - 1]
        self._slots["text"][self.own, : len(raw) + 1] = np.frombuffer(raw + b"\0", dtype=np.uint8)

    def text(self, slot: int) -> str:
        """Return the text of a slot."""
        raw: bytes = self._slots["text"][slot].tobytes()
        return raw.partition(b"\0")[0].decode(errors="replace")


def alone(rank: int = 0) -> HostTable:
    """Return the table of a process that shares it with no other."""
    return HostTable(mmap.mmap(-1, _SLOT.itemsize), 0, 1, rank)


def shared_table(host: Any, rank: int) -> HostTable:
    """Return the table of the ranks of `host`, a communicator of the ranks of one host; collective over it.

    If they have no common memory, each gets a table of its own.
    """
    size = _SLOT.itemsize * host.size
    path = _new_file(size) if host.rank == 0 else None
    path = host.bcast(path)
    memory = None if path is None else _mapped(path, size)
    seen = host.allgather((memory is not None, _namespace()))  # of processes: their numbers must mean the same
    if host.rank == 0 and path is not None:
        Path(path).unlink(missing_ok=True)
    if memory is None or set(seen) != {(True, _namespace())}:
        return alone(rank)
    table = HostTable(memory, host.rank, host.size, rank)
    host.Barrier()  # from here on every slot has its process
    return table


def _namespace() -> str:
    with suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _new_file(size: int) -> str | None:
    """Return the path of a new file of `size` zero bytes; None if there is no place for it."""
    for place in PLACES:
        with suppress(OSError):
            descriptor, path = tempfile.mkstemp(prefix="hpcopt-", dir=place)
            try:
                os.posix_fallocate(descriptor, 0, size)  # a full file system would end the job by a bus error later
            except OSError:
                Path(path).unlink()
                raise
            finally:
                os.close(descriptor)
            return path
    return None


def _mapped(path: str, size: int) -> mmap.mmap | None:
    with suppress(OSError, ValueError), Path(path).open("r+b") as file:
        return mmap.mmap(file.fileno(), size)
    return None
