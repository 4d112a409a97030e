"""The wall-clock time of a run by phase: reading, preparing, warming up, the optimum, solving, writing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

import numpy as np

from hpcopt.fabric.interface import Group

Phase = Literal["read", "prepare", "warm-up", "optimum", "solve", "write"]


class Phases:
    """A stopwatch: a phase lasts until another one begins or until `end`.

    Parameters
    ----------
    seconds
        The time of phases that have ended.
    """

    def __init__(self, seconds: Mapping[str, float] | None = None) -> None:
        self._seconds: dict[str, float] = dict(seconds or {})
        self._phase: Phase | None = None
        self._since = 0.0

    def begin(self, phase: Phase) -> None:
        """End the current phase and begin, or continue, another one."""
        self.end()
        self._phase, self._since = phase, time.perf_counter()

    def end(self) -> None:
        """End the current phase."""
        self._seconds, self._phase = self.seconds, None

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase so far, in the order in which they began."""
        if self._phase is None:
            return dict(self._seconds)
        before = self._seconds.get(self._phase, 0.0)
        return {**self._seconds, self._phase: before + time.perf_counter() - self._since}

    def copy(self) -> Phases:
        """Return a copy with the times so far, and no phase in progress."""
        return Phases(self.seconds)

    def level(self, processes: Group) -> None:
        """End the current phase, and set each phase to its maximum over the processes; collective."""
        self.end()
        processes.pause()
        most = processes.max(np.array(list(self._seconds.values())))
        self._seconds = dict(zip(self._seconds, most.tolist(), strict=True))
