"""Windows of MPI ranks: passive-target one-sided operations, without participation of the target's program.

The memory comes from `Win.Allocate`: on one host this is shared memory, where operations on a computing target take
microseconds; with `Win.Create` they would wait for its next MPI call. One shared lock is held for the window's whole
lifetime, with MODE_NOCHECK, since acquiring it would wait for the others; no rank locks exclusively. Between hosts
every one-sided operation may wait for the target's next poll, with any library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI

from hpcopt.fabric.seam import Seam
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.window import Eights, Op, Window

OPS = {"sum": MPI.SUM, "replace": MPI.REPLACE, "no-op": MPI.NO_OP}


class MPIWindow(Window):
    """A rank's side of the window; creating and freeing are collective over `comm`.

    Parameters
    ----------
    comm
        It is duplicated and never used itself.
    progress
        Polled by waits on this window.
    """

    def __init__(
        self, comm: MPI.Intracomm, words: int, seam: Seam, progress: Progress, link_class: str, *, by_edge: bool
    ) -> None:
        super().__init__(words, seam, comm.rank, link_class, by_edge=by_edge)
        self._comm = comm.Dup()
        self.win = MPI.Win.Allocate(8 * words, 8, comm=self._comm)
        """The MPI window itself, for benchmarks that use MPI directly and for the self-test."""
        memory: Any = self.win.tomemory()
        self.local = np.frombuffer(memory, dtype=np.int64)
        self.local[:] = 0
        self._progress = progress
        self._kept: list[list[Eights]] = [[] for _ in range(comm.size)]  # buffers that MPI still reads or writes
        # Lists of buffer, count and type: a third faster than arrays, whose type mpi4py determines at each call.
        self._value, self._compared, self._before = (np.zeros(1, dtype=np.int64) for _ in range(3))
        self._operands = [[array, 1, MPI.INT64_T] for array in (self._value, self._compared, self._before)]
        self.win.Lock_all(MPI.MODE_NOCHECK)
        self.win.Sync()
        self._comm.Barrier()

    def _put(self, x: Eights, target: int, at: int) -> None:
        self.win.Put(x, target, at)
        self._kept[target].append(x)

    def _get(self, target: int, at: int, out: Eights) -> None:
        self.win.Get(out, target, at)
        self._kept[target].append(out)

    def _accumulate(self, x: Eights, target: int, at: int) -> None:
        self.win.Accumulate(x, target, at, MPI.SUM)
        self._kept[target].append(x)

    def _fetch_and_op(self, value: int, target: int, at: int, op: Op) -> int:
        self._value[0] = value
        operand, _, before = self._operands
        self.win.Fetch_and_op(operand, before, target, at, OPS[op])
        self.win.Flush(target)
        return int(self._before[0])

    def _compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:
        self._value[0] = desired
        self._compared[0] = expected
        operand, compared, before = self._operands
        self.win.Compare_and_swap(operand, compared, before, target, at)
        self.win.Flush(target)
        return int(self._before[0])

    def _flush(self, target: int) -> None:
        self.win.Flush(target)
        self._kept[target].clear()

    def sync(self) -> None:
        self.win.Sync()

    def _wait(self, at: int, until: Callable[[int], bool], seconds: float) -> int:
        word = 0

        def ready() -> bool:
            nonlocal word
            word = self._fetch_and_op(0, self.rank, at, "no-op")
            return until(word)

        self._progress.wait(ready, seconds)
        self.win.Sync()  # so that data put here before the word changed are visible
        return word

    def finish(self) -> None:
        """Wait until all operations of this rank have completed."""
        self.win.Flush_all()

    def free(self) -> None:
        """Free the window after all ranks have called `finish`."""
        del self.local
        self.win.Unlock_all()
        self.win.Free()
        self._comm.Free()
