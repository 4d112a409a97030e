"""Surveys of MPI ranks: a chain of non-blocking collectives that progress when the node polls MPI.

Rank 0 starts each survey by a broadcast for which the others always have a receive posted. Then, stage by stage,
contributions are reduced to rank 0 and the sum is broadcast, so that all ranks have bitwise equal results.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np
from mpi4py import MPI

from hpcopt.arrays import Vector
from hpcopt.fabric.node import Node
from hpcopt.fabric.survey import Stage
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.wall.survey import WallSurvey

Chain = Generator[MPI.Request | None, None, None]


class MPISurvey(WallSurvey):
    """A rank's side. `comm` is duplicated; creating and freeing are collective over it.

    A rank that has ended still contributes its stored data until rank 0 has ended too and starts no more surveys.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        progress: Progress,
        node: Node,
        stages: Sequence[Stage],
        done: Callable[[Vector], None],
        seconds: float | None,
    ) -> None:
        super().__init__(node, stages, done, seconds)
        self._comm = comm.Dup()
        self._progress = progress
        self._has_ended = False  # this node
        self._is_over = False  # no more surveys will come
        self._is_moving = False  # inside a stage, whose oracle calls poll again
        self._awaited: MPI.Request | None = None
        self._chain = self._surveys()
        progress.add(self._poke)

    def _poke(self) -> None:
        if self._is_over or self._is_moving:
            return
        if self._awaited is None or self._awaited.Test():
            self._is_moving = True
            self._awaited = next(self._chain, None)
            self._is_moving = False

    def _surveys(self) -> Chain:
        """Take surveys until rank 0 has ended; yields the request that must complete before it can continue."""
        comm, goes_on = self._comm, np.zeros(1, dtype=np.int64)
        while True:
            if comm.rank == 0:
                while not self._has_ended and not self._is_due():
                    yield None
                goes_on[0] = not self._has_ended
            yield comm.Ibcast(goes_on)
            if not goes_on[0]:
                break
            total = np.zeros(1)
            for stage in range(len(self.stages)):
                mine = np.append(self._contribution(stage, total[:-1]), self._cost)
                total = np.empty_like(mine)
                yield comm.Ireduce(mine, total)
                yield comm.Ibcast(total)
            self._finish(total[:-1])
            self._price = float(total[-1]) / comm.size  # of the previous survey
        self._is_over = True

    def end(self) -> None:
        self._has_ended = True
        self._progress.wait(lambda: self._is_over)
        self._progress.meet(self._comm)

    def finish(self) -> None:
        """Do nothing: `end` has completed everything."""

    def free(self) -> None:
        """Free the communicator."""
        self._comm.Free()
