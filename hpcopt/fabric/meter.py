"""The meter: what a node computed. Every oracle call reports here, and a virtual clock listens.

Work is counted twice: floating-point operations (they drive the virtual clock) and bytes of the shard that
were read (a pass over the data is one reading of all of it). On the MPI cluster this is also the place where
chunks of computation will poke the progress of one-sided operations and where injected delays will act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Meter:
    """A node's count of work.

    Parameters
    ----------
    on_work
        Called with the flops of each reported piece of work (the virtual cluster advances its clock by it).
    """

    __slots__ = ("_on_work", "_paused", "flops", "touched")

    def __init__(self, on_work: Callable[[float], None] | None = None) -> None:
        self.flops = 0.0
        self.touched = 0.0  # entries of the shard read, in all
        self._on_work = on_work
        self._paused = False

    def charge(self, flops: float, touched: float) -> None:
        """Report work: `flops` operations that read `touched` stored entries of the shard."""
        if self._paused:
            return
        self.flops += flops
        self.touched += touched
        if self._on_work is not None:
            self._on_work(flops)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing inside."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before
