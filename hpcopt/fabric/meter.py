"""The meter: what a node computed. Every oracle call is a bracket here, and the node's clock listens.

Work is counted twice: floating-point operations (they drive the virtual clock) and bytes of the shard that
were read (a pass over the data is one reading of all of it). The end of a bracket is also where a wall clock's
injected delays act, and where a node that computes for long gives its one-sided operations a chance to go on.
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
        Called after each piece of work with its flops and the real seconds that it took: the virtual cluster
        advances its clock by the first, on wall clocks a slow node waits in proportion to the second.

    Attributes
    ----------
    flops, touched
        Operations, and entries of the shard read, in all.
    poke
        Called after each piece of work, where others' operations on this node need it to look up now and then.
    is_paused
        Whether nothing is counted at present.
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
        """Return the bracket around a piece of work: `flops` operations that read `touched` entries of the shard.

        It counts when it ends, also by an exception; brackets do not nest.
        """
        work = self._work
        if work.begun:
            raise RuntimeError("work begins inside other work: it would be timed twice")
        work.flops = flops
        work.touched = touched
        return work

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing inside."""
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
    """The bracket of a meter; one object for all its pieces, as there is one at a time."""

    __slots__ = ("_meter", "begun", "flops", "touched")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.begun = 0.0  # 0: not inside
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
