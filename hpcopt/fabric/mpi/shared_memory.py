"""The shared memory in which MPI keeps the windows of one host's ranks, and whether another window fits.

MPICH, Open MPI and Intel MPI use /dev/shm, which in a container often has 64 MB. A window that does not fit ends the
job with a bus error at its first access. So the free space is checked before a window is created.
"""

from __future__ import annotations

import os

import numpy as np
from mpi4py import MPI

from hpcopt.capacity import in_words
from hpcopt.fabric.window import WORD

PLACE = "/dev/shm"
SPARE = 1 << 20  # bytes left for MPI's own messages


def free() -> int:
    """Return the number of bytes free for windows on this host."""
    try:
        found = os.statvfs(PLACE)
    except OSError:  # not Linux: leave it to MPI
        return 1 << 60
    return found.f_bavail * found.f_frsize


def lacking(comm: MPI.Intracomm, words: int) -> str | None:
    """Describe the lack of memory for a window of `words` words per rank; None if it fits on all hosts; collective."""
    host = comm.Split_type(MPI.COMM_TYPE_SHARED)
    own, needed = np.array([WORD * words], dtype=np.int64), np.empty(1, dtype=np.int64)
    host.Allreduce(own, needed, MPI.SUM)
    mine = np.array([needed[0], free(), host.size], dtype=np.int64)
    host.Free()
    told = np.empty((comm.size, 3), dtype=np.int64)
    comm.Allgather(mine, told)
    for bytes_of_all, room, ranks in told.tolist():
        if ranks > 1 and bytes_of_all + SPARE > room:  # a single rank on a host uses private memory
            return (
                f"a window of the {ranks} ranks of one host takes {in_words(bytes_of_all)} of shared memory, "
                f"and {PLACE} has {in_words(room)} free"
            )
    return None
