"""Surveys of MPI ranks: a chain of non-blocking collectives that progress when the node polls MPI.

Rank 0 begins each by a broadcast that the others have always posted; then, stage by stage, contributions are summed to
rank 0 and sent back from there, so that all hold the same bits.
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
    """A rank's side; collective over `comm`, which is duplicated, to make and to free.

    A rank that has ended still answers with what it laid aside, until rank 0 has ended too and begins no more surveys.
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
        self._is_over = False  # all surveys
        self._is_moving = False  # inside a stage, whose oracle pokes
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
        """Take surveys until rank 0 has ended; yields what to wait for before going on."""
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
            self._price = float(total[-1]) / comm.size  # as it was the time before
        self._is_over = True

    def end(self) -> None:
        self._has_ended = True
        self._progress.wait(lambda: self._is_over)
        self._progress.meet(self._comm)

    def finish(self) -> None:
        """Do nothing: `end` did."""

    def free(self) -> None:
        """Free the communicator."""
        self._comm.Free()
