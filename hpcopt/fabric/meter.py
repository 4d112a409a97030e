"""The meter: the work of a node. Every oracle call is bracketed by it, and the node's clock is notified.

Two quantities are counted: floating-point operations (they drive the virtual clock) and entries of the shard read
(reading all of it is one pass over the data). At the end of a bracket, delays are injected on the wall clock, and a
node that computes for long makes progress on one-sided operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any


class Meter:
    """A node's count of work.

    Parameters
    ----------
    on_work
        Called after each piece of work with its flops and its real seconds. The virtual cluster advances its clock by
        the flops; on the wall clock, a slow node waits in proportion to the seconds.

    Attributes
    ----------
    flops, touched
        Total floating-point operations, and total entries of the shard read.
    poke
        Called after each piece of work, if one-sided operations on this node need it to call MPI now and then.
    is_paused
        Whether counting is suspended.
    """

    __slots__ = ("_work", "flops", "is_paused", "on_work", "poke", "touched")

    def __init__(self, on_work: Callable[[float, float], None] | None = None) -> None:
        self.flops = 0.0
        self.touched = 0.0
        self.poke: Callable[[], None] | None = None
        self.on_work = on_work
        self.is_paused = False
        self._work = Work(self)

    def working(self, flops: float, touched: float) -> Work:
        """Return a context manager for a piece of work: `flops` operations that read `touched` entries of the shard.

        The work is counted when the block ends, also by an exception; blocks do not nest.
        """
        work = self._work
        if work.begun:
            raise RuntimeError("nested work: it would be timed twice")
        work.flops = flops
        work.touched = touched
        return work

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Suspend counting inside the block."""
        before, self.is_paused = self.is_paused, True
        try:
            yield
        finally:
            self.is_paused = before

    def snapshot(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {"flops": self.flops, "touched": self.touched}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.flops, self.touched = float(snapshot["flops"]), float(snapshot["touched"])


class Work:
    """The context manager of a meter; one reused object, as only one block is active at a time."""

    __slots__ = ("_meter", "begun", "flops", "touched")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.begun = 0.0  # 0: not active
        self.flops = self.touched = 0.0

    def __enter__(self) -> None:
        self.begun = perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds = perf_counter() - self.begun
        self.begun = 0.0
        meter = self._meter
        if not meter.is_paused:
            meter.flops += self.flops
            meter.touched += self.touched
            if meter.on_work is not None:
                meter.on_work(self.flops, seconds)
        if meter.poke is not None:
            meter.poke()
