"""Wall-clock time and memory of a run by phase: reading, preparing, warming up, the optimum, solving, writing."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Group

Phase = Literal["read", "prepare", "warm-up", "optimum", "solve", "write"]


class Phases:
    """A stopwatch: a phase lasts until another one begins or until `end`.

    Parameters
    ----------
    seconds
        The time of phases that have ended.
    memory
        The most memory that the process had used when they ended, in bytes.
    begun
        Called at the beginning of each phase, with its name.

    Attributes
    ----------
    over_processes
        Phase -> seconds and memory -> the smallest, median and largest value of the processes, once `level` is called.
    """

    def __init__(
        self,
        seconds: Mapping[str, float] | None = None,
        memory: Mapping[str, float] | None = None,
        begun: Callable[[str], object] | None = None,
    ) -> None:
        self.over_processes: dict[str, dict[str, dict[str, float]]] = {}
        self._seconds: dict[str, float] = dict(seconds or {})
        self._memory: dict[str, float] = dict(memory or {})
        self._begun = begun
        self._phase: Phase | None = None
        self._since = 0.0

    def begin(self, phase: Phase) -> None:
        """End the current phase and begin, or continue, another one."""
        self.end()
        self._phase, self._since = phase, time.perf_counter()
        if self._begun is not None:
            self._begun(phase)

    def end(self) -> None:
        """End the current phase."""
        if self._phase is not None:
            now = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            self._memory[self._phase] = max(now, *self._memory.values(), 0.0)
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
        return Phases(self.seconds, self._memory, self._begun)

    def level(self, processes: Group) -> None:
        """End the current phase, and set each phase to its maximum over the processes; collective."""
        self.end()
        processes.pause()
        own = [(spent, self._memory.get(phase, 0.0)) for phase, spent in self._seconds.items()]
        everyone = np.array(processes.allgather(np.ravel(own))).reshape(processes.size, len(own), 2)
        for phase, values in zip(self._seconds, np.moveaxis(everyone, 1, 0), strict=True):
            told = {"seconds": _spread(values[:, 0]), "peak_memory": _spread(values[:, 1])}
            self.over_processes.setdefault(phase, told)
        self._seconds = dict(zip(self._seconds, everyone[:, :, 0].max(axis=0).tolist(), strict=True))


def _spread(values: Vector) -> dict[str, float]:
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}
