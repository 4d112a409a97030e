"""Where MPI keeps the windows of the ranks of one host, and whether there is room for one more.

MPICH, Open MPI and Intel MPI put them in /dev/shm. In a container that is often 64 MB; what does not fit ends the job
with a bus error when it is first touched. So the room is asked for before a window is made.
"""

from __future__ import annotations

import os

import numpy as np
from mpi4py import MPI

from hpcopt.capacity import in_words
from hpcopt.fabric.window import WORD

PLACE = "/dev/shm"
SPARE = 1 << 20  # bytes left to MPI's own messages


def free() -> int:
    """Return how many bytes are free for windows on this host."""
    try:
        found = os.statvfs(PLACE)
    except OSError:  # another system; MPI will know
        return 1 << 60
    return found.f_bavail * found.f_frsize


def lacking(comm: MPI.Intracomm, words: int) -> str | None:
    """Return in words why a window of so many words a rank has no room on some host, None if it has; collective."""
    host = comm.Split_type(MPI.COMM_TYPE_SHARED)
    own, needed = np.array([WORD * words], dtype=np.int64), np.empty(1, dtype=np.int64)
    host.Allreduce(own, needed, MPI.SUM)
    mine = np.array([needed[0], free(), host.size], dtype=np.int64)
    host.Free()
    told = np.empty((comm.size, 3), dtype=np.int64)
    comm.Allgather(mine, told)
    for bytes_of_all, room, ranks in told.tolist():
        if ranks > 1 and bytes_of_all + SPARE > room:  # a rank that is alone on its host has memory of its own
            return (
                f"a window of the {ranks} ranks of one host takes {in_words(bytes_of_all)} of shared memory, "
                f"and {PLACE} has {in_words(room)} free"
            )
    return None
